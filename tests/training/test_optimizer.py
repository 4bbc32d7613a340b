"""CautiousAdamW beside its formula, and beside Keras's AdamW where both must do the same."""

import keras
import numpy as np
import pytest

from textgen.config import ModelConfig
from textgen.config.cells import CELLS, Cell
from textgen.model.weights import BACKWARD
from textgen.training.keras_model import build_model
from textgen.training.optimizer import CautiousAdamW, ScaledAdamW, reads_outputs
from textgen.training.pair_model import build_pair_model

RATE, BETA_1, BETA_2, EPSILON, DECAY = 0.01, 0.9, 0.99, 1e-7, 0.1


def start() -> np.ndarray:
    return np.random.default_rng(0).normal(size=(7, 5)).astype("float32")


def run(optimizer: keras.optimizers.Optimizer, gradients: list[np.ndarray]) -> np.ndarray:
    variable = keras.Variable(start(), name="kernel")
    for gradient in gradients:
        optimizer.apply([keras.ops.convert_to_tensor(gradient)], [variable])
    return np.asarray(variable)


def settings() -> dict[str, float]:
    return {"learning_rate": RATE, "weight_decay": DECAY, "beta_1": BETA_1, "beta_2": BETA_2, "epsilon": EPSILON}


def by_formula(gradients: list[np.ndarray]) -> np.ndarray:
    weights = start().astype("float64")
    m, v = np.zeros_like(weights), np.zeros_like(weights)
    for t, gradient in enumerate(gradients, 1):
        weights = weights - RATE * DECAY * weights
        m = BETA_1 * m + (1 - BETA_1) * gradient
        v = BETA_2 * v + (1 - BETA_2) * gradient**2
        agree = m * gradient > 0
        adam = (m / (1 - BETA_1**t)) / (np.sqrt(v / (1 - BETA_2**t)) + EPSILON / np.sqrt(1 - BETA_2**t))
        weights = weights - RATE * adam * agree / max(agree.sum() / np.count_nonzero(gradient), 0.1)
    return weights


def test_steps_follow_the_formula() -> None:
    drawn = np.random.default_rng(1)
    gradients = [drawn.normal(size=(7, 5)).astype("float32") for _ in range(6)]
    gradients[3][:4] = 0.0
    np.testing.assert_allclose(run(CautiousAdamW(**settings()), gradients), by_formula(gradients), atol=2e-6)


def test_where_all_agree_it_is_adamw() -> None:
    gradients = [np.full((7, 5), 0.3, "float32")] * 4
    ours, theirs = (run(kind(**settings()), gradients) for kind in (CautiousAdamW, keras.optimizers.AdamW))
    np.testing.assert_allclose(ours, theirs, atol=1e-6)
    assert (ours != start()).all()


def test_a_weight_whose_gradient_turned_is_only_decayed() -> None:
    first = np.full((7, 5), 1.0, "float32")
    turned = first.copy()
    turned[0, 0] = -1e-3
    optimizer = CautiousAdamW(**settings())
    variable = keras.Variable(start(), name="kernel")
    optimizer.apply([keras.ops.convert_to_tensor(first)], [variable])
    before = np.asarray(variable).copy()
    optimizer.apply([keras.ops.convert_to_tensor(turned)], [variable])
    after = np.asarray(variable)
    assert after[0, 0] == pytest.approx(before[0, 0] * (1 - RATE * DECAY), rel=1e-6)
    assert (np.abs(after - before * (1 - RATE * DECAY)).ravel()[1:] > 0.5 * RATE).all()


def test_rows_without_a_gradient_do_not_drive_the_others() -> None:
    few = np.zeros((7, 5), "float32")
    few[2] = 0.3
    ours, theirs = (run(kind(**settings()), [few] * 4) for kind in (CautiousAdamW, keras.optimizers.AdamW))
    np.testing.assert_allclose(ours, theirs, atol=1e-6)


def test_where_none_agrees_the_weights_stay_finite() -> None:
    up, down = np.full((7, 5), 1.0, "float32"), np.full((7, 5), -1e-3, "float32")
    assert np.isfinite(run(CautiousAdamW(**settings()), [up, down])).all()


def test_the_only_weight_that_agrees_takes_ten_steps_at_most() -> None:
    up, turned = np.full((7, 5), 1.0, "float32"), np.full((7, 5), -1e-3, "float32")
    turned[0, 0] = 1.0
    got, once = (run(CautiousAdamW(**settings()), gradients) for gradients in ([up, turned], [up]))
    step = once[0, 0] * (1 - RATE * DECAY) - got[0, 0]
    assert step == pytest.approx(10 * RATE, rel=1e-3)


def test_it_can_be_written_and_read_as_keras_objects_are() -> None:
    config = keras.saving.serialize_keras_object(CautiousAdamW(learning_rate=0.5, beta_2=0.9))
    again = keras.saving.deserialize_keras_object(config)
    assert isinstance(again, CautiousAdamW)
    assert float(again.learning_rate) == 0.5
    assert again.beta_2 == 0.9


@pytest.mark.parametrize("kind", [ScaledAdamW, CautiousAdamW])
def test_scaled_arrays_take_steps_as_much_longer_and_decay_as_before(kind: type[ScaledAdamW]) -> None:
    drawn = np.random.default_rng(2)
    gradients = [[drawn.normal(size=(7, 5)).astype("float32") for _ in range(2)] for _ in range(3)]

    def moves(factor: float, decay: float) -> list[np.ndarray]:
        optimizer = kind(**{**settings(), "weight_decay": decay})
        variables = [keras.Variable(start(), name="kernel") for _ in range(2)]
        optimizer.build(variables)
        optimizer.scale_rates(variables[:1], factor)
        for pair in gradients:
            optimizer.apply([keras.ops.convert_to_tensor(each) for each in pair], variables)
        return [np.asarray(variable) - start() for variable in variables]

    usual, other = moves(1.0, 0.0)
    longer, same = moves(3.0, 0.0)
    np.testing.assert_allclose(longer, 3.0 * usual, rtol=1e-4, atol=1e-6)
    np.testing.assert_array_equal(same, other)
    decayed = moves(3.0, DECAY)[0] - longer
    np.testing.assert_allclose(decayed, -3 * RATE * DECAY * start(), rtol=0.2, atol=2e-4)


@pytest.mark.parametrize("cell", CELLS)
def test_kernels_that_read_outputs_are_found_in_both_stacks(cell: Cell) -> None:
    model = build_model(ModelConfig(vocab_size=5, cell=cell, layers=2, units=3, embedding=2, sides="both"))
    found = [variable.path for variable in model.weights if reads_outputs(variable.path)]
    # Of each stack two recurrent kernels, the upper layer's kernel and the head's.
    assert [sum(path.startswith(BACKWARD) == backward for path in found) for backward in (False, True)] == [4, 4]
    first = [path for path in found if "recurrent_1/" in path]
    assert len(first) == 2 and all(path.endswith("/recurrent_kernel") for path in first)


def test_kernels_that_read_outputs_are_found_in_an_encoder_too() -> None:
    config = ModelConfig(
        vocab_size=5, source_vocab_size=4, encoder_layers=2, cell="lstm", layers=1, units=4, embedding=2
    )
    found = [variable.path for variable in build_pair_model(config).weights if reads_outputs(variable.path)]
    layers_and_kernels = [(path.split("/")[0], path.split("/")[-1]) for path in found]
    assert layers_and_kernels == [
        *[("encoder_1", "recurrent_kernel")] * 2,
        *[("encoder_2", "kernel"), ("encoder_2", "recurrent_kernel")] * 2,
        ("recurrent_1", "recurrent_kernel"),
        ("head", "kernel"),
    ]

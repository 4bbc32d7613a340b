"""What peephole and coupled cells promise besides what all cells do: a tie that holds, weights that count once."""

import math
from functools import partial
from typing import Any

import keras
import numpy as np
import pytest
import tensorflow as tf
from slow_cells import STATES, STEPS, sigmoid, tie
from small_models import random_weights
from tiny_runs import TINY

import textgen
from textgen.config import CELLS, ModelConfig, TrainingConfig
from textgen.config.cells import FACTS
from textgen.corpus.batch import Batch
from textgen.model.read import read_checkpoint
from textgen.model.weights import ModelWeights
from textgen.peephole import PeepholeLSTM
from textgen.runs.run import Run
from textgen.training.keras_model import build_model
from textgen.training.network import Network
from textgen.training.recipe import least_memory
from textgen.training.start import train
from textgen.training.trainer import Trainer

BATCH, TIME = 4, 5


def config(cell: str, **changes: Any) -> ModelConfig:
    """Sizes that fill no vector register, so that a block's ends lie anywhere."""
    fields = {"vocab_size": 11, "cell": cell, "layers": 2, "units": 13, "embedding": 7}
    return ModelConfig(**{**fields, "dropout": 0.0, "input_dropout": 0.0, **changes})


def batch(step: int) -> Batch:
    drawn = np.random.default_rng(step).integers(0, 11, (BATCH, TIME + 1)).astype("int32")
    return Batch(tf.constant(drawn[:, :-1]), tf.constant(drawn[:, 1:]), tf.constant(step == 0))


def make_trainer(shape: ModelConfig, *, kernels: bool = True, weight_drop: float = 0.0, **changes: Any) -> Trainer:
    model = build_model(shape, seed=2)
    settings = TrainingConfig(**{"batch_size": BATCH, "sequence_length": TIME, "state_reset": 0.0, **changes})
    network = Network(model, shape, kernels=kernels, weight_drop=weight_drop, seed=1)
    frequencies = np.arange(shape.vocab_size) if settings.negatives else None
    return Trainer(
        network, model, settings, shards=2 if kernels else 1, validation_streams=BATCH, frequencies=frequencies
    )


def learn(trainer: Trainer, steps: int) -> list[np.ndarray]:
    step = tf.function(trainer.train_step)
    for n in range(steps):
        step(batch(n))
    return trainer.plain.get_weights()


def recurrent(shape: ModelConfig, arrays: list[Any]) -> list[np.ndarray]:
    return [np.asarray(a) for n, a in zip(ModelWeights.shapes(shape), arrays, strict=True) if "recurrent_" in n]


def assert_tied(arrays: list[np.ndarray]) -> None:
    for array in arrays:
        np.testing.assert_array_equal(array, tie(array))
        assert array.any()


def test_every_cell_has_its_facts_and_its_steps_in_both_runtimes() -> None:
    from textgen.engine.cells import CELLS as NUMPY
    from textgen.training.kernels import CELLS as TENSORFLOW

    assert set(FACTS) == set(CELLS) == set(TENSORFLOW) == set(NUMPY) == set(STEPS)
    assert {cell: facts.states for cell, facts in FACTS.items()} == STATES
    for cell, facts in FACTS.items():
        assert sorted(NUMPY[cell].order) == sorted(facts.free)
        assert {*facts.sigmoid, *facts.apart, *facts.tied, *facts.tied.values(), *facts.peepholes} <= set(facts.gates)


@pytest.mark.parametrize("cell", CELLS)
def test_a_model_counts_what_it_learns_once(cell: Any) -> None:
    shape = config(cell, layers=3)
    assert shape.stored == sum(variable.numpy().size for variable in build_model(shape).trainable_variables)
    repeated = sum(a.size // 4 for a in recurrent(shape, random_weights(shape).arrays())) if cell == "coupled" else 0
    assert shape.weights == shape.stored - repeated
    assert shape.free_gates == shape.gates - (cell == "coupled")
    values = 3 * shape.free_gates * shape.units + shape.vocab_size
    assert least_memory(shape, BATCH, TIME) == 4 * (5 * shape.stored + BATCH * TIME * values)


def test_a_coupled_model_starts_tied_and_remembering() -> None:
    shape = config("coupled")
    weights = ModelWeights.from_arrays(build_model(shape, seed=3).get_weights())
    for layer in weights.layers:
        assert_tied(layer.arrays())
        i, f, g, o = np.split(layer.bias, 4)
        assert (i == -1).all() and (f == 1).all() and not g.any() and not o.any()
        learned = np.delete(layer.recurrent_kernel, range(13, 26), axis=1)
        np.testing.assert_allclose(learned @ learned.T, np.eye(13), atol=1e-5)
        assert np.abs(layer.kernel).max() < math.sqrt(6.0 / (len(layer.kernel) + 3 * 13))


@pytest.mark.slow
@pytest.mark.parametrize("kernels", [True, False])
def test_training_keeps_the_tie_bit_for_bit(kernels: bool) -> None:
    shape = config("coupled", dropout=0.3)
    trainer = make_trainer(shape, kernels=kernels, weight_drop=0.3, weight_decay=0.5, clip_norm=0.1)
    start = trainer.plain.get_weights()
    end = learn(trainer, 12)
    assert_tied(recurrent(shape, end))
    assert all((one != other).any() for one, other in zip(start, end, strict=True))
    momenta = [v for v in trainer.optimizer.variables if "momentum" in v.path]
    assert len(momenta) == len(end)
    assert_tied(recurrent(shape, momenta))


@pytest.mark.slow
@pytest.mark.parametrize("cell", CELLS)
@pytest.mark.parametrize("halved", [False, True])
def test_keras_s_layer_learns_what_the_kernel_learns(cell: str, halved: bool) -> None:
    """What a GPU computes, but for its rounding: with all that a step draws, and in halves with a sampled softmax."""
    shape = config(cell, layers=1, dropout=0.3, input_dropout=0.2)
    settings = {
        "sequence_length": TIME - 1,
        "state_reset": 0.3,
        "logit_scale": 1.1,
        "cautious": True,
        "learning_rate": 1e-2,
    }
    if halved:
        settings |= {"halved_fraction": 0.5, "negatives": 6}
    found = []
    for kernels in (True, False):
        trainer = make_trainer(shape, kernels=kernels, weight_drop=0.4, **settings)
        steps = {halves: tf.function(partial(trainer.train_step, halves=halves)) for halves in (True, False)}
        losses = []
        for n in range(6):
            steps[halved and n < 3](batch(n).map(lambda ids: ids[:, 1:]))
            losses.append(float(trainer.last_loss))
        found.append((losses, trainer.plain.get_weights()))
    (losses, weights), (others, other_weights) = found
    np.testing.assert_allclose(losses, others, rtol=2e-6)
    assert max(losses) - min(losses) > 0.01
    for one, other in zip(weights, other_weights, strict=True):
        np.testing.assert_allclose(one, other, atol=2e-4)


def test_keras_s_layer_computes_with_the_weights_that_are_left() -> None:
    """Of a kernel of which all but everything is dropped, nothing is left to carry the state."""
    shape = config("lstm", layers=1)
    network = Network(build_model(shape, seed=2), shape, kernels=False, weight_drop=1.0 - 1e-9)
    masks, free = (network.masks(tf.constant(0), BATCH) for _ in range(2))
    free.recurrent = [None]
    inputs, before = batch(0).inputs, [[tf.ones((13, BATCH)), tf.zeros((13, BATCH))]]
    after = [network.columns(inputs[:, :1], state, masks)[0] for state in (before, network.zero_state(BATCH))]
    np.testing.assert_array_equal(*after)
    assert (network.columns(inputs[:, :1], before, free)[0] != after[0]).numpy().any()


@pytest.mark.parametrize("cell", CELLS)
@pytest.mark.parametrize("kernels", [True, False])
def test_the_norm_counts_each_learned_weight_once(cell: str, kernels: bool) -> None:
    shape = config(cell)
    trainer = make_trainer(shape, kernels=kernels)
    with tf.GradientTape() as tape:
        scores = keras.losses.sparse_categorical_crossentropy(batch(0).targets, trainer.plain(batch(0).inputs))
        loss = tf.reduce_mean(scores)
    gradients = [tf.convert_to_tensor(g).numpy() for g in tape.gradient(loss, trainer.plain.trainable_weights)]
    squares = 0.0
    for name, gradient in zip(ModelWeights.shapes(shape), gradients, strict=True):
        if cell == "coupled" and name.startswith("recurrent_"):
            i, f, *others = np.split(gradient, 4, axis=-1)
            gradient = np.concatenate([i - f, *others], axis=-1)
        squares += float((gradient.astype(np.float64) ** 2).sum())
    trainer.train_step(batch(0))
    assert float(trainer.gradient_norm) == pytest.approx(math.sqrt(squares), rel=1e-4)


def test_weight_drop_treats_a_coupled_cell_s_two_gates_alike() -> None:
    shape = config("coupled")
    masks = Network(build_model(shape), shape, weight_drop=0.5, seed=3).masks(tf.constant(4), BATCH)
    for mask in masks.recurrent:
        i, f, g, o = np.split(mask.numpy(), 4, axis=1)
        np.testing.assert_array_equal(i, f)
        assert (i != g).any() and (g != o).any()


@pytest.mark.slow
def test_peepholes_start_at_zero_are_learned_and_do_not_decay() -> None:
    shape = config("peephole")
    trainer = make_trainer(shape, weight_decay=100.0)
    peepholes = [layer.cell.peephole for layer in trainer.plain.layers if isinstance(layer, PeepholeLSTM)]
    assert len(peepholes) == 2
    assert not any(peephole.numpy().any() for peephole in peepholes)
    learn(trainer, 2)
    assert all(peephole.numpy().all() for peephole in peepholes)
    before = [peephole.numpy() for peephole in peepholes]
    trainer.reset_training_state()
    trainer.optimizer.apply([tf.zeros(v.shape) for v in trainer.plain.trainable_variables])
    for old, peephole in zip(before, peepholes, strict=True):
        np.testing.assert_array_equal(peephole.numpy(), old)


def test_a_peephole_layer_without_peepholes_is_keras_s_lstm() -> None:
    x = np.random.default_rng(0).normal(size=(2, 6, 3)).astype("float32")
    ours, theirs = PeepholeLSTM(5, return_sequences=True), keras.layers.LSTM(5, return_sequences=True)
    ours(x), theirs(x)
    for one, other in zip(ours.get_weights(), theirs.get_weights(), strict=False):
        assert one.shape == other.shape
    np.testing.assert_array_equal(ours.get_weights()[2], theirs.get_weights()[2])
    ours.set_weights([*theirs.get_weights(), np.zeros((3, 5), "float32")])
    np.testing.assert_allclose(ours(x), theirs(x), atol=1e-6)


def test_a_peephole_layer_is_made_again_from_its_configuration() -> None:
    layer = PeepholeLSTM(
        4, recurrent_initializer=keras.initializers.Orthogonal(seed=3), return_sequences=True, dtype="mixed_bfloat16"
    )
    again = keras.layers.deserialize(keras.layers.serialize(layer))
    assert isinstance(again, PeepholeLSTM)
    assert again.get_config() == layer.get_config()
    assert (again.cell.units, again.cell.compute_dtype, again.return_sequences) == (4, "bfloat16", True)
    assert again(np.zeros((2, 3, 5), "float32")).dtype == tf.bfloat16


def test_the_output_gate_sees_the_cell_state_after_the_step_and_the_others_the_one_before() -> None:
    """By hand, for one unit: with all matrices zero only biases and peepholes are left."""
    layer = PeepholeLSTM(1)
    x, c = np.zeros((1, 1, 1), "float32"), 2.0
    state = [tf.zeros((1, 1)), tf.constant([[c]])]
    layer(x, initial_state=state)
    zeros = [np.zeros(shape, "float32") for shape in ((1, 4), (1, 4))]
    layer.set_weights([*zeros, np.array([0.1, 0.2, 0.3, 0.4], "float32"), np.array([[0.5], [0.6], [0.7]], "float32")])
    after = sigmoid(0.2 + 0.6 * c) * c + sigmoid(0.1 + 0.5 * c) * math.tanh(0.3)
    expected = sigmoid(0.4 + 0.7 * after) * math.tanh(after)
    assert float(layer(x, initial_state=state)[0, 0]) == pytest.approx(expected, rel=1e-5)


@pytest.fixture(scope="module", params=["peephole", "coupled"])
def run(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Run:
    """A tiny run on a text with accents."""
    folder = tmp_path_factory.mktemp(request.param)
    (folder / "sea.txt").write_text("the sea, the ship and the sailor. " * 60)
    return train(folder / "sea.txt", cell=request.param, epochs=1.0, checkpoints=folder, **TINY)


def test_a_run_is_learned_written_and_loaded(run: Run) -> None:
    checkpoint = read_checkpoint(run.best)
    assert checkpoint.metadata.metrics.val_loss < 0.95 * math.log(checkpoint.model.vocab_size)
    assert textgen.load(run.best).generate("the ", seed=1, max_new_tokens=20).text


def test_a_run_goes_on_with_another_vocabulary(run: Run, tmp_path: Any) -> None:
    (tmp_path / "other.txt").write_text("Ünder the séa, ünder the séa! " * 60)
    kept = {k: v for k, v in TINY.items() if k not in ("layers", "units", "embedding")}
    tuned = train(
        tmp_path / "other.txt",
        epochs=0.2,
        start_from=run.best,
        checkpoints=tmp_path,
        **{**kept, "learning_rate": 1e-9, "weight_drop": 0.0},
    )
    before, after = read_checkpoint(run.best), read_checkpoint(tuned.last)
    assert after.model.cell == before.model.cell
    assert after.tokenizer.characters != before.tokenizer.characters
    for one, other in zip(before.weights.layers, after.weights.layers, strict=True):
        for a, b in zip(one.arrays(), other.arrays(), strict=True):
            np.testing.assert_allclose(a, b, atol=1e-5)

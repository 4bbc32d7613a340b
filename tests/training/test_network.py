"""A network against the Keras model itself, shards against whole batches, and dropout masks."""

import math
from functools import partial

import keras
import numpy as np
import pytest
import tensorflow as tf

from textgen.config import CELLS, ModelConfig, TrainingConfig
from textgen.corpus.batch import Batch
from textgen.training.keras_model import build_model
from textgen.training.network import Network
from textgen.training.trainer import Trainer


def config(cell: str = "lstm", **changes: object) -> ModelConfig:
    fields = {"vocab_size": 11, "cell": cell, "layers": 2, "units": 8, "embedding": 5, "dropout": 0.0}
    return ModelConfig(**{**fields, "input_dropout": 0.0, **changes})


def ids(batch: int, time: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 11, (batch, time)).astype("int32")


def batch_of(ids: np.ndarray, *, reset: bool) -> Batch:
    """A batch of text, `(batch, time + 1)`, that counts as a whole."""
    inputs, targets = tf.constant(ids[:, :-1]), tf.constant(ids[:, 1:])
    return Batch(inputs, targets, tf.constant(reset), weights=tf.ones(inputs.shape))


@pytest.mark.parametrize("cell", CELLS)
@pytest.mark.parametrize("skip", [True, False])
@pytest.mark.parametrize("kernels", [True, False])
def test_logits_are_those_of_the_keras_model(cell: str, skip: bool, kernels: bool) -> None:
    shape = config(cell, skip=skip, layers=3)
    model = build_model(shape, seed=1)
    network = Network(model, shape, kernels=kernels)
    inputs = ids(3, 6)
    logits, _ = network.logits(tf.constant(inputs), network.zero_state(3))
    by_network = np.transpose(np.reshape(tf.nn.softmax(logits), (6, 3, 11)), (1, 0, 2))
    np.testing.assert_allclose(by_network, model(inputs), atol=1e-6)


@pytest.mark.parametrize("cell", CELLS)
def test_a_carried_state_continues_the_text(cell: str) -> None:
    shape = config(cell)
    network = Network(build_model(shape), shape)
    inputs = tf.constant(ids(2, 9))
    whole, _ = network.logits(inputs, network.zero_state(2))
    _, state = network.logits(inputs[:, :4], network.zero_state(2))
    rest, _ = network.logits(inputs[:, 4:], state)
    np.testing.assert_allclose(rest, whole[4 * 2 :], atol=1e-6)


def test_masks_follow_from_seed_and_step_alone() -> None:
    shape = config(dropout=0.5, input_dropout=0.5)
    model = build_model(shape)
    network = Network(model, shape, weight_drop=0.5, seed=3)
    again = Network(model, shape, weight_drop=0.5, seed=3)
    other = Network(model, shape, weight_drop=0.5, seed=4)

    def flat(net: Network, step: int) -> np.ndarray:
        masks = net.masks(tf.constant(step), 6)
        return np.concatenate([np.ravel(m) for m in (masks.inputs, *masks.outputs, *masks.recurrent)])

    np.testing.assert_array_equal(flat(network, 5), flat(again, 5))
    assert (flat(network, 5) != flat(network, 6)).any()
    assert (flat(network, 5) != flat(other, 5)).any()
    assert set(np.unique(flat(network, 5))) == {0.0, 2.0}


def test_a_mask_serves_all_steps_of_a_stream_and_layers_have_their_own() -> None:
    shape = config(dropout=0.5, units=64)
    network = Network(build_model(shape), shape, seed=3)
    masks = network.masks(tf.constant(0), 4)
    assert masks.outputs[0].shape == (64, 1, 4)
    assert (masks.outputs[0].numpy() != masks.outputs[1].numpy()).any()
    np.testing.assert_array_equal(masks.shard(1, 3).outputs[0], masks.outputs[0][:, :, 1:3])


def test_resets_follow_from_seed_and_step_and_come_as_often_as_asked() -> None:
    shape = config()
    network = Network(build_model(shape), shape, seed=3)
    drawn = np.array([network.resets(tf.constant(step), 50, 0.2) for step in range(40)])
    np.testing.assert_array_equal(drawn[7], network.resets(tf.constant(7), 50, 0.2))
    assert 0.15 < drawn.mean() < 0.25
    assert (drawn[0] != drawn[1]).any()


def test_a_reset_stream_learns_as_if_it_began_there() -> None:
    trainer, fresh = (make_trainer(1, state_reset=share) for share in (1.0, 0.0))
    weights = train(trainer, 2)
    fresh_weights = train(fresh, 1)
    fresh.train_step(batch_of(ids(4, 6, seed=1), reset=True))
    assert any((a != b).any() for a, b in zip(fresh_weights, weights, strict=True))
    for one, other in zip(weights, fresh.plain.get_weights(), strict=True):
        np.testing.assert_array_equal(one, other)


def make_trainer(shards: int, cell: str = "lstm", **changes: object) -> Trainer:
    shape = config(cell, dropout=0.3, input_dropout=0.2)
    model = build_model(shape, seed=2)
    training = TrainingConfig(batch_size=4, sequence_length=5, learning_rate=0.01, **changes)
    network = Network(model, shape, weight_drop=0.2, seed=1)
    return Trainer(network, model, training, shards=shards, validation_streams=4)


def train(trainer: Trainer, steps: int) -> list[np.ndarray]:
    for step in range(steps):
        trainer.train_step(batch_of(ids(4, 6, seed=step), reset=step == 0))
    return trainer.plain.get_weights()


@pytest.mark.parametrize("cell", CELLS)
def test_shards_learn_what_a_whole_batch_learns(cell: str) -> None:
    for one, other in zip(train(make_trainer(1, cell), 3), train(make_trainer(2, cell), 3), strict=True):
        np.testing.assert_allclose(one, other, atol=1e-4)


@pytest.mark.parametrize("cell", CELLS)
def test_a_trainer_put_back_goes_on_bit_for_bit(cell: str) -> None:
    whole = make_trainer(2, cell)
    train(whole, 2)
    weights, arrays = whole.plain.get_weights(), whole.capture()
    batch = batch_of(ids(4, 6, seed=50), reset=False)
    whole.train_step(batch)
    other = make_trainer(2, cell)
    other.plain.set_weights(weights)
    other.restore(arrays)
    other.train_step(batch)
    for one, two in zip(whole.plain.get_weights(), other.plain.get_weights(), strict=True):
        np.testing.assert_array_equal(one, two)
    for name, value in whole.capture().items():
        np.testing.assert_array_equal(value, other.capture()[name], err_msg=name) if "loss" not in name else None


def test_restoring_refuses_arrays_that_do_not_fit() -> None:
    trainer = make_trainer(1)
    arrays = trainer.capture()
    del arrays["state/0000"]
    with pytest.raises(ValueError, match="state/0000"):
        trainer.restore(arrays)


def test_validation_leaves_the_training_state_alone() -> None:
    trainer = make_trainer(2)
    train(trainer, 1)
    before = {name: value for name, value in trainer.capture().items() if name.startswith(("state", "optimizer"))}
    trainer.test_step(batch_of(ids(4, 6, seed=9), reset=True))
    for name, value in before.items():
        np.testing.assert_array_equal(trainer.capture()[name], value)


def test_weight_decay_spares_biases_and_the_embedding() -> None:
    trainer = make_trainer(1, weight_decay=100.0)
    for variable in trainer.plain.trainable_variables:
        variable.assign(np.ones(variable.shape, "float32"))
    before = [np.ones(v.shape) for v in trainer.plain.trainable_variables]
    trainer.optimizer.apply([tf.zeros(v.shape) for v in before], trainer.plain.trainable_variables)
    for variable in trainer.plain.trainable_variables:
        moved = float(np.abs(variable.numpy() - 1.0).max())
        assert (moved > 0.5) == ("kernel" in variable.name), variable.path


@pytest.mark.parametrize("cell", CELLS)
def test_the_model_is_made_of_stock_layers(cell: str) -> None:
    shape = config(cell, layers=3, dropout=0.1)
    model = build_model(shape)
    foreign = {type(layer).__name__ for layer in model.layers if not type(layer).__module__.startswith("keras.")}
    assert foreign == ({"PeepholeLSTM"} if cell == "peephole" else set())
    assert model.output_shape == (None, None, 11)
    names = [layer.name for layer in model.layers]
    assert {"ids", "embedding", "recurrent_1", "recurrent_3", "dropout_2", "skip", "head"} <= set(names)
    assert sum(int(np.prod(v.shape)) for v in model.trainable_variables) == shape.stored


def test_the_seed_decides_the_initial_weights() -> None:
    one, same, other = (build_model(config(), seed=seed).get_weights() for seed in (1, 1, 2))
    for a, b in zip(one, same, strict=True):
        np.testing.assert_array_equal(a, b)
    assert any((a != b).any() for a, b in zip(one, other, strict=True))
    keras.backend.clear_session()


def test_gradients_beyond_the_limit_are_scaled_down_to_it() -> None:
    free, clipped = make_trainer(1, clip_norm=math.inf), make_trainer(1, clip_norm=1e-3)
    for trainer in (free, clipped):
        train(trainer, 1)
    norm = float(free.gradient_norm)
    assert norm > 1e-3
    assert float(clipped.gradient_norm) == pytest.approx(norm)
    momenta = [[v.numpy() for v in t.optimizer.variables if "momentum" in v.path] for t in (free, clipped)]
    assert momenta[0]
    for one, other in zip(*momenta, strict=True):
        np.testing.assert_allclose(other, one * (1e-3 / norm), rtol=1e-4, atol=1e-10)


def test_a_batch_in_halves_learns_what_two_short_batches_learn() -> None:
    text = ids(4, 9, seed=3)
    halved = plain_trainer(8, layers=1, shards=1, halved_fraction=0.5)
    whole, short = (
        plain_trainer(length, layers=1, shards=1, halved_fraction=share) for length, share in ((8, 0.5), (4, 0.0))
    )
    # Traced as in a run, the other steps are not: tracing takes most of the time.
    for step in (tf.function(partial(halved.train_step, halves=True)), whole.train_step):
        step(batch_of(text, reset=True))
    losses = []
    for start in (0, 4):
        short.train_step(batch_of(text[:, start : start + 5], reset=start == 0))
        losses.append(float(short.last_loss))
    for one, other in zip(halved.plain.get_weights(), short.plain.get_weights(), strict=True):
        np.testing.assert_allclose(one, other, atol=1e-6)
    assert any((a != b).any() for a, b in zip(halved.plain.get_weights(), whole.plain.get_weights(), strict=True))
    assert float(halved.last_loss) == pytest.approx(np.mean(losses), rel=1e-5)
    assert int(halved.steps_done) == 1
    assert int(halved.optimizer.iterations) == 2


def test_the_halves_of_a_batch_have_masks_of_their_own() -> None:
    network = make_trainer(1).network
    first, second, again = (network.masks(tf.constant(3), 4, part).outputs[0].numpy() for part in (0, 1, 0))
    np.testing.assert_array_equal(first, again)
    assert (first != second).any()


def plain_trainer(
    length: int, *, cell: str = "coupled", layers: int = 2, kernels: bool = True, shards: int = 2, **changes: object
) -> Trainer:
    shape = config(cell, layers=layers, dropout=0.0, input_dropout=0.0)
    model = build_model(shape, seed=2)
    training = TrainingConfig(batch_size=4, sequence_length=length, state_reset=0.0, learning_rate=0.01, **changes)
    network = Network(model, shape, kernels=kernels, seed=1)
    return Trainer(network, model, training, shards=shards if kernels else 1, validation_streams=4)


def test_the_logits_scale_counts_in_learning_only() -> None:
    batch = batch_of(ids(4, 6, seed=1), reset=True)
    scaled, plain, louder = (plain_trainer(5, logit_scale=scale, clip_norm=math.inf) for scale in (1.5, 1.0, 1.0))
    assert float(scaled.test_step(batch)["loss"]) == float(plain.test_step(batch)["loss"])
    for variable in (louder.plain.get_layer("head").kernel, louder.plain.get_layer("head").bias):
        variable.assign(1.5 * variable)
    for trainer in (scaled, plain, louder):
        trainer.train_step(batch)
    assert float(scaled.last_loss) == float(plain.last_loss) != float(louder.last_loss)
    # Of a head times 1.5, the loss has the same gradients by all that lies below the head.
    compared = 0
    for name, momentum in momenta(scaled).items():
        if "head" not in name:
            np.testing.assert_allclose(momentum, momenta(louder)[name], rtol=1e-4, atol=1e-9)
            assert np.abs(momentum - momenta(plain)[name]).max() > 0.05 * np.abs(momentum).max()
            compared += 1
    assert compared == 7


def momenta(trainer: Trainer) -> dict[str, np.ndarray]:
    """The optimizer's first moments, after one step a tenth of the gradients."""
    return {v.name: np.asarray(v) for v in trainer.optimizer.variables if "momentum" in v.name}


def test_halves_are_learned_from_through_keras_s_own_layers_too() -> None:
    batch = batch_of(ids(4, 9, seed=3), reset=True)
    weights = []
    for kernels in (True, False):
        trainer = plain_trainer(8, cell="lstm", layers=1, kernels=kernels, shards=1, halved_fraction=0.5)
        for halves in (True, False):
            step = partial(trainer.train_step, halves=halves)
            (step if kernels else tf.function(step))(batch)
        assert int(trainer.optimizer.iterations) == 3
        weights.append(trainer.plain.get_weights())
    for one, other in zip(*weights, strict=True):
        np.testing.assert_allclose(one, other, atol=2e-5)

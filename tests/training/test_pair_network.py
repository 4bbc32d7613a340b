"""The model that turns one text into another agrees with Keras and a slow version; its gradients are right."""

from __future__ import annotations

import keras
import numpy as np
import pytest
import tensorflow as tf
from slow_pairs import slow_pair_probabilities

from textgen.config import ModelConfig, TrainingConfig
from textgen.corpus.pair_batches import PairBatch
from textgen.model.keras_file import layer_arrays
from textgen.model.pair_weights import PairWeights
from textgen.training.keras_model import assign_arrays
from textgen.training.optimizer import reads_outputs
from textgen.training.pair_model import build_pair_model
from textgen.training.pair_network import PairNetwork
from textgen.training.pair_trainer import PairTrainer

SHAPE = {"vocab_size": 9, "source_vocab_size": 7, "units": 8, "embedding": 5, "dropout": 0.0, "input_dropout": 0.0}
SHAPES = [
    ModelConfig(**SHAPE, encoder_layers=2, layers=2, cell="coupled"),
    ModelConfig(**SHAPE, encoder_layers=1, layers=3, cell="lstm", skip=False),
    ModelConfig(**SHAPE, encoder_layers=3, layers=1, cell="gru"),
    ModelConfig(**SHAPE, encoder_layers=1, layers=1, cell="rnn"),
]
LENGTHS = [4, 1, 3, 4]


@pytest.fixture(scope="module")
def batch() -> PairBatch:
    drawn = np.random.default_rng(1)
    sources = drawn.integers(1, 8, (4, 4)).astype(np.int32)
    weights = np.ones((4, 3), np.float32)
    for row, length in enumerate(LENGTHS):
        sources[row, length:] = 0
    weights[1, 1:] = 0.0
    inputs, targets = drawn.integers(0, 9, (2, 4, 3)).astype(np.int32)
    return PairBatch(sources, np.array(LENGTHS, np.int32), inputs, targets, weights)


def softmax(network: PairNetwork, batch: PairBatch) -> np.ndarray:
    logits = network.read_out(network.attended(batch.sources, batch.lengths, batch.inputs))
    shaped = tf.reshape(tf.nn.softmax(logits), (batch.inputs.shape[1], len(batch.inputs), -1))
    return tf.transpose(shaped, (1, 0, 2)).numpy()


@pytest.mark.parametrize("config", SHAPES, ids=lambda config: config.cell)
def test_kernels_keras_and_the_slow_version_agree_on_padded_sources(config: ModelConfig, batch: PairBatch) -> None:
    model = build_pair_model(config, seed=3)
    weights = PairWeights.from_arrays(layer_arrays(model, config), config)
    weights.validate(config)
    found = softmax(PairNetwork(model, config), batch)
    np.testing.assert_allclose(model([batch.sources, batch.inputs]).numpy(), found, atol=1e-5)
    for row, length in enumerate(LENGTHS):
        slow = slow_pair_probabilities(weights, config, batch.sources[row, :length] - 1, batch.inputs[row])
        np.testing.assert_allclose(found[row], slow, atol=1e-5)


def test_its_directions_and_layers_start_from_different_weights() -> None:
    weights = PairWeights.from_arrays(layer_arrays(build_pair_model(SHAPES[0]), SHAPES[0]), SHAPES[0])
    kernels = [each.recurrent_kernel for layer in weights.encoder for each in layer]
    assert all(not np.array_equal(one, other) for n, one in enumerate(kernels) for other in kernels[:n])


def test_arrays_are_set_in_the_order_in_which_they_are_got() -> None:
    model = build_pair_model(SHAPES[0], seed=1)
    arrays = [array + n for n, array in enumerate(layer_arrays(model, SHAPES[0]))]
    assign_arrays(model, SHAPES[0], arrays)
    assert all(map(np.array_equal, layer_arrays(model, SHAPES[0]), arrays))
    assert [array.shape for array in arrays] == list(PairWeights.shapes(SHAPES[0]).values())
    assert sum(array.size for array in arrays) == SHAPES[0].stored


def test_its_gradients_are_those_of_keras(batch: PairBatch) -> None:
    config = SHAPES[1]
    model = build_pair_model(config, seed=3)
    trainer = PairTrainer(PairNetwork(model, config), model, TrainingConfig(batch_size=4), shards=2)
    with tf.GradientTape() as tape:
        losses = keras.ops.log(tf.gather(model([batch.sources, batch.inputs]), batch.targets, batch_dims=2))
        loss = -tf.reduce_sum(losses * batch.weights) / batch.weights.sum()
    expected = tape.gradient(loss, [each.value for each in model.trainable_variables])
    expected = {v.path: tf.convert_to_tensor(g) for v, g in zip(model.trainable_variables, expected, strict=True)}
    seen = {}

    def catch(gradients: list[tf.Tensor], variables: list[keras.Variable]) -> None:
        seen.update({v.path: g for v, g in zip(variables, gradients, strict=True)})

    trainer.optimizer.apply = catch
    trainer._clip_norm = float("inf")
    trainer.train_step(tuple(map(tf.constant, batch)))
    assert float(trainer.last_loss) == pytest.approx(float(loss), abs=1e-5)
    for path, gradient in expected.items():
        np.testing.assert_allclose(seen[path], gradient, atol=1e-5, err_msg=path)


def test_kernels_that_read_outputs_have_a_rate_of_their_own(batch: PairBatch) -> None:
    config = SHAPES[1]
    moved = []
    for rate in (1.0, 3.0):
        model = build_pair_model(config, seed=3)
        before = [each.numpy() for each in model.trainable_variables]
        chosen = TrainingConfig(batch_size=4, hidden_rate=rate, learning_rate=1e-3, weight_decay=0.0, cautious=False)
        trainer = PairTrainer(PairNetwork(model, config), model, chosen, shards=1)
        trainer.optimizer.learning_rate = 1e-3
        trainer.train_step(tuple(map(tf.constant, batch)))
        changes = zip(model.trainable_variables, before, strict=True)
        moved.append([np.abs(each.numpy() - start).sum() for each, start in changes])
    scaled = [reads_outputs(each.path) for each in model.trainable_variables]
    assert 5 < sum(scaled) < len(scaled)
    np.testing.assert_allclose(np.divide(moved[1], moved[0]), np.where(scaled, 3.0, 1.0), rtol=1e-3)


def test_padding_and_pairs_without_weight_change_nothing(batch: PairBatch) -> None:
    config = SHAPES[0]
    model = build_pair_model(config, seed=3)
    trainer = PairTrainer(PairNetwork(model, config), model, TrainingConfig(batch_size=4), shards=1)
    before = float(trainer.test_step(tuple(map(tf.constant, batch)))["loss"])
    trainer.reset_metrics()
    wider = PairBatch(
        np.pad(batch.sources, ((0, 0), (0, 3))),
        batch.lengths,
        np.pad(batch.inputs, ((0, 0), (0, 2)), constant_values=5),
        np.pad(batch.targets, ((0, 0), (0, 2)), constant_values=5),
        np.pad(batch.weights, ((0, 0), (0, 2))),
    )
    assert float(trainer.test_step(tuple(map(tf.constant, wider)))["loss"]) == pytest.approx(before, abs=1e-6)

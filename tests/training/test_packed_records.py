"""Packed records are learned and scored as each of them alone, through the kernels and through Keras's own layers."""

import functools
import itertools

import numpy as np
import pytest
import tensorflow as tf
from small_models import slow_logits

from textgen.config import CELLS, ModelConfig, TrainingConfig
from textgen.corpus.record_batches import HeldOutRecords, RecordStreams
from textgen.model.weights import ModelWeights
from textgen.training.coupling import tied
from textgen.training.keras_model import build_model
from textgen.training.network import Network
from textgen.training.trainer import Trainer

END = 10
LENGTHS = (3, 0, 5, 1, 9, 2, 2, 4)


def shape(cell: str, **changes: object) -> ModelConfig:
    fields = {"vocab_size": END + 1, "cell": cell, "layers": 2, "units": 6, "embedding": 4, "dropout": 0.0}
    return ModelConfig(**{**fields, "input_dropout": 0.0, **changes})


def records(seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    each = [np.append(rng.integers(0, END, length), END) for length in LENGTHS]
    return np.concatenate(each), np.cumsum([0, *map(len, each)]).astype(np.int64)


def trainer_of(cell: str, *, kernels: bool, **changes: object) -> Trainer:
    config = shape(cell)
    model = build_model(config, seed=2)
    rng = np.random.default_rng(5)
    for variable in model.trainable_variables:
        value = tf.constant(rng.normal(size=variable.shape) * 0.6, tf.float32)
        if cell == "coupled" and "recurrent_" in variable.path:
            blocks = tf.split(value, 4, -1)
            value = tied(config.facts, tf.concat([blocks[0], *blocks[2:]], -1))
        variable.assign(value)
    network = Network(model, config, kernels=kernels, seed=1, end_id=END)
    settings = {"batch_size": 2, "sequence_length": 8, "state_reset": 0.0, "learning_rate": 0.01, **changes}
    return Trainer(network, model, TrainingConfig(**settings), shards=1, validation_streams=2)


def alone(cell: str, weights: ModelWeights) -> float:
    """The loss of all records in nats per id, each read on its own by a slow float64 network, from END on."""
    ids, starts = records()
    total = 0.0
    for a, b in itertools.pairwise(starts):
        logits = slow_logits(shape(cell), weights, np.append(END, ids[a : b - 1]))
        logprobs = logits - np.log(np.exp(logits).sum(-1, keepdims=True))
        total -= logprobs[np.arange(b - a), ids[a:b]].sum()
    return total / len(ids)


def validated(trainer: Trainer, streams: int) -> float:
    held_out = HeldOutRecords(*records(), streams=streams, sequence_length=4)
    assert held_out.streams == streams
    for batch in held_out:
        logs = trainer.test_step(batch.map(tf.constant))
    return float(logs["loss"])


@pytest.mark.parametrize("kernels", [True, False])
@pytest.mark.parametrize("cell", CELLS)
def test_the_loss_of_packed_records_is_that_of_each_alone(cell: str, kernels: bool) -> None:
    trainer = trainer_of(cell, kernels=kernels)
    expected = alone(cell, ModelWeights.from_arrays(trainer.plain.get_weights()))
    assert validated(trainer, 2) == pytest.approx(expected, rel=1e-5)


@pytest.mark.parametrize("cell", CELLS)
def test_both_paths_learn_the_same_from_packed_records(cell: str) -> None:
    streams = RecordStreams(*records(), batch_size=2, sequence_length=8, seed=0)
    found = []
    for kernels in (True, False):
        trainer = trainer_of(cell, kernels=kernels)
        losses = []
        for step in range(3):
            trainer.train_step(streams.batch(step).map(tf.constant))
            losses.append(float(trainer.last_loss))
        found.append((losses, trainer.plain.get_weights()))
    assert found[0][0] == pytest.approx(found[1][0], rel=1e-4)
    # Adam's first steps hardly depend on a gradient's size, so that those near zero may differ.
    for one, other in zip(found[0][1], found[1][1], strict=True):
        assert np.abs(one - other).max() < 2e-3
        assert np.abs(one - other).mean() < 2e-5


@pytest.mark.parametrize("cell", CELLS)
def test_the_gradient_of_packed_records_is_the_mean_of_those_of_each_alone(cell: str) -> None:
    ids, starts = records()
    network = trainer_of(cell, kernels=True).network
    variables = [variable.value for variable in network_variables(network)]

    def gradients(inputs: np.ndarray, targets: np.ndarray, weights: np.ndarray) -> list[np.ndarray]:
        with tf.GradientTape() as tape:
            tape.watch(variables)
            logits, _ = network.logits(tf.constant(inputs), network.zero_state(len(inputs)))
            losses = tf.nn.sparse_softmax_cross_entropy_with_logits(targets.T.reshape(-1), logits)
            total = tf.reduce_sum(losses * weights.T.reshape(-1))
        return [np.asarray(tf.convert_to_tensor(g)) for g in tape.gradient(total, variables)]

    held_out = HeldOutRecords(ids, starts, streams=2, sequence_length=99)
    (batch,) = held_out
    together = gradients(batch.inputs, batch.targets, batch.weights)
    each = [
        gradients(np.append(END, ids[a : b - 1])[None], ids[None, a:b], np.ones((1, b - a), np.float32))
        for a, b in itertools.pairwise(starts)
    ]
    for one, parts in zip(together, zip(*each, strict=True), strict=True):
        np.testing.assert_allclose(one, np.sum(parts, 0), atol=2e-4)


def network_variables(network: Network) -> list:
    return [*network._layers[0].cell.trainable_variables, *network._layers[1].cell.trainable_variables]


@pytest.mark.parametrize("kernels", [True, False])
@pytest.mark.parametrize("cell", ["coupled", "gru"])
def test_labels_are_those_of_the_keras_model(cell: str, kernels: bool) -> None:
    config = shape(cell, labels=3)
    model = build_model(config, seed=1)
    sets = ((), (1,), (0, 2))
    network = Network(model, config, kernels=kernels, label_sets=sets)
    rng = np.random.default_rng(2)
    ids, labels = rng.integers(0, END, (2, 5)), rng.integers(0, 3, (2, 5))
    logits, _ = network.logits(tf.constant(ids), network.zero_state(2), labels=tf.constant(labels))
    by_network = np.transpose(np.reshape(tf.nn.softmax(logits), (5, 2, END + 1)), (1, 0, 2))
    weights = np.array([[0, 0, 0], [0, 1, 0], [1, 0, 1]], np.float32)[labels]
    np.testing.assert_allclose(by_network, model([ids, weights]), atol=1e-6)


@pytest.mark.parametrize("halved", [False, True])
def test_labels_are_learned_and_not_decayed(halved: bool) -> None:
    config = shape("coupled", labels=2)
    model = build_model(config, seed=1)
    network = Network(model, config, end_id=END, label_sets=((), (0,), (1,)))
    training = TrainingConfig(
        batch_size=2, sequence_length=8, learning_rate=0.01, weight_decay=100.0, halved_fraction=0.5, state_reset=0.0
    )
    trainer = Trainer(network, model, training, shards=2, validation_streams=2)
    label_of = np.array([1, 0, 1, 0, 1, 1, 0, 0], np.int32)
    streams = RecordStreams(*records(), batch_size=2, sequence_length=8, seed=0, label_of=label_of)
    kernel = model.get_layer("label_embedding").kernel
    before = kernel.numpy()
    step = tf.function(functools.partial(trainer.train_step, halves=halved))
    for number in range(2):
        step(streams.batch(number))
    moved = np.abs(kernel.numpy() - before)
    # The second label has no record: nothing moves it, the decay least of all.
    assert (moved[0] > 1e-3).all()
    assert (moved[1] == 0.0).all()


def test_a_graph_without_records_has_no_factor_on_the_state() -> None:
    config = shape("coupled")
    model = build_model(config)
    inputs = tf.constant(records()[0][None])

    def operations(network: Network) -> int:
        graph = (
            tf.function(lambda ids: network.logits(ids, network.zero_state(1))[0]).get_concrete_function(inputs).graph
        )
        return sum(node.op in ("Mul", "NotEqual") for f in graph.as_graph_def().library.function for node in f.node_def)

    usual, packed = (operations(Network(model, config, end_id=end)) for end in (None, END))
    assert packed - usual == 4

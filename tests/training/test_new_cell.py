"""A cell is added in the table, in TensorFlow and in NumPy, and everything else follows.

The update gate network (Collins et al. 2017) stands in for any: `h' = z h + (1 - z) n` with one sigmoid gate z and a
candidate n. Keras has no such layer, so it brings one.
"""

import dataclasses
import itertools
from collections.abc import Sequence
from typing import Any

import keras
import numpy as np
import pytest
import tensorflow as tf
from keras import ops
from slow_cells import sigmoid
from tiny_runs import TINY

import textgen
from textgen.config import ModelConfig
from textgen.config.cells import FACTS, CellFacts, KerasLayer
from textgen.engine import cells as numpy_cells
from textgen.engine.adaptation.gradient import Network as Adapted
from textgen.engine.adaptation.parameters import Parameters
from textgen.engine.cells import Cell as NumpyCell
from textgen.engine.scoring import score_ids
from textgen.errors import CheckpointError
from textgen.model.read import read_checkpoint
from textgen.runs.run import Run
from textgen.sampling.writer import Writer
from textgen.training import kernels
from textgen.training.keras_model import build_model
from textgen.training.kernels.cells import Cell as TensorFlowCell
from textgen.training.network import Network
from textgen.training.resume import resume
from textgen.training.start import train

TEXT = "the sea, the ship and the sailor. "


class _KerasStep(keras.layers.Layer):
    def __init__(self, units: int, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.units = self.state_size = self.output_size = units

    def build(self, shape: Sequence[int | None]) -> None:
        self.kernel = self.add_weight(shape=(shape[-1], 2 * self.units), name="kernel")
        self.recurrent_kernel = self.add_weight(shape=(self.units, 2 * self.units), name="recurrent_kernel")
        self.bias = self.add_weight(shape=(2 * self.units,), name="bias", initializer="zeros")

    def call(self, inputs: Any, states: Any) -> Any:
        (h,) = states
        z, n = ops.split(ops.matmul(inputs, self.kernel) + ops.matmul(h, self.recurrent_kernel) + self.bias, 2, -1)
        z, n = ops.sigmoid(z), ops.tanh(n)
        h = z * h + (1.0 - z) * n
        return h, [h]


@keras.saving.register_keras_serializable(package="made-up")
class UpdateGate(keras.layers.RNN):
    def __init__(
        self, units: int, *, kernel_initializer: Any = None, recurrent_initializer: Any = None, **kwargs: Any
    ) -> None:
        super().__init__(_KerasStep(units), **kwargs)

    def get_config(self) -> dict[str, Any]:
        config = super().get_config()
        del config["cell"]
        return {**config, "units": self.cell.units}

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> Any:
        return cls(**config)


class TensorFlowStep(TensorFlowCell):
    saved = 1

    def step(self, projected: Any, inner: Any, state: Any, peephole: Any) -> Any:
        rows = tf.tanh(projected + inner)
        z, n = tf.split(rows, 2)
        return [n + 0.5 * (z + 1.0) * (state[0] - n)], [rows]

    def gradient(self, d_state: Any, saved: Any, before: Any, peephole: Any) -> Any:
        z, n = tf.split(saved[0], 2)
        half = 0.5 * d_state[0]
        dz = tf.concat([half * (before[0] - n), half * (1.0 - z)], 0) * (1.0 - saved[0] * saved[0])
        return dz, dz, [half * (z + 1.0)]


class NumpyStep(NumpyCell):
    order = ("update", "candidate")

    def advance(self, addend: Any) -> None:
        z, n = self.blocks.values()
        self._z += addend
        np.tanh(self._z, self._z)
        z *= np.float32(0.5)
        z += np.float32(0.5)
        np.subtract(self._h, n, self._next_h)
        self._next_h *= z
        self._next_h += n

    @classmethod
    def backward(cls, history: Any, recurrent_kernel: Any, peephole: Any, d_outputs: Any) -> Any:
        z, n = cls.by_gate(history)
        d = np.stack([(history.output[:-1] - n) * z * (1 - z), (1 - z) * (1 - n * n)], axis=2)
        dh = np.zeros_like(d_outputs[0])
        for t in reversed(range(len(d))):
            dh = dh + d_outputs[t]
            d[t] *= dh[:, None]
            dh = dh * z[t] + d[t].reshape(len(dh), -1) @ recurrent_kernel.T
        return d, d


@pytest.fixture(scope="module", autouse=True)
def registered() -> Any:
    layer = KerasLayer(class_name="UpdateGate", module=UpdateGate.__module__, registered_name="made-up>UpdateGate")
    row = CellFacts(
        label="update gate", layer=layer, gates=("update", "candidate"), sigmoid=frozenset({"update"}), states=1
    )
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(FACTS, "ugrnn", row)
        patch.setitem(kernels.CELLS, "ugrnn", TensorFlowStep())
        patch.setitem(numpy_cells.CELLS, "ugrnn", NumpyStep)
        yield


def config(**changes: Any) -> ModelConfig:
    shape = {"vocab_size": 9, "layers": 2, "units": 5, "embedding": 3, "dropout": 0.0, "input_dropout": 0.0}
    return ModelConfig(**{**shape, "cell": "ugrnn", **changes})  # type: ignore[arg-type]


@pytest.fixture(scope="module")
def run(registered: Any, tmp_path_factory: pytest.TempPathFactory) -> Run:
    folder = tmp_path_factory.mktemp("made-up")
    (folder / "sea.txt").write_text(TEXT * 60)
    return train(folder / "sea.txt", cell="ugrnn", epochs=1.0, checkpoints=folder, **TINY)  # type: ignore[arg-type]


def test_its_weights_are_counted() -> None:
    shape = config()
    assert (shape.gates, shape.free_gates) == (2, 2)
    assert shape.weights == shape.stored == sum(a.size for a in build_model(shape).get_weights())


def test_its_kernel_learns_what_its_keras_layer_learns() -> None:
    shape = config()
    model = build_model(shape, seed=3)
    ids = tf.constant(np.random.default_rng(0).integers(0, 9, (3, 7)), tf.int32)
    found = []
    for kernels_used in (True, False):
        network = Network(model, shape, kernels=kernels_used)
        with tf.GradientTape() as tape:
            logits, _ = network.logits(ids, network.zero_state(3))
            loss = tf.reduce_sum(tf.sin(logits))
        gradients = tape.gradient(loss, [v.value for v in model.trainable_variables])
        found.append([logits, *(tf.convert_to_tensor(g) for g in gradients)])
    for one, other in zip(*found, strict=True):
        np.testing.assert_allclose(one, other, atol=1e-4)


def test_its_adaptation_has_the_gradient_of_finite_differences() -> None:
    shape = config()
    rng = np.random.default_rng(1)
    network = Adapted(Parameters(shape, 0.6 * rng.normal(size=Parameters.count(shape))))
    text = rng.integers(0, 9, (8, 2))

    def read() -> Any:
        return network.read(text[:-1], text[1:], network.initial_state(2))

    segment, gradient = read(), network.parameters.like()
    network.gradient(segment, network.backward(segment), gradient, text=1)
    values = network.parameters.values
    for place in rng.integers(0, len(values), 60):
        kept, losses = values[place], []
        for change in (1e-5, -1e-5):
            values[place] = kept + change
            losses.append(-float(read().logprobs[:, 1].sum()))
        values[place] = kept
        assert gradient.values[place] == pytest.approx((losses[0] - losses[1]) / 2e-5, abs=1e-7)


def test_a_run_is_trained_saved_loaded_and_continued(run: Run) -> None:
    checkpoint = read_checkpoint(run.best)
    assert checkpoint.model.cell == "ugrnn"
    assert checkpoint.metadata.metrics.val_loss < 0.97 * np.log(checkpoint.model.vocab_size)
    opened = keras.saving.load_model(run.best)
    assert isinstance(opened.get_layer("recurrent_1"), UpdateGate)
    for one, other in zip(opened.get_weights(), checkpoint.weights.arrays(), strict=True):
        np.testing.assert_array_equal(one, other)
    resume(run.path, epochs=1.5)
    assert read_checkpoint(run.last).metadata.metrics.step > checkpoint.metadata.metrics.step


def test_a_writer_samples_scores_and_adapts(run: Run) -> None:
    writer = textgen.load(run.best)
    assert "ugrnn" in repr(writer)
    text = writer.generate("the ", seed=1, max_new_tokens=30).text
    assert len(text) >= 30
    assert writer.generate("the ", seed=1, max_new_tokens=30).text == text
    ids = writer.tokenizer.encode(TEXT)
    np.testing.assert_allclose(score_ids(writer.engine, ids), slow_logprobs(writer, ids), atol=1e-4)
    adapted = writer.adapt(TEXT * 20, learning_rate=1e-2)
    assert adapted.score(TEXT).nats < writer.score(TEXT).nats


def slow_logprobs(writer: Writer, ids: np.ndarray) -> np.ndarray:
    """The log-probability of each id but the first, in float64 from the formula."""
    weights = writer.weights
    (layer,) = weights.layers
    units = len(layer.recurrent_kernel)
    h, logprobs = np.zeros(units), []
    for last, following in itertools.pairwise(ids):
        sums = weights.embedding[last] @ layer.kernel + h @ layer.recurrent_kernel + layer.bias
        z, n = sigmoid(sums[:units]), np.tanh(sums[units:])
        h = z * h + (1.0 - z) * n
        logits = h @ weights.head_kernel + weights.head_bias
        logprobs.append(logits[following] - np.log(np.exp(logits).sum()))
    return np.array(logprobs)


def test_its_gates_are_observed_by_name(run: Run) -> None:
    engine = textgen.load(run.best).engine
    traces, _ = engine.observe(np.array([[1, 2, 3]]), engine.initial_state(1))
    assert set(traces[0].gates) == {"update"}
    assert traces[0].gates["update"].shape == (1, 3, 16)


def test_a_layer_that_is_not_in_the_table_is_refused(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    read_checkpoint(run.best)
    other = dataclasses.replace(FACTS["ugrnn"].layer, registered_name="made-up>Other")
    monkeypatch.setitem(FACTS, "ugrnn", dataclasses.replace(FACTS["ugrnn"], layer=other))
    with pytest.raises(CheckpointError, match="'UpdateGate', which can run code"):
        read_checkpoint(run.best)

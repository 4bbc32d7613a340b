"""Computes a Keras model's logits for training and validation.

The weights are the Keras layers' own variables. On a CPU the recurrent layers run in `kernels`; on a GPU in Keras's
layers, which use cuDNN. Dropout uses stateless random numbers, so that a step's masks depend on `(seed, step)` alone
and no generator has to be saved.
"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import nullcontext
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from textgen.config import ModelConfig
from textgen.training.coupling import repeated
from textgen.training.kernels import recurrence
from textgen.training.rows import Rows

Tensor = Any
State = list[list[Tensor]]


class Network:
    """The forward pass of a model from `textgen.training.keras_model.build_model`, with dropout and carried state.

    Args:
        model: the Keras model whose variables are used.
        config: the configuration it was built from.
        compute_dtype: type of the matrix products' factors in the kernels, float32 or bfloat16.
        kernels: run the recurrent layers through `textgen.training.kernels`; otherwise through Keras's layers.
        weight_drop: share of each recurrent kernel's weights dropped in a training step.
        seed: of the dropout masks, together with the step.
        end_id: the id before whose step the state is set to zero, that of the end of a record; None for running text.
        label_sets: of a model with labels the sets that records have, each of indices of labels.
        prefix: what the names of the stack's layers begin with; "" for the forward stack.
    """

    def __init__(
        self,
        model: keras.Model,
        config: ModelConfig,
        *,
        compute_dtype: tf.DType = tf.float32,
        kernels: bool = True,
        weight_drop: float = 0.0,
        seed: int = 0,
        end_id: int | None = None,
        label_sets: Sequence[Sequence[int]] = (),
        prefix: str = "",
    ) -> None:
        self.config = config
        self.end_id = end_id
        self.compute_dtype = compute_dtype
        self.kernels = kernels
        self.weight_drop = weight_drop
        self.seed = seed
        self._embedding = model.get_layer(f"{prefix}embedding").embeddings
        self._layers = [model.get_layer(f"{prefix}recurrent_{n + 1}") for n in range(config.layers)]
        self._head = model.get_layer(f"{prefix}head")
        self._label_embedding = model.get_layer(f"{prefix}label_embedding").kernel if config.labels else None
        self._sets = len(label_sets)
        pairs = [(n, label) for n, labels in enumerate(label_sets) for label in labels]
        self._set_of, self._members = np.array(pairs, np.int32).reshape(-1, 2).T
        if not kernels:
            self._layers = [_with_state(layer) for layer in self._layers]

    @property
    def states_per_layer(self) -> int:
        """Tensors in one layer's state: 2 where the cell has a cell state (h and c), else 1."""
        return self.config.facts.states

    def zero_state(self, batch: int) -> State:
        """The state before any text: for each layer its tensors, `(units, batch)` float32."""
        shape = (self.config.units, batch)
        return [[tf.zeros(shape) for _ in range(self.states_per_layer)] for _ in self._layers]

    def resets(self, step: Tensor, batch: int, share: float) -> Tensor:
        """The streams that start a step from a zero state: `(batch,)` booleans, each True with probability `share`."""
        return tf.random.stateless_uniform((batch,), self.seed_of(step, 63)) < share

    def seed_of(self, step: Tensor, purpose: int, part: Tensor | int = 0) -> Tensor:
        """A distinct seed for each step, purpose (0 to 63) and part of a step (0 or 1)."""
        seed = self.seed % (2**31)
        # A run's seed is never negative, so a negative one is free for the second part.
        own = tf.where(tf.equal(part, 0), seed, -1 - seed)
        return tf.stack([tf.cast(own, tf.int32), tf.cast(step, tf.int32) * 64 + purpose])

    def masks(self, step: Tensor, batch: int, part: Tensor | int = 0) -> Masks:
        """The dropout masks of one update for a whole batch.

        Args:
            step: the step's number, an integer tensor.
            batch: streams in the batch.
            part: 0, or 1 for a step's second update.
        """
        config, layers = self.config, range(self.config.layers)

        def recurrent(n: int) -> Tensor | None:
            return self._kept_weights(self.seed_of(step, 1 + config.layers + n, part), config.units)

        return Masks(
            inputs=kept(self.seed_of(step, 0, part), config.input_dropout, (config.embedding, 1, batch)),
            outputs=[kept(self.seed_of(step, 1 + n, part), config.dropout, (config.units, 1, batch)) for n in layers],
            recurrent=[recurrent(n) for n in layers],
        )

    def _kept_weights(self, seed: Tensor, units: int) -> Tensor | None:
        """The mask of a layer's recurrent kernel, `(units, gates * units)`; None without `weight_drop`."""
        mask = kept(seed, self.weight_drop, (units, self.config.free_gates * units))
        return None if mask is None else repeated(self.config.facts, mask)

    @property
    def head(self) -> tuple[Tensor, Tensor]:
        """The head's kernel, `(units, vocab)`, and its bias, `(vocab,)`."""
        return self._head.kernel.value, self._head.bias.value

    def logits(
        self, ids: Tensor, state: State, masks: Masks | None = None, labels: Tensor | None = None
    ) -> tuple[Tensor, State]:
        """The logits of every position, `(time * batch, vocab)` float32, time-major, and the state; see `columns`."""
        columns, after = self.columns(ids, state, masks, labels)
        return self.read_out(columns), after

    def read_out(self, columns: Tensor) -> Tensor:
        """The logits, `(time * batch, vocab)` float32, of what `columns` returned."""
        kernel, bias = self.head
        return tf.cast(tf.matmul(columns, tf.cast(kernel, self.compute_dtype), transpose_a=True), tf.float32) + bias

    def columns(
        self, ids: Tensor, state: State, masks: Masks | None = None, labels: Tensor | None = None
    ) -> tuple[Tensor, State]:
        """The head's input at every position.

        Args:
            ids: `(batch, time)` integers, of a shape known to the graph.
            state: the state before the first step, as `zero_state` gives it.
            masks: dropout masks; None for none.
            labels: `(batch, time)` integers, the label set at every position; None for none.

        Returns:
            `(units, time * batch)` of the compute type, time-major, and the state after the last step.
        """
        config = self.config
        masks = masks or Masks(None, [None] * config.layers, [None] * config.layers)
        batch, time = ids.shape
        goes_on = None if self.end_id is None else self._goes_on(ids)
        embedded = tf.gather(self._embedding.value, ids)
        if labels is not None:
            embedded += tf.gather(self._label_table(), labels)
        flow = tf.transpose(embedded, (2, 1, 0))
        flow = masked(flow, masks.inputs)
        total, after = None, []
        for layer, before, mask, drop in zip(self._layers, state, masks.outputs, masks.recurrent, strict=True):
            flow, last = self._layer(layer, flow, before, drop, goes_on)
            flow = masked(flow, mask)
            total = flow if total is None or not config.skip else total + flow
            after.append(last)
        return tf.cast(tf.reshape(total, (config.units, time * batch)), self.compute_dtype), after

    def _label_table(self) -> Tensor:
        """The sum of the embeddings of each label set, `(label_sets, embedding)`."""
        assert self._label_embedding is not None
        rows = tf.gather(self._label_embedding.value, self._members)
        return tf.math.unsorted_segment_sum(rows, self._set_of, self._sets)

    def _goes_on(self, ids: Tensor) -> Tensor | Rows:
        """Where the state goes on, `(time, 1, batch)` with 1, else 0, for the kernels; or the rows for Keras's layers.

        It follows from the ids alone, so that it holds wherever a batch begins.
        """
        keep = tf.not_equal(ids, self.end_id)
        return tf.cast(tf.transpose(keep), tf.float32)[:, None] if self.kernels else Rows(keep)

    def _layer(
        self, layer: Any, flow: Tensor, before: Sequence[Tensor], drop: Tensor | None, goes_on: Tensor | Rows | None
    ) -> tuple[Tensor, list[Tensor]]:
        if self.kernels:
            kernel, recurrent_kernel, *others = (v.value for v in layer.cell.trainable_variables)
            weights = (kernel, masked(recurrent_kernel, drop), *others)
            return recurrence(self.config.cell, flow, weights, before, keep=goes_on, compute_dtype=self.compute_dtype)
        initial, inputs, options = [tf.transpose(tensor) for tensor in before], tf.transpose(flow, (2, 1, 0)), {}
        if goes_on is not None:
            initial, inputs = [goes_on.entering(tensor) for tensor in initial], goes_on.lay(inputs)
            options["mask"] = goes_on.mask
        variable = layer.cell.recurrent_kernel
        # The layer reads its own variable, so the dropped weights stand in for it during the call.
        with keras.StatelessScope([(variable, masked(variable.value, drop))]) if drop is not None else nullcontext():
            outputs, *last = layer(inputs, initial_state=initial if len(initial) > 1 else initial[0], **options)
        if goes_on is not None:
            outputs, last = goes_on.join(outputs), [goes_on.leaving(tensor) for tensor in last]
        return tf.transpose(outputs, (2, 1, 0)), [tf.transpose(t) for t in last]


class Masks:
    """The dropout masks of one step, scaled to keep the expected value; None where a rate is zero.

    Args:
        inputs: `(embedding, 1, batch)`, one mask for all steps of a stream.
        outputs: for each layer `(units, 1, batch)`.
        recurrent: for each layer `(units, gates * units)`, for the whole batch.
    """

    def __init__(
        self, inputs: Tensor | None, outputs: Sequence[Tensor | None], recurrent: Sequence[Tensor | None]
    ) -> None:
        self.inputs, self.outputs, self.recurrent = inputs, outputs, recurrent

    def shard(self, start: int, stop: int) -> Masks:
        """The masks of the streams from `start` up to `stop`."""

        def cut(mask: Tensor | None) -> Tensor | None:
            return None if mask is None else mask[:, :, start:stop]

        return Masks(cut(self.inputs), [cut(mask) for mask in self.outputs], self.recurrent)


class CarriedState:
    """A recurrent state in variables, which is kept from step to step."""

    def __init__(self, network: Network, batch: int) -> None:
        self._layers = [[tf.Variable(t, trainable=False) for t in layer] for layer in network.zero_state(batch)]

    @property
    def variables(self) -> list[tf.Variable]:
        """One for each tensor of the state."""
        return [variable for layer in self._layers for variable in layer]

    def read(self, reset: Tensor) -> State:
        """The state, set to zero where `reset` is True: one boolean for all streams or one for each."""
        keep = 1.0 - tf.cast(reset, tf.float32)
        return [[variable * keep for variable in layer] for layer in self._layers]

    def write(self, state: Sequence[Sequence[Tensor]]) -> None:
        """Keeps a state."""
        for layer, values in zip(self._layers, state, strict=True):
            for variable, value in zip(layer, values, strict=True):
                variable.assign(value)


def _with_state(layer: keras.layers.RNN) -> keras.layers.RNN:
    """A layer with the same variables that also returns its state, which the saved model's does not."""
    twin = type(layer).from_config({**layer.get_config(), "return_state": True})
    twin.cell = layer.cell
    twin.build((None, None, layer.cell.kernel.shape[0]))
    return twin


def kept(seed: Tensor, rate: float, shape: tuple[int, ...]) -> Tensor | None:
    """A dropout mask; None for a rate of zero."""
    if rate == 0.0:
        return None
    kept = tf.random.stateless_uniform(shape, seed) >= rate
    return tf.where(kept, tf.constant(1.0 / (1.0 - rate)), tf.constant(0.0))


def masked(tensor: Tensor, mask: Tensor | None) -> Tensor:
    """A tensor times a dropout mask."""
    return tensor if mask is None else tensor * mask

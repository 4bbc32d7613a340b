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
import tensorflow as tf

from textgen.config import ModelConfig
from textgen.training.coupling import repeated
from textgen.training.kernels import recurrence

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
    ) -> None:
        self.config = config
        self.compute_dtype = compute_dtype
        self.kernels = kernels
        self.weight_drop = weight_drop
        self.seed = seed
        self._embedding = model.get_layer("embedding").embeddings
        self._layers = [model.get_layer(f"recurrent_{n + 1}") for n in range(config.layers)]
        self._head = model.get_layer("head")
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
        config = self.config

        def keep(index: int, rate: float, shape: tuple[int, ...]) -> Tensor | None:
            if rate == 0.0:
                return None
            kept = tf.random.stateless_uniform(shape, self.seed_of(step, index, part)) >= rate
            return tf.where(kept, tf.constant(1.0 / (1.0 - rate)), tf.constant(0.0))

        def recurrent(n: int) -> Tensor | None:
            columns = config.free_gates * config.units
            mask = keep(1 + config.layers + n, self.weight_drop, (config.units, columns))
            return None if mask is None else repeated(config.facts, mask)

        layers = range(config.layers)
        return Masks(
            inputs=keep(0, config.input_dropout, (config.embedding, 1, batch)),
            outputs=[keep(1 + n, config.dropout, (config.units, 1, batch)) for n in layers],
            recurrent=[recurrent(n) for n in layers],
        )

    @property
    def head(self) -> tuple[Tensor, Tensor]:
        """The head's kernel, `(units, vocab)`, and its bias, `(vocab,)`."""
        return self._head.kernel.value, self._head.bias.value

    def logits(self, ids: Tensor, state: State, masks: Masks | None = None) -> tuple[Tensor, State]:
        """The logits of every position, `(time * batch, vocab)` float32, time-major, and the state; see `columns`."""
        columns, after = self.columns(ids, state, masks)
        return self.read_out(columns), after

    def read_out(self, columns: Tensor) -> Tensor:
        """The logits, `(time * batch, vocab)` float32, of what `columns` returned."""
        kernel, bias = self.head
        return tf.cast(tf.matmul(columns, tf.cast(kernel, self.compute_dtype), transpose_a=True), tf.float32) + bias

    def columns(self, ids: Tensor, state: State, masks: Masks | None = None) -> tuple[Tensor, State]:
        """The head's input at every position.

        Args:
            ids: `(batch, time)` integers, of a shape known to the graph.
            state: the state before the first step, as `zero_state` gives it.
            masks: dropout masks; None for none.

        Returns:
            `(units, time * batch)` of the compute type, time-major, and the state after the last step.
        """
        config = self.config
        masks = masks or Masks(None, [None] * config.layers, [None] * config.layers)
        batch, time = ids.shape
        flow = tf.transpose(tf.gather(self._embedding.value, ids), (2, 1, 0))
        flow = _masked(flow, masks.inputs)
        total, after = None, []
        for layer, before, mask, drop in zip(self._layers, state, masks.outputs, masks.recurrent, strict=True):
            flow, last = self._layer(layer, flow, before, drop)
            flow = _masked(flow, mask)
            total = flow if total is None or not config.skip else total + flow
            after.append(last)
        return tf.cast(tf.reshape(total, (config.units, time * batch)), self.compute_dtype), after

    def _layer(
        self, layer: Any, flow: Tensor, before: Sequence[Tensor], drop: Tensor | None
    ) -> tuple[Tensor, list[Tensor]]:
        if self.kernels:
            kernel, recurrent_kernel, *others = (v.value for v in layer.cell.trainable_variables)
            weights = (kernel, _masked(recurrent_kernel, drop), *others)
            return recurrence(self.config.cell, flow, weights, before, compute_dtype=self.compute_dtype)
        initial = [tf.transpose(tensor) for tensor in before]
        variable = layer.cell.recurrent_kernel
        # The layer reads its own variable, so the dropped weights stand in for it during the call.
        with keras.StatelessScope([(variable, _masked(variable.value, drop))]) if drop is not None else nullcontext():
            outputs, *last = layer(
                tf.transpose(flow, (2, 1, 0)), initial_state=initial if len(initial) > 1 else initial[0]
            )
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


def _with_state(layer: keras.layers.RNN) -> keras.layers.RNN:
    """A layer with the same variables that also returns its state, which the saved model's does not."""
    twin = type(layer).from_config({**layer.get_config(), "return_state": True})
    twin.cell = layer.cell
    twin.build((None, None, layer.cell.kernel.shape[0]))
    return twin


def _masked(tensor: Tensor, mask: Tensor | None) -> Tensor:
    return tensor if mask is None else tensor * mask

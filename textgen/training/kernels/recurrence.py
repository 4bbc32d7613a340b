"""Runs a recurrent layer over time on a CPU, with a hand-written gradient.

Three things make it faster than automatic differentiation of a loop:

1. The inputs of all steps are multiplied in one product, so that the loop only has the state's product.
2. The backward loop only carries the state's gradient; the kernels' gradients are single products over all
   `time * batch` columns after it, where automatic differentiation accumulates a whole matrix at every step.
3. Units first, `(units, batch)`: gates are contiguous rows, and a product with few columns is faster than its transpose
   with few rows.

The mathematics and the weights are those of Keras's LSTM, GRU (`reset_after=True`) and SimpleRNN layers and of
`textgen.training.peephole`; tied blocks of weights are not read (`textgen.training.coupling`).
`textgen.training.network` stacks the layers.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import tensorflow as tf

from textgen.config.cells import FACTS
from textgen.training.coupling import free
from textgen.training.kernels.cells import CELLS, Cell

Tensor = Any


def recurrence(
    name: str,
    inputs: Tensor,
    weights: Sequence[Tensor],
    state: Sequence[Tensor],
    *,
    keep: Tensor | None = None,
    compute_dtype: tf.DType = tf.float32,
) -> tuple[Tensor, list[Tensor]]:
    """Runs one layer over all time steps, differentiably.

    Args:
        name: the cell, a key of `CELLS`.
        inputs: `(features, time, batch)` float32; the graph need not know the time.
        weights: kernel `(features, gates * units)`, recurrent kernel `(units, gates * units)` and bias as Keras's
            layer holds them: `(gates * units,)`, for a GRU `(2, gates * units)`; then, of a cell with peepholes, the
            `(peepholes, units)`. Tied blocks, as a coupled cell's forget gate, are not read, and have a gradient of
            zero.
        state: the tensors before the first step, each `(units, batch)`; an LSTM's are h and c.
        keep: `(time, 1, batch)` float32, a factor on the state that enters each step: 0 where a sequence starts anew,
            else 1. It has no gradient. None builds a graph without it.
        compute_dtype: type of the matrix products' factors; everything else is float32.

    Returns:
        The outputs `(units, time, batch)` and the state after the last step, float32.
    """
    facts = FACTS[name]
    kernel, recurrent_kernel, bias, *peephole = weights
    kernel, recurrent_kernel, bias = (free(facts, array) for array in (kernel, recurrent_kernel, bias))
    units, rows = recurrent_kernel.shape
    halves = [0.5 if gate in facts.sigmoid else 1.0 for gate in facts.free]
    halves = tf.constant(np.repeat(halves, units).astype(np.float32))
    biases = tf.reshape(bias, (-1, rows)) * halves
    features, time, batch = inputs.shape
    time = tf.shape(inputs)[1] if time is None else time
    layer = _Layer(
        CELLS[name], not facts.apart, bool(facts.peepholes), compute_dtype, features, time, batch, units, rows
    )

    @tf.custom_gradient  # type: ignore[untyped-decorator]
    def run(inputs: Tensor, *given: Tensor) -> tuple[tuple[Tensor, ...], Any]:
        weights, state = _Weights(*given[:5]), given[5:]
        columns_in = tf.reshape(layer.factor(inputs), (layer.features, layer.columns))
        record, last = _forward(layer, columns_in, weights, state, keep)

        def gradient(d_outputs: Tensor, *d_last: Tensor) -> tuple[Tensor, ...]:
            d_projected, d_inner, d_first = _backward(layer, record, weights, d_outputs, d_last)
            return *_products(layer, record, columns_in, weights, d_projected, d_inner), *d_first

        return (record.outputs[:, 1:], *last), gradient

    outputs, *last = run(
        inputs,
        kernel * halves,
        recurrent_kernel * halves,
        biases[0],
        tf.zeros((rows,)) if layer.merged else biases[1],
        0.5 * tf.reshape(peephole[0], (-1, 1)) if peephole else tf.zeros((0, 1)),
        *state,
    )
    return tf.ensure_shape(outputs, (units, inputs.shape[1], batch)), last


@dataclass(frozen=True, eq=False)
class _Layer:
    """A layer's cell and sizes, for both loops."""

    cell: Cell
    merged: bool
    sees_cell_state: bool
    compute_dtype: tf.DType
    features: int
    time: Tensor | int
    batch: int
    units: int
    rows: int

    @property
    def columns(self) -> Tensor | int:
        return self.time * self.batch

    def factor(self, tensor: Tensor) -> Tensor:
        """A tensor in the dtype of the products' factors."""
        return tf.cast(tensor, self.compute_dtype)

    def by_step(self, tensor: Tensor) -> Any:
        """A TensorArray of each step's `(height, batch)`, from `(height, time, batch)`."""
        steps_first = tf.transpose(tf.reshape(tensor, (-1, self.time, self.batch)), (1, 0, 2))
        return tf.TensorArray(tensor.dtype, self.time).unstack(steps_first)


@dataclass(frozen=True, eq=False)
class _Weights:
    """A layer's weights, with those of sigmoid gates halved; the peepholes `(peepholes * units, 1)`."""

    kernel: Tensor
    recurrent_kernel: Tensor
    bias: Tensor
    inner_bias: Tensor
    peephole: Tensor


@dataclass(frozen=True, eq=False)
class _Record:
    """What the forward loop keeps for the backward loop.

    Args:
        outputs: `(units, time + 1, batch)`, before the first step and after each.
        cell_states: the same of the cell state, if gates see it; else None.
        states: TensorArrays of the state's tensors, before the first step and after each.
        saved: TensorArrays of the tensors that `Cell.step` saved at each step.
        keep: `(time, 1, batch)`, the factor on the state that enters each step; None for 1.
    """

    outputs: Tensor
    cell_states: Tensor | None
    states: list[Any]
    saved: list[Any]
    keep: Tensor | None

    def entering(self, states: Tensor) -> Tensor:
        """What enters each step, `(units, time, batch)`, of `states`, `(units, time + 1, batch)`."""
        before = states[:, :-1]
        return before if self.keep is None else before * tf.transpose(self.keep, (1, 0, 2))


def _forward(
    layer: _Layer, columns_in: Tensor, weights: _Weights, state: Sequence[Tensor], keep: Tensor | None
) -> tuple[_Record, list[Tensor]]:
    """Runs all steps; returns their record and the state after the last."""
    cell, factor = layer.cell, layer.factor
    projected = _product(factor(tf.transpose(weights.kernel)), columns_in) + weights.bias[:, None]
    projected_at = layer.by_step(projected)
    keep_at: Any = None if keep is None else _unstacked(keep, layer.units)
    transposed = factor(tf.transpose(weights.recurrent_kernel))

    def forward(step: Tensor, state: list[Tensor], states: list[Any], saved: list[Any]) -> tuple[Any, ...]:
        if keep is not None:
            state = _kept(state, keep_at.read(step))
        inner = _product(transposed, factor(state[0]))
        if not layer.merged:
            inner = inner + weights.inner_bias[:, None]
        state, values = cell.step(projected_at.read(step), inner, state, weights.peephole)
        states = [array.write(step + 1, value) for array, value in zip(states, state, strict=True)]
        saved = [array.write(step, value) for array, value in zip(saved, values, strict=True)]
        return step + 1, state, states, saved

    states = [tf.TensorArray(tf.float32, layer.time + 1).write(0, first) for first in state]
    saved = [tf.TensorArray(tf.float32, layer.time) for _ in range(cell.saved)]
    _, last, states, saved = tf.while_loop(lambda step, *_: step < layer.time, forward, (0, list(state), states, saved))
    cell_states = _units_first(states[1].stack()) if layer.sees_cell_state else None
    return _Record(_units_first(states[0].stack()), cell_states, states, saved, keep), last


def _backward(
    layer: _Layer, record: _Record, weights: _Weights, d_outputs: Tensor, d_last: Sequence[Tensor]
) -> tuple[Tensor, Tensor, list[Tensor]]:
    """The gradients with respect to the input's and to the recurrent products, and to the state before the first step.

    Those of the products are `(rows, time, batch)`, of the products' type.
    """
    cell, factor = layer.cell, layer.factor
    d_outputs_at = layer.by_step(d_outputs)
    keep_at: Any = None if record.keep is None else _unstacked(record.keep, layer.units)
    back = factor(weights.recurrent_kernel)

    def backward(
        step: Tensor, d_state: list[Tensor], d_projected: Any, d_inner: Any
    ) -> tuple[Tensor, list[Tensor], Any, Any]:
        d_state = [d_state[0] + d_outputs_at.read(step), *d_state[1:]]
        saved, before = [array.read(step) for array in record.saved], [array.read(step) for array in record.states]
        if record.keep is not None:
            keep = keep_at.read(step)
            before = _kept(before, keep)
        dz, d_product, d_state = cell.gradient(d_state, saved, before, weights.peephole)
        d_product = factor(d_product)
        d_projected = d_projected.write(step, d_product if layer.merged else factor(dz))
        if not layer.merged:
            d_inner = d_inner.write(step, d_product)
        through = _product(back, d_product)
        d_state = [through if d_state[0] is None else d_state[0] + through, *d_state[1:]]
        if record.keep is not None:
            d_state = _kept(d_state, keep)
        return step - 1, d_state, d_projected, d_inner

    by_product = [tf.TensorArray(layer.compute_dtype, layer.time) for _ in range(2)]
    _, d_first, d_projected, d_inner = tf.while_loop(
        lambda step, *_: step >= 0, backward, (layer.time - 1, list(d_last), *by_product)
    )
    d_projected = _units_first(d_projected.stack())
    return d_projected, d_projected if layer.merged else _units_first(d_inner.stack()), d_first


def _products(
    layer: _Layer, record: _Record, columns_in: Tensor, weights: _Weights, d_projected: Tensor, d_inner: Tensor
) -> tuple[Tensor, ...]:
    """The gradients with respect to the inputs and to each of the weights: single products over all steps."""
    d_peephole = tf.zeros_like(weights.peephole)
    if record.cell_states is not None:
        before, after = record.entering(record.cell_states), record.cell_states[:, 1:]
        d_peephole = layer.cell.peephole_gradient(d_projected, before, after)[:, None]
    d_projected = tf.reshape(d_projected, (layer.rows, layer.columns))
    d_inner = d_projected if layer.merged else tf.reshape(d_inner, (layer.rows, layer.columns))
    h_before = tf.reshape(layer.factor(record.entering(record.outputs)), (layer.units, layer.columns))
    d_inputs = _product(layer.factor(weights.kernel), d_projected)
    return (
        tf.reshape(d_inputs, (layer.features, layer.time, layer.batch)),
        _outer(columns_in, d_projected),
        _outer(h_before, d_inner),
        tf.reduce_sum(tf.cast(d_projected, tf.float32), 1),
        tf.reduce_sum(tf.cast(d_inner, tf.float32), 1),
        d_peephole,
    )


def _product(a: Tensor, b: Tensor, **options: bool) -> Tensor:
    return tf.cast(tf.matmul(a, b, **options), tf.float32)


def _outer(columns: Tensor, d_product: Tensor) -> Tensor:
    """A kernel's gradient, `(features, rows)`, from its factor and the gradient with respect to its product."""
    # With the more rows first and the small result transposed, a product takes half as long on a CPU.
    return tf.transpose(_product(d_product, columns, transpose_b=True))


def _unstacked(keep: Tensor, units: int) -> Any:
    # Repeated for every unit: to multiply tensors of one shape is faster than to repeat a row within each product.
    return tf.TensorArray(keep.dtype, tf.shape(keep)[0]).unstack(tf.tile(keep, (1, units, 1)))


def _kept(state: Sequence[Tensor], keep: Tensor) -> list[Tensor]:
    return [tensor * keep for tensor in state]


def _units_first(tensor: Tensor) -> Tensor:
    return tf.transpose(tensor, (1, 0, 2))

"""A recurrent layer over time on a CPU, with a gradient written by hand.

Three ideas make it quicker than differentiating a loop:

1. One product for all steps' inputs, so that the loop is left with the state's product alone.
2. A backward loop that carries the state's gradient only; the kernels' gradients are single products over all
   `time * batch` columns after it, where automatic differentiation adds a whole matrix into memory at every step.
3. Units first, `(units, batch)`: gates are contiguous rows, and a product with few columns is quicker than its
   transpose with few rows.

The mathematics and the weights are those of Keras's LSTM, GRU (`reset_after=True`) and SimpleRNN layers and of
`textgen.training.peephole`; a coupled cell is an LSTM whose forget gate follows from its input gate
(`textgen.training.coupling`).
The module knows one layer; `textgen.training.network` stacks them.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import tensorflow as tf

from textgen.training.coupling import free
from textgen.training.kernels.cells import CELLS, Cell

Tensor = Any


def recurrence(
    name: str,
    inputs: Tensor,
    weights: Sequence[Tensor],
    state: Sequence[Tensor],
    *,
    compute_dtype: tf.DType = tf.float32,
) -> tuple[Tensor, list[Tensor]]:
    """Runs one layer over all time steps, differentiably.

    Args:
        name: the cell, a key of `CELLS`.
        inputs: `(features, time, batch)` float32.
        weights: kernel `(features, gates * units)`, recurrent kernel `(units, gates * units)` and bias as Keras's
            layer holds them: `(gates * units,)`, for a GRU `(2, gates * units)`; then a peephole cell's `(3, units)`.
            Of a coupled cell's the forget gate's blocks are not read, and have a gradient of zero.
        state: the tensors before the first step, each `(units, batch)`; an LSTM's are h and c.
        compute_dtype: type of the matrix products' factors; everything else is float32.

    Returns:
        The outputs `(units, time, batch)` and the state after the last step, float32.
    """
    cell = CELLS[name]
    if cell.coupled:
        weights = [free(array) for array in weights]
    kernel, recurrent_kernel, bias, *peephole = weights
    units = recurrent_kernel.shape[0]
    halves = tf.constant(np.repeat([0.5 if half else 1.0 for half in cell.half_rows], units).astype(np.float32))
    biases = tf.reshape(bias, (-1, cell.gates * units)) * halves
    return _run(
        cell,
        inputs,
        kernel * halves,
        recurrent_kernel * halves,
        biases[0],
        None if cell.merged else biases[1],
        0.5 * tf.reshape(peephole[0], (-1, 1)) if peephole else tf.zeros((0, 1)),
        state,
        compute_dtype,
    )


def _run(
    cell: Cell,
    inputs: Tensor,
    kernel: Tensor,
    recurrent_kernel: Tensor,
    bias: Tensor,
    inner_bias: Tensor | None,
    peephole: Tensor,
    state: Sequence[Tensor],
    compute_dtype: tf.DType,
) -> tuple[Tensor, list[Tensor]]:
    features, time, batch = inputs.shape
    units, rows = recurrent_kernel.shape
    columns = time * batch
    if inner_bias is None:
        inner_bias = tf.zeros((rows,))

    def factor(tensor: Tensor) -> Tensor:
        return tf.cast(tensor, compute_dtype)

    def product(a: Tensor, b: Tensor, **options: bool) -> Tensor:
        return tf.cast(tf.matmul(a, b, **options), tf.float32)

    def steps_first(tensor: Tensor, height: int) -> Tensor:
        return tf.transpose(tf.reshape(tensor, (height, time, batch)), (1, 0, 2))

    def units_first(tensor: Tensor) -> Tensor:
        return tf.transpose(tensor, (1, 0, 2))

    def by_step(tensor: Tensor) -> Any:
        return tf.TensorArray(tensor.dtype, time).unstack(tensor)

    @tf.custom_gradient  # type: ignore[untyped-decorator]
    def run(
        inputs: Tensor,
        kernel: Tensor,
        recurrent_kernel: Tensor,
        bias: Tensor,
        inner_bias: Tensor,
        peephole: Tensor,
        *state: Tensor,
    ) -> tuple[tuple[Tensor, ...], Any]:
        columns_in = tf.reshape(factor(inputs), (features, columns))
        projected = product(factor(tf.transpose(kernel)), columns_in) + bias[:, None]
        projected_at = by_step(steps_first(projected, rows))
        transposed = factor(tf.transpose(recurrent_kernel))

        def forward(step: Tensor, state: list[Tensor], states: list[Any], saved: list[Any]) -> tuple[Any, ...]:
            inner = product(transposed, factor(state[0]))
            if not cell.merged:
                inner = inner + inner_bias[:, None]
            state, keep = cell.step(projected_at.read(step), inner, state, peephole)
            states = [array.write(step + 1, value) for array, value in zip(states, state, strict=True)]
            saved = [array.write(step, value) for array, value in zip(saved, keep, strict=True)]
            return step + 1, state, states, saved

        states = [tf.TensorArray(tf.float32, time + 1).write(0, first) for first in state]
        saved = [tf.TensorArray(tf.float32, time) for _ in range(cell.saved)]
        _, last, states, saved = tf.while_loop(lambda step, *_: step < time, forward, (0, list(state), states, saved))
        outputs = units_first(states[0].stack())
        seen = units_first(states[1].stack()) if cell.peepholes else None

        def gradient(d_outputs: Tensor, *d_last: Tensor) -> tuple[Tensor, ...]:
            d_outputs_at = by_step(units_first(d_outputs))
            back = factor(recurrent_kernel)

            def backward(
                step: Tensor, d_state: list[Tensor], d_projected: Any, d_inner: Any
            ) -> tuple[Tensor, list[Tensor], Any, Any]:
                d_state = [d_state[0] + d_outputs_at.read(step), *d_state[1:]]
                kept, before = [array.read(step) for array in saved], [array.read(step) for array in states]
                dz, d_product, d_state = cell.gradient(d_state, kept, before, peephole)
                d_product = factor(d_product)
                d_projected = d_projected.write(step, d_product if cell.merged else factor(dz))
                if not cell.merged:
                    d_inner = d_inner.write(step, d_product)
                through = product(back, d_product)
                d_state = [through if d_state[0] is None else d_state[0] + through, *d_state[1:]]
                return step - 1, d_state, d_projected, d_inner

            by_product = [tf.TensorArray(compute_dtype, time) for _ in range(2)]
            _, d_first, d_projected, d_inner = tf.while_loop(
                lambda step, *_: step >= 0, backward, (time - 1, list(d_last), *by_product)
            )
            d_projected = units_first(d_projected.stack())
            d_peephole = tf.zeros_like(peephole)
            if seen is not None:
                d_peephole = cell.peephole_gradient(d_projected, seen)[:, None]
            d_projected = tf.reshape(d_projected, (rows, columns))
            d_inner = d_projected if cell.merged else tf.reshape(units_first(d_inner.stack()), (rows, columns))
            h_before = tf.reshape(factor(outputs[:, :-1]), (units, columns))
            return (
                tf.reshape(product(factor(kernel), d_projected), (features, time, batch)),
                product(columns_in, d_projected, transpose_b=True),
                product(h_before, d_inner, transpose_b=True),
                tf.reduce_sum(tf.cast(d_projected, tf.float32), 1),
                tf.reduce_sum(tf.cast(d_inner, tf.float32), 1),
                d_peephole,
                *d_first,
            )

        return (outputs[:, 1:], *last), gradient

    outputs, *last = run(inputs, kernel, recurrent_kernel, bias, inner_bias, peephole, *state)
    return outputs, last

"""One time step of each recurrent cell and its gradient, in TensorFlow.

A step takes pre-activations `(gates * units, batch)` and the state `(units, batch)`, and returns the next state and the
tensors that its gradient needs; `recurrence` has the matrix products and the loop over time. Units come first because
gates are then contiguous rows, which split and join without copying column by column, and because products with a
narrow batch are faster that way.

Blocks of rows are the cell's `CellFacts.free` gates in their order. A gate's sigmoid is `(tanh(x / 2) + 1) / 2`.
`recurrence` halves the pre-activations of those rows beforehand, so that one `tanh` serves all rows; halving is exact
in binary floating point.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import Any

import tensorflow as tf

Tensor = Any


class Cell(ABC):
    """A recurrent cell's step and gradient; its gates and states are in `textgen.config.cells.CellFacts`.

    Attributes:
        saved: tensors that `step` keeps for `gradient`.
    """

    saved: int

    @abstractmethod
    def step(
        self, projected: Tensor, inner: Tensor, state: Sequence[Tensor], peephole: Tensor
    ) -> tuple[list[Tensor], list[Tensor]]:
        """One step forward.

        Args:
            projected: `(gates * units, batch)`, the input's product and the bias.
            inner: `(gates * units, batch)`, the state's product (and a GRU's recurrent bias).
            state: the tensors before the step, each `(units, batch)`.
            peephole: `(peepholes * units, 1)`.

        Returns:
            The state after the step, and the tensors that `gradient` takes as `saved`.
        """

    @abstractmethod
    def gradient(
        self, d_state: Sequence[Tensor], saved: Sequence[Tensor], before: Sequence[Tensor], peephole: Tensor
    ) -> tuple[Tensor, Tensor, list[Tensor | None]]:
        """One step back.

        Args:
            d_state: the loss's gradient with respect to the state after the step.
            saved: what `step` returned second.
            before: the state before the step.
            peephole: `(peepholes * units, 1)`.

        Returns:
            The gradients with respect to `projected` and to `inner`, and, for each tensor of the state before the step,
            the part that does not pass through `inner` (None for zero).
        """

    def peephole_gradient(self, d_projected: Tensor, before: Tensor, after: Tensor) -> Tensor:
        """The gradient with respect to `peephole`, `(peepholes * units,)`, summed over all steps.

        Args:
            d_projected: `(gates * units, time, batch)`, the gradients with respect to `projected`.
            before: `(units, time, batch)`, the cell state that enters each step.
            after: `(units, time, batch)`, the cell state after each step.
        """
        raise NotImplementedError(f"{type(self).__name__} has no peepholes.")


class LSTM(Cell):
    """Hochreiter and Schmidhuber 1997 with Gers's forget gate, as in Keras: rows i, f, g, o.

    c' = f c + i g and h' = o tanh(c').
    """

    saved = 2

    def step(
        self, projected: Tensor, inner: Tensor, state: Sequence[Tensor], peephole: Tensor
    ) -> tuple[list[Tensor], list[Tensor]]:
        """See `Cell.step`."""
        del peephole
        rows = tf.tanh(projected + inner)
        i, f, g, o = tf.split(rows, 4)
        c = 0.5 * ((f + 1.0) * state[1] + (i + 1.0) * g)
        tanh_c = tf.tanh(c)
        return [0.5 * (o + 1.0) * tanh_c, c], [rows, tanh_c]

    def gradient(
        self, d_state: Sequence[Tensor], saved: Sequence[Tensor], before: Sequence[Tensor], peephole: Tensor
    ) -> tuple[Tensor, Tensor, list[Tensor | None]]:
        """See `Cell.gradient`."""
        del peephole
        i, f, g, _ = tf.split(saved[0], 4)
        return _cell_state_gradient(d_state, saved, [g, before[1], i + 1.0], f + 1.0)


class GRU(Cell):
    """Cho et al. 2014 with the reset gate after the product, as in Keras (`reset_after=True`): rows z, r, n.

    n = tanh(x_n + r (U_n h + b_n)) and h' = z h + (1 - z) n.
    """

    saved = 4

    def step(
        self, projected: Tensor, inner: Tensor, state: Sequence[Tensor], peephole: Tensor
    ) -> tuple[list[Tensor], list[Tensor]]:
        """See `Cell.step`."""
        del peephole
        x_z, x_r, x_n = tf.split(projected, 3)
        h_z, h_r, h_n = tf.split(inner, 3)
        z, r = 0.5 * (tf.tanh(x_z + h_z) + 1.0), 0.5 * (tf.tanh(x_r + h_r) + 1.0)
        n = tf.tanh(x_n + r * h_n)
        return [n + z * (state[0] - n)], [z, r, n, h_n]

    def gradient(
        self, d_state: Sequence[Tensor], saved: Sequence[Tensor], before: Sequence[Tensor], peephole: Tensor
    ) -> tuple[Tensor, Tensor, list[Tensor | None]]:
        """See `Cell.gradient`."""
        del peephole
        z, r, n, h_n = saved
        (dh,) = d_state
        dn = dh * (1.0 - z) * (1.0 - n * n)
        dz = 2.0 * dh * (before[0] - n) * z * (1.0 - z)
        dr = 2.0 * dn * h_n * r * (1.0 - r)
        return tf.concat([dz, dr, dn], 0), tf.concat([dz, dr, dn * r], 0), [dh * z]


class RNN(Cell):
    """Elman 1990: h' = tanh(x + U h)."""

    saved = 1

    def step(
        self, projected: Tensor, inner: Tensor, state: Sequence[Tensor], peephole: Tensor
    ) -> tuple[list[Tensor], list[Tensor]]:
        """See `Cell.step`."""
        del state, peephole
        h = tf.tanh(projected + inner)
        return [h], [h]

    def gradient(
        self, d_state: Sequence[Tensor], saved: Sequence[Tensor], before: Sequence[Tensor], peephole: Tensor
    ) -> tuple[Tensor, Tensor, list[Tensor | None]]:
        """See `Cell.gradient`."""
        del before, peephole
        dz = d_state[0] * (1.0 - saved[0] * saved[0])
        return dz, dz, [None]


class Peephole(Cell):
    """Gers and Schmidhuber 2000, rows i, f, g, o as in an LSTM; peepholes i, f, o.

    The gates i and f see c, and o sees c', each through one weight per unit: c' = f c + i g and h' = o tanh(c').
    """

    saved = 2

    def step(
        self, projected: Tensor, inner: Tensor, state: Sequence[Tensor], peephole: Tensor
    ) -> tuple[list[Tensor], list[Tensor]]:
        """See `Cell.step`."""
        c = state[1]
        units = c.shape[0]
        by_before, by_after = tf.split(peephole, (2 * units, units))
        gates, g, o = tf.split(projected + inner, (2 * units, units, units))
        gates, g = tf.tanh(gates + by_before * tf.concat([c, c], 0)), tf.tanh(g)
        i, f = tf.split(gates, 2)
        c = 0.5 * ((f + 1.0) * c + (i + 1.0) * g)
        o, tanh_c = tf.tanh(o + by_after * c), tf.tanh(c)
        return [0.5 * (o + 1.0) * tanh_c, c], [tf.concat([gates, g, o], 0), tanh_c]

    def gradient(
        self, d_state: Sequence[Tensor], saved: Sequence[Tensor], before: Sequence[Tensor], peephole: Tensor
    ) -> tuple[Tensor, Tensor, list[Tensor | None]]:
        """See `Cell.gradient`."""
        i, f, g, _ = tf.split(saved[0], 4)
        return _cell_state_gradient(d_state, saved, [g, before[1], i + 1.0], f + 1.0, peephole)

    def peephole_gradient(self, d_projected: Tensor, before: Tensor, after: Tensor) -> Tensor:
        """See `Cell.peephole_gradient`."""
        i, f, _, o = tf.split(d_projected, 4)
        pairs = ((i, before), (f, before), (o, after))
        return tf.concat([tf.reduce_sum(tf.cast(by, tf.float32) * c, (1, 2)) for by, c in pairs], 0)


class Coupled(Cell):
    """Greff et al. 2017 (CIFG): an LSTM with f = 1 - i, rows i, g, o.

    c' = c + i (g - c) and h' = o tanh(c').
    """

    saved = 2

    def step(
        self, projected: Tensor, inner: Tensor, state: Sequence[Tensor], peephole: Tensor
    ) -> tuple[list[Tensor], list[Tensor]]:
        """See `Cell.step`."""
        del peephole
        rows = tf.tanh(projected + inner)
        i, g, o = tf.split(rows, 3)
        c = 0.5 * ((1.0 - i) * state[1] + (i + 1.0) * g)
        tanh_c = tf.tanh(c)
        return [0.5 * (o + 1.0) * tanh_c, c], [rows, tanh_c]

    def gradient(
        self, d_state: Sequence[Tensor], saved: Sequence[Tensor], before: Sequence[Tensor], peephole: Tensor
    ) -> tuple[Tensor, Tensor, list[Tensor | None]]:
        """See `Cell.gradient`."""
        del peephole
        i, g, _ = tf.split(saved[0], 3)
        return _cell_state_gradient(d_state, saved, [g - before[1], i + 1.0], 1.0 - i)


def _cell_state_gradient(
    d_state: Sequence[Tensor],
    saved: Sequence[Tensor],
    factors: Sequence[Tensor],
    kept: Tensor,
    peephole: Tensor | None = None,
) -> tuple[Tensor, Tensor, list[Tensor | None]]:
    """`Cell.gradient` of the LSTM and its variants, `h' = o tanh(c')`, whose last rows are those of o.

    Args:
        d_state: the loss's gradient with respect to h' and c'.
        saved: all rows after their tanh, and the tanh of c'.
        factors: for the blocks before o, twice the derivative of c' with respect to the gate.
        kept: twice the derivative of c' with respect to c.
        peephole: the weights with which the first two blocks see c, and o sees c'; None where they do not.
    """
    rows, tanh_c = saved
    units = tanh_c.shape[0]
    slopes = 1.0 - rows * rows
    dh, dc = d_state
    half_dh = 0.5 * dh
    by_output = half_dh * tanh_c
    dc = dc + half_dh * (rows[-units:] + 1.0) * (1.0 - tanh_c * tanh_c)
    if peephole is None:
        half_dc = 0.5 * dc
        dz = tf.concat([*(half_dc * factor for factor in factors), by_output], 0) * slopes
        return dz, dz, [None, half_dc * kept]
    do = by_output * slopes[-units:]
    half_dc = 0.5 * (dc + do * peephole[-units:])
    others = tf.concat([half_dc * factor for factor in factors], 0) * slopes[:-units]
    d_before = half_dc * kept
    for block in (slice(0, units), slice(units, 2 * units)):
        d_before = d_before + others[block] * peephole[block]
    dz = tf.concat([others, do], 0)
    return dz, dz, [None, d_before]


CELLS: dict[str, Cell] = {"lstm": LSTM(), "gru": GRU(), "rnn": RNN(), "peephole": Peephole(), "coupled": Coupled()}
"""The cells by the name that `ModelConfig.cell` gives them."""

"""The gated recurrent unit with its gradient, in NumPy."""

from __future__ import annotations

import numpy as np

from textgen.config.cells import CellFacts
from textgen.engine.cells.cell import HALF, Array, Cell, History, Workspace


class GRU(Cell):
    """Gated recurrent unit (Cho et al. 2014), with the reset gate after the product (`reset_after` in Keras, cuDNN).

    `h' = z * h + (1 - z) * n` with `n = tanh(addend + r * (product + recurrent bias))`, where `z` and `r` are the
    sigmoids of product plus addend. `kept` is the candidate's product plus its recurrent bias.
    """

    order = ("update", "reset", "candidate")

    def __init__(self, facts: CellFacts, workspace: Workspace) -> None:
        super().__init__(facts, workspace)
        self._zr = workspace.product[..., : 2 * self.units]
        self._update, self._reset, self._n = self.blocks.values()
        self._bias = workspace.recurrent_bias

    def advance(self, addend: Array) -> None:
        """See `Cell.advance`."""
        zr, n, kept, next_h, units = self._zr, self._n, self._kept, self._next_h, self.units
        np.add(zr, addend[..., : 2 * units], zr)
        np.tanh(zr, zr)
        np.multiply(zr, HALF, zr)
        np.add(zr, HALF, zr)
        np.add(n, self._bias, kept)
        np.multiply(kept, self._reset, n)
        np.add(n, addend[..., 2 * units :], n)
        np.tanh(n, n)
        np.subtract(self._h, n, next_h)
        np.multiply(next_h, self._update, next_h)
        np.add(next_h, n, next_h)

    @classmethod
    def backward(
        cls, history: History, recurrent_kernel: Array, peephole: Array, d_outputs: Array
    ) -> tuple[Array, Array]:
        """See `Cell.backward`."""
        del peephole
        z, r, n = cls.by_gate(history)
        time, batch, units = d_outputs.shape
        d_inner = np.empty((time, batch, 3, units), d_outputs.dtype)
        by_candidate = (1 - z) * (1 - n * n)
        d_inner[:, :, 0] = (history.output[:-1] - n) * z * (1 - z)
        d_inner[:, :, 1] = by_candidate * history.kept * r * (1 - r)
        d_inner[:, :, 2] = by_candidate * r
        d_candidate = np.empty_like(d_outputs)
        dh, through = np.zeros((batch, units), d_outputs.dtype), np.zeros((batch, units), d_outputs.dtype)
        back = recurrent_kernel.T
        for t in reversed(range(time)):
            dz = d_inner[t]
            dh += through
            dh += d_outputs[t]
            dz *= dh[:, None]
            np.multiply(by_candidate[t], dh, d_candidate[t])
            dh *= z[t]
            np.matmul(dz.reshape(batch, -1), back, through)
        d_projected = d_inner.copy()
        d_projected[:, :, 2] = d_candidate
        return d_projected, d_inner

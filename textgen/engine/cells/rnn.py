"""The simple recurrent network with its gradient, in NumPy."""

from __future__ import annotations

import numpy as np

from textgen.engine.cells.cell import Array, Cell, History


class RNN(Cell):
    """Simple recurrent network (Elman 1990): `h' = tanh(product + addend)`."""

    order = ("candidate",)

    def advance(self, addend: Array) -> None:
        """See `Cell.advance`."""
        np.add(self._z, addend, self._next_h)
        np.tanh(self._next_h, self._next_h)

    @classmethod
    def backward(
        cls, history: History, recurrent_kernel: Array, peephole: Array, d_outputs: Array
    ) -> tuple[Array, Array]:
        """See `Cell.backward`."""
        del peephole
        outputs = history.output[1:, :, None]
        d = 1 - outputs * outputs
        through = np.zeros_like(d_outputs[0])
        back = recurrent_kernel.T
        for dz, dh in zip(d[::-1], d_outputs[::-1], strict=True):
            through += dh
            dz *= through[:, None]
            np.matmul(dz[:, 0], back, through)
        return d, d

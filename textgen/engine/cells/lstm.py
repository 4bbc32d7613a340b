"""The LSTM and its variants, each with its gradient, in NumPy."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from textgen.config.cells import CellFacts
from textgen.engine.cells.cell import HALF, Array, Cell, History, Workspace


class LSTM(Cell):
    """Long short-term memory (Hochreiter and Schmidhuber 1997, with the forget gate of Gers et al. 2000).

    `c' = f * c + i * g` and `h' = o * tanh(c')`, where `i`, `f`, `o` are the sigmoids and `g` is the tanh of product
    plus addend. `kept` is `tanh(c')`.
    """

    order = ("input", "forget", "output", "candidate")

    def __init__(self, facts: CellFacts, workspace: Workspace) -> None:
        super().__init__(facts, workspace)
        self._ifo = workspace.product[..., : 3 * self.units]
        self._i, self._f, self._o, self._g = self.blocks.values()

    def advance(self, addend: Array) -> None:
        """See `Cell.advance`."""
        z, ifo, next_c, kept = self._z, self._ifo, self._next_c, self._kept
        np.add(z, addend, z)
        np.tanh(z, z)
        np.multiply(ifo, HALF, ifo)
        np.add(ifo, HALF, ifo)
        np.multiply(self._c, self._f, next_c)
        np.multiply(self._g, self._i, kept)
        np.add(next_c, kept, next_c)
        np.tanh(next_c, kept)
        np.multiply(kept, self._o, self._next_h)

    @classmethod
    def backward(
        cls, history: History, recurrent_kernel: Array, peephole: Array, d_outputs: Array
    ) -> tuple[Array, Array]:
        """See `Cell.backward`."""
        del peephole
        i, f, _, g = cls.by_gate(history)
        factors = {"input": g, "forget": history.cell_state[:-1], "candidate": i}
        return _cell_state_backward(cls, history, recurrent_kernel, d_outputs, factors, f)


class Peephole(Cell):
    """LSTM with peephole connections from the cell state to the gates (Gers and Schmidhuber 2000).

    As `LSTM`, with `p_i * c`, `p_f * c` and `p_o * c'` added before the sigmoids of the gates.
    """

    order = ("input", "forget", "candidate", "output")

    def __init__(self, facts: CellFacts, workspace: Workspace) -> None:
        super().__init__(facts, workspace)
        self._if = workspace.product[..., : 2 * self.units]
        self._ifg = workspace.product[..., : 3 * self.units]
        self._i, self._f, self._g, self._o = self.blocks.values()
        self._p_i, self._p_f, self._p_o = workspace.peephole

    def advance(self, addend: Array) -> None:
        """See `Cell.advance`."""
        i, f, o, c, next_c, next_h, kept = self._i, self._f, self._o, self._c, self._next_c, self._next_h, self._kept
        np.add(self._z, addend, self._z)
        np.multiply(c, self._p_i, next_h)
        np.add(i, next_h, i)
        np.multiply(c, self._p_f, next_h)
        np.add(f, next_h, f)
        np.tanh(self._ifg, self._ifg)
        np.multiply(self._if, HALF, self._if)
        np.add(self._if, HALF, self._if)
        np.multiply(c, f, next_c)
        np.multiply(self._g, i, kept)
        np.add(next_c, kept, next_c)
        np.multiply(next_c, self._p_o, next_h)
        np.add(o, next_h, o)
        np.tanh(o, o)
        np.multiply(o, HALF, o)
        np.add(o, HALF, o)
        np.tanh(next_c, kept)
        np.multiply(kept, o, next_h)

    @classmethod
    def backward(
        cls, history: History, recurrent_kernel: Array, peephole: Array, d_outputs: Array
    ) -> tuple[Array, Array]:
        """See `Cell.backward`."""
        i, f, g, _ = cls.by_gate(history)
        factors = {"input": g, "forget": history.cell_state[:-1], "candidate": i}
        return _cell_state_backward(cls, history, recurrent_kernel, d_outputs, factors, f, peephole)

    @classmethod
    def peephole_gradient(cls, d_products: Array, cell_state: Array) -> Array:
        """See `Cell.peephole_gradient`."""
        before = np.einsum("tgu,tu->gu", d_products[:, :2], cell_state[:-1])
        after = np.einsum("tu,tu->u", d_products[:, 3], cell_state[1:])
        return np.concatenate([before, after[None]])


class Coupled(Cell):
    """LSTM with coupled input and forget gates, `f = 1 - i` (CIFG, Greff et al. 2017).

    `c' = c + i * (g - c)` and `h' = o * tanh(c')`. `kept` is `tanh(c')`.
    """

    order = ("input", "output", "candidate")

    def __init__(self, facts: CellFacts, workspace: Workspace) -> None:
        super().__init__(facts, workspace)
        self._io = workspace.product[..., : 2 * self.units]
        self._i, self._o, self._g = self.blocks.values()

    def advance(self, addend: Array) -> None:
        """See `Cell.advance`."""
        z, io, c, next_c, kept = self._z, self._io, self._c, self._next_c, self._kept
        np.add(z, addend, z)
        np.tanh(z, z)
        np.multiply(io, HALF, io)
        np.add(io, HALF, io)
        np.subtract(self._g, c, kept)
        np.multiply(kept, self._i, kept)
        np.add(c, kept, next_c)
        np.tanh(next_c, kept)
        np.multiply(kept, self._o, self._next_h)

    @classmethod
    def backward(
        cls, history: History, recurrent_kernel: Array, peephole: Array, d_outputs: Array
    ) -> tuple[Array, Array]:
        """See `Cell.backward`."""
        del peephole
        i, _, g = cls.by_gate(history)
        factors = {"input": g - history.cell_state[:-1], "candidate": i}
        return _cell_state_backward(cls, history, recurrent_kernel, d_outputs, factors, 1 - i)


def _cell_state_backward(
    cell: type[Cell],
    history: History,
    recurrent_kernel: Array,
    d_outputs: Array,
    factors: Mapping[str, Array],
    forget: Array,
    peephole: Array | None = None,
) -> tuple[Array, Array]:
    """`Cell.backward` of the LSTM and its variants: `h' = o * tanh(c')`, `c'` a function of the other gates and `c`.

    Args:
        cell: the variant.
        history: the activations of its steps; `kept` is `tanh(c')`.
        recurrent_kernel: see `Cell.backward`.
        d_outputs: see `Cell.backward`.
        factors: for each gate but the output gate, the derivative of `c'` with respect to it, `(time, batch, units)`.
        forget: the derivative of `c'` with respect to `c`.
        peephole: the weights from `c` to the first two gates and from `c'` to the output gate; None without peepholes.
    """
    time, batch, units = d_outputs.shape
    gates = dict(zip(cell.order, cell.by_gate(history), strict=True))
    tanh_c, o = history.kept, gates["output"]
    d = np.empty((time, batch, len(gates), units), d_outputs.dtype)
    for n, (gate, value) in enumerate(gates.items()):
        slope = 1 - value * value if gate == "candidate" else value * (1 - value)
        np.multiply(tanh_c if gate == "output" else factors[gate], slope, d[:, :, n])
    at = cell.order.index("output")
    by_output = o * (1 - tanh_c * tanh_c)
    if peephole is not None:
        by_output += peephole[2] * d[:, :, at]
    inner = [part for part in (slice(0, at), slice(at + 1, len(gates))) if part.start < part.stop]
    through = np.zeros((batch, units), d_outputs.dtype)
    dc = np.zeros_like(through)
    back = recurrent_kernel.T
    for dz, dh, passed, kept in zip(d[::-1], d_outputs[::-1], by_output[::-1], forget[::-1], strict=True):
        through += dh
        passed *= through
        dc += passed
        for part in inner:
            dz[:, part] *= dc[:, None]
        dz[:, at] *= through
        dc *= kept
        if peephole is not None:
            dc += (peephole[:2] * dz[:, :2]).sum(1)
        np.matmul(dz.reshape(batch, -1), back, through)
    return d, d

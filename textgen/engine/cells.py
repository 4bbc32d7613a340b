"""The arithmetic of one step in a recurrent cell, in place, for each kind of cell that can be trained.

Goes in: the product of a layer's last output with its recurrent weights, and an addend: the product of its input plus
the bias. Comes out: the layer's next output. The module knows no weights; `matrix` makes the products.

A cell names its gates in the order and with the factor in which it wants their columns: a sigmoid is half a tanh,
`sigmoid(x) = tanh(x / 2) / 2 + 1 / 2`, and with the half of `x / 2` in the weights one tanh serves all gates.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar, Protocol

import numpy as np
from numpy.typing import NDArray

from textgen.config import Cell as CellName

Array = NDArray[np.float32]

_HALF = np.array(0.5, np.float32)


@dataclass(frozen=True, eq=False)
class Workspace:
    """What a layer's steps read and write, for one row `(n,)` or several `(rows, n)`.

    Args:
        product: `(..., gates * units)` or wider, holds the recurrent product before a step, scratch after it.
        output: `(..., units)`, the layer's last output before a step, its next one after it.
        memory: `(..., units)`, what the cell remembers beside its output; `(..., 0)` if it does not.
        recurrent_bias: `(units,)`, what a GRU adds to its candidate's recurrent product.
        peephole: `(3, units)`, what the gates i, f and o weigh the memory with, with a sigmoid's factor of a half;
            `(0, units)` if they do not see it.
    """

    product: Array
    output: Array
    memory: Array
    recurrent_bias: Array
    peephole: Array


class Cell(Protocol):
    """One layer's step.

    Attributes:
        gates: for each block of columns, which of Keras's gates it is and the factor of its weights. A block of
            Keras's that follows from another, such as a coupled forget gate, is left out.
        remembers: the cell has a memory beside its output.
        sums: the products of the input and of the last output only ever meet in a sum, so that one product of the
            two side by side serves for both.
    """

    gates: ClassVar[tuple[tuple[int, float], ...]]
    remembers: ClassVar[bool]
    sums: ClassVar[bool]

    def __init__(self, workspace: Workspace) -> None: ...

    def advance(self, addend: Array) -> None:
        """One step; `addend` is `(..., gates * units)`, the input's product plus the bias."""

    def opened(self) -> Mapping[str, Array]:
        """How far each gate was open in the last step, in [0, 1], `(..., units)`: maybe views of the workspace."""


class LSTM:
    """Long short-term memory (Hochreiter and Schmidhuber 1997, with the forget gate of Gers et al. 2000).

    `c = f * c + i * g` and `h = o * tanh(c)`, where `i`, `f`, `o` are the sigmoids and `g` is the tanh of product plus
    addend.
    """

    gates: ClassVar[tuple[tuple[int, float], ...]] = ((0, 0.5), (1, 0.5), (3, 0.5), (2, 1.0))
    remembers: ClassVar[bool] = True
    sums: ClassVar[bool] = True

    def __init__(self, workspace: Workspace) -> None:
        units = workspace.output.shape[-1]
        self._z = workspace.product[..., : 4 * units]
        self._ifo = workspace.product[..., : 3 * units]
        self._i, self._f, self._o, self._g = (self._z[..., k * units : (k + 1) * units] for k in range(4))
        self._c = workspace.memory
        self._h = workspace.output

    def advance(self, addend: Array) -> None:
        """One step; see `Cell`."""
        z, ifo, g, c = self._z, self._ifo, self._g, self._c
        np.add(z, addend, z)
        np.tanh(z, z)
        np.multiply(ifo, _HALF, ifo)
        np.add(ifo, _HALF, ifo)
        np.multiply(c, self._f, c)
        np.multiply(g, self._i, g)
        np.add(c, g, c)
        np.tanh(c, g)
        np.multiply(g, self._o, self._h)

    def opened(self) -> Mapping[str, Array]:
        """See `Cell`."""
        return {"input": self._i, "forget": self._f, "output": self._o}


class GRU:
    """Gated recurrent unit (Cho et al. 2014) in the form that resets after the product, as Keras and cuDNN do.

    `h = z * h + (1 - z) * n` with `n = tanh(addend + r * (product + recurrent bias))`, where `z` and `r` are the
    sigmoids of product plus addend.
    """

    gates: ClassVar[tuple[tuple[int, float], ...]] = ((0, 0.5), (1, 0.5), (2, 1.0))
    remembers: ClassVar[bool] = False
    sums: ClassVar[bool] = False

    def __init__(self, workspace: Workspace) -> None:
        units = workspace.output.shape[-1]
        self._units = units
        self._zr = workspace.product[..., : 2 * units]
        self._z, self._r, self._n = (workspace.product[..., k * units : (k + 1) * units] for k in range(3))
        self._h = workspace.output
        self._bias = workspace.recurrent_bias

    def advance(self, addend: Array) -> None:
        """One step; see `Cell`."""
        zr, n, h, units = self._zr, self._n, self._h, self._units
        np.add(zr, addend[..., : 2 * units], zr)
        np.tanh(zr, zr)
        np.multiply(zr, _HALF, zr)
        np.add(zr, _HALF, zr)
        np.add(n, self._bias, n)
        np.multiply(n, self._r, n)
        np.add(n, addend[..., 2 * units :], n)
        np.tanh(n, n)
        np.subtract(h, n, h)
        np.multiply(h, self._z, h)
        np.add(h, n, h)

    def opened(self) -> Mapping[str, Array]:
        """See `Cell`."""
        return {"update": self._z, "reset": self._r}


class RNN:
    """Simple recurrent network (Elman 1990): `h = tanh(product + addend)`."""

    gates: ClassVar[tuple[tuple[int, float], ...]] = ((0, 1.0),)
    remembers: ClassVar[bool] = False
    sums: ClassVar[bool] = True

    def __init__(self, workspace: Workspace) -> None:
        self._product = workspace.product[..., : workspace.output.shape[-1]]
        self._h = workspace.output

    def advance(self, addend: Array) -> None:
        """One step; see `Cell`."""
        np.add(self._product, addend, self._h)
        np.tanh(self._h, self._h)

    def opened(self) -> Mapping[str, Array]:
        """See `Cell`."""
        return {}


class Peephole:
    """LSTM whose gates see the cell state (Gers and Schmidhuber 2000).

    As `LSTM`, with `p_i * c`, `p_f * c` and `p_o * c` added to what the gates are the sigmoids of; `i` and `f` see the
    `c` before the step, `o` the one after it.
    """

    gates: ClassVar[tuple[tuple[int, float], ...]] = ((0, 0.5), (1, 0.5), (2, 1.0), (3, 0.5))
    remembers: ClassVar[bool] = True
    sums: ClassVar[bool] = True

    def __init__(self, workspace: Workspace) -> None:
        units = workspace.output.shape[-1]
        self._z = workspace.product[..., : 4 * units]
        self._if = workspace.product[..., : 2 * units]
        self._ifg = workspace.product[..., : 3 * units]
        self._i, self._f, self._g, self._o = (self._z[..., k * units : (k + 1) * units] for k in range(4))
        self._c = workspace.memory
        self._h = workspace.output
        self._p_i, self._p_f, self._p_o = workspace.peephole

    def advance(self, addend: Array) -> None:
        """One step; see `Cell`."""
        i, f, g, o, c, h = self._i, self._f, self._g, self._o, self._c, self._h
        np.add(self._z, addend, self._z)
        np.multiply(c, self._p_i, h)
        np.add(i, h, i)
        np.multiply(c, self._p_f, h)
        np.add(f, h, f)
        np.tanh(self._ifg, self._ifg)
        np.multiply(self._if, _HALF, self._if)
        np.add(self._if, _HALF, self._if)
        np.multiply(c, f, c)
        np.multiply(g, i, g)
        np.add(c, g, c)
        np.multiply(c, self._p_o, h)
        np.add(o, h, o)
        np.tanh(o, o)
        np.multiply(o, _HALF, o)
        np.add(o, _HALF, o)
        np.tanh(c, g)
        np.multiply(g, o, h)

    def opened(self) -> Mapping[str, Array]:
        """See `Cell`."""
        return {"input": self._i, "forget": self._f, "output": self._o}


class Coupled:
    """LSTM that forgets as much as it takes in, `f = 1 - i` (Greff et al. 2017, CIFG).

    `c = c + i * (g - c)` and `h = o * tanh(c)`; in Keras's weights `f` stands as the opposite of `i`, and is not read.
    """

    gates: ClassVar[tuple[tuple[int, float], ...]] = ((0, 0.5), (3, 0.5), (2, 1.0))
    remembers: ClassVar[bool] = True
    sums: ClassVar[bool] = True

    def __init__(self, workspace: Workspace) -> None:
        units = workspace.output.shape[-1]
        self._z = workspace.product[..., : 3 * units]
        self._io = workspace.product[..., : 2 * units]
        self._i, self._o, self._g = (self._z[..., k * units : (k + 1) * units] for k in range(3))
        self._c = workspace.memory
        self._h = workspace.output

    def advance(self, addend: Array) -> None:
        """One step; see `Cell`."""
        z, io, g, c = self._z, self._io, self._g, self._c
        np.add(z, addend, z)
        np.tanh(z, z)
        np.multiply(io, _HALF, io)
        np.add(io, _HALF, io)
        np.subtract(g, c, g)
        np.multiply(g, self._i, g)
        np.add(c, g, c)
        np.tanh(c, g)
        np.multiply(g, self._o, self._h)

    def opened(self) -> Mapping[str, Array]:
        """See `Cell`."""
        return {"input": self._i, "forget": np.float32(1.0) - self._i, "output": self._o}


CELLS: dict[CellName, type[Cell]] = {"lstm": LSTM, "gru": GRU, "rnn": RNN, "peephole": Peephole, "coupled": Coupled}
"""The arithmetic for each `ModelConfig.cell`."""

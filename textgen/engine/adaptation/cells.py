"""Each recurrent cell over a stretch of text, forward and back, in NumPy.

Goes in: the layer's input product for all steps, and the state before them. Comes out: the states after each step, and
from the gradient by the outputs, the one by what the gates were made of. The weights' own gradients are single products
over all steps; `gradient` makes them. What does not depend on the gradient that comes from the step after, is worked
out for all steps at once, so that a step back is a matrix-vector product and a few passes over the units.

Arrays are time first: `(time, batch, gates, units)`; gates stand in Keras's order.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from textgen.config import Cell as CellName
from textgen.engine.adaptation.parameters import LayerParameters

Array = NDArray[Any]


@dataclass(frozen=True, eq=False)
class Trace:
    """A layer's states and gates over a stretch, with what the way back needs.

    Args:
        gates: `(time, batch, gates, units)`, input products before `Cell.forward`, the gates' values after it.
        hidden: `(time + 1, batch, units)`, the output before the first step and after each.
        memory: `(time + 1, batch, units)`, the same of the cell's memory; of a width of 0 where it has none.
        inner: `(time, batch, units)`, a GRU's recurrent product for its candidate; of a width of 0 elsewhere.
    """

    gates: Array
    hidden: Array
    memory: Array
    inner: Array


class Cell(ABC):
    """A cell's arithmetic over time.

    Attributes:
        gates: blocks of columns, as they are in `LayerParameters`.
        sigmoids: for each, whether it is a sigmoid; otherwise it is a tanh.
        remembers: the cell has a memory beside its output.
        resets: the candidate's recurrent product is kept apart from its input's (a GRU).
    """

    gates: ClassVar[int]
    sigmoids: ClassVar[tuple[bool, ...]]
    remembers: ClassVar[bool] = True
    resets: ClassVar[bool] = False

    @abstractmethod
    def forward(self, layer: LayerParameters, trace: Trace) -> None:
        """Fills `trace` from its input products and its first state."""

    @abstractmethod
    def backward(self, layer: LayerParameters, trace: Trace, d_outputs: Array) -> tuple[Array, Array]:
        """The gradient by the input's products and by the state's, both `(time, batch, gates, units)`.

        Args:
            layer: its weights.
            trace: what `forward` filled.
            d_outputs: `(time, batch, units)`, the loss's gradient by each step's output, from what reads it.
        """

    def activate(self, z: Array, first: int = 0, last: int | None = None) -> None:
        """The sigmoid or tanh of the gates `first` to `last`, in place; a sigmoid is half a tanh of half its input."""
        half, offset = self._factors(z.dtype.str, first, last)
        np.multiply(z, half, z)
        np.tanh(z, z)
        np.multiply(z, half, z)
        np.add(z, offset, z)

    def _factors(self, dtype: str, first: int, last: int | None) -> tuple[Array, Array]:
        cached: dict[tuple[str, int, int | None], tuple[Array, Array]] = self.__dict__.setdefault("_cached", {})
        key = (dtype, first, last)
        if key not in cached:
            sigmoid = np.array(self.sigmoids[first:last])[:, None]
            cached[key] = (np.where(sigmoid, 0.5, 1.0).astype(dtype), np.where(sigmoid, 0.5, 0.0).astype(dtype))
        return cached[key]


class LSTM(Cell):
    """`c' = f c + i g`, `h' = o tanh(c')`; gates i, f, g, o."""

    gates, sigmoids = 4, (True, True, False, True)

    def forward(self, layer: LayerParameters, trace: Trace) -> None:
        """See `Cell.forward`."""
        product, scratch = _scratch(trace)
        for z, h, c, h_next, c_next in _steps(trace):
            np.matmul(h, layer.recurrent_kernel, product)
            z += product.reshape(z.shape)
            self.activate(z)
            np.multiply(z[:, 0], z[:, 2], scratch)
            np.multiply(z[:, 1], c, c_next)
            np.add(c_next, scratch, c_next)
            np.tanh(c_next, scratch)
            np.multiply(z[:, 3], scratch, h_next)

    def backward(self, layer: LayerParameters, trace: Trace, d_outputs: Array) -> tuple[Array, Array]:
        """See `Cell.backward`."""
        i, f, g, o = _by_gate(trace.gates)
        tanh_c = np.tanh(trace.memory[1:])
        d = np.empty_like(trace.gates)
        d[:, :, 0] = g * i * (1 - i)
        d[:, :, 1] = trace.memory[:-1] * f * (1 - f)
        d[:, :, 2] = i * (1 - g * g)
        d[:, :, 3] = tanh_c * o * (1 - o)
        by_output = o * (1 - tanh_c * tanh_c)
        through = np.zeros_like(d_outputs[0])
        dc = np.zeros_like(through)
        back = layer.recurrent_kernel.T
        for dz, dh, passed, forget in zip(d[::-1], d_outputs[::-1], by_output[::-1], f[::-1], strict=True):
            through += dh
            passed *= through
            dc += passed
            dz[:, :3] *= dc[:, None]
            dz[:, 3] *= through
            dc *= forget
            np.matmul(dz.reshape(len(dz), -1), back, through)
        return d, d


class Coupled(Cell):
    """An LSTM whose forget gate is `1 - i`: `c' = c + i (g - c)`, `h' = o tanh(c')`; gates i, g, o."""

    gates, sigmoids = 3, (True, False, True)

    def forward(self, layer: LayerParameters, trace: Trace) -> None:
        """See `Cell.forward`."""
        product, scratch = _scratch(trace)
        for z, h, c, h_next, c_next in _steps(trace):
            np.matmul(h, layer.recurrent_kernel, product)
            z += product.reshape(z.shape)
            self.activate(z)
            np.subtract(z[:, 1], c, scratch)
            np.multiply(scratch, z[:, 0], scratch)
            np.add(c, scratch, c_next)
            np.tanh(c_next, scratch)
            np.multiply(z[:, 2], scratch, h_next)

    def backward(self, layer: LayerParameters, trace: Trace, d_outputs: Array) -> tuple[Array, Array]:
        """See `Cell.backward`."""
        i, g, o = _by_gate(trace.gates)
        tanh_c = np.tanh(trace.memory[1:])
        d = np.empty_like(trace.gates)
        d[:, :, 0] = (g - trace.memory[:-1]) * i * (1 - i)
        d[:, :, 1] = i * (1 - g * g)
        d[:, :, 2] = tanh_c * o * (1 - o)
        by_output = o * (1 - tanh_c * tanh_c)
        through = np.zeros_like(d_outputs[0])
        dc = np.zeros_like(through)
        back = layer.recurrent_kernel.T
        for dz, dh, passed, kept in zip(d[::-1], d_outputs[::-1], by_output[::-1], (1 - i)[::-1], strict=True):
            through += dh
            passed *= through
            dc += passed
            dz[:, :2] *= dc[:, None]
            dz[:, 2] *= through
            dc *= kept
            np.matmul(dz.reshape(len(dz), -1), back, through)
        return d, d


class Peephole(Cell):
    """An LSTM whose gates see the memory: i and f the one before the step, o the one after it; gates i, f, g, o."""

    gates, sigmoids = 4, (True, True, False, True)

    def forward(self, layer: LayerParameters, trace: Trace) -> None:
        """See `Cell.forward`."""
        peephole = _peephole(layer)
        product, scratch = _scratch(trace)
        for z, h, c, h_next, c_next in _steps(trace):
            np.matmul(h, layer.recurrent_kernel, product)
            z += product.reshape(z.shape)
            z[:, :2] += peephole[:2] * c[:, None]
            self.activate(z[:, :3], 0, 3)
            np.multiply(z[:, 0], z[:, 2], scratch)
            np.multiply(z[:, 1], c, c_next)
            np.add(c_next, scratch, c_next)
            z[:, 3] += peephole[2] * c_next
            self.activate(z[:, 3:], 3, 4)
            np.tanh(c_next, scratch)
            np.multiply(z[:, 3], scratch, h_next)

    def backward(self, layer: LayerParameters, trace: Trace, d_outputs: Array) -> tuple[Array, Array]:
        """See `Cell.backward`."""
        peephole = _peephole(layer)
        i, f, g, o = _by_gate(trace.gates)
        tanh_c = np.tanh(trace.memory[1:])
        d = np.empty_like(trace.gates)
        d[:, :, 0] = g * i * (1 - i)
        d[:, :, 1] = trace.memory[:-1] * f * (1 - f)
        d[:, :, 2] = i * (1 - g * g)
        d[:, :, 3] = tanh_c * o * (1 - o)
        by_output = o * (1 - tanh_c * tanh_c) + peephole[2] * d[:, :, 3]
        through = np.zeros_like(d_outputs[0])
        dc = np.zeros_like(through)
        back = layer.recurrent_kernel.T
        for dz, dh, passed, forget in zip(d[::-1], d_outputs[::-1], by_output[::-1], f[::-1], strict=True):
            through += dh
            passed *= through
            dc += passed
            dz[:, :3] *= dc[:, None]
            dz[:, 3] *= through
            dc *= forget
            dc += (peephole[:2] * dz[:, :2]).sum(1)
            np.matmul(dz.reshape(len(dz), -1), back, through)
        return d, d


class GRU(Cell):
    """`n = tanh(x_n + r (U_n h + b_n))`, `h' = z h + (1 - z) n`; gates z, r, n."""

    gates, sigmoids = 3, (True, True, False)
    remembers: ClassVar[bool] = False
    resets: ClassVar[bool] = True

    def forward(self, layer: LayerParameters, trace: Trace) -> None:
        """See `Cell.forward`."""
        product, scratch = _scratch(trace)
        by_gate = product.reshape(trace.gates.shape[1:])
        for (z, h, _, h_next, _), inner in zip(_steps(trace), trace.inner, strict=True):
            np.matmul(h, layer.recurrent_kernel, product)
            product += layer.bias[1]
            z[:, :2] += by_gate[:, :2]
            self.activate(z[:, :2], 0, 2)
            inner[...] = by_gate[:, 2]
            np.multiply(z[:, 1], inner, scratch)
            z[:, 2] += scratch
            np.tanh(z[:, 2], z[:, 2])
            np.subtract(h, z[:, 2], scratch)
            np.multiply(scratch, z[:, 0], scratch)
            np.add(z[:, 2], scratch, h_next)

    def backward(self, layer: LayerParameters, trace: Trace, d_outputs: Array) -> tuple[Array, Array]:
        """See `Cell.backward`."""
        z, r, n = _by_gate(trace.gates)
        d_inner = np.empty_like(trace.gates)
        by_candidate = (1 - z) * (1 - n * n)
        d_inner[:, :, 0] = (trace.hidden[:-1] - n) * z * (1 - z)
        d_inner[:, :, 1] = by_candidate * trace.inner * r * (1 - r)
        d_inner[:, :, 2] = by_candidate * r
        d_candidate = np.empty_like(d_outputs)
        dh = np.zeros_like(d_outputs[0])
        through = np.zeros_like(dh)
        back = layer.recurrent_kernel.T
        stepwise = zip(
            d_inner[::-1], d_outputs[::-1], by_candidate[::-1], d_candidate[::-1], z[::-1], strict=True
        )  # fmt: skip
        for dz, d_output, factor, candidate, kept in stepwise:
            dh += through
            dh += d_output
            dz *= dh[:, None]
            np.multiply(factor, dh, candidate)
            dh *= kept
            np.matmul(dz.reshape(len(dz), -1), back, through)
        d_projected = d_inner.copy()
        d_projected[:, :, 2] = d_candidate
        return d_projected, d_inner


class RNN(Cell):
    """`h' = tanh(x + U h)`."""

    gates, sigmoids = 1, (False,)
    remembers: ClassVar[bool] = False

    def forward(self, layer: LayerParameters, trace: Trace) -> None:
        """See `Cell.forward`."""
        product, _ = _scratch(trace)
        for z, h, _, h_next, _ in _steps(trace):
            np.matmul(h, layer.recurrent_kernel, product)
            z += product.reshape(z.shape)
            np.tanh(z[:, 0], h_next)

    def backward(self, layer: LayerParameters, trace: Trace, d_outputs: Array) -> tuple[Array, Array]:
        """See `Cell.backward`."""
        outputs = trace.hidden[1:, :, None]
        d = 1 - outputs * outputs
        through = np.zeros_like(d_outputs[0])
        back = layer.recurrent_kernel.T
        for dz, dh in zip(d[::-1], d_outputs[::-1], strict=True):
            through += dh
            dz *= through[:, None]
            np.matmul(dz[:, 0], back, through)
        return d, d


CELLS: dict[CellName, Cell] = {
    "lstm": LSTM(), "gru": GRU(), "rnn": RNN(), "coupled": Coupled(), "peephole": Peephole(),
}  # fmt: skip
"""The arithmetic for each `ModelConfig.cell`."""


def _steps(trace: Trace) -> Any:
    """For each step its gates, the state before it and the state after it."""
    hidden, memory = trace.hidden, trace.memory
    return zip(trace.gates, hidden[:-1], memory[:-1], hidden[1:], memory[1:], strict=True)


def _by_gate(gates: Array) -> tuple[Array, ...]:
    return tuple(np.moveaxis(gates, 2, 0))


def _scratch(trace: Trace) -> tuple[Array, Array]:
    """Room for a step's recurrent product, `(batch, gates * units)`, and for a value of each unit."""
    _, batch, gates, units = trace.gates.shape
    return np.empty((batch, gates * units), trace.gates.dtype), np.empty((batch, units), trace.gates.dtype)


def _peephole(layer: LayerParameters) -> Array:
    if layer.peephole is None:
        raise ValueError("A peephole cell's layer must have a peephole array.")
    return layer.peephole

"""Steps all rows of a state by several threads, each of which computes some units of every layer.

A matrix product of a few dozen rows repacks the weights, which takes a third of its time. Threads that share out the
rows all repack all of them; these share out the weights. In return they have to meet after each layer.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from textgen.engine.cells import Workspace
from textgen.engine.layer import Head, Layer
from textgen.engine.matrix import Matrix
from textgen.engine.threads import side_by_side

Array = NDArray[np.float32]
Ids = NDArray[np.integer]


class LayerPart:
    """The weights of some units of a layer.

    Args:
        layer: the whole layer.
        start: the first of the units.
        stop: the one after the last.
    """

    def __init__(self, layer: Layer, start: int, stop: int) -> None:
        self.layer, self.units = layer, slice(start, stop)
        self.gates = len(layer.cell.order)
        self.inputs, self.recurrent = self._of(layer.inputs), self._of(layer.recurrent)
        self.both = None if layer.both is None else self._of(layer.both)
        self.bias = self.own(layer.bias)
        self.recurrent_bias = self.own(layer.recurrent_bias)
        self.peephole = layer.peephole[:, self.units]
        self.table = None if layer.table is None else self.own(layer.table)

    def _of(self, matrix: Matrix) -> Array:
        """The columns of a matrix, `(gates, inputs, own units)`; shares its memory."""
        columns = matrix.values.T[: self.gates * self.layer.units].reshape(self.gates, -1, matrix.inputs)
        return columns[:, self.units].transpose(0, 2, 1)

    def own(self, values: Array) -> Array:
        """A copy of the own columns of an array, `(..., gates * units)`, as `(..., gates * own units)`."""
        by_gate = values.reshape(*values.shape[:-1], -1, self.layer.units)[..., self.units]
        return by_gate.reshape(*values.shape[:-1], -1)


def parts_of(layers: Sequence[Layer], number: int) -> list[list[LayerPart]]:
    """The parts of each layer for so many threads."""
    cuts = [[layer.units * n // number for n in range(number + 1)] for layer in layers]
    return [[LayerPart(layer, *own) for own in pairwise(bounds)] for layer, bounds in zip(layers, cuts, strict=True)]


class UnitsLane:
    """Steps the rows that `hidden` and `cell_state` are views of; see `Lane`.

    Args:
        layers: the parts of each, from the bottom up.
        head: the output layer.
        embedding: `(vocab, embedding)`, or None where the first layer has a table.
        hidden: `(rows, width)`.
        cell_state: `(rows, width)`.
        condition: `(rows, gates * units)`, what is added to the first layer's bias in each row; None for nothing.
    """

    def __init__(
        self,
        layers: Sequence[Sequence[LayerPart]],
        head: Head,
        embedding: Array | None,
        hidden: Array,
        cell_state: Array,
        *,
        condition: Array | None = None,
    ) -> None:
        self._embedding = embedding
        below = stop = 0 if embedding is None else embedding.shape[1]
        self._embedded = hidden[:, :below]
        self._layers: list[tuple[Array, Array, list[Callable[[Ids], None]]]] = []
        outputs = []
        for n, parts in enumerate(layers):
            start, stop = stop, stop + parts[0].layer.units
            # Some threads write the new outputs while others still read the old ones.
            before = np.empty((len(hidden), stop - start + below), np.float32)
            own = cell_state[:, n * (stop - start) : (n + 1) * (stop - start)]
            added = None if n else condition
            steps = [_step(part, before, below, hidden[:, start:stop], own, added) for part in parts]
            self._layers.append((before, hidden[:, start - below : stop], steps))
            outputs.append(hidden[:, start:stop])
            below = stop - start
        self._summed = outputs if head.skip else []
        self._sum = np.empty_like(outputs[-1]) if head.skip else outputs[-1]
        self._scores = np.empty((len(hidden), head.kernel.columns), np.float32)
        self._read_out = head.kernel.bind(self._sum, self._scores)
        self._known, self._head_bias = self._scores[:, : len(head.bias)], head.bias

    def step(self, ids: Sequence[int] | Ids) -> Array:
        """Advances each row by one id; returns the logits, `(rows, vocab)`."""
        chosen = np.asarray(ids)
        if self._embedding is not None:
            self._embedded[...] = self._embedding[chosen]
        for before, now, steps in self._layers:
            np.copyto(before, now)
            side_by_side([partial(step, chosen) for step in steps])
        if self._summed:
            np.add(self._summed[0], self._summed[1], self._sum)
            for output in self._summed[2:]:
                np.add(self._sum, output, self._sum)
        self._read_out()
        logits: Array = np.add(self._known, self._head_bias)
        return logits


def _step(
    part: LayerPart, before: Array, below: int, output: Array, cell_state: Array, condition: Array | None
) -> Callable[[Ids], None]:
    """A layer's step for some units.

    Args:
        part: their weights.
        before: `(rows, below + units)`, the layer's input and its output before the step.
        below: the size of the input.
        output: `(rows, units)`, the layer's.
        cell_state: `(rows, units)`, or of width 0.
        condition: `(rows, gates * units)`, what is added to the bias; None for nothing.
    """
    rows, own = len(before), part.units.stop - part.units.start

    def buffer() -> tuple[Array, Array]:
        whole = np.empty((rows, part.gates * own), np.float32)
        return whole, whole.reshape(rows, part.gates, own).swapaxes(0, 1)

    product, by_gate = buffer()
    states = cell_state[:, part.units] if cell_state.shape[1] else cell_state
    workspace = Workspace(product, output[:, part.units], states, part.recurrent_bias, part.peephole)
    cell = part.layer.cell(part.layer.facts, workspace)
    x, h, table = before[None, :, :below], before[None, :, below:], part.table
    more = None if condition is None else part.own(condition)
    bias = part.bias if more is None else part.bias + more
    if table is not None:
        addend, _ = buffer()

        def look_up(ids: Ids) -> None:
            np.matmul(h, part.recurrent, by_gate)
            table.take(ids, 0, addend, "clip")
            if more is not None:
                np.add(addend, more, addend)
            cell.advance(addend)

        return look_up
    if part.both is not None:

        def together(_: Ids) -> None:
            np.matmul(before[None], part.both, by_gate)  # type: ignore[arg-type]
            cell.advance(bias)

        return together
    addend, addend_by_gate = buffer()

    def apart(_: Ids) -> None:
        np.matmul(x, part.inputs, addend_by_gate)
        np.add(addend, bias, addend)
        np.matmul(h, part.recurrent, by_gate)
        cell.advance(addend)

    return apart

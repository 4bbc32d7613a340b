"""Steps some rows of a state in preallocated buffers; a state has one lane for each thread that works on it.

A step takes one id per row, `(rows,)`, updates those rows in place and returns their logits, `(rows, vocab)`.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from textgen.engine.cells import Cell, Workspace
from textgen.engine.layer import Head, Layer
from textgen.engine.trace import Trace

Array = NDArray[np.float32]
Ids = NDArray[np.integer]
Mask = NDArray[np.bool_]
Product = Callable[[], object]

_FOLDED = 2**18
"""Numbers in a table up to which one text's labels are added to all of it, so that its steps need not add them."""


class Lane:
    """Steps the rows that `hidden` and `cell_state` are views of.

    Args:
        layers: from the bottom up.
        head: the output layer.
        embedding: `(vocab, embedding)`, or None where the first layer has a table.
        hidden: `(rows, width)`, the embedded id if there is an `embedding`, then each layer's hidden state.
        cell_state: `(rows, width)`, each layer's cell state.
        quiet: do not use the threads of BLAS.
        condition: `(rows, gates * units)`, what is added to the first layer's bias in each row; None for nothing.
    """

    def __init__(
        self,
        layers: Sequence[Layer],
        head: Head,
        embedding: Array | None,
        hidden: Array,
        cell_state: Array,
        *,
        quiet: bool,
        condition: Array | None = None,
    ) -> None:
        self._one = len(hidden) == 1
        if self._one:
            hidden, cell_state = hidden[0], cell_state[0]
            condition = None if condition is None else condition[0]
        self._rows = hidden.shape[:-1]
        self._embedding = embedding
        self._embedded = hidden[..., : 0 if embedding is None else embedding.shape[1]]
        self._recurrences: list[tuple[Product, Cell, Array]] = []
        self._cell_states: list[Array] = []
        self._steps: list[Callable[[int | Ids], None]] = []
        below, stop = self._embedded, self._embedded.shape[-1]
        for n, layer in enumerate(layers):
            start, stop = stop, stop + layer.units
            output = hidden[..., start:stop]
            product = np.empty((*self._rows, layer.recurrent.columns), np.float32)
            own = cell_state[..., n * layer.units : (n + 1) * layer.units]
            cell = layer.cell(layer.facts, Workspace(product, output, own, layer.recurrent_bias, layer.peephole))
            recurrence = layer.recurrent.bind(output, product, quietly=quiet)
            self._recurrences.append((recurrence, cell, output))
            self._cell_states.append(own)
            bias = layer.bias if condition is None or n else layer.bias + condition
            if layer.table is not None:
                self._steps.append(self._look_up(layer.table, None if n else condition, recurrence, cell))
            elif layer.both is not None:
                beside = hidden[..., stop - layer.both.inputs : stop]
                self._steps.append(_together(layer.both.bind(beside, product, quietly=quiet), bias, cell))
            else:
                wide = np.empty((*self._rows, layer.inputs.columns), np.float32)
                addend = wide[..., : len(layer.bias)]
                inputs = layer.inputs.bind(below, wide, quietly=quiet)
                self._steps.append(_apart(inputs, addend, bias, recurrence, cell))
            below = output
        outputs = [output for _, _, output in self._recurrences]
        self._summed = outputs if head.skip else []
        self._sum = np.empty_like(below) if head.skip else below
        self._scores = np.empty((*self._rows, head.kernel.columns), np.float32)
        self._read_out = head.kernel.bind(self._sum, self._scores, quietly=quiet)
        self._known = self._scores[..., : len(head.bias)]
        self._head_bias = head.bias

    def step(self, ids: Sequence[int] | Ids) -> Array:
        """Advances each row by one id; returns the logits, `(rows, vocab)`."""
        chosen: int | Ids = int(ids[0]) if self._one else np.asarray(ids)
        if self._embedding is not None:
            self._embedded[...] = self._embedding[chosen]
        for step in self._steps:
            step(chosen)
        if self._summed:
            np.add(self._summed[0], self._summed[1], self._sum)
            for output in self._summed[2:]:
                np.add(self._sum, output, self._sum)
        self._read_out()
        logits: Array = np.add(self._known, self._head_bias)
        return logits[None] if self._one else logits

    def recur(self, layer: int, addends: Array, outputs: Array, ends: Mask | None = None) -> None:
        """Runs one layer over time.

        Args:
            layer: its index, from the bottom.
            addends: `(time, rows, gates * units)`, the layer's input products plus the bias.
            outputs: `(time, rows, units)`, written.
            ends: `(time, rows)`, the steps before which a row's state becomes zero; None for none.
        """
        product, cell, output = self._recurrences[layer]
        if self._one:
            addends, outputs = addends[:, 0], outputs[:, 0]
        advance = cell.advance
        clearing = [] if ends is None else np.flatnonzero(ends.any(axis=1)).tolist()
        for start, stop in pairwise([0, *(time for time in clearing if time), len(addends)]):
            if ends is not None and ends[start].any():
                self._clear(layer, ends[start])
            for addend, written in zip(addends[start:stop], outputs[start:stop], strict=True):
                product()
                advance(addend)
                written[...] = output

    def _clear(self, layer: int, rows: Mask) -> None:
        """Sets a layer's state to zero in the rows that `rows` tells."""
        for values in (self._recurrences[layer][2], self._cell_states[layer]):
            values[... if self._one else rows] = 0.0

    def trace(self, layer: int, addends: Array, outputs: Array, ends: Mask | None = None) -> Trace:
        """As `recur`, but also returns the cell state and the gates' activations after each step."""
        cell, cell_state = self._recurrences[layer][1], self._cell_states[layer]
        cell_states: list[Array] = []
        gates: list[dict[str, Array]] = []
        for time in range(len(addends)):
            here = slice(time, time + 1)
            self.recur(layer, addends[here], outputs[here], None if ends is None else ends[here])
            cell_states.append(cell_state.copy())
            gates.append({name: values.copy() for name, values in cell.opened().items()})
        rows = outputs.shape[:2]
        return Trace(
            outputs.swapaxes(0, 1),
            _over_time(cell_states, *rows),
            {name: _over_time([each[name] for each in gates], *rows) for name in cell.opened()},
        )

    def _look_up(
        self, table: Array, condition: Array | None, recurrence: Product, cell: Cell
    ) -> Callable[[int | Ids], None]:
        addend = np.empty((*self._rows, table.shape[1]), np.float32)
        if condition is not None and self._one and table.size <= _FOLDED:
            table, condition = table + condition, None
        more = condition if condition is not None else addend

        def one(chosen: int | Ids) -> None:
            recurrence()
            cell.advance(table[chosen])

        def one_labelled(chosen: int | Ids) -> None:
            recurrence()
            np.add(table[chosen], more, addend)
            cell.advance(addend)

        def several(chosen: int | Ids) -> None:
            recurrence()
            table.take(chosen, 0, addend, "clip")
            cell.advance(addend)

        def several_labelled(chosen: int | Ids) -> None:
            recurrence()
            table.take(chosen, 0, addend, "clip")
            np.add(addend, more, addend)
            cell.advance(addend)

        if condition is None:
            return one if self._one else several
        return one_labelled if self._one else several_labelled


def _over_time(values: list[Array], times: int, rows: int) -> Array:
    """The values of each step, stacked to `(rows, time, width)`."""
    return np.stack(values).reshape(times, rows, values[0].shape[-1]).swapaxes(0, 1)


def _together(both: Product, bias: Array, cell: Cell) -> Callable[[int | Ids], None]:
    def step(_: int | Ids) -> None:
        both()
        cell.advance(bias)

    return step


def _apart(inputs: Product, addend: Array, bias: Array, recurrence: Product, cell: Cell) -> Callable[[int | Ids], None]:
    def step(_: int | Ids) -> None:
        inputs()
        np.add(addend, bias, addend)
        recurrence()
        cell.advance(addend)

    return step

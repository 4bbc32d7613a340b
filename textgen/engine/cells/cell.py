"""One time step of a recurrent cell and its gradient: what all cells have in common, and the arrays they work on."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from textgen.config.cells import CellFacts

Array = NDArray[Any]

HALF = np.array(0.5, np.float32)
"""As an array, which NumPy need not make of a number in each step."""


@dataclass(frozen=True, eq=False)
class Workspace:
    """What a layer's step reads and writes, for one row `(n,)` or several `(rows, n)`.

    Args:
        product: `(..., gates * units)` or wider, holds the recurrent product before a step; after it the gates, where
            `kept` is an array of its own, else scratch but for the sigmoids.
        output: `(..., units)`, the layer's output before the step.
        cell_state: `(..., units)`, the cell state before the step; `(..., 0)` if the cell has none.
        recurrent_bias: `(n,)`, what is added to the recurrent products of the `CellFacts.apart` gates.
        peephole: `(peepholes, units)`, the weights with which gates see the cell state, times the factors of the gates;
            `(0, units)` if none does.
        next_output: written, the output after the step; None writes over `output`.
        next_cell_state: written, the cell state after the step; None writes over `cell_state`.
        kept: `(..., units)`, written, what the gradient needs besides (see the cell); None uses the room of the
            candidate in `product`.
    """

    product: Array
    output: Array
    cell_state: Array
    recurrent_bias: Array
    peephole: Array
    next_output: Array | None = None
    next_cell_state: Array | None = None
    kept: Array | None = None


@dataclass(frozen=True, eq=False)
class History:
    """What a layer's steps over a segment of text left.

    Args:
        gates: `(time, batch, gates * units)`, the gates' values.
        output: `(time + 1, batch, units)`, the output before the first step and after each.
        cell_state: `(time + 1, batch, units)`, the same of the cell state; of a width of 0 where the cell has none.
        kept: `(time, batch, units)`, see `Workspace`.
    """

    gates: Array
    output: Array
    cell_state: Array
    kept: Array


class Cell(ABC):
    """One layer's step; what else is known of the cell are its `CellFacts`.

    Args:
        facts: the cell's row.
        workspace: what the steps read and write.

    Attributes:
        order: the gates whose columns the products have, in the order in which the step wants them; a tied gate, which
            follows from another, is left out, and one is the "candidate".
        blocks: each gate's columns of the workspace.
    """

    order: ClassVar[tuple[str, ...]]

    def __init__(self, facts: CellFacts, workspace: Workspace) -> None:
        self.facts = facts
        units = workspace.output.shape[-1]
        self.units = units
        self.blocks = {gate: workspace.product[..., n * units : (n + 1) * units] for n, gate in enumerate(self.order)}
        self._z = workspace.product[..., : len(self.order) * units]
        self._h, self._c = workspace.output, workspace.cell_state
        self._next_h = self._h if workspace.next_output is None else workspace.next_output
        self._next_c = self._c if workspace.next_cell_state is None else workspace.next_cell_state
        self._kept = self.blocks["candidate"] if workspace.kept is None else workspace.kept

    @abstractmethod
    def advance(self, addend: Array) -> None:
        """One step; `addend` is `(..., gates * units)`, the input's product plus the bias."""

    def opened(self) -> Mapping[str, Array]:
        """How far each sigmoid gate was open in the last step, in [0, 1], `(..., units)`: maybe views."""
        return {
            gate: np.float32(1.0) - self.blocks[self.facts.tied[gate]] if gate in self.facts.tied else self.blocks[gate]
            for gate in self.facts.gates
            if gate in self.facts.sigmoid
        }

    @classmethod
    @abstractmethod
    def backward(
        cls, history: History, recurrent_kernel: Array, peephole: Array, d_outputs: Array
    ) -> tuple[Array, Array]:
        """The way back through a segment, from its last step to its first.

        What does not depend on the gradient that comes from the step after is worked out for all steps at once, so that
        a step back is a matrix-vector product and a few passes over the units.

        Args:
            history: what the steps left.
            recurrent_kernel: `(units, gates * units)`, without the gates' factors, as all gradients are.
            peephole: `(peepholes, units)`, without the gates' factors.
            d_outputs: `(time, batch, units)`, the loss's gradient with respect to each step's output, from what
                reads it.

        Returns:
            The gradients with respect to the input's products and to the recurrent ones, both
            `(time, batch, gates, units)`.
        """

    @classmethod
    def peephole_gradient(cls, d_products: Array, cell_state: Array) -> Array:
        """The gradient with respect to one text's `peephole`, `(peepholes, units)`.

        Args:
            d_products: `(time, gates, units)`, the gradient with respect to the products.
            cell_state: `(time + 1, units)`, before the first step and after each.
        """
        raise NotImplementedError(f"{cls.__name__} has no peepholes.")

    @classmethod
    def by_gate(cls, history: History) -> list[Array]:
        """The gates' values, each `(time, batch, units)`, in the cell's order."""
        return np.split(history.gates, len(cls.order), axis=-1)

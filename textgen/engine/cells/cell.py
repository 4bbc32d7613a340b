"""The base class of the recurrent cells, and the arrays that their steps and gradients work on."""

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
"""An array, so that NumPy need not convert a number in each step."""


@dataclass(frozen=True, eq=False)
class Workspace:
    """The buffers of a layer's step, for one row `(n,)` or several `(rows, n)`.

    Args:
        product: `(..., gates * units)` or wider, holds the recurrent product before a step and the gates after it;
            without a `kept` of its own, only the sigmoid gates are valid then.
        output: `(..., units)`, the layer's output before the step.
        cell_state: `(..., units)`, the cell state before the step; `(..., 0)` if the cell has none.
        recurrent_bias: `(n,)`, added to the recurrent products of the `CellFacts.apart` gates.
        peephole: `(peepholes, units)`, the peephole weights times the factors of their gates; `(0, units)` without
            peepholes.
        next_output: where to write the output after the step; None overwrites `output`.
        next_cell_state: where to write the cell state after the step; None overwrites `cell_state`.
        kept: `(..., units)`, where to write the intermediate value that the gradient needs (see the cell); None
            overwrites the candidate in `product`.
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
    """A layer's activations over a segment of text, as `Cell.backward` needs them.

    Args:
        gates: `(time, batch, gates * units)`, the gates' values.
        output: `(time + 1, batch, units)`, the output before the first step and after each.
        cell_state: `(time + 1, batch, units)`, likewise the cell state; of width 0 where the cell has none.
        kept: `(time, batch, units)`, see `Workspace`.
    """

    gates: Array
    output: Array
    cell_state: Array
    kept: Array


class Cell(ABC):
    """One layer's step; the cell's `CellFacts` say the rest about it.

    Args:
        facts: the cell's facts.
        workspace: the buffers of the steps.

    Attributes:
        order: the gates in the order of the columns of a step's products; tied gates are left out, and one gate is
            the "candidate".
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
        """The activation of each sigmoid gate in the last step, in [0, 1], `(..., units)`; may be views."""
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
        """Backpropagates through a segment, from its last step to its first.

        What does not depend on the gradient of the following step is computed for all steps at once, so that a step
        back is one matrix-vector product and a few passes over the units.

        Args:
            history: the activations of the steps.
            recurrent_kernel: `(units, gates * units)`, without the gates' factors, as all gradients are.
            peephole: `(peepholes, units)`, without the gates' factors.
            d_outputs: `(time, batch, units)`, the loss's gradient with respect to each step's output, through the
                layers above.

        Returns:
            The gradients with respect to the input products and to the recurrent products, both
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

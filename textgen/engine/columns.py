"""Reorders the gate columns of a layer's weights between Keras's order and the order of the cell's step."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from textgen.config import ModelConfig
from textgen.config.cells import CellFacts
from textgen.engine.cells import CELLS

Array = NDArray[Any]


@dataclass(frozen=True)
class Columns:
    """A layer's columns, a block of `units` for each gate.

    Args:
        facts: the cell's facts.
        order: the gates in the order of the cell's step, without the tied ones.
        units: the width of a block.

    >>> columns = Columns.of(ModelConfig(vocab_size=3, cell="coupled", units=1))
    >>> columns.order
    ('input', 'output', 'candidate')
    >>> ours = columns.from_keras(np.array([1.0, -1.0, 3.0, 4.0]))
    >>> ours
    array([1., 4., 3.])
    >>> columns.to_keras(ours)
    array([ 1., -1.,  3.,  4.])
    >>> columns.factors
    array([0.5, 0.5, 1. ], dtype=float32)
    """

    facts: CellFacts
    order: tuple[str, ...]
    units: int

    @classmethod
    def of(cls, config: ModelConfig) -> Columns:
        """The columns of a model's layers."""
        return cls(config.facts, CELLS[config.cell].order, config.units)

    @property
    def count(self) -> int:
        """The number of columns in the cell's order."""
        return len(self.order) * self.units

    @property
    def factors(self) -> Array:
        """`(count,)` float32: 0.5 for a sigmoid gate, which the step computes with a tanh, else 1."""
        return np.repeat(self._factors(self.order), self.units)

    def from_keras(self, array: Array) -> Array:
        """A copy of an array in Keras's order, `(..., gates * units)`, as `(..., count)`."""
        blocks = self._blocks(self.facts.gates, array)
        return np.concatenate([blocks[gate] for gate in self.order], axis=-1)

    def to_keras(self, array: Array) -> Array:
        """The inverse of `from_keras`, as a copy: a tied gate's block is minus the other's."""
        blocks, tied = self._blocks(self.order, array), self.facts.tied
        return np.concatenate([-blocks[tied[g]] if g in tied else blocks[g] for g in self.facts.gates], axis=-1)

    def biases(self, bias: Array) -> tuple[Array, Array]:
        """The bias of the input's product, and that of the recurrent product of the `CellFacts.apart` gates.

        Args:
            bias: `(count,)`, or `(2, count)` for a cell with `apart` gates, in the cell's order, without factors.

        Returns:
            `(count,)` and `(n,)` for the n columns of the `apart` gates, both with factors.
        """
        if bias.ndim == 1:
            return bias * self.factors, bias[:0]
        apart = np.repeat([gate in self.facts.apart for gate in self.order], self.units)
        return np.where(apart, bias[0], bias[0] + bias[1]) * self.factors, (bias[1] * self.factors)[apart]

    def peepholes(self, peephole: Array | None) -> Array:
        """The peephole weights `(peepholes, units)` with factors; `(0, units)` for None."""
        if peephole is None:
            return np.empty((0, self.units), np.float32)
        return peephole * self._factors(self.facts.peepholes)[:, None]

    def _factors(self, gates: tuple[str, ...]) -> Array:
        return np.array([0.5 if gate in self.facts.sigmoid else 1.0 for gate in gates], np.float32)

    def _blocks(self, gates: tuple[str, ...], array: Array) -> dict[str, Array]:
        return dict(zip(gates, np.split(array, len(gates), axis=-1), strict=True))

"""The recurrent state of a network, for one or several texts."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from textgen.engine.blas import Pace
    from textgen.engine.lane import Lane
    from textgen.engine.units_lane import UnitsLane

Array = NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class Plan:
    """How a state's rows are divided among threads.

    Args:
        lanes: one for each thread.
        bounds: the first row of each and the row after its last.
        pace: decides about the threads of BLAS; None where they are not used.
        units: where threads divide the units of the layers instead of the rows; None where they do not.
    """

    lanes: list[Lane]
    bounds: list[tuple[int, int]]
    pace: Pace | None
    units: UnitsLane | None = None

    @property
    def parts(self) -> Iterator[tuple[Lane, tuple[int, int]]]:
        """Each lane and its rows."""
        return zip(self.lanes, self.bounds, strict=True)


class State:
    """The state of `batch` texts; made by `Engine.initial_state`.

    A step updates it in place; take a `copy` to keep the state before it.

    Attributes:
        hidden: `(batch, width)` float32, the hidden states of all layers, concatenated.
        cell_state: `(batch, width)` float32, the cell states of all layers, concatenated; of width 0 for cells
            without one.
        quiet: whether its steps do without the threads of BLAS.
        condition: `(batch, columns)` float32, what each text's labels add to the first layer's bias; None without any.
        plans: private to the engine: how it divides this state's rows, by the work that is worth a thread.
    """

    def __init__(self, hidden: Array, cell_state: Array, *, quiet: bool, condition: Array | None = None) -> None:
        self.hidden = hidden
        self.cell_state = cell_state
        self.quiet = quiet
        self.condition = condition
        self.plans: dict[int, Plan] = {}

    def __reduce__(self) -> tuple[Callable[..., State], tuple[Any, ...]]:
        # Lanes are bound to this state's arrays and to the engine; a copy gets its own.
        return partial(State, quiet=self.quiet, condition=self.condition), (self.hidden, self.cell_state)

    @property
    def batch(self) -> int:
        """The number of texts."""
        return len(self.hidden)

    def copy(self) -> State:
        """An independent copy."""
        return State(self.hidden.copy(), self.cell_state.copy(), quiet=self.quiet, condition=self.condition)

    def take(self, rows: Sequence[int] | NDArray[np.integer]) -> State:
        """A copy of the state of the texts `rows`, in that order; a row may occur several times."""
        index = np.asarray(rows, np.intp)
        condition = None if self.condition is None else self.condition[index]
        return State(self.hidden[index], self.cell_state[index], quiet=self.quiet, condition=condition)

    def join(self, others: Sequence[State]) -> State:
        """A copy of this state with the texts of `others`, in their order, after its own; some may have no labels."""
        states = [self, *others]
        condition = None
        found = next((each.condition for each in states if each.condition is not None), None)
        if found is not None:
            nothing = np.zeros((1, found.shape[1]), np.float32)
            conditions = [nothing.repeat(s.batch, axis=0) if s.condition is None else s.condition for s in states]
            condition = np.concatenate(conditions)
        hidden = np.concatenate([each.hidden for each in states])
        return State(
            hidden, np.concatenate([each.cell_state for each in states]), quiet=self.quiet, condition=condition
        )

    def put(self, row: int, other: State) -> None:
        """Replaces the state of the text `row` by `other`, the state of one text with the same labels."""
        self.hidden[row], self.cell_state[row] = other.hidden[0], other.cell_state[0]

    def clear(self, rows: NDArray[np.integer]) -> None:
        """Sets the state of the texts `rows` to zero: that of before any character."""
        if len(rows):
            self.hidden[rows], self.cell_state[rows] = 0.0, 0.0

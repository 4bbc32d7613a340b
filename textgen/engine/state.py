"""What a network remembers between two characters, for one or several texts.

The module knows no weights; the engine writes a state's arrays in place.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from textgen.engine.lane import Lane

Array = NDArray[np.float32]


class State:
    """The state of `batch` texts; made by `Engine.initial_state`.

    A step updates it in place. What should outlast the step is a `copy`.

    Attributes:
        hidden: `(batch, width)` float32, the outputs of all layers side by side.
        cell_state: `(batch, width)` float32, the cell states of all layers side by side; of width 0 where cells have
            none.
        quiet: whether its steps leave the threads of the matrix library asleep.
        lanes: the engine's own: what its steps are bound to.
    """

    def __init__(self, hidden: Array, cell_state: Array, *, quiet: bool) -> None:
        self.hidden = hidden
        self.cell_state = cell_state
        self.quiet = quiet
        self.lanes: dict[int, list[Lane]] = {}

    def __reduce__(self) -> tuple[Callable[..., State], tuple[Any, ...]]:
        # Lanes are bound to this state's arrays and to the engine; a copy gets its own.
        return partial(State, quiet=self.quiet), (self.hidden, self.cell_state)

    @property
    def batch(self) -> int:
        """How many texts it belongs to."""
        return len(self.hidden)

    def copy(self) -> State:
        """An independent state of the same value."""
        return State(self.hidden.copy(), self.cell_state.copy(), quiet=self.quiet)

    def take(self, rows: Sequence[int] | NDArray[np.integer]) -> State:
        """An independent state of the texts `rows`, in that order; a row may come several times."""
        index = np.asarray(rows, np.intp)
        return State(self.hidden[index], self.cell_state[index], quiet=self.quiet)

    def put(self, row: int, other: State) -> None:
        """Writes the one text that `other` belongs to over the text `row`."""
        self.hidden[row], self.cell_state[row] = other.hidden[0], other.cell_state[0]

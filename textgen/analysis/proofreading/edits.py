"""Changes of a single place of a text, many at once: what they take away and what they put there."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

Ids = NDArray[Any]
Array = NDArray[np.float64]

KINDS = ("substitution", "insertion", "deletion", "transposition")
"""What went wrong: a character that is another one, one too many, one that is missing, two in the wrong order."""


@dataclass(frozen=True, eq=False)
class Edits:
    """Edits, each of which undoes an error of one of `KINDS`.

    Args:
        places: `(edits,)`, the position where each begins.
        kinds: `(edits,)`, the index in `KINDS` of the error that it undoes.
        taken: `(edits,)`, how many ids are taken away there: 1, 1, 0 and 2 by kind.
        put: `(edits, 2)`, the ids put there instead.
        count: `(edits,)`, how many of them there are: 1, 0, 1 and 2 by kind.
    """

    places: NDArray[np.intp]
    kinds: NDArray[np.intp]
    taken: NDArray[np.intp]
    put: NDArray[np.intp]
    count: NDArray[np.intp]

    @classmethod
    def of_kind(cls, kind: int, places: NDArray[np.intp], put: NDArray[np.intp]) -> Edits:
        """Edits of one kind; `put` is `(edits, n)` with as many ids as that kind puts there."""
        size = len(places)
        filled = np.zeros((size, 2), np.intp)
        filled[:, : put.shape[1]] = put
        taken, count = ((1, 1), (1, 0), (0, 1), (2, 2))[kind]
        return cls(places, np.full(size, kind), np.full(size, taken), filled, np.full(size, count))

    @classmethod
    def join(cls, parts: Sequence[Edits]) -> Edits:
        """Several as one."""
        fields = ("places", "kinds", "taken", "put", "count")
        return cls(*(np.concatenate([getattr(each, name) for each in parts]) for name in fields))

    def __len__(self) -> int:
        return len(self.places)

    def take(self, rows: NDArray[Any]) -> Edits:
        """Those in `rows`, indices or a mask."""
        return Edits(self.places[rows], self.kinds[rows], self.taken[rows], self.put[rows], self.count[rows])

    def distinct(self) -> Edits:
        """Each once, by place."""
        keys = np.column_stack([self.places, self.kinds, self.put])
        return self.take(np.unique(keys, axis=0, return_index=True)[1])

    def settled(self, ids: Ids) -> Edits:
        """The same, where an edit of a run of equal ids may stand in several places: before the run, or at its last.

        >>> ids = np.array([5, 7, 7, 6])
        >>> Edits.of_kind(2, np.array([3]), np.array([[7]])).settled(ids).places.tolist()
        [1]
        >>> Edits.of_kind(1, np.array([1]), np.empty((1, 0), np.intp)).settled(ids).places.tolist()
        [2]
        """
        changes = np.flatnonzero(np.diff(ids.astype(np.intp)))
        starts, stops = np.append(0, changes + 1), np.append(changes, len(ids) - 1)
        run = np.repeat(np.arange(len(starts)), stops - starts + 1)
        places = self.places.copy()
        added = (self.kinds == 2) & (places > 0)
        added[added] = ids[places[added] - 1] == self.put[added, 0]
        places[added] = starts[run[places[added] - 1]]
        dropped = self.kinds == 1
        places[dropped] = stops[run[places[dropped]]]
        return Edits(places, self.kinds, self.taken, self.put, self.count)

    def reversed(self, length: int) -> Edits:
        """The same edits of the same text of `length` ids read from right to left."""
        put = self.put.copy()
        both = self.count == 2
        put[both] = put[both, ::-1]
        return Edits(length - self.places - self.taken, self.kinds, self.taken, put, self.count)

    def applied(self, ids: Ids, which: int) -> Ids:
        """The ids with one of the edits.

        >>> edits = Edits.of_kind(3, np.array([1]), np.array([[7, 8]]))
        >>> edits.applied(np.array([5, 8, 7, 6]), 0).tolist()
        [5, 7, 8, 6]
        >>> edits.reversed(4).applied(np.array([6, 7, 8, 5]), 0).tolist()
        [6, 8, 7, 5]
        """
        place, taken, count = int(self.places[which]), int(self.taken[which]), int(self.count[which])
        return np.concatenate([ids[:place], self.put[which, :count].astype(ids.dtype), ids[place + taken :]])

"""A deterministic finite automaton over a vocabulary, which accepts the texts that match several patterns at once.

Its table has a column for each class of characters that the patterns do not tell apart, so that it stays small for
vocabularies of thousands of characters. It is made by the subset construction, for all patterns together; the time and
the memory that this takes are limited, because a short pattern may have a very large automaton.
"""

from __future__ import annotations

import functools

import numpy as np
from numpy.typing import NDArray

from textgen.config import require
from textgen.errors import ConfigError
from textgen.sampling.pattern import Pattern, bits, weight

Table = NDArray[np.int32]

WORK = 1_000_000
"""Maximum number of elementary operations for making an automaton, which take about a second."""

STATES = 10_000
"""Maximum number of states."""

CELLS = 4_000_000
"""Maximum number of entries of a table, at four bytes each."""

UNREACHABLE = np.iinfo(np.int32).max
"""The distance of a state from which no end can be reached."""


class Automaton:
    r"""Accepts the texts of some characters that match every pattern. State 0 is that of the empty text.

    Args:
        sources: the patterns, regular expressions of Python's `re` for whole texts.
        characters: those of the vocabulary.
        left: those of them that may be written.

    Attributes:
        table: `(states, classes)`, the state after a character of a class; -1 for none.
        classes: `(characters,)`, the class of each character.
        distance: `(states,)`, the least number of characters to an accepted text: 0 for accepting states,
            `UNREACHABLE` where there is none.
        unwritable: the characters and sets in the patterns, as they are written there, of which none may be written.

    Raises:
        ConfigError: a pattern is not one, or too complex.

    >>> automaton = Automaton(("a+b?", "(?s:.{2,})"), "abc", "abc")
    >>> automaton.table[:, automaton.classes].tolist(), automaton.distance.tolist()
    ([[1, -1, -1], [3, 2, -1], [-1, -1, -1], [3, 2, -1]], [2, 1, 0, 0])
    """

    def __init__(self, sources: tuple[str, ...], characters: str, left: str) -> None:
        self._work = 0
        patterns = [Pattern(each, self._spend) for each in sources]
        writable = np.isin(np.array(list(characters)), np.array(list(left)))
        self.classes, reads = self._classes(patterns, characters, writable)
        self.table, accepting = self._table(patterns, reads)
        # Each pair of states that a character leads from one to the other, in the order of the second.
        before, columns = np.nonzero(self.table >= 0)
        pairs = np.unique(self.table[before, columns].astype(np.int64) * len(self.table) + before)
        self._after, self._before = np.divmod(pairs, len(self.table))
        self.distance = self.distances(accepting)

    @property
    def steps(self) -> int:
        """How many pairs of states a character leads from one to the other."""
        return len(self._after)

    def one_earlier(self, states: NDArray[np.bool_]) -> NDArray[np.bool_]:
        """Which states some character leads on to one of `states`, `(states,)`."""
        earlier = np.zeros_like(states)
        earlier[self._before[states[self._after]]] = True
        return earlier

    def _spend(self, amount: int) -> None:
        self._work += amount
        if self._work > WORK:
            raise _too_complex()

    def _classes(
        self, patterns: list[Pattern], characters: str, writable: NDArray[np.bool_]
    ) -> tuple[NDArray[np.intp], list[list[int]]]:
        """Each character's class, and for each pattern the positions that read each class."""
        sets = {(each.pattern, each.flags): each for pattern in patterns for each in pattern.characters}
        self._spend(len(sets) * len(characters) // 10)
        members = np.zeros((len(characters), len(sets)), np.bool_)
        for column, each in enumerate(sets.values()):
            members[[found.start() for found in each.finditer(characters)], column] = True
        members &= writable[:, None]
        self.unwritable = [each.pattern for n, each in enumerate(sets.values()) if not members[:, n].any()]
        kinds, classes = np.unique(np.packbits(members, axis=1), axis=0, return_inverse=True)
        classes = classes.reshape(-1)
        belongs = np.unpackbits(kinds, axis=1, count=len(sets)).astype(np.bool_)
        columns = {key: column for column, key in enumerate(sets)}
        reads = []
        for pattern in patterns:
            positions = [0] * len(pattern.characters)
            for place, number in enumerate(pattern.sets):
                positions[number] |= 1 << place
            own = [columns[(each.pattern, each.flags)] for each in pattern.characters]
            read = []
            for kind in belongs:
                self._spend(1 + len(own) // 10)
                read.append(functools.reduce(int.__or__, (positions[n] for n, c in enumerate(own) if kind[c]), 0))
            reads.append(read)
        return classes, reads

    def _table(self, patterns: list[Pattern], reads: list[list[int]]) -> tuple[Table, NDArray[np.bool_]]:
        """The table, and which states accept. A state is, for each pattern, the positions that may come next."""
        ends = [each.end for each in patterns]
        kinds = list(zip(*reads, strict=True)) if patterns else []
        cost = sum(weight(len(each.follow)) for each in patterns)
        start = tuple(each.first for each in patterns)
        states = {start: 0}
        waiting = [start]
        rows: list[list[int]] = []
        for state in waiting:
            row = []
            for kind in kinds:
                self._spend(cost)
                read = tuple(map(int.__and__, state, kind))
                after = -1
                if all(read):
                    key = tuple(map(self._after_reading, patterns, read))
                    after = states.setdefault(key, len(states))
                    if after == len(waiting):
                        waiting.append(key)
                row.append(after)
            rows.append(row)
            if len(waiting) > STATES or len(waiting) * len(kinds) > CELLS:
                raise _too_complex()
        accepting = [all(map(int.__and__, state, ends)) for state in waiting]
        return np.array(rows, np.int32).reshape(len(rows), len(kinds)), np.array(accepting, np.bool_)

    def _after_reading(self, pattern: Pattern, read: int) -> int:
        following = 0
        self._spend(read.bit_count() * weight(len(pattern.follow)))
        for each in bits(read):
            following |= pattern.follow[each]
        return following

    def distances(self, accepting: NDArray[np.bool_]) -> NDArray[np.int32]:
        """As `distance`, `(states,)`, were these the accepting states."""
        distance = np.where(accepting, 0, UNREACHABLE).astype(np.int32)
        starts = np.searchsorted(self._after, np.arange(len(accepting) + 1)).tolist()
        before = self._before.tolist()
        waiting = np.flatnonzero(accepting).tolist()
        for state in waiting:
            for each in before[starts[state] : starts[state + 1]]:
                if distance[each] == UNREACHABLE:
                    distance[each] = distance[state] + 1
                    waiting.append(each)
        return distance


def _too_complex() -> ConfigError:
    return ConfigError(
        "match, starts_with, ends_with and contains must have fewer cases to tell apart while a text is written, which "
        "repetitions after a choice multiply. Simplify them, or give limits as min_length and max_length.",
        field="match",
        others=("starts_with", "ends_with", "contains", "min_length", "max_length"),
    )


@functools.lru_cache(maxsize=4)
def automaton(sources: tuple[str, ...], characters: str, left: str) -> Automaton:
    """An `Automaton`, made once for the same arguments."""
    require(characters != "", "characters", "at least one", characters)
    return Automaton(sources, characters, left)

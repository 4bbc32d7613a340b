"""Which ids may be written next: no unknown character, and what a pattern allows."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple, Protocol

import numpy as np
from numpy.typing import NDArray

from textgen.config import SamplingConfig
from textgen.corpus.tokenizer import CharTokenizer
from textgen.sampling.banned import banned_ids
from textgen.sampling.constraint import Constraint

Bias = NDArray[np.float64]


class Place(NamedTuple):
    """Where a text that is about to be written begins in a pattern.

    Args:
        constraint: what it may be.
        state: the constraint's state before its first character.
    """

    constraint: Constraint
    state: int


class Writable(Protocol):
    """What the texts of a batch may be, by what was written of them: each is in a state.

    Attributes:
        first: for each text its state before its first character; none where there is one state only.
    """

    first: list[int]

    @property
    def has_states(self) -> bool:
        """Whether what may be written depends on what was."""

    def bias(self, states: Sequence[int], length: int) -> Bias:
        """What to add to the log-probabilities, `(texts, vocab)`, or `(1, vocab)` where it is the same for all.

        Args:
            states: those of the texts.
            length: their characters so far.
        """

    def after(self, states: Sequence[int], ids: Sequence[int], length: int) -> list[int]:
        """The states after one more id of each text; that of an id that may not be written means nothing."""


class Patterned:
    """All texts without unknown characters, or those that match a pattern.

    Args:
        plain: `(vocab,)`, what to add to log-probabilities where there is no pattern.
        end_id: the id of a text's end.
        places: for each text where it begins; none without a pattern.

    >>> tokenizer = CharTokenizer("ab", has_end=True)
    >>> constraint = Constraint("ab", (), SamplingConfig(match="ab?"), size=3, end=2)
    >>> writable = Patterned(plain_bias(tokenizer), 2, [Place(constraint, 0)])
    >>> writable.bias(writable.first, 0).tolist(), writable.after(writable.first, [0], 0)
    ([[0.0, -inf, -inf]], [1])
    >>> writable.bias([1], 1).tolist()
    [[-inf, 0.0, 0.0]]
    """

    def __init__(self, plain: Bias, end_id: int, places: Sequence[Place] = ()) -> None:
        self._plain = plain
        self._constraints = list(dict.fromkeys(each.constraint for each in places))
        # The states of one constraint after those of another.
        self._states = len(self._constraints[0].ends) if places else 1
        starts = {each: n * self._states for n, each in enumerate(self._constraints)}
        self.first = [starts[each.constraint] + each.state for each in places]
        self._end = np.full(len(plain), -np.inf)
        self._end[end_id] = 0.0

    @property
    def has_states(self) -> bool:
        """As `Writable.has_states`."""
        return bool(self._constraints)

    def bias(self, states: Sequence[int], length: int) -> Bias:
        """As `Writable.bias`."""
        if not self._constraints:
            return self._plain[None]
        nexts = [self._constraints[each // self._states].next(each % self._states, length) for each in states]
        return np.stack([self._end if each is None else each.bias for each in nexts])

    def after(self, states: Sequence[int], ids: Sequence[int], length: int) -> list[int]:
        """As `Writable.after`."""
        if not self._constraints:
            return list(states)
        found = []
        for each, drawn in zip(states, ids, strict=True):
            number, state = divmod(each, self._states)
            constraint = self._constraints[number]
            among = constraint.next(state, length)
            after = None if among is None else constraint.after(state, drawn, among)
            found.append(each if after is None else number * self._states + after)
        return found


def plain_bias(tokenizer: CharTokenizer, *, unknown: bool = False) -> Bias:
    """What to add to log-probabilities, `(vocab,)`, so that no unknown character is written, unless they may be."""
    plain = np.zeros(tokenizer.vocab_size)
    if not unknown:
        plain[banned_ids(tokenizer, SamplingConfig())] = -np.inf
    return plain

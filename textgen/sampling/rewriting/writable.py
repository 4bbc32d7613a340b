"""Which ids may be written next: no unknown character, and what a pattern allows."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from textgen.config import SamplingConfig
from textgen.corpus.tokenizer import CharTokenizer
from textgen.sampling.banned import banned_ids
from textgen.sampling.constraint import constraint_of

Bias = NDArray[np.float64]


class Writable:
    """What may be written, by what was: a text is in a state, which is 0 before its first character.

    Args:
        tokenizer: the vocabulary of what is written, with an id for a text's end.
        match: the pattern that a text fits as a whole; "" for none.
        longest: the most characters of a text that fits it.
        unknown: whether the id of unknown characters may be written.

    Raises:
        ConfigError: no text fits, or the pattern is not one or too complex.

    >>> writable = Writable(CharTokenizer("ab", has_end=True), match="ab?")
    >>> writable.bias([0], 0).tolist(), writable.after([0], [0], 0)
    ([[0.0, -inf, -inf]], [1])
    >>> writable.bias([1], 1).tolist()
    [[-inf, 0.0, 0.0]]
    """

    def __init__(self, tokenizer: CharTokenizer, *, match: str = "", longest: int = 500, unknown: bool = False) -> None:
        config = SamplingConfig(match=match, max_new_tokens=longest)
        banned = banned_ids(tokenizer, config)
        self._constraint = constraint_of(tokenizer, config, banned)
        self._plain = np.zeros(tokenizer.vocab_size)
        if not unknown:
            self._plain[banned] = -np.inf
        assert tokenizer.end_id is not None
        self._end = np.full(tokenizer.vocab_size, -np.inf)
        self._end[tokenizer.end_id] = 0.0

    @property
    def has_states(self) -> bool:
        """Whether what may be written depends on what was."""
        return self._constraint is not None

    def bias(self, states: Sequence[int], length: int) -> Bias:
        """What to add to the log-probabilities, `(texts, vocab)`, or `(1, vocab)` where it is the same for all.

        Args:
            states: those of the texts.
            length: their characters so far.
        """
        if self._constraint is None:
            return self._plain[None]
        nexts = [self._constraint.next(state, length) for state in states]
        return np.stack([self._end if each is None else each.bias for each in nexts])

    def after(self, states: Sequence[int], ids: Sequence[int], length: int) -> list[int]:
        """The states after one more id of each text; that of an id that may not be written means nothing."""
        if self._constraint is None:
            return list(states)
        found = []
        for state, drawn in zip(states, ids, strict=True):
            among = self._constraint.next(state, length)
            after = None if among is None else self._constraint.after(state, drawn, among)
            found.append(state if after is None else after)
        return found

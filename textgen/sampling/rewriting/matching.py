"""A pattern that a text fits as a whole, although it is written in pieces."""

from __future__ import annotations

from collections.abc import Sequence

from textgen.config import SamplingConfig
from textgen.corpus.tokenizer import CharTokenizer
from textgen.errors import ConfigError
from textgen.sampling.banned import banned_ids
from textgen.sampling.constraint import Constraint, Mask, constraint_of

_KEPT = 64
"""The most constraints of pieces that are kept for other pieces."""

_STEPS = 5_000_000
"""The most steps between an automaton's states for the constraints of a text, which take about two seconds."""


class Matching:
    """What the pieces of texts may be, so that they and the white space between them fit a pattern.

    The pattern's automaton goes on from one piece to the next. A piece may end in the states from which the white space
    after it leads to one in which the next can begin.

    Args:
        tokenizer: the vocabulary of what is written, with an id for a text's end.
        match: the pattern, not empty.
        longest: the most characters of a piece.

    Raises:
        ConfigError: no text fits, or the pattern is not one or too complex.

    >>> matching = Matching(CharTokenizer(" ab", has_end=True), match="a+ b", longest=9)
    >>> one, two = matching.constraints(["", " ", ""])
    >>> one.next(0, 0).bias.tolist(), matching.read(0, "a "), matching.constraints([""] * 2)[0] is one
    ([-inf, 0.0, -inf, -inf], 2, False)
    """

    def __init__(self, tokenizer: CharTokenizer, *, match: str, longest: int) -> None:
        config = SamplingConfig(match=match, max_new_tokens=longest)
        whole = constraint_of(tokenizer, config, banned_ids(tokenizer, config))
        assert whole is not None
        self._whole = whole
        self._ids = {character: n for n, character in enumerate(tokenizer.characters)}
        self._kept: dict[bytes, Constraint] = {}

    def constraints(self, between: Sequence[str]) -> list[Constraint]:
        """What each piece of a text may be.

        Args:
            between: what stands before the first piece, between each and the next, and after the last.

        Returns:
            A constraint for each; none where no text fits.

        Raises:
            ConfigError: there are too many cases to tell apart.
        """
        ends, found, different = self._whole.ends, list[Constraint](), set[Constraint]()
        for white in reversed(between[1:]):
            found.append(self._ending(self._leading_to(ends, white)))
            different.add(found[-1])
            ends = found[-1].begins
            if len(different) * self._whole.steps > _STEPS:
                raise ConfigError(
                    "match must have fewer cases to tell apart in a text of so many sentences. Simplify it, or give "
                    "fewer sentences at once.",
                    field="match",
                )
        if not self._leading_to(ends, between[0])[0]:
            return []
        return found[::-1]

    def read(self, state: int, text: str) -> int:
        """The state after a text."""
        return self._whole.read(state, (self._ids[each] for each in text))

    def read_ids(self, state: int, ids: Sequence[int]) -> int:
        """The state after a text's ids."""
        return self._whole.read(state, ids)

    def _leading_to(self, states: Mask, text: str) -> Mask:
        """The states from which a text leads to one of some."""
        for each in reversed(text):
            character = self._ids.get(each)
            states = states & False if character is None else self._whole.leading_to(states, character)
        return states

    def _ending(self, ends: Mask) -> Constraint:
        """The constraint of pieces that may end in some states."""
        key = ends.tobytes()
        if key not in self._kept:
            if len(self._kept) >= _KEPT:
                self._kept.clear()
            self._kept[key] = self._whole.ending(ends)
        return self._kept[key]

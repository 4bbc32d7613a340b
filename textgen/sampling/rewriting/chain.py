"""A text whose pieces are written one after the other, because all of it has to fit a pattern."""

from __future__ import annotations

import heapq
from collections.abc import Sequence
from itertools import chain, pairwise
from textwrap import shorten

from textgen.errors import ConfigError
from textgen.sampling.rewriting.matching import Matching
from textgen.sampling.rewriting.rewritten import Written
from textgen.sampling.rewriting.writable import Place


class Chain:
    """What was written for the first pieces of a text, and where the next one begins in the pattern.

    Args:
        matching: the pattern.
        pieces: those of the text, as `cut` makes them.
        count: how many alternatives are kept.
        sample: whether each alternative is drawn, rather than the best ones kept.
        length_penalty: see `RewriteConfig`.

    Attributes:
        chosen: the alternatives so far, the best one first where they were not drawn.

    Raises:
        ConfigError: no text fits the pattern.
    """

    def __init__(
        self,
        matching: Matching,
        pieces: Sequence[tuple[str, str, str]],
        *,
        count: int,
        sample: bool,
        length_penalty: float,
    ) -> None:
        self._matching, self._count, self._sample, self._penalty = matching, count, sample, length_penalty
        self._pieces = pieces
        around = [("", "", ""), *pieces, ("", "", "")]
        self._between = [one[2] + other[0] for one, other in pairwise(around)]
        # The next one last: one that was used is let go.
        self._constraints = matching.constraints(self._between)[::-1] if pieces else []
        if len(self._constraints) < len(pieces):
            text = "".join(chain.from_iterable(pieces))
            white = ", ".join(repr(each) for each in dict.fromkeys(self._between) if each)
            raise ConfigError(
                f"match must fit what is written for {shorten(text, 60)!r} with the white space that stays in it "
                f"({white}); nothing does. Allow white space in it, or give each sentence by itself.",
                field="match",
            )
        self.chosen: list[tuple[Written, ...]] = [()] * (count if sample else 1)
        self._states = [matching.read(0, self._between[0])] * len(self.chosen) if pieces else []
        self.place = 0

    @property
    def done(self) -> bool:
        """Whether all pieces are written."""
        return self.place == len(self._pieces)

    @property
    def core(self) -> str:
        """The next piece, without the white space around it."""
        return self._pieces[self.place][1]

    def asked(self) -> list[tuple[Place, ...]]:
        """Where targets of the next piece begin: all that are drawn at once, or each of those that are looked for."""
        constraint = self._constraints[-1]
        if self._sample:
            return [tuple(Place(constraint, state) for state in self._states)]
        return [(Place(constraint, state),) for state in dict.fromkeys(self._states)]

    def take(self, found: Sequence[Sequence[Written]]) -> None:
        """Adds the next piece.

        Args:
            found: what was written from each of the beginnings in `asked`.
        """
        before = list(zip(self.chosen, self._states, strict=True))
        if self._sample:
            kept = [((*some, one), state) for (some, state), one in zip(before, found[0], strict=True)]
        else:
            of_state = dict(zip(dict.fromkeys(self._states), found, strict=True))
            kept = heapq.nlargest(
                self._count,
                (((*some, one), state) for some, state in before for one in of_state[state]),
                key=lambda each: sum(hypothesis.score(self._penalty) for hypothesis, _ in each[0]),
            )
        self.place += 1
        self._constraints.pop()
        self.chosen = [some for some, _ in kept]
        self._states = [
            self._matching.read(self._matching.read_ids(state, some[-1][0].ids), self._between[self.place])
            for some, state in kept
        ]

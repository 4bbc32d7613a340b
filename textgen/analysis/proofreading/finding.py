"""A place where something else should stand, and a text with such places corrected."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, kw_only=True)
class Finding:
    """A place where something else should stand.

    Args:
        start: the position of the first character, counted from 0.
        stands: what stands there; "" where something is missing.
        expected: what should stand there; "" where something is too many.
        kind: one of "substitution", "insertion", "deletion" and "transposition": what went wrong.
        probability: that exactly this went wrong here.
        line: counted from 1.
        column: counted from 1.
    """

    start: int
    stands: str
    expected: str
    kind: str
    probability: float
    line: int
    column: int

    def to_json(self) -> dict[str, Any]:
        """The finding as plain JSON values."""
        return dataclasses.asdict(self)


def fixed(text: str, findings: Sequence[Finding]) -> str:
    """A text with findings corrected, which are in its order.

    >>> found = Finding(start=1, stands="r", expected="h", kind="substitution", probability=0.9, line=1, column=2)
    >>> fixed("tre", [found])
    'the'
    """
    parts, done = [], 0
    for each in findings:
        parts += [text[done : each.start], each.expected]
        done = each.start + len(each.stands)
    return "".join([*parts, text[done:]])

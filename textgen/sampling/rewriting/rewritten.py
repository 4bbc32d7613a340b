"""The result of turning one text into another."""

from __future__ import annotations

import dataclasses
import math
from dataclasses import dataclass
from typing import Any, Literal


@dataclass(frozen=True, kw_only=True)
class Rewritten:
    """A text that was written for another.

    Args:
        source: what was read, as it was given.
        text: what was written.
        logprob: its log-probability given the source, in nats, before any constraint or temperature.
        finish_reason: "end" where the text ended by itself, "length" where it came to the most characters.
        index: its place among the alternatives of its source, from 0.
        seed: of the call, where it was drawn; else None.

    >>> Rewritten(source="one", text="1", logprob=-0.5).probability.__round__(3)
    0.607
    """

    source: str
    text: str
    logprob: float
    finish_reason: Literal["end", "length"] = "end"
    index: int = 0
    seed: int | None = None

    @property
    def probability(self) -> float:
        """The probability of the text given its source, in [0, 1]."""
        return math.exp(self.logprob)

    def to_json(self) -> dict[str, Any]:
        """Everything as plain JSON values; `seed` only where there is one."""
        values = {**dataclasses.asdict(self), "probability": self.probability}
        return {name: value for name, value in values.items() if name != "seed" or value is not None}


@dataclass(frozen=True, eq=False, slots=True)
class Hypothesis:
    """A target as ids.

    Args:
        ids: without its end.
        logprob: its log-probability, that of its end included, in nats.
        whole: whether it ended by itself.
    """

    ids: tuple[int, ...]
    logprob: float
    whole: bool = True

    def score(self, length_penalty: float) -> float:
        """What it is ranked by."""
        return normalized(self.logprob, len(self.ids), length_penalty)


Written = tuple[Hypothesis, str]
"""A target, and its text, in which unknown characters may have been copied."""


def normalized(logprob: float, length: int, length_penalty: float) -> float:
    """A log-probability for a length in characters, without the end, which counts as one."""
    return logprob / (length + 1) ** length_penalty if length_penalty else logprob

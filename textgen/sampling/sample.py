"""A text that was written, and how it came about. Data alone; `sampler` makes it."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from typing import Any

from textgen.config import SamplingConfig
from textgen.sampling.ending import FinishReason


@dataclass(frozen=True)
class CharacterLogprob:
    """How likely a character of a sample was to the network itself, before any control.

    Args:
        character: the one that was drawn.
        logprob: the natural logarithm of its probability.
        top: the likeliest characters with theirs, falling; the unknown character is U+FFFD.
    """

    character: str
    logprob: float
    top: tuple[tuple[str, float], ...]


@dataclass(frozen=True, kw_only=True)
class Sample:
    """A text that was written.

    Args:
        text: what was written, without the prompt and without the stop text.
        prompt: what it goes on from, as it was given.
        seed: of the call; given again, it brings the same text again.
        index: which sample of that seed it is, from 0.
        finish_reason: "stop" before a stop text, "line" or "paragraph" at the end of one, "length" after as many
            characters as it may have, "interrupted" where it has not come to its end.
        config: the controls, the seed filled in.
        logprobs: an entry for each character of `text`; None if not asked for.
    """

    text: str
    prompt: str
    seed: int
    index: int
    finish_reason: FinishReason
    config: SamplingConfig
    logprobs: tuple[CharacterLogprob, ...] | None = None

    def to_json(self) -> dict[str, Any]:
        """The sample as plain JSON values; the controls are its "parameters", without `logprobs` if there are none."""
        values = dataclasses.asdict(self)
        values["parameters"] = values.pop("config")
        if self.logprobs is None:
            del values["logprobs"]
        return values

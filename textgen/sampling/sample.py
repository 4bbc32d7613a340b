"""The result of sampling: a text, and the controls and log-probabilities it was drawn with."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from typing import Any

from textgen.config import SamplingConfig
from textgen.sampling.ending import FinishReason


@dataclass(frozen=True)
class CharacterLogprob:
    """The log-probability of a sample's character under the network, before any control.

    Args:
        character: the drawn character.
        logprob: its log-probability in nats.
        top: the likeliest characters with theirs, descending; the unknown character is U+FFFD, a
            record's end the empty text.
    """

    character: str
    logprob: float
    top: tuple[tuple[str, float], ...]


@dataclass(frozen=True, kw_only=True)
class Sample:
    """A sampled text.

    Args:
        text: the text, without the prompt, and without the stop text unless `include_stop` keeps it.
        prompt: the prompt, as it was given.
        seed: of the call; the same seed gives the same text.
        index: of the sample among those of the seed, from 0.
        finish_reason: "stop" at a stop text, "line", "paragraph" or "record" at its end, "match" where nothing more
            could follow that fits `match` and the other constraints, or would have, "length" after the greatest number
            of characters, trimmed or not, "ending" at the ending it was written towards, "interrupted" where the text
            has not come to its end.
        config: the controls, with the seed.
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

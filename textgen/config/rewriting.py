"""The settings of turning one text into another: how what is written is looked for or drawn."""

from __future__ import annotations

from typing import TypedDict

from textgen.config.base import Config
from textgen.config.corpus import UNKNOWN_DETAILS, UNKNOWN_HELP, Unknown
from textgen.config.fields import require, setting


class RewriteConfig(Config):
    """How a text is turned into another."""

    beam: int = setting(
        default=5,
        ge=1,
        le=256,
        remedy="Use 1 to take the likeliest character each time.",
        help="Width of the beam search: wider finds more probable texts, in proportionally more time.",
    )
    length_penalty: float = setting(
        default=1.0,
        ge=0,
        le=10,
        off=0,
        help="Against short texts: log-probabilities are divided by the length to this power.",
        details="At 0 the most probable text is looked for, which may be too short.",
    )
    longest: int | None = setting(
        default=None,
        ge=1,
        le=10_000,
        unit="characters",
        otherwise="3 for each of the source's, and 20",
        help="The most characters to write for a sentence or a short line.",
    )
    sample: bool = setting(default=False, help="Draw the texts at random instead of looking for the most probable.")
    temperature: float = setting(
        default=1.0,
        gt=0,
        le=1e6,
        remedy="Leave sample out for the most probable text.",
        help="With sample: below 1 safer, above 1 wilder.",
    )
    seed: int | None = setting(
        default=None,
        ge=0,
        le=2**63 - 1,
        otherwise="drawn and reported",
        help="With sample: the same seed writes the same again.",
    )
    match: str = setting(
        default="",
        expected="a regular expression",
        help="Write a text that matches this regular expression as a whole.",
        details="In the syntax of `SamplingConfig.match`. Of a text that is cut into sentences all that is written "
        "matches, with the white space between them, which stays.",
    )
    copy_unknown: bool = setting(
        default=False,
        help="Copy characters that the model does not know from the source to where it looks at them.",
        details="What stands in for them while they are read is replaced by them, where the attention is on them.",
    )
    unknown: Unknown = setting(default="auto", help=UNKNOWN_HELP, details=UNKNOWN_DETAILS)

    def __post_init__(self) -> None:
        super().__post_init__()
        require(
            not self.copy_unknown or self.unknown in ("auto", "replace"),
            "unknown",
            "auto or replace with copy_unknown",
            self.unknown,
            others=("copy_unknown",),
        )
        require(
            not (self.copy_unknown and self.match),
            "copy_unknown",
            "left out with match",
            self.copy_unknown,
            "A character that is copied need not match.",
            others=("match",),
        )


class Rewrite(TypedDict, total=False):
    """The fields of `RewriteConfig` as keywords."""

    beam: int
    length_penalty: float
    longest: int | None
    sample: bool
    temperature: float
    seed: int | None
    match: str
    copy_unknown: bool
    unknown: Unknown

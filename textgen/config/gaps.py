"""The settings of filling gaps: how gaps are marked, how long they may be, and how hard is looked for what fits."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TypedDict

from textgen.config.base import Config
from textgen.config.corpus import UNKNOWN_DETAILS, UNKNOWN_HELP, Unknown
from textgen.config.fields import require, setting
from textgen.config.sampling import SamplingConfig

LONGEST = 1000
"""The most characters that a gap may have."""


class FillConfig(Config):
    """How the gaps of a text are found and filled."""

    label: tuple[str, ...] = setting(
        default=(),
        expected="a label's name, or NAME:WEIGHT",
        help="Fill a record with this label; can be given several times, with weights to mix them.",
    )
    ban: str = setting(default="", expected="a text", help="Never fill in any of these characters.")
    allow: str = setting(
        default="",
        expected="a text",
        help="Fill in only these characters, without those of ban; an empty text allows all.",
        details="All must be in the vocabulary.",
    )
    gap_open: str = setting(
        default="[", expected="a text of at least one character", help="What begins the mark of a gap."
    )
    gap_close: str = setting(
        default="]", expected="a text of at least one character", help="What ends the mark of a gap."
    )
    mask: str = setting(
        default="",
        expected="a single character, or an empty text for none",
        help="A character that stands for one missing character, such as #.",
    )
    longest: int = setting(
        default=20, ge=1, le=LONGEST, unit="characters", help="The longest that a gap of unknown length may be."
    )
    candidates: int = setting(
        default=32,
        ge=1,
        le=4096,
        help="Width of the beam search: more find better fillings, in proportionally more time.",
    )
    reach: int = setting(
        default=30,
        ge=0,
        le=1000,
        unit="characters",
        remedy="Use 0 to look at what comes before a gap alone.",
        help="How far behind a gap the text counts; with a run of both sides also how far before it.",
    )
    sample: bool = setting(default=False, help="Draw the fillings at random instead of taking the most probable.")
    temperature: float = setting(
        default=1.0,
        gt=0,
        le=1e6,
        remedy="Leave sample out for the most probable filling.",
        help="With sample: below 1 safer, above 1 wilder.",
    )
    seed: int | None = setting(
        default=None,
        ge=0,
        le=2**63 - 1,
        otherwise="drawn and reported",
        help="With sample: the same seed fills in the same again.",
    )
    unknown: Unknown = setting(default="auto", help=UNKNOWN_HELP, details=UNKNOWN_DETAILS)

    def __post_init__(self) -> None:
        require(isinstance(self.label, tuple), "label", "a tuple of labels", self.label)
        super().__post_init__()
        for name in ("gap_open", "gap_close"):
            require(getattr(self, name) != "", name, self.declared[name].allowed, "")
        require(len(self.mask) <= 1, "mask", self.declared["mask"].allowed, self.mask)

    @property
    def controls(self) -> SamplingConfig:
        """The controls of sampling among these settings."""
        return SamplingConfig(label=self.label, ban=self.ban, allow=self.allow)


class Fill(TypedDict, total=False):
    """The fields of `FillConfig` as keywords; a single label or a dictionary of weights serves as well as a tuple."""

    label: str | Sequence[str] | Mapping[str, float]
    ban: str
    allow: str
    gap_open: str
    gap_close: str
    mask: str
    longest: int
    candidates: int
    reach: int
    sample: bool
    temperature: float
    seed: int | None
    unknown: Unknown

"""The settings of sampling: how the next character is drawn, and where the text ends."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Literal, TypedDict

from textgen.config.base import Config
from textgen.config.corpus import UNKNOWN_DETAILS, UNKNOWN_HELP, Unknown
from textgen.config.fields import require, setting
from textgen.errors import ConfigError

Until = Literal["length", "line", "paragraph"]
Trim = Literal["none", "sentence"]


class SamplingConfig(Config):
    """How the next character is drawn. The fields are applied in the order given here."""

    label: tuple[str, ...] = setting(
        default=(),
        expected="a label's name, or NAME:WEIGHT",
        help="Write a record with this label; can be given several times, with weights to mix them.",
        details="A label without a weight has 1; weights with a sum above that of a record's labels are scaled down.",
    )
    ban: str = setting(
        default="",
        expected="a text",
        help="Never write any of these characters.",
        details="Those outside the vocabulary are ignored.",
    )
    allow: str = setting(
        default="",
        expected="a text",
        help="Write only these characters, without those of ban; an empty text allows all.",
        details="All must be in the vocabulary.",
    )
    logit_bias: tuple[str, ...] = setting(
        default=(),
        expected="a character, a colon and a number in [-100, 100], such as e:-2",
        help="Add a number to a character's logit, such as e:-2; can be given several times.",
        details="Characters outside the vocabulary are refused.",
    )
    match: str = setting(
        default="",
        expected="a regular expression",
        help="Write a text that matches this regular expression as a whole.",
        details="In the syntax of Python's `re`, without lookaround, backreferences and word boundaries. "
        "See `textgen.sampling.constraint`.",
    )
    starts_with: str = setting(
        default="", expected="a text of at most 1,000 characters", help="Write a text that starts with this one."
    )
    ends_with: str = setting(
        default="", expected="a text of at most 1,000 characters", help="Write a text that ends with this one."
    )
    contains: tuple[str, ...] = setting(
        default=(),
        expected="a text of 1 to 1,000 characters",
        help="Write a text that contains this one; can be given several times.",
    )
    min_length: int = setting(
        default=0, ge=0, le=100_000, off=0, unit="characters", help="Write a text of at least so many characters."
    )
    max_length: int | None = setting(
        default=None,
        ge=1,
        le=10**12,
        unit="characters",
        otherwise="the length",
        help="Write a text of at most so many characters.",
        details="`max_new_tokens` limits it, too.",
    )
    repetition_penalty: float = setting(
        default=1.0,
        ge=1,
        le=100,
        off=1.0,
        help="Against loops: divides the probabilities of recent characters.",
        details="Recent are the last `repetition_window` characters, including the prompt.",
    )
    repetition_window: int = setting(
        default=64, ge=1, le=10**6, unit="characters", help="Number of recent characters that the penalty applies to."
    )
    presence_penalty: float = setting(
        default=0.0,
        ge=-2,
        le=2,
        off=0,
        help="Subtract this from the logits of characters that the text already holds.",
        details="The prompt does not count.",
    )
    frequency_penalty: float = setting(
        default=0.0,
        ge=-2,
        le=2,
        off=0,
        help="Subtract this from a character's logit for each time that the text already holds it.",
        details="The prompt does not count.",
    )
    temperature: float | tuple[float, ...] = setting(
        default=0.8,
        ge=0,
        le=1e6,
        remedy="Use 0 for the likeliest character, 1.0 for the model's own probabilities.",
        help="Below 1 safer, above 1 wilder, 0 always the likeliest; several take turns.",
    )
    top_k: int = setting(default=0, ge=0, le=10**9, off=0, help="Sample from the K likeliest characters only.")
    top_p: float = setting(
        default=1.0,
        gt=0,
        le=1,
        off=1.0,
        help="Sample from the likeliest characters whose probabilities add up to P.",
    )
    min_p: float = setting(
        default=0.0,
        ge=0,
        le=1,
        off=0,
        help="Sample from characters at least P times as likely as the likeliest.",
    )
    typical_p: float = setting(
        default=1.0,
        gt=0,
        le=1,
        off=1.0,
        help="Sample from characters of near-average surprise, whose probabilities add up to P.",
    )
    max_new_tokens: int = setting(
        default=500,
        ge=0,
        le=10**12,
        unit="characters",
        help="Characters to generate, not counting the prompt.",
    )
    stop: tuple[str, ...] = setting(
        default=(),
        expected="a text of at least one character",
        help="End before this text; can be given several times.",
    )
    include_stop: bool = setting(
        default=False,
        help="Keep the stop text that ended the text as its end.",
        details="Without `stop`, or where the text ended otherwise, nothing changes.",
    )
    until: Until = setting(
        default="length",
        help="Continue past the length to the end of a line or paragraph.",
        details="See `textgen.sampling.ending.Ending`.",
    )
    trim: Trim = setting(
        default="none",
        help="Cut a text that ended by its length back to its last whole sentence.",
        details="One without a whole sentence stays whole. See `textgen.sampling.sentences.Sentences`.",
    )
    seed: int | None = setting(
        default=None,
        ge=0,
        le=2**63 - 1,
        otherwise="drawn and reported",
        help="The same seed generates the same text again.",
    )
    unknown: Unknown = setting(default="auto", help=UNKNOWN_HELP, details=UNKNOWN_DETAILS)

    def __post_init__(self) -> None:
        require(self.temperature != (), "temperature", "a number or several", self.temperature)
        for name in ("stop", "contains", "logit_bias"):
            require(isinstance(getattr(self, name), tuple), name, "a tuple of texts", getattr(self, name))
        require(isinstance(self.label, tuple), "label", "a tuple of labels", self.label)
        super().__post_init__()
        require("" not in self.stop, "stop", self.declared["stop"].allowed, "")
        for each in self.logit_bias:
            require(_bias(each) is not None, "logit_bias", self.declared["logit_bias"].allowed, each)
        self._check_constraints()

    @property
    def biases(self) -> dict[str, float]:
        """What is added to the logits of characters; the last one counts where one is given twice.

        >>> SamplingConfig(logit_bias=("e:-2", "::0.5")).biases
        {'e': -2.0, ':': 0.5}
        """
        return {each[0]: _bias(each) or 0.0 for each in self.logit_bias}

    @property
    def temperatures(self) -> tuple[float, ...]:
        """The temperatures that alternate, at least one."""
        return self.temperature if isinstance(self.temperature, tuple) else (self.temperature,)

    @property
    def constraints(self) -> tuple[str, ...]:
        """The names of the constraints that are set, which each text fulfils as a whole.

        >>> SamplingConfig(match="a+", max_length=9).constraints
        ('match', 'max_length')
        """
        return tuple(name for name in CONSTRAINTS if getattr(self, name) != self.declared[name].default)

    @property
    def longest(self) -> int:
        """The maximum length of a text in characters, without what `until` adds."""
        return self.max_new_tokens if self.max_length is None else min(self.max_length, self.max_new_tokens)

    def _check_constraints(self) -> None:
        for name, text in (("starts_with", self.starts_with), ("ends_with", self.ends_with)):
            require(len(text) <= 1000, name, self.declared[name].allowed, text)
        for text in self.contains:
            require(1 <= len(text) <= 1000, "contains", self.declared["contains"].allowed, text)
        for name in ("max_length", "max_new_tokens"):
            most = getattr(self, name)
            if most is not None:
                expected = f"at most {name}, {most:,}"
                require(self.min_length <= most, "min_length", expected, self.min_length, others=(name,))
        for name in ("stop", "until", "trim"):
            if self.constraints and getattr(self, name) != self.declared[name].default:
                raise ConfigError(
                    f"{name} must be left out where {self.constraints[0]} is given, which says where the text ends. "
                    "Choose one of the two.",
                    field=name,
                    others=(self.constraints[0],),
                )


def _bias(given: str) -> float | None:
    """The number of a character's bias; None where it is none."""
    try:
        number = float(given[2:]) if given[1:2] == ":" else math.nan
    except ValueError:
        return None
    return number if -100.0 <= number <= 100.0 else None


CONSTRAINTS = ("match", "starts_with", "ends_with", "contains", "min_length", "max_length")
"""The fields that constrain a text as a whole."""


class Controls(TypedDict, total=False):
    """The fields of `SamplingConfig` as keywords.

    A list serves as well as a tuple, one text or one label as well as a tuple of one, and for labels a dictionary of
    their weights, for biases one of their numbers.
    """

    label: str | Sequence[str] | Mapping[str, float]
    ban: str
    allow: str
    logit_bias: str | Sequence[str] | Mapping[str, float]
    match: str
    starts_with: str
    ends_with: str
    contains: str | Sequence[str]
    min_length: int
    max_length: int | None
    repetition_penalty: float
    repetition_window: int
    presence_penalty: float
    frequency_penalty: float
    temperature: float | Sequence[float]
    top_k: int
    top_p: float
    min_p: float
    typical_p: float
    max_new_tokens: int
    stop: str | Sequence[str]
    include_stop: bool
    until: Until
    trim: Trim
    seed: int | None
    unknown: Unknown

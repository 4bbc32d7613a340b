"""The settings of sampling: how the next character is chosen, and where the text ends."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal, TypedDict

from textgen.config.base import Config
from textgen.config.corpus import Unknown
from textgen.config.fields import require, setting

Until = Literal["length", "line", "paragraph"]


class SamplingConfig(Config):
    """How the next character is chosen. The fields are applied in the order in which they stand here."""

    repetition_penalty: float = setting(
        default=1.0,
        ge=1,
        le=100,
        off=1.0,
        help="Against loops: divides the odds of characters that were just written.",
        details="These are the last `repetition_window` characters, the prompt included.",
    )
    repetition_window: int = setting(
        default=64, ge=1, le=10**6, unit="characters", help="How many characters back the penalty looks."
    )
    temperature: float | tuple[float, ...] = setting(
        default=0.8,
        ge=0,
        le=1e6,
        remedy="Use 0 for the likeliest character, 1.0 for the model's own odds.",
        help="Below 1 safer, above 1 wilder, 0 always the likeliest; several take turns.",
    )
    top_k: int = setting(default=0, ge=0, le=10**9, off=0, help="Against slips: only the K likeliest characters.")
    top_p: float = setting(
        default=1.0,
        gt=0,
        le=1,
        off=1.0,
        help="Against slips where the model is sure: only the likeliest that hold P together.",
    )
    min_p: float = setting(
        default=0.0,
        ge=0,
        le=1,
        off=0,
        help="Sense at high temperatures: only those P times as likely as the likeliest.",
    )
    typical_p: float = setting(
        default=1.0,
        gt=0,
        le=1,
        off=1.0,
        help="Against dullness: only those of about the expected surprise, up to P.",
    )
    max_new_tokens: int = setting(
        default=500,
        ge=0,
        le=10**12,
        unit="characters",
        help="Characters to write, the prompt not counted.",
    )
    stop: tuple[str, ...] = setting(
        default=(),
        expected="a text of at least one character",
        help="End before this text; can be given several times.",
    )
    until: Until = setting(
        default="length",
        help="Write on, past the length, to the end of a line or paragraph.",
        details="See `textgen.sampling.ending.Ending`.",
    )
    seed: int | None = setting(
        default=None,
        ge=0,
        le=2**63 - 1,
        otherwise="drawn and reported",
        help="The same seed writes the same text again.",
    )
    unknown: Unknown = setting(
        default="error", help="What to do with characters of the prompt that the model never saw."
    )

    def __post_init__(self) -> None:
        require(self.temperature != (), "temperature", "a number or several", self.temperature)
        require(isinstance(self.stop, tuple), "stop", "a tuple of texts", self.stop)
        super().__post_init__()
        require("" not in self.stop, "stop", self.declared["stop"].allowed, "")

    @property
    def temperatures(self) -> tuple[float, ...]:
        """The temperatures that take turns, at least one."""
        return self.temperature if isinstance(self.temperature, tuple) else (self.temperature,)


class Controls(TypedDict, total=False):
    """The fields of `SamplingConfig` as keywords, where a list serves as well as a tuple, and one text to stop at."""

    repetition_penalty: float
    repetition_window: int
    temperature: float | Sequence[float]
    top_k: int
    top_p: float
    min_p: float
    typical_p: float
    max_new_tokens: int
    stop: str | Sequence[str]
    until: Until
    seed: int | None
    unknown: Unknown

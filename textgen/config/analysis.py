"""The settings of the analyses: evaluation, novelty, neurons and surprise."""

from __future__ import annotations

from textgen.config.base import Config
from textgen.config.corpus import UNKNOWN_DETAILS, UNKNOWN_HELP, Unknown
from textgen.config.fields import setting


class EvaluationConfig(Config):
    """How a model is evaluated."""

    windows: int = setting(
        default=256,
        ge=1,
        le=10**6,
        unit="characters",
        remedy="nanoGPT takes 256.",
        help="Length of the windows that are each read without context.",
    )
    streams: int | None = setting(
        default=None,
        ge=1,
        le=65_536,
        otherwise="1; more for a long text",
        remedy="Use 1 to read it as one text.",
        help="Number of parts in which to read the text with carried state: 1 is exact, more is faster.",
        details="None takes one for every 125,000 characters, and at most 64.",
    )
    dynamic: bool = setting(
        default=False, help="Also score a model that learns from what it has read (dynamic evaluation)."
    )
    seed: int = setting(
        default=0, ge=0, le=2**63 - 1, help="Seed of the bootstrap; the same one gives the same intervals."
    )
    unknown: Unknown = setting(default="auto", help=UNKNOWN_HELP, details=UNKNOWN_DETAILS)


class NoveltyConfig(Config):
    """How much a model copies: what is generated and shown."""

    count: int = setting(default=20, ge=1, le=65_536, help="Number of samples to generate.")
    max_new_tokens: int = setting(default=1000, ge=1, le=10**9, unit="characters", help="Characters of each sample.")
    spans: int = setting(
        default=10,
        ge=0,
        le=10_000,
        remedy="Use 0 for the figures alone.",
        help="Number of the longest copies to show.",
    )


class InsightConfig(Config):
    """What is shown of a model while it reads a text."""

    limit: int = setting(
        default=20_000,
        ge=1,
        le=100_000,
        unit="characters",
        remedy="A page of more would be too heavy to look at.",
        help="Read this many characters from the text's start.",
    )
    alternatives: int = setting(
        default=6, ge=1, le=20, help="Number of the likeliest characters to show at each position."
    )
    unknown: Unknown = setting(default="auto", help=UNKNOWN_HELP, details=UNKNOWN_DETAILS)


LEAST = 0.05
"""The least probability of an error with which a place is noted."""


class ProofConfig(Config):
    """How errors are looked for in a text."""

    threshold: float = setting(
        default=0.5,
        ge=LEAST,
        le=1,
        help="Show only what is at least so probable: lower finds more, higher raises fewer false alarms.",
        details="What looks less probable than 0.05 is not followed up, so that no lower one would find all of it.",
    )
    noise: float = setting(
        default=0.01,
        gt=0,
        lt=1,
        help="Share of the characters expected to be wrong before the text is read.",
    )
    reach: int = setting(
        default=20,
        ge=1,
        le=1000,
        unit="characters",
        help="How far around an error the text counts.",
    )
    candidates: int = setting(
        default=16,
        ge=1,
        le=1000,
        help="Number of the likeliest characters that are tried in each place.",
    )
    passes: int = setting(
        default=2, ge=1, le=10, help="How often the text is read: each time with what was found before corrected."
    )
    limit: int = setting(
        default=20_000,
        ge=1,
        le=10**7,
        unit="characters",
        help="With calibrate or html: take so many characters from the start of the text.",
    )
    seed: int = setting(default=0, ge=0, le=2**63 - 1, help="With calibrate: the same seed makes the same errors.")
    unknown: Unknown = setting(default="replace", help=UNKNOWN_HELP, details=UNKNOWN_DETAILS)

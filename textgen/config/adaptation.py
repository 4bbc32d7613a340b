"""The settings of adaptation: how a model learns from a text while it reads it."""

from __future__ import annotations

from textgen.config.base import Config
from textgen.config.fields import setting


class AdaptationConfig(Config):
    """How a model learns from a text while it reads it (Krause et al. 2018, "Dynamic evaluation").

    The defaults were chosen on text that was held out for the purpose, never on a test text: see benchmarks/README.md.
    """

    segment: int = setting(
        default=20,
        ge=1,
        le=1000,
        unit="characters",
        help="Characters that are scored, and then learned from at once.",
        details="Gradients reach as far back.",
    )
    learning_rate: float = setting(
        default=5e-4,
        ge=0,
        le=1,
        remedy="Use 0 to learn nothing.",
        help="How far a weight moves for a gradient of its usual size.",
    )
    decay: float = setting(
        default=5e-4,
        ge=0,
        le=1e6,
        off=0,
        help="How far a weight of average gradient goes back, with each segment, to its trained value.",
    )
    epsilon: float = setting(
        default=0.1,
        ge=0,
        le=1e6,
        help="Added to each weight's usual gradient before dividing by it, as a share of the average one.",
    )
    sample: int = setting(
        default=50_000,
        ge=1,
        le=10**9,
        unit="characters",
        help="Characters of the training text over which the usual gradients are gathered.",
    )
    longest: int = setting(
        default=1_000_000, ge=1, le=10**9, unit="characters", help="The most characters that a writer adapts to."
    )

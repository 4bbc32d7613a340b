"""The settings of adaptation (dynamic evaluation)."""

from __future__ import annotations

from typing import TypedDict

from textgen.config.base import Config
from textgen.config.fields import setting


class AdaptationConfig(Config):
    """How a model learns from a text while it reads it: dynamic evaluation (Krause et al. 2018).

    The defaults were chosen on validation text, never on a test text: see benchmarks/README.md.
    """

    segment: int = setting(
        default=20,
        ge=1,
        le=1000,
        unit="characters",
        help="Characters that are scored and then learned from in one update.",
        details="Gradients flow back no further.",
    )
    learning_rate: float = setting(
        default=5e-4,
        ge=0,
        le=1,
        remedy="Use 0 to learn nothing.",
        help="The step of a weight for a gradient of its root mean square.",
    )
    decay: float = setting(
        default=5e-4,
        ge=0,
        le=1e6,
        off=0,
        help="Decay of a weight with an average gradient towards its trained value, per segment.",
    )
    epsilon: float = setting(
        default=0.1,
        ge=0,
        le=1e6,
        help="Added to each weight's root mean square gradient before dividing by it, as a share of their mean.",
    )
    sample: int = setting(
        default=50_000,
        ge=1,
        le=10**9,
        unit="characters",
        help="Characters of the training text over which the mean squared gradients are computed.",
    )
    longest: int = setting(
        default=1_000_000, ge=1, le=10**9, unit="characters", help="The most characters that a writer adapts to."
    )


class Adapt(TypedDict, total=False):
    """The fields of `AdaptationConfig` as keywords."""

    segment: int
    learning_rate: float
    decay: float
    epsilon: float
    sample: int
    longest: int

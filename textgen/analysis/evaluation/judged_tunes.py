"""How good the tunes of a model are, beside those of a text."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from textgen.analysis.tunes import TuneFigures


@dataclass(frozen=True, kw_only=True)
class Tunes:
    """How good the tunes of a model are, beside those of a text.

    Args:
        samples: the figures of tunes that the model wrote.
        given: those of the text's tunes.
        seed: of the samples.
        temperature: of the samples.
        notes: facts needed to interpret them, a sentence each.
    """

    samples: TuneFigures
    given: TuneFigures
    seed: int
    temperature: float | tuple[float, ...]
    notes: tuple[str, ...] = ()

    def to_json(self) -> dict[str, Any]:
        """Everything as plain JSON values."""
        return {
            "samples": self.samples.to_json(),
            "text": self.given.to_json(),
            "seed": self.seed,
            "temperature": self.temperature,
            "notes": list(self.notes),
        }

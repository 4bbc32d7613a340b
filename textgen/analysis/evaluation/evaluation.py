"""What an evaluation found: figures by protocol, the best temperature, the yardsticks, and what they rest on.

Values only: nothing is computed here that takes a text or a model.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from textgen.analysis.evaluation.baselines import Yardstick
from textgen.analysis.evaluation.bootstrap import REPLICATES, Interval
from textgen.analysis.evaluation.calibration import Calibration

Split = Literal["held-out", "given"]

_CALIBRATED = 0.03
"""How far from 1 a best temperature may be for a model to count as calibrated."""


@dataclass(frozen=True, kw_only=True)
class Protocol:
    """A text's figures by one way of reading it.

    Args:
        name: "carried", "windows" or "dynamic".
        title: the same for people, with what it was read in: "state carried, 1 stream".
        nats: negative log-likelihood in nats per character.
        interval: of `nats`; None where the text is too short to tell.
        settings: what the figures depend on besides model and text, as JSON values.
    """

    name: str
    title: str
    nats: float
    interval: Interval | None
    settings: Mapping[str, Any] = field(default_factory=dict)

    @property
    def bits(self) -> float:
        """Bits per character."""
        return bits(self.nats)

    @property
    def perplexity(self) -> float:
        """Perplexity per character: among how many equally likely ones it would be as hard to choose."""
        return perplexity(self.nats)


@dataclass(frozen=True, kw_only=True)
class Evaluation:
    """How good a model is on a text.

    Args:
        run: the run's name.
        checkpoint: the file of the model; None for one that came from none.
        split: "held-out" for text that the run set aside from its own, "given" for a text of the user's.
        source: which text it is, in words.
        characters: how many were scored, each of them once.
        sha256: the fingerprint of the text, normalised as in training, in UTF-8.
        unknown: how many of the characters the model never saw: each was scored as a stand-in.
        dropped: how many further ones it never saw: they were left out.
        vocab_size: ids that the model chooses among.
        protocols: the figures, "carried" first.
        calibration: the temperature at which "carried" would have been best.
        yardsticks: what others need for the same text.
        seed: the bootstrap's.
        notes: what the reader of the figures should know, a sentence each.
        warnings: why they may not be what they seem, a sentence each.
    """

    run: str
    checkpoint: str | None
    split: Split
    source: str
    characters: int
    sha256: str
    unknown: int
    dropped: int
    vocab_size: int
    protocols: tuple[Protocol, ...]
    calibration: Calibration
    yardsticks: tuple[Yardstick, ...]
    seed: int
    notes: tuple[str, ...] = ()
    warnings: tuple[str, ...] = ()

    @property
    def carried(self) -> Protocol:
        """The figures with carried state."""
        return self.protocols[0]

    @property
    def verdict(self) -> str:
        """The figures in a few sentences, for a person."""
        return " ".join(filter(None, (self._against_the_strongest(), self._sureness(), self._learning())))

    def to_json(self) -> dict[str, Any]:
        """Everything as plain JSON values; a perplexity too large for a float is None."""
        return {
            "run": self.run,
            "checkpoint": self.checkpoint,
            "text": {
                "split": self.split,
                "source": self.source,
                "characters": self.characters,
                "sha256": self.sha256,
                "unknown": self.unknown,
                "dropped": self.dropped,
            },
            "vocab_size": self.vocab_size,
            "protocols": [
                {
                    "protocol": each.name,
                    "settings": dict(each.settings),
                    **_units(each.nats),
                    "interval": None if each.interval is None else _bounds(each.interval, self.seed),
                }
                for each in self.protocols
            ],
            "calibration": {
                "protocol": self.carried.name,
                "temperature": self.calibration.temperature,
                "inside": self.calibration.inside,
                **_units(self.calibration.nats),
            },
            "yardsticks": [
                {"name": each.name, "after_training": each.after_training, **_units(each.nats)}
                for each in self.yardsticks
            ],
            "verdict": self.verdict,
            "notes": list(self.notes),
            "warnings": list(self.warnings),
        }

    def _against_the_strongest(self) -> str:
        rivals = [each for each in self.yardsticks if each.is_compressor]
        strongest = min(rivals, key=lambda rival: rival.nats)
        seen = "which had seen the same training text" if strongest.after_training else "which had seen nothing before"
        if strongest.nats <= 0.0 or self.carried.nats <= 0.0:
            return f"The text is too short to compare with {strongest.name}."
        return f"The model needs {_compared(self.carried.nats / strongest.nats)} {strongest.name}, {seen}."

    def _learning(self) -> str:
        dynamic = next((each.nats for each in self.protocols if each.name == "dynamic"), None)
        if dynamic is None or self.carried.nats <= 0.0:
            return ""
        return f"When it learns from what it reads, it needs {_compared(dynamic / self.carried.nats)} when it does not."

    def _sureness(self) -> str:
        best, inside = self.calibration.temperature, self.calibration.inside
        if abs(best - 1.0) <= _CALIBRATED:
            return f"It is as sure of itself as it should be: temperature {best:.2f} would have scored best."
        how = "too sure of itself" if best > 1.0 else "not sure enough of itself"
        beyond = "" if inside else " or above" if best > 1.0 else " or below"
        return f"It is {how}: temperature {best:.2f}{beyond} would have scored best."


def _compared(ratio: float) -> str:
    """A number of bits beside another.

    >>> [_compared(ratio) for ratio in (0.834, 1.0001, 1.2, 12.58)]
    ['16.6 % fewer bits than', 'as many bits as', '20.0 % more bits than', '12.6 times the bits of']
    """
    if ratio >= 2.0:
        return f"{ratio:.1f} times the bits of"
    if round(100.0 * (ratio - 1.0), 1) == 0.0:
        return "as many bits as"
    return f"{100.0 * abs(ratio - 1.0):.1f} % {'fewer' if ratio < 1.0 else 'more'} bits than"


def bits(nats: float) -> float:
    """Nats as bits.

    >>> bits(math.log(8))
    3.0
    """
    return nats / math.log(2.0)


def perplexity(nats: float) -> float:
    """The perplexity of nats per character; infinite where a float cannot hold it.

    >>> perplexity(0.0), perplexity(10_000.0)
    (1.0, inf)
    """
    return math.exp(nats) if nats < 709.0 else math.inf


def _units(nats: float) -> dict[str, float | None]:
    return {"nats_per_character": nats, "bits_per_character": bits(nats), "perplexity": _finite(perplexity(nats))}


def _bounds(interval: Interval, seed: int) -> dict[str, Any]:
    low, high = _units(interval.low), _units(interval.high)
    return {
        "method": "circular block bootstrap",
        "level": interval.level,
        "block": interval.block,
        "replicates": REPLICATES,
        "seed": seed,
        **{unit: [low[unit], high[unit]] for unit in low},
    }


def _finite(value: float) -> float | None:
    return value if math.isfinite(value) else None

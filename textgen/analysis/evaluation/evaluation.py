"""The results of an evaluation: loss by protocol, calibration, baselines, and their settings."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from textgen.analysis.evaluation.baselines import Baseline
from textgen.analysis.evaluation.bootstrap import REPLICATES, Interval
from textgen.analysis.evaluation.calibration import Calibration
from textgen.analysis.evaluation.classification import Classification
from textgen.analysis.evaluation.judged_tunes import Tunes

Split = Literal["held-out", "given"]

_CALIBRATED = 0.03
"""The largest distance of the best temperature from 1 for a model to count as calibrated."""


@dataclass(frozen=True, kw_only=True)
class Protocol:
    """The loss on a text by one evaluation protocol.

    Args:
        name: "carried", "windows" or "dynamic"; of a model of both sides also "backwards" and "joint", its other heads.
        title: a label with the main setting: "state carried, 1 stream".
        nats: negative log-likelihood in nats per character.
        interval: the confidence interval of `nats`; None if the text is too short.
        settings: the protocol's settings, as JSON values.
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
        """Perplexity per character, `exp(nats)`."""
        return perplexity(self.nats)


@dataclass(frozen=True, kw_only=True)
class Evaluation:
    """The evaluation of a model on a text.

    Args:
        run: the run's name.
        checkpoint: the model's file; None for a model that was not loaded from one, and for a mixture.
        split: "held-out" for the run's held-out text, "given" for a text of the user's.
        source: a description of the text.
        characters: how many were scored, each of them once.
        sha256: SHA-256 of the text, normalised as in training, in UTF-8.
        unknown: how many of the characters are outside the vocabulary and were scored as their replacement.
        dropped: how many more are outside the vocabulary and were dropped.
        vocab_size: the size of the vocabulary.
        protocols: the loss by protocol, "carried" first.
        calibration: the temperature that minimises the "carried" loss.
        baselines: the cost of the same text without the model.
        seed: the bootstrap's.
        notes: facts needed to interpret the results, a sentence each.
        warnings: reasons why the results may be too good, a sentence each.
        members: the names of a mixture's models with their weights; empty for a single model.
        classification: how well the labels of the text's records are told; None for a text without labels.
        tunes: how good the tunes are that a model trained on tunes writes; None for any other.
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
    baselines: tuple[Baseline, ...]
    seed: int
    notes: tuple[str, ...] = ()
    warnings: tuple[str, ...] = ()
    members: tuple[tuple[str, float], ...] = ()
    classification: Classification | None = None
    tunes: Tunes | None = None

    @property
    def carried(self) -> Protocol:
        """The result of the "carried" protocol."""
        return self.protocols[0]

    @property
    def verdict(self) -> str:
        """A summary of the results in a few sentences."""
        return " ".join(filter(None, (self._against_compressors(), self._calibrated(), self._adapted())))

    def to_json(self) -> dict[str, Any]:
        """Everything as plain JSON values; a perplexity too large for a float is None."""
        return {
            "run": self.run,
            **({"runs": [{"run": run, "weight": weight} for run, weight in self.members]} if self.members else {}),
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
            "baselines": [
                {"name": each.name, "after_training": each.after_training, **_units(each.nats)}
                for each in self.baselines
            ],
            **({} if self.classification is None else {"classification": self.classification.to_json()}),
            **({} if self.tunes is None else {"tunes": self.tunes.to_json()}),
            "verdict": self.verdict,
            "notes": list(self.notes),
            "warnings": list(self.warnings),
        }

    def _against_compressors(self) -> str:
        strongest = min((each for each in self.baselines if each.is_compressor), key=lambda each: each.nats)
        given = "given the same training text" if strongest.after_training else "without the training text"
        if strongest.nats <= 0.0 or self.carried.nats <= 0.0:
            return f"The text is too short to compare with {strongest.name}."
        return f"The model needs {_compared(self.carried.nats / strongest.nats)} {strongest.name} {given}."

    def _adapted(self) -> str:
        dynamic = next((each.nats for each in self.protocols if each.name == "dynamic"), None)
        if dynamic is None or self.carried.nats <= 0.0:
            return ""
        return f"With dynamic evaluation, it needs {_compared(dynamic / self.carried.nats)} without."

    def _calibrated(self) -> str:
        best, inside = self.calibration.temperature, self.calibration.inside
        if abs(best - 1.0) <= _CALIBRATED:
            return f"It is well calibrated: temperature {best:.2f} would give the lowest loss."
        how = "overconfident" if best > 1.0 else "underconfident"
        beyond = "" if inside else " or above" if best > 1.0 else " or below"
        return f"It is {how}: temperature {best:.2f}{beyond} would give the lowest loss."


def _compared(ratio: float) -> str:
    """A ratio of two numbers of bits, in words.

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
    """The perplexity of nats per character; infinite beyond a float's range.

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

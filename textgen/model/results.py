"""What training has come to: the metrics of a checkpoint, and the rows of a run's history."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from textgen.model.values import count, not_as_written, number, text


@dataclass(frozen=True, kw_only=True)
class Metrics:
    """What a model had come to when its file was written, as far as it is known.

    Args:
        step: training steps done.
        epoch: passes over the training text.
        loss: mean training loss before the last validation, in nats per character.
        val_loss: loss on the text held out at the last validation; None where nothing validates.
        best_val_loss: the lowest of them (the lowest training loss where nothing validates).
        bits_per_character: the last loss in bits, of the validation where there is one.
        seconds: time of training, over all processes.
        characters_seen: characters trained on, each as often as it was.
    """

    step: int | None = None
    epoch: float | None = None
    loss: float | None = None
    val_loss: float | None = None
    best_val_loss: float | None = None
    bits_per_character: float | None = None
    seconds: float | None = None
    characters_seen: int | None = None

    def to_json(self) -> dict[str, Any]:
        """The metrics as plain JSON values."""
        return dataclasses.asdict(self)

    @classmethod
    def from_json(cls, values: Mapping[str, Any]) -> Metrics:
        """The metrics that `to_json` wrote."""
        return cls(
            step=count(values.get("step")),
            epoch=number(values.get("epoch")),
            loss=number(values.get("loss")),
            val_loss=number(values.get("val_loss")),
            best_val_loss=number(values.get("best_val_loss")),
            bits_per_character=number(values.get("bits_per_character")),
            seconds=number(values.get("seconds")),
            characters_seen=count(values.get("characters_seen")),
        )


@dataclass(frozen=True, kw_only=True)
class Validation:
    """One row of a run's history: what was known at a validation.

    Args:
        step: training steps done.
        epoch: passes over the training text.
        seconds: time of training, over all processes.
        characters: characters trained on, each as often as it was.
        loss: mean training loss since the validation before, in nats per character.
        val_loss: loss on the text held out; None where nothing validates.
        learning_rate: the rate of the last step.
        sample: what the model wrote; "" where that is not recorded.
    """

    step: int
    epoch: float | None = None
    seconds: float | None = None
    characters: int | None = None
    loss: float | None = None
    val_loss: float | None = None
    learning_rate: float | None = None
    sample: str = ""

    @property
    def bits_per_character(self) -> float | None:
        """The loss in bits: that on the text held out, or the training loss where nothing validates.

        >>> Validation(step=1, loss=3.0, val_loss=math.log(4)).bits_per_character
        2.0
        """
        loss = self.loss if self.val_loss is None else self.val_loss
        return None if loss is None else loss / math.log(2)

    def to_json(self) -> dict[str, Any]:
        """The row as plain JSON values."""
        return dataclasses.asdict(self)

    @classmethod
    def from_json(cls, values: Any) -> Validation:
        """The row that `to_json` wrote.

        Raises:
            ValueError: it is no row, or has no step.
        """
        step = count(values.get("step")) if isinstance(values, dict) else None
        if step is None:
            raise not_as_written("history")
        return cls(
            step=step,
            epoch=number(values.get("epoch")),
            seconds=number(values.get("seconds")),
            characters=count(values.get("characters")),
            loss=number(values.get("loss")),
            val_loss=number(values.get("val_loss")),
            learning_rate=number(values.get("learning_rate")),
            sample=text(values.get("sample")) or "",
        )

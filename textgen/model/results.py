"""The results of training: the metrics of a checkpoint, and the rows of a run's history."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from textgen.model.values import count, not_as_written, number, text

_SIDES = ("val_backward_loss", "val_joint_loss")


@dataclass(frozen=True, kw_only=True)
class Metrics:
    """A model's metrics when its file was written; None where a value is not recorded.

    Args:
        step: training steps done.
        epoch: passes over the training text.
        loss: mean training loss before the last validation, in nats per character.
        val_loss: loss on the validation text, or the part of it that each validation scores, at the last validation;
            None without validation text.
        whole_val_loss: loss on all of the validation text at the end of the run; None where `val_loss` is that.
        logit_scale: the factor by which calibration multiplied the logits of the best model, found on the validation
            text at the end of the run; `val_loss` and `whole_val_loss` are with it. None where there was none.
        best_val_loss: the lowest validation loss (training loss without validation text).
        bits_per_character: the last validation loss (or training loss) in bits.
        seconds: training time, over all processes.
        characters_seen: characters trained on, counting repetitions.
        val_backward_loss: of a model of both sides, the loss of the head that sees the text after a character.
        val_joint_loss: the same of the head that sees both sides.
    """

    step: int | None = None
    epoch: float | None = None
    loss: float | None = None
    val_loss: float | None = None
    whole_val_loss: float | None = None
    logit_scale: float | None = None
    best_val_loss: float | None = None
    bits_per_character: float | None = None
    seconds: float | None = None
    characters_seen: int | None = None
    val_backward_loss: float | None = None
    val_joint_loss: float | None = None

    @property
    def reported_loss(self) -> float | None:
        """The loss on the whole validation text where it is known, else that of the last validation."""
        return self.val_loss if self.whole_val_loss is None else self.whole_val_loss

    def calibrated(self, scale: float, losses: Mapping[str, float]) -> Metrics:
        """The metrics of the same model with its logits multiplied by a factor; the run's history keeps its own losses.

        Args:
            scale: the factor.
            losses: on the validation text, by the names of `val_loss` and those of both sides, without `val_`.

        >>> metrics = Metrics(step=9, loss=1.0, val_loss=1.2, logit_scale=1.0).calibrated(0.9, {"loss": 1.1})
        >>> metrics.val_loss, metrics.best_val_loss, metrics.logit_scale
        (1.1, 1.1, 0.9)
        """
        loss = losses["loss"]
        others: dict[str, Any] = {f"val_{name}": value for name, value in losses.items() if f"val_{name}" in _SIDES}
        return dataclasses.replace(
            self,
            logit_scale=scale,
            val_loss=loss,
            whole_val_loss=None,
            best_val_loss=loss,
            bits_per_character=loss / math.log(2),
            **others,
        )

    def to_json(self) -> dict[str, Any]:
        """The metrics as plain JSON values; those of both sides only where there are any."""
        return _without_missing(dataclasses.asdict(self))

    @classmethod
    def from_json(cls, values: Mapping[str, Any]) -> Metrics:
        """The metrics that `to_json` wrote."""
        return cls(
            step=count(values.get("step")),
            epoch=number(values.get("epoch")),
            loss=number(values.get("loss")),
            val_loss=number(values.get("val_loss")),
            whole_val_loss=number(values.get("whole_val_loss")),
            logit_scale=number(values.get("logit_scale")),
            best_val_loss=number(values.get("best_val_loss")),
            bits_per_character=number(values.get("bits_per_character")),
            seconds=number(values.get("seconds")),
            characters_seen=count(values.get("characters_seen")),
            val_backward_loss=number(values.get("val_backward_loss")),
            val_joint_loss=number(values.get("val_joint_loss")),
        )


@dataclass(frozen=True, kw_only=True)
class Validation:
    """One row of a run's history: the metrics of a validation.

    Args:
        step: training steps done.
        epoch: passes over the training text.
        seconds: training time, over all processes.
        characters: characters trained on, counting repetitions.
        loss: mean training loss since the previous validation, in nats per character.
        val_loss: loss on the validation text; None without validation text.
        learning_rate: the learning rate of the last step.
        sample: a text that the model generated; "" where it is not recorded.
        val_backward_loss: as of `Metrics`.
        val_joint_loss: as of `Metrics`.
    """

    step: int
    epoch: float | None = None
    seconds: float | None = None
    characters: int | None = None
    loss: float | None = None
    val_loss: float | None = None
    learning_rate: float | None = None
    sample: str = ""
    val_backward_loss: float | None = None
    val_joint_loss: float | None = None

    @property
    def bits_per_character(self) -> float | None:
        """The loss in bits: that on the text held out, or the training loss where nothing validates.

        >>> Validation(step=1, loss=3.0, val_loss=math.log(4)).bits_per_character
        2.0
        """
        loss = self.loss if self.val_loss is None else self.val_loss
        return None if loss is None else loss / math.log(2)

    def to_json(self) -> dict[str, Any]:
        """The row as plain JSON values; the losses of both sides only where there are any."""
        return _without_missing(dataclasses.asdict(self))

    @classmethod
    def from_json(cls, values: Any) -> Validation:
        """The row that `to_json` wrote.

        Raises:
            ValueError: it is not an object, or has no step.
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
            val_backward_loss=number(values.get("val_backward_loss")),
            val_joint_loss=number(values.get("val_joint_loss")),
        )


def _without_missing(values: dict[str, Any]) -> dict[str, Any]:
    """The values without those of both sides that are not recorded, which earlier versions do not write."""
    return {name: value for name, value in values.items() if name not in _SIDES or value is not None}

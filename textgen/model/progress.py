"""The progress of training, as `last.keras` records it for `--resume` beside the training state's arrays."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from textgen.model.values import is_texts


@dataclass(frozen=True, kw_only=True)
class SavedPlan:
    """A run's schedule in steps; `textgen.training.schedule.Plan` documents the fields."""

    steps: int | None
    decay_start: int | None
    validate_every: int
    decay_done: float = 0.0
    whole_from: int | None = 0

    @classmethod
    def from_json(cls, values: Any) -> SavedPlan:
        """The plan that `SavedProgress.to_json` wrote.

        Raises:
            ValueError: a value is missing or of the wrong type.
        """
        values = values if isinstance(values, dict) else {}
        # Older runs record neither.
        decay_done, whole_from = values.get("decay_done", 0.0), values.get("whole_from", 0)
        if not (isinstance(decay_done, (int, float)) and 0.0 <= decay_done <= 1.0):
            raise ValueError("decay_done must be a share in [0, 1]")
        return cls(
            steps=None if values.get("steps") is None else _whole(values, "steps", 1),
            decay_start=None if values.get("decay_start") is None else _whole(values, "decay_start"),
            validate_every=_whole(values, "validate_every", 1),
            decay_done=float(decay_done),
            whole_from=None if whole_from is None else _whole({"whole_from": whole_from}, "whole_from"),
        )


@dataclass(frozen=True, kw_only=True)
class SavedProgress:
    """The progress of a run's training.

    Args:
        plan: the schedule in steps.
        step: training steps done.
        best: the lowest validation loss so far (training loss without validation); None before the first.
        waits: validations since the best one.
        rate_factor: the factor by which recoveries from divergence have reduced the learning rate.
        rescues: the number of recoveries from divergence, each a return to the best weights.
        seconds: training time so far, over all processes.
        sources: the files of the text, at least one, as absolute paths; "-" is standard input.
        created: when the run was started, in UTC and ISO 8601.
        tensorboard: the folder of the event files: a path, True for the run's own, False for none.
        workers: of a run that several machines train, their number ("count"), how they exchange, and where each has its
            own part of the text what those are ("parts"); None for one.
    """

    plan: SavedPlan
    step: int
    best: float | None
    waits: int
    rate_factor: float
    rescues: int
    seconds: float
    sources: tuple[str, ...]
    created: str
    tensorboard: str | bool = False
    workers: Mapping[str, Any] | None = None

    def to_json(self) -> dict[str, Any]:
        """The progress as plain JSON values; of one machine without `workers`."""
        values = dataclasses.asdict(self) | {"sources": list(self.sources)}
        if self.workers is None:
            del values["workers"]
        return values

    @classmethod
    def from_json(cls, values: Any) -> SavedProgress:
        """The progress that `to_json` wrote.

        Raises:
            ValueError: a value is missing or of the wrong type.
        """
        values = values if isinstance(values, dict) else {}
        sources, created, tensorboard = values.get("sources"), values.get("created"), values.get("tensorboard", False)
        if not (sources and is_texts(sources)):
            raise ValueError("sources must be a list of at least one text")
        if not isinstance(created, str):
            raise ValueError("created must be a text")
        if not isinstance(tensorboard, (bool, str)):
            raise ValueError("tensorboard must be a text, true or false")
        workers = values.get("workers")
        if workers is not None and not (isinstance(workers, dict) and type(workers.get("count")) is int):
            raise ValueError("workers must hold a count")
        return cls(
            plan=SavedPlan.from_json(values.get("plan")),
            step=_whole(values, "step"),
            best=None if values.get("best") is None else _number(values, "best"),
            waits=_whole(values, "waits"),
            rate_factor=_number(values, "rate_factor"),
            rescues=_whole(values, "rescues"),
            seconds=_number(values, "seconds"),
            sources=tuple(sources),
            created=created,
            tensorboard=tensorboard,
            workers=workers,
        )


def _whole(values: Mapping[str, Any], name: str, low: int = 0) -> int:
    value = values.get(name)
    if type(value) is not int or value < low:
        raise ValueError(f"{name} must be a whole number of at least {low}")
    return value


def _number(values: Mapping[str, Any], name: str) -> float:
    value = values.get(name)
    if isinstance(value, (int, float)) and abs(value) < 1e15:
        return float(value)
    raise ValueError(f"{name} must be a number")

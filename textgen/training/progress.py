"""How far a run has come: the counters that outlive a process, to and from JSON. No framework and no file here."""

from __future__ import annotations

import math
import time
from dataclasses import dataclass, field
from typing import Any

from textgen.training.schedule import Plan


@dataclass
class Progress:
    """How far a run has come. Everything but the weights and the trainer's arrays that a continuation needs.

    Args:
        plan: the plan in steps.
        step: steps done.
        best: the lowest validation loss so far (training loss where nothing validates).
        waits: validations since the best one.
        rate_factor: factor on the learning rate, halved at each recovery from divergence.
        rescues: how often the run went back to its best weights.
        earlier_seconds: seconds of training before this process.
        history: a row for each validation.
    """

    plan: Plan
    step: int = 0
    best: float = math.inf
    waits: int = 0
    rate_factor: float = 1.0
    rescues: int = 0
    earlier_seconds: float = 0.0
    history: list[dict[str, Any]] = field(default_factory=list)
    started: float = field(default_factory=time.monotonic)

    @property
    def seconds(self) -> float:
        """Seconds of wall clock that the run has taken, over all processes."""
        return self.earlier_seconds + time.monotonic() - self.started

    @property
    def finished(self) -> bool:
        """Whether the plan's last step is done."""
        return self.plan.steps is not None and self.step >= self.plan.steps

    @property
    def round_done(self) -> bool:
        """Whether a validation follows the step just done."""
        return self.plan.ends_round(self.step)

    def to_json(self) -> dict[str, Any]:
        """As plain JSON values; the history travels beside it."""
        return {
            "plan": {
                "steps": self.plan.steps,
                "decay_start": self.plan.decay_start,
                "validate_every": self.plan.validate_every,
                "decay_done": self.plan.decay_done,
                "whole_from": self.plan.whole_from,
            },
            "step": self.step,
            "best": self.best if math.isfinite(self.best) else None,
            "waits": self.waits,
            "rate_factor": self.rate_factor,
            "rescues": self.rescues,
            "seconds": self.seconds,
        }

    @classmethod
    def from_json(cls, values: dict[str, Any], history: list[dict[str, Any]]) -> Progress:
        """What `to_json` wrote.

        Raises:
            ValueError: a value is missing or of another kind.
        """
        plan = values.get("plan")
        plan = plan if isinstance(plan, dict) else {}

        def whole(held: dict[str, Any], name: str, low: int = 0) -> int:
            if type(held.get(name)) is not int or held[name] < low:
                raise ValueError(f"{name} is missing or no count")
            return int(held[name])

        def number(held: dict[str, Any], name: str) -> float:
            value = held.get(name)
            if isinstance(value, (int, float)) and abs(value) < 1e15:
                return float(value)
            raise ValueError(f"{name} is missing or no number")

        def share(held: dict[str, Any], name: str) -> float:
            value = number(held, name)
            if not 0.0 <= value <= 1.0:
                raise ValueError(f"{name} is no share")
            return value

        # Runs from before batches could be halved and ends moved say neither.
        plan = {"decay_done": 0.0, "whole_from": 0, **plan}

        return cls(
            plan=Plan(
                steps=None if plan.get("steps") is None else whole(plan, "steps", 1),
                decay_start=None if plan.get("decay_start") is None else whole(plan, "decay_start"),
                validate_every=whole(plan, "validate_every", 1),
                decay_done=share(plan, "decay_done"),
                whole_from=None if plan["whole_from"] is None else whole(plan, "whole_from"),
            ),
            step=whole(values, "step"),
            best=math.inf if values.get("best") is None else number(values, "best"),
            waits=whole(values, "waits"),
            rate_factor=number(values, "rate_factor"),
            rescues=whole(values, "rescues"),
            earlier_seconds=number(values, "seconds"),
            history=list(history),
        )

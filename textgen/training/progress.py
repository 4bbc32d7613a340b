"""How far a run has come: the counters that outlive a process. No framework and no file here."""

from __future__ import annotations

import dataclasses
import math
import time
from collections.abc import Sequence
from dataclasses import dataclass, field

from textgen.model.progress import SavedPlan, SavedProgress
from textgen.model.results import Validation
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
    history: list[Validation] = field(default_factory=list)
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

    def saved(self, *, sources: Sequence[str], created: str, tensorboard: str | bool) -> SavedProgress:
        """What a checkpoint records of it; the history travels beside it."""
        return SavedProgress(
            plan=SavedPlan(**dataclasses.asdict(self.plan)),
            step=self.step,
            best=self.best if math.isfinite(self.best) else None,
            waits=self.waits,
            rate_factor=self.rate_factor,
            rescues=self.rescues,
            seconds=self.seconds,
            sources=tuple(sources),
            created=created,
            tensorboard=tensorboard,
        )

    @classmethod
    def restored(cls, saved: SavedProgress, history: Sequence[Validation], *, started: float) -> Progress:
        """The progress that `saved` recorded, from which a process goes on at a moment of `time.monotonic()`."""
        return cls(
            plan=Plan(**dataclasses.asdict(saved.plan)),
            step=saved.step,
            best=math.inf if saved.best is None else saved.best,
            waits=saved.waits,
            rate_factor=saved.rate_factor,
            rescues=saved.rescues,
            earlier_seconds=saved.seconds,
            history=list(history),
            started=started,
        )

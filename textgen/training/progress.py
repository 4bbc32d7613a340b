"""The counters of a run that a checkpoint keeps."""

from __future__ import annotations

import dataclasses
import math
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from textgen.model.progress import SavedPlan, SavedProgress
from textgen.model.results import Metrics, Validation
from textgen.system import stopped
from textgen.training.keras_model import HEAD
from textgen.training.schedule import Plan


@dataclass
class Progress:
    """The counters of a run: all that `resume` needs besides the weights and the trainer's arrays.

    Args:
        plan: the plan in steps.
        step: steps done.
        best: the lowest validation loss so far (training loss where nothing validates).
        waits: validations without improvement (Keras's `wait`).
        rate_factor: factor on the learning rate, halved at each recovery from divergence.
        recoveries: number of recoveries from divergence.
        earlier_seconds: seconds of training before this process.
        history: a row for each validation.
        logit_scales: the factors on the logits of the best model's heads, found at the end; before it there are none.
        whole_val_loss: the loss on all of the validation text, at the end, where each validation scores a part.
        started: the `time.monotonic()` from which this process's seconds count.
        stopped_before: the seconds for which it had been stopped before.
    """

    plan: Plan
    step: int = 0
    best: float = math.inf
    waits: int = 0
    rate_factor: float = 1.0
    recoveries: int = 0
    earlier_seconds: float = 0.0
    history: list[Validation] = field(default_factory=list)
    logit_scales: Mapping[str, float] = field(default_factory=dict)
    whole_val_loss: float | None = None
    started: float = field(default_factory=time.monotonic)
    stopped_before: float = field(default_factory=stopped)

    @property
    def seconds(self) -> float:
        """Seconds of training by the wall clock, over all processes; not those for which a process was stopped."""
        return self.earlier_seconds + time.monotonic() - self.started - (stopped() - self.stopped_before)

    @property
    def finished(self) -> bool:
        """Whether the plan's last step is done."""
        return self.plan.steps is not None and self.step >= self.plan.steps

    @property
    def round_done(self) -> bool:
        """Whether a validation follows the last step."""
        return self.plan.ends_round(self.step)

    def saved(
        self,
        *,
        sources: Sequence[str],
        created: str,
        tensorboard: str | bool,
    ) -> SavedProgress:
        """The counters as a checkpoint stores them; the history is stored separately."""
        return SavedProgress(
            plan=SavedPlan(**dataclasses.asdict(self.plan)),
            step=self.step,
            best=self.best if math.isfinite(self.best) else None,
            waits=self.waits,
            rate_factor=self.rate_factor,
            rescues=self.recoveries,
            seconds=self.seconds,
            sources=tuple(sources),
            created=created,
            tensorboard=tensorboard,
        )

    def metrics(self, *, batches_per_epoch: int, characters_per_step: int) -> Metrics:
        """What a checkpoint says of the run so far."""
        row = self.history[-1] if self.history else Validation(step=0)
        judged = row if self.whole_val_loss is None else dataclasses.replace(row, val_loss=self.whole_val_loss)
        return Metrics(
            step=self.step,
            epoch=self.step / batches_per_epoch,
            loss=row.loss,
            val_loss=row.val_loss,
            whole_val_loss=self.whole_val_loss,
            logit_scale=self.logit_scales.get(HEAD),
            best_val_loss=self.best if math.isfinite(self.best) else None,
            bits_per_character=judged.bits_per_character,
            seconds=round(self.seconds, 1),
            characters_seen=self.step * characters_per_step,
            val_backward_loss=row.val_backward_loss,
            val_joint_loss=row.val_joint_loss,
        )

    @classmethod
    def restored(cls, saved: SavedProgress, history: Sequence[Validation], *, started: float) -> Progress:
        """The counters of a checkpoint, for a process that started at `started` of `time.monotonic()`."""
        return cls(
            plan=Plan(**dataclasses.asdict(saved.plan)),
            step=saved.step,
            best=math.inf if saved.best is None else saved.best,
            waits=saved.waits,
            rate_factor=saved.rate_factor,
            recoveries=saved.rescues,
            earlier_seconds=saved.seconds,
            history=list(history),
            started=started,
        )

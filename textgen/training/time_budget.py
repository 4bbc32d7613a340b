"""Callback that sets each step's learning rate and turns a time budget into a number of steps."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Any

import keras

from textgen.config import TrainingConfig
from textgen.runs.events import Reporter
from textgen.training.progress import Progress
from textgen.training.schedule import fallen, learning_rate

_WARM, _MEASURED = 3, 10
"""A run's first steps, which also compile, and the minimum number of steps to measure the speed."""

_WHOLE_PACE = 0.92
"""The time of a step with one update, as a share of that with two halves."""

_WINDOWS = 50
"""Number of speed measurements in a run."""

_OFF, _MOVE, _FALL = 0.02, 0.5, 0.02
"""Share of the budget by which the expected end must be off to be moved; share of the remaining steps by which it moves
at most at once; share of all steps that is always left for the decay."""


class TimeBudget(keras.callbacks.Callback):
    """Sets each step's learning rate and turns a time budget into a number of steps.

    At the peak of a linear schedule nothing depends on the number of steps, so the speed is measured until the decay
    has to start; then the number of steps is fixed. If the speed changes later, the end is moved, and the rate decays
    from its current value. A continued run keeps its end.
    """

    def __init__(
        self, progress: Progress, config: TrainingConfig, reporter: Reporter, *, held_out: int, whole: int = 0
    ) -> None:
        super().__init__()
        self.progress, self.config, self.reporter = progress, config, reporter
        self._held_out, self._whole = held_out, whole
        self._mark: tuple[int, float] | None = None
        self._round_end: float | None = None
        self._round_seconds: float | None = None
        self._aside = 0.0
        self._steps_here = 0
        self._planned_here = False

    def on_train_begin(self, logs: Any = None) -> None:
        """Sets whether the first step is done in halves."""
        del logs
        self._set_halves()

    def on_train_batch_begin(self, batch: int, logs: Any = None) -> None:
        """Sets the step's learning rate."""
        del batch, logs
        rate = learning_rate(self.config, self.progress.plan, self.progress.step) * self.progress.rate_factor
        self.model.optimizer.learning_rate = rate
        if self.progress.step == self.progress.plan.whole_from:
            self._set_halves()

    def on_train_batch_end(self, batch: int, logs: Any = None) -> None:
        """Measures the speed, moves the end if needed, and reports the step."""
        del batch
        progress = self.progress
        self._steps_here += 1
        if self._steps_here == _WARM:
            self._measure()
        if progress.step == progress.plan.whole_from:
            self._measure()
        self._budget()
        plan = progress.plan
        self.reporter.stepped(
            step=progress.step,
            steps=plan.steps,
            share=self._share(),
            loss=float(logs["loss"]),
            characters=self.config.batch_size * self.config.sequence_length,
        )
        if progress.round_done:
            self._round_end = progress.seconds

    def on_epoch_begin(self, epoch: int, logs: Any = None) -> None:
        """Records the time that the last validation, sample and save took."""
        del epoch, logs
        if self._round_end is None:
            return
        self._round_seconds = self.progress.seconds - self._round_end
        self._aside += self._round_seconds if self._mark is not None else 0.0

    def _set_halves(self) -> None:
        self.model.halved.assign(self.progress.plan.halves(self.progress.step))

    def _share(self) -> float:
        plan = self.progress.plan
        if plan.steps is not None:
            return min(self.progress.step / plan.steps, 1.0)
        return min(self.progress.seconds / (self.config.time or math.inf), 1.0)

    def _measure(self) -> None:
        """Starts a measurement of the speed."""
        self._mark, self._aside = (self.progress.step, self.progress.seconds), 0.0

    def _pace(self) -> float:
        """Seconds per step since the measurement started."""
        first, since = self._mark or (self.progress.step, self.progress.seconds)
        return max((self.progress.seconds - since - self._aside) / max(self.progress.step - first, 1), 1e-6)

    def _round(self) -> float:
        """Seconds of a validation with its sample and save: of the last one, or an estimate before the first."""
        if self._round_seconds is not None:
            return self._round_seconds
        size = self.config.batch_size * self.config.sequence_length
        # Scoring takes a third to two thirds of the time of training; a sample and a save add some.
        return self._pace() * self._held_out / size / 1.5 + 0.5

    def _end(self) -> float:
        """Seconds of the last validation, which scores the whole validation text if the others score a part."""
        return self._round() * (1.0 + self._whole / max(self._held_out, 1))

    def _between(self) -> float:
        """Seconds of validation per step."""
        return self._round() / self.progress.plan.validate_every

    def _budget(self) -> None:
        progress, budget = self.progress, self.config.time
        if budget is None:
            return
        plan, measured = progress.plan, progress.step - (self._mark or (progress.step,))[0]
        if plan.steps is None:
            flat = 1.0 - self.config.decay_fraction if self.config.schedule == "linear" else 0.05
            if progress.seconds >= budget * flat and measured >= _MEASURED:
                self._move(self._affordable(budget - progress.seconds))
                self._planned_here = True
        elif self._planned_here and measured >= max(_MEASURED, plan.steps // _WINDOWS):
            steps, left = self._affordable(budget - progress.seconds), plan.steps - progress.step
            off = abs(steps - plan.steps) * (self._pace() + self._between()) > _OFF * budget
            if left > 0 and off and progress.step >= self.config.warmup_steps:
                least = progress.step + max(round((1.0 - _MOVE) * left), round(_FALL * plan.steps), 1)
                self._move(max(min(steps, progress.step + round((1.0 + _MOVE) * left)), least))
            self._measure()

    def _move(self, steps: int) -> None:
        """Moves the end of the run; the speed is measured again if this ends the steps in halves."""
        plan, step = self.progress.plan, self.progress.step
        done = fallen(self.config, plan, step)
        whole = max(step, round(self.config.halved_share * steps)) if plan.halves(step) else plan.whole_from
        self.progress.plan = replace(plan, steps=steps, decay_start=step, decay_done=done, whole_from=whole)
        if whole == step:
            self._measure()

    def _affordable(self, seconds: float) -> int:
        """The step that is reached in a number of seconds, validations included.

        The remaining steps in halves are assumed to take the measured time, the others a fixed share of it.
        """
        step, plan, pace, between = self.progress.step, self.progress.plan, self._pace(), self._between()
        seconds -= self._end()
        if not plan.halves(step):
            return step + max(int(seconds / (pace + between)), 1)
        whole, share = _WHOLE_PACE * pace, self.config.halved_share
        steps = (seconds + step * (pace + between)) / (share * pace + (1.0 - share) * whole + between)
        halved = max(round(share * steps) - step, 0)
        return step + max(halved + int((seconds - halved * (pace + between)) / (whole + between)), 1)

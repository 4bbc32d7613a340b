"""What happens during training, besides learning: rates, rounds, saving, rescue, interruption.

`fit` runs one epoch of Keras's for each round, the steps between two validations, so that users' own callbacks
(early stopping, TensorBoard) see `val_loss` at `on_epoch_end`. Each class here does one thing and they meet in
`Progress`, which holds everything that outlives a round.
"""

from __future__ import annotations

import atexit
import gc
import math
import time
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import keras
import numpy as np

from textgen.config import TrainingConfig
from textgen.errors import CheckpointError, TrainingError
from textgen.model.results import Validation
from textgen.runs.events import Reporter
from textgen.training.progress import Progress
from textgen.training.schedule import fallen, learning_rate
from textgen.training.trainer import Trainer

RESCUES = 3
"""How often a run that diverges goes back before it gives up."""

_WARM, _MEASURED = 3, 10
"""A run's first steps, which also compile, and the steps that a measurement of its pace needs at least."""

_WHOLE_PACE = 0.92
"""What a step takes that learns from its batch whole, as a share of what it takes in halves."""

_WINDOWS = 50
"""How often in a run its pace is looked at."""

_OFF, _MOVE, _FALL = 0.02, 0.5, 0.02
"""By which share of the budget the pace must lead past or short of it for the end to be moved; by which share of what
is left it moves at most at once; the share of all steps that the rate always has to come to rest."""


class Interrupted(Exception):  # noqa: N818
    """The user asked training to stop; the last state has been saved."""


class _GaveUp(Exception):  # noqa: N818
    """Training diverged too often."""


class Course(keras.callbacks.Callback):
    """Sets each step's learning rate, ends the rounds, and turns a budget of seconds into a number of steps.

    While a linear schedule is at its peak nothing depends on how many steps there will be, so the run's own speed is
    measured until the rate has to fall; then the number of steps is fixed. Where the pace later leads elsewhere,
    because the machine's changed or the first measurement was off, the end is moved, and the rate goes on falling from
    where it is. A run that is continued keeps the end it had.
    """

    def __init__(self, progress: Progress, config: TrainingConfig, reporter: Reporter, *, held_out: int) -> None:
        super().__init__()
        self.progress, self.config, self.reporter = progress, config, reporter
        self._held_out = held_out
        self._mark: tuple[int, float] | None = None
        self._round_end: float | None = None
        self._round_seconds: float | None = None
        self._aside = 0.0
        self._steps_here = 0
        self._planned_here = False

    def on_train_begin(self, logs: Any = None) -> None:
        """Tells the trainer how a continued run learns."""
        del logs
        self._set_halves()

    def on_train_batch_begin(self, batch: int, logs: Any = None) -> None:
        """Sets the step's rate."""
        del batch, logs
        rate = learning_rate(self.config, self.progress.plan, self.progress.step) * self.progress.rate_factor
        self.model.optimizer.learning_rate = rate
        if self.progress.step == self.progress.plan.whole_from:
            self._set_halves()

    def on_train_batch_end(self, batch: int, logs: Any = None) -> None:
        """Counts the step and ends the round where the plan says so."""
        del batch
        progress = self.progress
        progress.step += 1
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
        if plan.ends_round(progress.step):
            self._round_end = progress.seconds
            self.model.stop_training = True

    def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
        """Lets `fit` go on with the next round unless the plan is done."""
        del epoch, logs
        self.model.stop_training = self.progress.finished

    def on_epoch_begin(self, epoch: int, logs: Any = None) -> None:
        """Notes how long the validation, the sample and the save between two rounds took."""
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
        """Begins to measure the pace."""
        self._mark, self._aside = (self.progress.step, self.progress.seconds), 0.0

    def _pace(self) -> float:
        """Seconds of a step, since the measurement began."""
        first, since = self._mark or (self.progress.step, self.progress.seconds)
        return max((self.progress.seconds - since - self._aside) / max(self.progress.step - first, 1), 1e-6)

    def _round(self) -> float:
        """Seconds of a validation, with its sample and save: the last one's, or a guess before the first."""
        if self._round_seconds is not None:
            return self._round_seconds
        size = self.config.batch_size * self.config.sequence_length
        # Scoring takes a third to two thirds of what learning does; a sample and a save take a moment more.
        return self._pace() * self._held_out / size / 1.5 + 0.5

    def _between(self) -> float:
        """The share of a validation's seconds that falls on a step."""
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
        """Sets the end, from here on; the pace is measured anew where this ends the steps in halves."""
        plan, step = self.progress.plan, self.progress.step
        done = fallen(self.config, plan, step)
        whole = max(step, round(self.config.halved_share * steps)) if plan.halves(step) else plan.whole_from
        self.progress.plan = replace(plan, steps=steps, decay_start=step, decay_done=done, whole_from=whole)
        if whole == step:
            self._measure()

    def _affordable(self, seconds: float) -> int:
        """The step at which so many seconds are over, with the validations on the way and the last one.

        What is left of the steps in halves goes at the pace measured, and the others more quickly by a known share.
        """
        step, plan, pace, between = self.progress.step, self.progress.plan, self._pace(), self._between()
        seconds -= self._round()
        if not plan.halves(step):
            return step + max(int(seconds / (pace + between)), 1)
        whole, share = _WHOLE_PACE * pace, self.config.halved_share
        steps = (seconds + step * (pace + between)) / (share * pace + (1.0 - share) * whole + between)
        halved = max(round(share * steps) - step, 0)
        return step + max(halved + int((seconds - halved * (pace + between)) / (whole + between)), 1)


class Rescue(keras.callbacks.Callback):
    """Takes a run whose loss explodes back to its best weights, with half the learning rate.

    A step counts as exploded when its loss is not finite, its gradient's norm is not finite, or its loss is more than
    twice what guessing all characters alike would give.
    """

    def __init__(self, progress: Progress, reporter: Reporter, *, vocab_size: int, best: Callable[[], None]) -> None:
        super().__init__()
        self.progress, self.reporter = progress, reporter
        self._ceiling = 2.0 * math.log(max(vocab_size, 2)) + 2.0
        self._restore_best = best

    def on_train_batch_end(self, batch: int, logs: Any = None) -> None:
        """Looks at the step's loss."""
        del batch, logs
        trainer, progress = self.model, self.progress
        loss, norm = float(trainer.last_loss), float(trainer.gradient_norm)
        if loss <= self._ceiling and math.isfinite(norm):
            return
        if progress.rescues == RESCUES:
            raise _GaveUp(
                f"The loss exploded {RESCUES + 1} times (at step {progress.step}). The best model is kept; "
                "train again with a lower --learning-rate."
            )
        progress.rescues += 1
        progress.rate_factor *= 0.5
        self._restore_best()
        trainer.forget()
        trainer.reset_metrics()
        self.reporter.warned(
            f"The loss exploded at step {progress.step}; going on from the best weights so far with "
            f"{progress.rate_factor:g} of the learning rate."
        )


class Keeper(keras.callbacks.Callback):
    """Writes the rows, the samples, the best and the last state, and stops a run that no longer improves.

    A state that cannot be written is a warning, and is tried again at the next save; `failure` holds it until then.
    """

    def __init__(
        self,
        progress: Progress,
        config: TrainingConfig,
        reporter: Reporter,
        *,
        batches_per_epoch: int,
        save: Callable[[bool], None],
        sample: Callable[[int], str],
    ) -> None:
        super().__init__()
        self.progress, self.config, self.reporter = progress, config, reporter
        self.failure: CheckpointError | None = None
        self._batches_per_epoch = batches_per_epoch
        self._save_files, self._sample = save, sample
        self._saved = time.monotonic()
        self._cost = 0.0

    def on_train_batch_end(self, batch: int, logs: Any = None) -> None:
        """Saves the last state when it is time to.

        Where that goes by time, saving stays under 2 % of it; where it goes by steps, the user has decided.
        """
        del batch, logs
        if not self.model.stop_training and self._is_due():
            self.save()

    def _is_due(self) -> bool:
        steps = self.config.save_every_steps
        if steps is not None:
            return self.progress.step % steps == 0
        return time.monotonic() - self._saved >= max(self.config.save_every, 50.0 * self._cost)

    def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
        """Keeps what the round brought."""
        del epoch
        progress, config = self.progress, self.config
        value = float(logs.get("val_loss", logs["loss"]))
        best = value < progress.best
        progress.best, progress.waits = (value, 0) if best else (progress.best, progress.waits + 1)
        row = Validation(
            step=progress.step,
            epoch=progress.step / self._batches_per_epoch,
            seconds=round(progress.seconds, 1),
            characters=progress.step * config.batch_size * config.sequence_length,
            loss=float(logs["loss"]),
            val_loss=float(logs["val_loss"]) if "val_loss" in logs else None,
            learning_rate=float(np.asarray(self.model.optimizer.learning_rate)),
            sample=self._sample(progress.step),
        )
        progress.history.append(row)
        self.model.reset_metrics()
        self.save(best=best)
        self.reporter.validated(row, best=best)
        if config.patience is not None and progress.waits >= config.patience and not progress.finished:
            self.model.stop_training = True
            self.reporter.finished(f"No better loss in {config.patience} validations: stopped early.")

    def save(self, *, best: bool = False) -> None:
        """Writes the last state, and the best one where `best`."""
        start = time.monotonic()
        try:
            self._save_files(best)
        except CheckpointError as error:
            self.failure = error
            self.reporter.warned(f"{error} Training goes on and saving is tried again.")
        else:
            self.failure = None
        self._saved = time.monotonic()
        self._cost = self._saved - start


class Halt(keras.callbacks.Callback):
    """Ends training after the step in which the user asked for it, once the last state is saved."""

    def __init__(self, keeper: Keeper, asked: Callable[[], bool]) -> None:
        super().__init__()
        self._keeper, self._asked = keeper, asked

    def on_train_batch_end(self, batch: int, logs: Any = None) -> None:
        """Saves and leaves if the user asked."""
        del batch, logs
        if self._asked() and not self.model.stop_training:
            self._keeper.save()
            raise Interrupted


def fit(trainer: Trainer, callbacks: list[keras.callbacks.Callback], *, training: Any, validation: Any) -> None:
    """Runs `trainer.fit` until a callback stops it.

    Raises:
        Interrupted: the user asked for it.
        TrainingError: the loss exploded again and again.
    """
    endless = 2**40
    # TensorFlow's iterators over our generators have to go before the interpreter does: one that is destroyed while it
    # shuts down may wait for a thread that waits for the interpreter (tensorflow/tensorflow, issue 21277).
    atexit.unregister(gc.collect)
    atexit.register(gc.collect)
    try:
        trainer.fit(
            training,
            epochs=endless,
            steps_per_epoch=endless,
            validation_data=validation,
            callbacks=callbacks,
            verbose=0,
            shuffle=False,
        )
    except _GaveUp as error:
        raise TrainingError(str(error)) from None

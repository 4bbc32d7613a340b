"""Callback that sets each step's learning rate and turns a time budget into a number of steps."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import keras

from textgen.config import TrainingConfig
from textgen.display.format import short_duration
from textgen.runs.events import Reporter
from textgen.training.costs import Costs
from textgen.training.progress import Progress
from textgen.training.schedule import fallen, learning_rate

_MEASURED, _SHORT = 10, 0.01
"""Number of steps that the first plan is made after, or the share of the budget that fewer have taken."""

_WHOLE_PACE = 0.92
"""The time of a step with one update, as a share of that with two halves."""

_HORIZON, _HORIZON_LEFT = 0.04, 0.15
"""The speed is averaged over this share of the budget, or over this share of what is left of it if that is less."""

_OFF, _OFF_LEFT = 0.002, 0.02
"""Share of the budget and share of the time left by which the expected end must be off, the larger one, to be moved."""

_FALL, _LATE = 0.05, 0.02
"""Share of all steps that a decay from the peak takes at least, in proportion less from a lower rate; share of the
budget that these steps take at most."""

_DEAR, _FIRST = 0.1, 2.0
"""Share of the time left that a validation may take, as one that takes more is left out; factor on that for the first,
from which the time of the last one is known."""

_GRAPH = 0.1
"""Share of the time left that the graph for steps in one update may take to build; otherwise all are in halves."""

_EXIT = 0.15
"""Seconds from the last save to the end of the process."""


class TimeBudget(keras.callbacks.Callback):
    """Sets each step's learning rate and turns a time budget into a number of steps.

    At the peak of a linear schedule nothing depends on the number of steps, so the speed is measured until the decay
    has to start; then the number of steps is fixed. As the measured speed changes, the end is moved, and the rate
    decays from its current value: the closer the end, the more closely it is followed. Validations that would take too
    much of the time that is left are left out, unless the user chose their interval. A continued run keeps its end.

    Args:
        progress: the run's counters; its plan is replaced here.
        config: the schedule and the budget.
        reporter: is told of each step.
        held_out: characters that a validation scores; 0 for none.
        whole: characters that the last one scores besides, where the others score a part of the text.
        weights: number of weights of the model.
        scoring: operations of a forward pass in scoring, relative to one in training.
        last: seconds of the last validation of a part, relative to one before it.
        steers: whether the plan may be changed after this step; None for always.
        workers: the number of those that train the run together.
    """

    def __init__(
        self,
        progress: Progress,
        config: TrainingConfig,
        reporter: Reporter,
        *,
        held_out: int,
        whole: int = 0,
        weights: int = 0,
        scoring: float = 1.0,
        last: float = 1.0,
        steers: Callable[[], bool] | None = None,
        workers: int = 1,
    ) -> None:
        super().__init__()
        self.progress, self.config, self.reporter = progress, config, reporter
        self.costs = Costs(weights=weights, characters=config.batch_size * config.sequence_length, scoring=scoring)
        self._held_out, self._whole, self._last = held_out, whole, last
        self._steers, self._workers = steers or (lambda: True), workers
        self._seen = progress.seconds
        self._graphs: set[bool] = set()
        self._building = False
        self._tests = 0
        self._batches, self._test_begin, self._first_batch = 0, 0.0, 0.0
        self._round_end: float | None = None
        self._planned_here = False
        self._next_look = 0.0

    def on_train_begin(self, logs: Any = None) -> None:
        """Starts the clock of the first step."""
        del logs
        self._seen = self.progress.seconds

    def on_train_batch_begin(self, batch: int, logs: Any = None) -> None:
        """Sets the step's learning rate."""
        del batch, logs
        progress = self.progress
        self.model.optimizer.learning_rate = (
            learning_rate(self.config, progress.plan, progress.step) * progress.rate_factor
        )
        halves = progress.plan.halves(progress.step)
        self._building = halves not in self._graphs
        if self._building and self._graphs and not halves:
            self.costs.changed(_WHOLE_PACE)
        self._graphs.add(halves)

    def on_train_batch_end(self, batch: int, logs: Any = None) -> None:
        """Measures the speed, moves the end if needed, and reports the step."""
        del batch
        progress = self.progress
        self._measure()
        if self.config.time is not None and self._steers():
            self._steer(self.config.time)
        plan = progress.plan
        self.reporter.stepped(
            step=progress.step,
            steps=plan.steps,
            share=self._share(),
            loss=float(logs["loss"]),
            characters=self._workers * self.config.batch_size * self.config.sequence_length,
        )

    def on_test_begin(self, logs: Any = None) -> None:
        """Starts to measure a validation."""
        del logs
        self._batches, self._test_begin = 0, self.progress.seconds

    def on_test_batch_end(self, batch: int, logs: Any = None) -> None:
        """Counts the batch; the first one of all builds the graph."""
        del batch, logs
        self._batches += 1
        if self._batches == 1:
            self._first_batch = self.progress.seconds

    def on_test_end(self, logs: Any = None) -> None:
        """Measures the validation."""
        del logs
        self._tests += 1
        if self._tests > 1:
            self.costs.scored(self._held_out, self.progress.seconds - self._test_begin)
        else:
            share = 1.0 - 1.0 / self._batches if self._batches else 0.0
            self.costs.scored(share * self._held_out, self.progress.seconds - self._first_batch)

    def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
        """Starts to measure the sample and the save, which are other callbacks'."""
        del epoch, logs
        self._round_end = self.progress.seconds

    def on_epoch_begin(self, epoch: int, logs: Any = None) -> None:
        """Measures the time of the last sample and save."""
        del epoch, logs
        self._seen = self.progress.seconds
        if self._round_end is not None:
            self.costs.saved(self._seen - self._round_end)

    def _share(self) -> float:
        plan = self.progress.plan
        if plan.steps is not None:
            return min(self.progress.step / plan.steps, 1.0)
        return min(self.progress.seconds / (self.config.time or math.inf), 1.0)

    def _measure(self) -> None:
        """Counts the last step."""
        now = self.progress.seconds
        seconds, self._seen = now - self._seen, now
        if self._building:
            self.costs.built(seconds)
            return
        budget = self.config.time or math.inf
        horizon = max(min(_HORIZON * budget, _HORIZON_LEFT * (budget - now)), 0.0)
        self.costs.stepped(seconds, horizon=horizon)

    def _round(self) -> float:
        """Seconds of a validation with its sample and save."""
        scoring = self.costs.scoring(self._held_out) + self.costs.scoring_graph if self._held_out else 0.0
        return scoring + self.costs.saving

    def _end(self) -> float:
        """Seconds from the last step to the end of the process."""
        scoring = self.costs.scoring(self._held_out)
        more = (self._last - 1.0) * scoring
        if self._last > 1.0 and self.progress.waits:
            # An earlier model is the best so far: it is calibrated, too.
            more += self._last * scoring + self.costs.saving
        return self._round() + more + self.costs.scoring(self._whole) + _EXIT

    def _spared(self) -> int:
        """Steps before the end within which no validation is made but the last."""
        if self.config.validate_every is not None:
            return 1
        share = _DEAR if self.costs.scores else _FIRST * _DEAR
        return max(math.ceil(self._round() / share / self.costs.step), 1)

    def _steer(self, budget: float) -> None:
        """Makes the plan, or moves its end, and leaves out a validation that would take too long."""
        progress, costs = self.progress, self.costs
        # A continued run keeps the plan that it had.
        if not costs.measured or not (progress.plan.steps is None or self._planned_here):
            return
        now = progress.seconds
        self._leave_out(budget - now)
        plan = progress.plan
        if plan.steps is None:
            flat = 1.0 - self.config.decay_fraction if self.config.schedule == "linear" else 0.05
            enough = costs.measured >= _MEASURED or costs.measured * costs.step >= _SHORT * budget
            if now >= budget * flat and enough:
                self._warn_if_short(budget)
                self._move(progress.step + self._affordable(budget - now))
                self._planned_here = True
        elif now >= self._next_look and not progress.finished:
            self._correct(plan.steps - progress.step, budget)
            self._next_look = now + max(min(_OFF * budget, 0.1 * (budget - now)), 0.0)

    def _correct(self, left: int, budget: float) -> None:
        """Moves the end if it is expected too early or too late; `left` steps are planned."""
        progress, plan = self.progress, self.progress.plan
        seconds = budget - progress.seconds
        steps = max(self._affordable(seconds), self._least(budget))
        off = abs(steps - left) * self.costs.step
        warming = progress.step <= min(self.config.warmup_steps, (plan.steps or 0) // 4)
        if steps != left and not warming and off > max(_OFF * budget, _OFF_LEFT * seconds):
            self._move(progress.step + steps)

    def _least(self, budget: float) -> int:
        """Steps that the rest of the decay takes at least."""
        progress, plan = self.progress, self.progress.plan
        steps = _FALL * (plan.steps or 0) * (1.0 - fallen(self.config, plan, progress.step))
        return max(math.ceil(min(steps, max(_LATE * budget / self.costs.step, 3.0))), 1)

    def _leave_out(self, left: float) -> None:
        """Makes validations rarer if the one that is due would take too much of the time that is left."""
        progress, plan = self.progress, self.progress.plan
        if not progress.round_done or progress.finished or self.config.validate_every is not None:
            return
        steps = plan.steps - progress.step if plan.steps is not None else (left - self._end()) / self.costs.step
        if steps < self._spared():
            every = plan.validate_every
            factor = next(n for n in range(2, progress.step + 2) if progress.step % (n * every))
            progress.plan = replace(plan, validate_every=factor * every)

    def _move(self, steps: int) -> None:
        """Moves the end of the run."""
        plan, step = self.progress.plan, self.progress.step
        done = fallen(self.config, plan, step)
        whole = plan.whole_from
        if plan.halves(step):
            whole = steps if self._in_halves(steps - step) else max(step, round(self.config.halved_share * steps))
        self.progress.plan = replace(plan, steps=steps, decay_start=step, decay_done=done, whole_from=whole)

    def _warn_if_short(self, budget: float) -> None:
        """Says so if starting and ending take longer than the budget."""
        now, end = self.progress.seconds, self._end()
        if now + end > budget and self.progress.earlier_seconds == 0.0:
            self.reporter.warned(
                f"The time budget of {short_duration(budget)} is too short here: the first steps were done after "
                f"{now:.0f} s, and validating and saving take about {end:.0f} s. Training ends at once; use a longer "
                "time, or a smaller model."
            )

    def _in_halves(self, steps: int) -> bool:
        """Whether all of a number of further steps are in halves, as is right where another graph is not worth it."""
        return self.costs.building > _GRAPH * steps * self.costs.step

    def _affordable(self, seconds: float) -> int:
        """The number of further steps that fit into a number of seconds, with all validations to the end; at least 1.

        The remaining steps in halves are assumed to take the measured time, the others a fixed share of it.
        """
        seconds -= self._end()
        fewest, most = 1, max(math.ceil(seconds / (min(_WHOLE_PACE, 1.0) * self.costs.step)), 1)
        while fewest < most:
            middle = (fewest + most + 1) // 2
            fewest, most = (middle, most) if self._seconds(middle) <= seconds else (fewest, middle - 1)
        return fewest

    def _seconds(self, steps: int) -> float:
        """Seconds of a number of further steps and the validations among them, without the end."""
        step, plan, costs = self.progress.step, self.progress.plan, self.costs
        every = plan.validate_every
        rounds = max((step + steps - self._spared()) // every - step // every, 0) + self.progress.round_done
        halved, graph = steps, 0.0
        if plan.halves(step) and not self._in_halves(steps):
            halved = min(max(round(self.config.halved_share * (step + steps)) - step, 0), steps)
            graph = costs.building if halved < steps else 0.0
        pace = costs.step * (_WHOLE_PACE if plan.halves(step) else 1.0)
        return halved * costs.step + (steps - halved) * pace + graph + rounds * self._round()

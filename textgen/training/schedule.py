"""The length of a run and its learning rate schedule, as pure functions of the step.

`time_budget.TimeBudget` turns a time budget into a number of steps; until then `Plan.steps` is None and a linear
schedule stays at its peak.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

from textgen.config import TrainingConfig


@dataclass(frozen=True, kw_only=True)
class Plan:
    """The plan of a run, in steps.

    Args:
        steps: the last step; None while a time budget has not been turned into steps.
        decay_start: the step at which a linear schedule starts to decay; None if `steps` is.
        validate_every: steps from one validation to the next.
        decay_done: the share of the decay already done at `decay_start`; above 0 if the end was moved during it.
        whole_from: the step from which a batch is one update, no longer two halves; None if `steps` is, when the time
            decides.
    """

    steps: int | None
    decay_start: int | None
    validate_every: int
    decay_done: float = 0.0
    whole_from: int | None = 0

    @classmethod
    def for_steps(cls, config: TrainingConfig, *, steps: int, validate_every: int) -> Plan:
        """The plan of a run whose number of steps is known.

        >>> Plan.for_steps(TrainingConfig(decay_fraction=0.4), steps=100, validate_every=10).decay_start
        60
        """
        decay = round(config.decay_fraction * steps)
        whole = round(config.halved_share * steps)
        return cls(steps=steps, decay_start=steps - decay, validate_every=validate_every, whole_from=whole)

    def halves(self, step: int) -> bool:
        """Whether the step with this number, from 0, makes two updates, one per half of its batch."""
        return self.whole_from is None or step < self.whole_from

    def ends_round(self, step: int) -> bool:
        """Whether a validation follows the step with this number (counted from 1)."""
        return step % self.validate_every == 0 or step == self.steps


def learning_rate(config: TrainingConfig, plan: Plan, step: int) -> float:
    """The learning rate of a step.

    Warm-up is linear. Then a "linear" schedule holds the peak until `plan.decay_start` and decays linearly, a "cosine"
    one follows half a cosine to the end (Loshchilov and Hutter 2017); both end at `config.final_rate`.

    Args:
        config: peak, warm-up, shape and end of the schedule.
        plan: the plan of the run.
        step: the step's number, from 0.

    Example:
        >>> config = TrainingConfig(learning_rate=1.0, warmup_steps=10, decay_fraction=0.5)
        >>> plan = Plan.for_steps(config, steps=100, validate_every=10)
        >>> [learning_rate(config, plan, step) for step in (0, 4, 9, 30, 50, 75)]
        [0.1, 0.5, 1.0, 1.0, 1.0, 0.5]
    """
    warmup = config.warmup_steps if plan.steps is None else min(config.warmup_steps, plan.steps // 4)
    rate = config.learning_rate
    if step < warmup:
        return rate * (step + 1) / warmup
    if plan.steps is None:
        return rate
    done = fallen(config, plan, step)
    fall = 0.5 * (1.0 + math.cos(math.pi * done)) if config.schedule == "cosine" else 1.0 - done
    return rate * (config.final_rate + (1.0 - config.final_rate) * fall)


def fallen(config: TrainingConfig, plan: Plan, step: int) -> float:
    """The share of the learning rate's decay that is done at a step, in [0, 1].

    Args:
        config: warm-up and shape of the schedule.
        plan: the plan of the run.
        step: the step's number, from 0.

    >>> fallen(TrainingConfig(), Plan(steps=40, decay_start=20, validate_every=9, decay_done=0.5), 30)
    0.75
    """
    if plan.steps is None or plan.decay_start is None:
        return 0.0
    warmup = min(config.warmup_steps, plan.steps // 4)
    begins = plan.decay_start if config.schedule == "linear" or plan.decay_done > 0.0 else 0
    start = max(begins, warmup)
    share = min(max(step - start, 0) / max(plan.steps - start, 1), 1.0)
    return plan.decay_done + (1.0 - plan.decay_done) * share

"""A budget of time as steps, on a clock that the test turns: no second is waited for."""

import signal
from collections.abc import Callable

import numpy as np
import pytest

from textgen.config import TrainingConfig
from textgen.runs.events import Reporter
from textgen.system import counting_stops
from textgen.training import progress as progress_module
from textgen.training.progress import Progress
from textgen.training.schedule import Plan, learning_rate
from textgen.training.time_budget import TimeBudget

BUDGET = 100.0
ROUND, SAVE = 1.5, 0.5


class Clock:
    now = 0.0


class Model:
    """What a time budget sets: a rate."""

    def __init__(self) -> None:
        self.optimizer = type("Optimizer", (), {"learning_rate": 0.0})()


def drive(
    monkeypatch: pytest.MonkeyPatch,
    seconds: Callable[[float, bool], float],
    *,
    progress: Progress | None = None,
    every: int = 60,
    stop: tuple[float, float] | None = None,
    **changes: object,
) -> tuple[Progress, list[float], list[bool], float]:
    """Runs a plan to its end; a step takes `seconds(now, halved)`.

    `stop` is a moment, and how long the process is stopped in the step after it. Returns the progress, each step's
    rate, whether it was halved, and the end in seconds.
    """
    clock = Clock()
    monkeypatch.setattr(progress_module.time, "monotonic", lambda: clock.now)
    config = TrainingConfig(**{"time": BUDGET, "warmup_steps": 5, "decay_fraction": 0.9, **changes})
    start = None if config.halved_share > 0.0 else 0
    progress = progress or Progress(plan=Plan(steps=None, decay_start=None, validate_every=every, whole_from=start))
    progress.started = 0.0
    budget, model = TimeBudget(progress, config, Reporter(), held_out=60_000, weights=1_000_000), Model()
    budget.set_model(model)
    rates, halves = [], []
    budget.on_train_begin()
    clock.now += 3.0
    while not progress.finished:
        budget.on_epoch_begin(0)
        going = True
        while going:
            budget.on_train_batch_begin(0)
            rates.append(model.optimizer.learning_rate)
            halved = progress.plan.halves(progress.step)
            halves.append(halved)
            clock.now += seconds(clock.now, halved)
            if stop is not None and clock.now > stop[0]:
                clock.now, stop = clock.now + stop[1], None
                signal.raise_signal(signal.SIGCONT)
            progress.step += 1
            budget.on_train_batch_end(0, {"loss": 1.0})
            going = not progress.round_done
        budget.on_test_begin()
        for batch in range(4):
            clock.now += 0.25 * (ROUND - SAVE)
            budget.on_test_batch_end(batch)
        budget.on_test_end()
        budget.on_epoch_end(0)
        clock.now += SAVE
    return progress, rates, halves, clock.now


def test_a_steady_machine_ends_on_time_and_is_planned_once(monkeypatch: pytest.MonkeyPatch) -> None:
    progress, rates, halves, end = drive(monkeypatch, lambda _, __: 0.1)
    assert 0.97 * BUDGET < end <= 1.01 * BUDGET
    assert progress.plan.decay_done == 0.0
    assert rates[-1] < 0.01 * max(rates)
    assert not any(halves)


@pytest.mark.parametrize("whole", [0.8, 0.92, 1.0])
def test_steps_in_halves_come_first_and_the_end_holds(monkeypatch: pytest.MonkeyPatch, whole: float) -> None:
    progress, _, halves, end = drive(monkeypatch, lambda _, halved: 0.1 if halved else 0.1 * whole, halved_fraction=0.4)
    assert halves == sorted(halves, reverse=True)
    assert np.mean(halves) == pytest.approx(0.4, abs=0.05)
    assert progress.plan.whole_from == sum(halves)
    assert 0.95 * BUDGET < end <= 1.03 * BUDGET


@pytest.mark.parametrize("every", [60, 450, 10**6])
@pytest.mark.parametrize("change", [0.4, 0.75, 0.85])
@pytest.mark.parametrize("factor", [0.5, 2.0])
def test_a_machine_that_changes_its_pace_still_ends_on_time(
    monkeypatch: pytest.MonkeyPatch, factor: float, change: float, every: int
) -> None:
    progress, rates, _, end = drive(
        monkeypatch, lambda now, _: 0.1 if now < change * BUDGET else 0.1 * factor, every=every
    )
    assert 0.95 * BUDGET < end < 1.05 * BUDGET
    assert len(rates) == progress.plan.steps
    assert rates[-1] < 0.02 * max(rates)


@pytest.mark.parametrize("every", [8, 60, 10**6])
@pytest.mark.parametrize("whole", [0.6, 1.1])
def test_a_wrong_guess_of_the_later_pace_is_put_right(
    monkeypatch: pytest.MonkeyPatch, whole: float, every: int
) -> None:
    def seconds(_: float, halved: bool) -> float:
        return 0.1 if halved else 0.1 * whole

    progress, rates, _, end = drive(monkeypatch, seconds, every=every, halved_fraction=0.35)
    assert 0.95 * BUDGET < end < 1.05 * BUDGET
    assert len(rates) == progress.plan.steps
    assert rates[-1] < 0.02 * max(rates)


def paused(at: float, pause: float) -> Callable[[float, bool], float]:
    """Steady steps, and one that takes `pause` seconds, the first after `at`."""
    left = [pause]
    return lambda now, _: left.pop() if now > at and left else 0.1


def test_a_long_pause_still_lets_the_rate_come_to_rest(monkeypatch: pytest.MonkeyPatch) -> None:
    _, rates, _, end = drive(monkeypatch, paused(0.5 * BUDGET, 3.0 * BUDGET))
    assert rates[-1] < 0.05 * max(rates)
    assert -np.diff(rates[6:]).max() > -1e-12
    assert end < 3.8 * BUDGET


@pytest.mark.skipif(not hasattr(signal, "SIGCONT"), reason="Windows stops no processes")
@pytest.mark.parametrize("at", [0.05, 0.5, 0.9], ids=["early", "middle", "late"])
def test_a_process_that_was_stopped_has_its_whole_budget(monkeypatch: pytest.MonkeyPatch, at: float) -> None:
    _, smooth, _, usual = drive(monkeypatch, lambda _, __: 0.1)
    with counting_stops():
        progress, rates, _, end = drive(monkeypatch, lambda _, __: 0.1, stop=(at * BUDGET, 36.0 * BUDGET))
    assert end == pytest.approx(usual + 36.0 * BUDGET, abs=0.02 * BUDGET)
    assert progress.seconds == pytest.approx(usual, abs=0.02 * BUDGET)
    assert len(rates) == pytest.approx(len(smooth), rel=0.02)
    shared = min(len(rates), len(smooth))
    np.testing.assert_allclose(rates[:shared], smooth[:shared], atol=0.02 * max(smooth))


def test_a_hiccup_costs_little_more_than_its_time(monkeypatch: pytest.MonkeyPatch) -> None:
    _, smooth, _, _ = drive(monkeypatch, lambda _, __: 0.1)
    _, rates, _, end = drive(monkeypatch, paused(0.4 * BUDGET, 0.05 * BUDGET))
    assert 0.95 * BUDGET < end < 1.05 * BUDGET
    assert len(rates) > 0.9 * len(smooth)


@pytest.mark.parametrize("factor", [0.5, 1.0, 2.0])
def test_a_cosine_falls_without_a_jump_to_the_end_of_its_time(monkeypatch: pytest.MonkeyPatch, factor: float) -> None:
    _, rates, _, end = drive(monkeypatch, lambda now, _: 0.1 if now < 0.5 * BUDGET else 0.1 * factor, schedule="cosine")
    assert 0.95 * BUDGET < end < 1.05 * BUDGET
    falls = -np.diff(rates[6:])
    assert falls.min() >= 0.0
    assert falls.max() < 5.0 * max(rates) / len(rates)
    assert rates[-1] < 0.02 * max(rates)


def test_the_rate_falls_without_a_jump_where_the_end_is_moved(monkeypatch: pytest.MonkeyPatch) -> None:
    progress, rates, _, _ = drive(monkeypatch, lambda now, _: 0.1 if now < 0.4 * BUDGET else 0.2)
    assert progress.plan.decay_done > 0.0
    falls = -np.diff(rates[6:])
    assert falls.min() >= 0.0
    assert falls.max() < 4.0 * max(rates) / len(rates)


def test_a_continued_run_keeps_its_end_on_any_machine(monkeypatch: pytest.MonkeyPatch) -> None:
    plan = Plan(steps=400, decay_start=50, validate_every=60)
    progress = Progress(plan=plan, step=150, earlier_seconds=40.0)
    progress, rates, _, _ = drive(monkeypatch, lambda _, __: 0.5, progress=progress)
    assert progress.plan == plan
    config = TrainingConfig(time=BUDGET, warmup_steps=5, decay_fraction=0.9)
    assert rates == [learning_rate(config, plan, step) for step in range(150, 400)]


def test_a_budget_that_is_over_at_once_still_takes_a_step(monkeypatch: pytest.MonkeyPatch) -> None:
    progress, _, _, _ = drive(monkeypatch, lambda _, __: 50.0)
    assert progress.finished
    assert progress.step == progress.plan.steps

"""Runs with a time budget end with it, from 15 seconds to 8 hours, on a machine that a formula describes."""

import sys
from collections.abc import Callable

import numpy as np
import pytest

from textgen.config import TrainingConfig
from textgen.runs.events import Reporter
from textgen.training import progress as progress_module
from textgen.training.progress import Progress
from textgen.training.schedule import Plan
from textgen.training.time_budget import TimeBudget

BUDGETS = {"15s": 15.0, "1m": 60.0, "10m": 600.0, "1h": 3600.0, "8h": 8 * 3600.0}
LOADS: dict[str, Callable[[float], float]] = {
    "steady": lambda _: 1.0,
    "busy": lambda _: 2.0,
    "slower": lambda share: 1.0 if share < 0.5 else 2.0,
    "faster": lambda share: 1.0 if share < 0.5 else 0.5,
    "slower late": lambda share: 1.0 if share < 0.8 else 2.0,
    "drifting": lambda share: 1.0 + share,
    "in turns": lambda share: 1.0 if int(60.0 * share) % 3 else 2.0,
}
"""How many times as long everything takes, by the share of the budget that has passed."""

START, GRAPH, EXIT, SAVE = 3.0, 1.5, 0.12, 0.25


class Machine(Reporter):
    """Trains, validates and saves by a clock of its own, as `training.loop` and the other callbacks do."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, budget: float, load: str, noise: float) -> None:
        self.now, self.budget, self.load = 0.0, budget, LOADS[load]
        self.noise, self.random = noise, np.random.default_rng(1)
        self.optimizer = type("Optimizer", (), {"learning_rate": 0.0})()
        self.warnings: list[str] = []
        self.rates: list[float] = []
        self.longest = 0.0
        self.validations = 0
        monkeypatch.setattr(progress_module.time, "monotonic", lambda: self.now)

    def warned(self, message: str) -> None:
        self.warnings.append(message)

    def work(self, seconds: float) -> None:
        """Passes the time of some work, in parts, since the load may change on the way."""
        parts = max(min(round(200.0 * seconds / self.budget), 50), 1)
        for _ in range(parts):
            self.now += seconds / parts * self.load(self.now / self.budget)

    def score(self, callback: TimeBudget, seconds: float, graph: float) -> None:
        callback.on_test_begin()
        self.work(graph)
        for batch in range(5):
            self.work(seconds / 5)
            callback.on_test_batch_end(batch)
        callback.on_test_end()

    def run(
        self, *, step: float, validation: float, whole: float = 0.0, guess: float = 1.0, start: float = START
    ) -> Progress:
        """Trains to the end of the budget.

        Args:
            step: seconds of a step in halves; the others take 0.9 of it.
            validation: seconds of a validation.
            whole: seconds to score the whole validation text at the end.
            guess: the expected time of the first validation, as a multiple of the real one.
            start: seconds before the first graph is built.
        """
        config = TrainingConfig(time=self.budget, decay_fraction=0.9, halved_fraction=0.35)
        every = max(round(self.budget / step / 20), 1)
        progress = Progress(plan=Plan(steps=None, decay_start=None, validate_every=every, whole_from=None))
        progress.started = 0.0
        characters = round(guess * validation / (0.35 * step) * config.batch_size * config.sequence_length)
        callback = TimeBudget(
            progress,
            config,
            self,
            held_out=max(characters, 1),
            whole=round(characters * whole / validation),
            weights=400_000,
        )
        callback.set_model(self)
        self.work(start)
        callback.on_train_begin()
        built: set[bool] = set()
        while not progress.finished:
            callback.on_epoch_begin(0)
            while True:
                callback.on_train_batch_begin(0)
                self.rates.append(self.optimizer.learning_rate)
                halves = progress.plan.halves(progress.step)
                begun, noisy = self.now, 1.0 + self.noise * self.random.exponential()
                self.work(step * noisy * (1.0 if halves else 0.9) + (0.0 if halves in built else GRAPH))
                if halves in built:
                    self.longest = max(self.longest, self.now - begun)
                built.add(halves)
                progress.step += 1
                callback.on_train_batch_end(0, {"loss": 1.0})
                if progress.round_done:
                    break
            self.score(callback, validation, 0.0 if self.validations else 0.3 * GRAPH)
            self.validations += 1
            if whole and progress.finished:
                self.score(callback, whole, 0.0)
            callback.on_epoch_end(0)
            self.work(SAVE)
        self.work(EXIT)
        return progress

    def holds(self, *, slack: float = 0.0) -> bool:
        """Whether the run ended within 2 % of its budget, and some seconds of slack."""
        return abs(self.now - self.budget) <= 0.02 * self.budget + slack


@pytest.mark.parametrize("noise", [0.0, 0.5], ids=["even", "noisy"])
@pytest.mark.parametrize("load", LOADS)
@pytest.mark.parametrize("budget", BUDGETS)
def test_a_run_ends_with_its_budget_and_with_its_decay_done(
    monkeypatch: pytest.MonkeyPatch, budget: str, load: str, noise: float
) -> None:
    seconds = BUDGETS[budget]
    machine = Machine(monkeypatch, seconds, load, noise)
    progress = machine.run(step=max(seconds / 1500, 0.03), validation=max(0.002 * seconds, 0.1))
    assert machine.holds(), machine.now
    assert progress.step == progress.plan.steps
    assert machine.rates[-1] < 0.06 * max(machine.rates)
    assert not machine.warnings


@pytest.mark.parametrize("load", LOADS)
@pytest.mark.parametrize("seconds", [15.0, 20.0, 30.0])
def test_a_run_of_a_few_dozen_steps_ends_with_its_budget_to_a_step(
    monkeypatch: pytest.MonkeyPatch, seconds: float, load: str
) -> None:
    machine = Machine(monkeypatch, seconds, load, 0.5)
    progress = machine.run(step=0.15, validation=0.1)
    assert machine.holds(slack=machine.longest), machine.now
    assert progress.step < 200


@pytest.mark.parametrize("noise", [0.0, 0.5], ids=["even", "noisy"])
@pytest.mark.parametrize("seconds", [15.0, 20.0, 30.0, 60.0])
def test_a_start_that_takes_most_of_the_budget_is_allowed_for(
    monkeypatch: pytest.MonkeyPatch, seconds: float, noise: float
) -> None:
    monkeypatch.setattr(sys.modules[__name__], "GRAPH", 2.9)
    machine = Machine(monkeypatch, seconds, "steady", noise)
    machine.run(step=0.15, validation=0.1, start=7.3)
    assert machine.holds(slack=machine.longest), machine.now
    assert not machine.warnings


@pytest.mark.parametrize("load", ["steady", "busy", "drifting"])
@pytest.mark.parametrize("guess", [0.7, 1.4])
@pytest.mark.parametrize(
    ("budget", "validation", "whole"),
    [
        ("1m", 0.1, 0.0),
        ("1m", 0.1, 4.0),
        ("1m", 1.0, 2.0),
        ("10m", 1.0, 40.0),
        ("10m", 20.0, 20.0),
        ("1h", 20.0, 200.0),
    ],
)
def test_validations_of_any_length_are_allowed_for(
    monkeypatch: pytest.MonkeyPatch, budget: str, validation: float, whole: float, guess: float, load: str
) -> None:
    seconds = BUDGETS[budget]
    machine = Machine(monkeypatch, seconds, load, 0.1)
    machine.run(step=max(seconds / 2000, 0.05), validation=validation, whole=whole, guess=guess)
    assert machine.holds(), machine.now
    assert machine.rates[-1] < 0.06 * max(machine.rates)


def test_validations_that_take_too_much_of_the_time_are_left_out(monkeypatch: pytest.MonkeyPatch) -> None:
    quick = Machine(monkeypatch, 60.0, "steady", 0.0)
    quick.run(step=0.05, validation=0.1)
    assert quick.validations > 12
    slow = Machine(monkeypatch, 60.0, "steady", 0.0)
    slow.run(step=0.05, validation=2.0)
    assert slow.validations < 8


def test_a_budget_shorter_than_the_start_ends_soon_after_it_and_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    machine = Machine(monkeypatch, 15.0, "steady", 0.0)
    progress = machine.run(step=0.2, validation=0.3, start=20.0)
    assert progress.step < 10
    assert machine.now < 20.0 + GRAPH + 4.0
    assert len(machine.warnings) == 1
    assert "The time budget of 15s is too short here" in machine.warnings[0]


def test_a_graph_that_little_time_is_left_for_is_not_built(monkeypatch: pytest.MonkeyPatch) -> None:
    short = Machine(monkeypatch, 15.0, "steady", 0.0)
    progress = short.run(step=0.05, validation=0.1)
    assert progress.plan.halves(progress.step - 1)
    long = Machine(monkeypatch, 600.0, "steady", 0.0)
    progress = long.run(step=0.5, validation=0.1)
    assert progress.plan.whole_from == pytest.approx(0.35 * progress.step, rel=0.02)

"""Learning rates and rounds as functions of the step."""

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from textgen.config import TrainingConfig
from textgen.training.schedule import Plan, learning_rate


def rates(config: TrainingConfig, steps: int) -> list[float]:
    plan = Plan.for_steps(config, steps=steps, validate_every=10)
    return [learning_rate(config, plan, step) for step in range(steps)]


def test_linear_rises_holds_and_falls_to_the_final_rate() -> None:
    config = TrainingConfig(learning_rate=1.0, warmup_steps=10, decay_fraction=0.4, final_rate=0.1)
    got = rates(config, 100)
    assert got[:10] == pytest.approx([0.1 * n for n in range(1, 11)])
    assert set(got[10:61]) == {1.0}
    assert got[99] == pytest.approx(0.1, abs=0.03)
    assert all(a > b for a, b in itertools.pairwise(got[60:]))


def test_cosine_is_half_way_in_the_middle() -> None:
    config = TrainingConfig(learning_rate=2.0, warmup_steps=0, schedule="cosine")
    assert rates(config, 100)[50] == pytest.approx(1.0)


def test_warm_up_never_takes_more_than_a_quarter_of_a_short_run() -> None:
    assert rates(TrainingConfig(learning_rate=1.0, warmup_steps=1000), 8)[2] == 1.0


def test_a_plan_without_an_end_stays_at_the_peak() -> None:
    config = TrainingConfig(learning_rate=1.0, warmup_steps=2)
    plan = Plan(steps=None, decay_start=None, validate_every=5)
    assert [learning_rate(config, plan, step) for step in (0, 1, 2, 10**6)] == [0.5, 1.0, 1.0, 1.0]


@given(
    steps=st.integers(1, 400),
    warmup=st.integers(0, 500),
    decay=st.floats(0.0, 1.0),
    final=st.floats(0.0, 1.0),
    schedule=st.sampled_from(["linear", "cosine"]),
)
def test_rates_stay_between_zero_and_the_peak(
    steps: int, warmup: int, decay: float, final: float, schedule: str
) -> None:
    config = TrainingConfig(
        learning_rate=1.0, warmup_steps=warmup, decay_fraction=decay, final_rate=final, schedule=schedule
    )
    assert all(0.0 < rate <= 1.0 for rate in rates(config, steps))


def test_a_round_ends_with_every_validation_and_with_the_last_step() -> None:
    plan = Plan.for_steps(TrainingConfig(), steps=25, validate_every=10)
    assert [step for step in range(1, 26) if plan.ends_round(step)] == [10, 20, 25]

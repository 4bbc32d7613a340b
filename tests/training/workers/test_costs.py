"""The model of an exchange's cost: a ring's bytes and steps, and constants that a fit finds again."""

import math

import pytest

from benchmarks import workers


def test_a_ring_sends_twice_the_vector_from_each_of_many_workers() -> None:
    free = {"fixed": 0.0, "byte": 0.0, "trips": 0.0}
    two, many = (workers.exchange_seconds(count, 1_000_000, 8.0, 0.0, free) for count in (2, 1000))
    assert two == pytest.approx(1.0) and many == pytest.approx(2.0, rel=2e-3)


def test_the_fit_finds_the_constants_that_made_the_measurements() -> None:
    costs = {"fixed": 4e-3, "byte": 2e-8, "trips": 3.0}
    points = [
        {
            "bytes": size,
            "megabits": megabits,
            "ms": ms,
            "seconds": workers.exchange_seconds(2, size, megabits, ms, costs),
        }
        for size in (1 << 16, 1 << 20, 6_000_000)
        for megabits, ms in ((math.inf, 0.0), (1000.0, 1.0), (100.0, 20.0))
    ]
    found = workers.fit(points)
    for name, value in costs.items():
        assert found[name] == pytest.approx(value, rel=1e-3)


def test_a_longer_round_and_a_wider_link_leave_more_time_to_compute() -> None:
    def share(megabits: float, steps: int) -> float:
        return workers.efficiency(8, megabits, workers.COSTS, step=0.2, size=6e6, round_steps=steps)

    assert share(100.0, 1) < share(1000.0, 1) < share(1000.0, 20) < 1.0

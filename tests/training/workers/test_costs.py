"""The model of an exchange's cost: a ring's bytes and steps, and constants that a fit finds again."""

import math

import pytest

from benchmarks import costs


def test_a_ring_sends_twice_the_vector_from_each_of_many_workers() -> None:
    free = {"fixed": 0.0, "byte": 0.0, "trips": 0.0}
    two, many = (costs.exchange_seconds(count, 1_000_000, 8.0, 0.0, free) for count in (2, 1000))
    assert two == pytest.approx(1.0) and many == pytest.approx(2.0, rel=2e-3)


def test_the_fit_finds_the_constants_that_made_the_measurements() -> None:
    made_by = {"fixed": 4e-3, "byte": 2e-8, "trips": 3.0}
    points = [
        {
            "bytes": size,
            "megabits": megabits,
            "ms": ms,
            "seconds": costs.exchange_seconds(2, size, megabits, ms, made_by),
        }
        for size in (1 << 16, 1 << 20, 6_000_000)
        for megabits, ms in ((math.inf, 0.0), (1000.0, 1.0), (100.0, 20.0))
    ]
    found = costs.fit(points)
    for name, value in made_by.items():
        assert found[name] == pytest.approx(value, rel=1e-3)


def test_a_longer_round_and_a_wider_link_leave_more_time_to_compute() -> None:
    def share(megabits: float, steps: int) -> float:
        return costs.efficiency(8, megabits, costs.COSTS, step=0.2, size=6e6, round_steps=steps)

    assert share(100.0, 1) < share(1000.0, 1) < share(1000.0, 20) < 1.0


def test_steps_taken_meanwhile_hide_what_the_network_takes_but_not_the_processor() -> None:
    def share(ahead: int, byte: float) -> float:
        made = {"fixed": 0.0, "byte": byte, "trips": 1.0}
        return costs.efficiency(2, 100.0, made, step=0.2, size=5e6, round_steps=20, ahead=ahead, milliseconds=0.0)

    # 0.4 s on the link, beside 4 s of steps.
    assert share(0, 0.0) == pytest.approx(4.0 / 4.4) and share(1, 0.0) == pytest.approx(4.0 / 4.2)
    assert share(2, 0.0) == share(5, 0.0) == pytest.approx(1.0)
    assert share(5, 1e-8) == pytest.approx(4.0 / 4.05)

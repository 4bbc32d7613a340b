"""The block bootstrap, against a slow version, and its coverage for texts of a known mean."""

import numpy as np
import pytest

from textgen.analysis.evaluation import bootstrap
from textgen.analysis.evaluation.bootstrap import REPLICATES, block_bootstrap, block_length


def stormy(seed: int, count: int, memory: float = 0.9) -> np.ndarray:
    """A series of mean 0 in which neighbours are alike: each is `memory` of the last one and a draw."""
    draws = np.random.default_rng(seed).standard_normal(count)
    values, last = np.empty(count), draws[0] / np.sqrt(1 - memory**2)
    for n, draw in enumerate(draws):
        last = memory * last + draw
        values[n] = last
    return values


def covered(block: int | None, *, count: int, trials: int) -> float:
    """How often the interval holds the mean."""
    found = [block_bootstrap(stormy(seed, count), block=block) for seed in range(trials)]
    return float(np.mean([each is not None and each.low <= 0.0 <= each.high for each in found]))


def test_agrees_with_a_slow_circular_block_bootstrap() -> None:
    values = np.random.default_rng(1).exponential(size=230)
    found = block_bootstrap(values, seed=9)
    assert found is not None
    assert found.block == 11
    starts = np.random.default_rng(9).integers(0, 230, (REPLICATES, 20))
    means = [np.mean([values[(start + n) % 230] for start in row for n in range(11)]) for row in starts]
    assert found.low == pytest.approx(np.quantile(means, 0.025))
    assert found.high == pytest.approx(np.quantile(means, 0.975))


def test_many_replicates_are_computed_in_parts(monkeypatch: pytest.MonkeyPatch) -> None:
    values = np.random.default_rng(1).exponential(size=5000)
    whole = block_bootstrap(values, seed=9)
    monkeypatch.setattr(bootstrap, "_AT_ONCE", 100)
    assert block_bootstrap(values, seed=9) == whole


def test_coverage_is_close_to_the_confidence_level() -> None:
    assert 0.87 <= covered(None, count=4000, trials=150) <= 1.0


def test_without_blocks_coverage_is_too_low_for_correlated_values() -> None:
    assert covered(1, count=1000, trials=40) < 0.5


@pytest.mark.parametrize("seed", range(3))
def test_blocks_hardly_widen_the_interval_of_independent_values(seed: int) -> None:
    values = np.random.default_rng(seed).standard_normal(50_000)
    found = block_bootstrap(values)
    assert found is not None
    assert (found.high - found.low) / 2 == pytest.approx(1.96 / np.sqrt(50_000), rel=0.25)


def test_a_short_text_has_no_interval_and_a_constant_one_zero_width() -> None:
    assert block_bootstrap(np.ones(19)) is None
    found = block_bootstrap(np.full(20, 0.5))
    assert found is not None
    assert (found.low, found.high, found.block) == (0.5, 0.5, 1)


def test_block_length_follows_the_text_length() -> None:
    assert [block_length(n) for n in (20, 399, 4000, 20_000, 10**6, 10**8)] == [1, 19, 200, 1000, 1000, 10_000]

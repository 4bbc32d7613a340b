"""The best temperature, against a dense grid and known values."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from textgen.analysis.evaluation.calibration import TEMPERATURES, TemperatureScaling
from textgen.sampling.logits import log_softmax


def draw(seed: int, *, count: int = 2000, vocab: int = 30, scale: float = 2.0, temperature: float = 1.0) -> tuple:
    """Logits, and ids that are drawn from them at a temperature."""
    rng = np.random.default_rng(seed)
    logits = (scale * rng.standard_normal((count, vocab))).astype(np.float32)
    ids = (logits / temperature + rng.gumbel(size=logits.shape)).argmax(axis=1)
    return logits, ids


def cost(logits: np.ndarray, ids: np.ndarray, temperature: float) -> float:
    logs = log_softmax(logits.astype(np.float64) / temperature)
    return -float(logs[np.arange(len(ids)), ids].mean())


@settings(deadline=None, max_examples=12)
@given(st.integers(0, 999), st.floats(0.5, 4.0), st.floats(0.4, 3.0), st.integers(2, 40))
def test_the_best_temperature_is_the_minimum_of_a_dense_grid(
    seed: int, scale: float, temperature: float, vocab: int
) -> None:
    logits, ids = draw(seed, count=400, vocab=vocab, scale=scale, temperature=temperature)
    scaling = TemperatureScaling()
    scaling(logits, ids)
    found = scaling.best()
    grid = np.geomspace(TEMPERATURES[-1], TEMPERATURES[0], 400)
    costs = [cost(logits, ids, each) for each in grid]
    assert found.nats == pytest.approx(min(costs), abs=2e-4)
    assert cost(logits, ids, found.temperature) == pytest.approx(min(costs), abs=2e-4)
    if found.inside and found.temperature < 2.5:
        assert found.temperature == pytest.approx(grid[int(np.argmin(costs))], rel=0.02)


@pytest.mark.parametrize("temperature", [0.6, 0.9, 1.0, 1.3, 2.0])
def test_recovers_the_temperature_at_which_ids_were_sampled(temperature: float) -> None:
    logits, ids = draw(1, count=40_000, temperature=temperature)
    scaling = TemperatureScaling()
    scaling(logits, ids)
    assert scaling.best().temperature == pytest.approx(temperature, rel=0.03)


def test_is_invariant_to_batching_and_to_shifted_logits() -> None:
    logits, ids = draw(2, count=700)
    whole, parts = TemperatureScaling(), TemperatureScaling()
    whole(logits, ids)
    for cut in np.array_split(np.arange(700), 9):
        parts(logits[cut] + 50.0, ids[cut])
    parts(logits[:0], ids[:0])
    assert parts.best().temperature == pytest.approx(whole.best().temperature, rel=1e-4)
    assert parts.best().nats == pytest.approx(whole.best().nats, abs=1e-5)


def test_always_right_is_underconfident_and_always_wrong_overconfident() -> None:
    logits, _ = draw(3, count=100)
    right, wrong = TemperatureScaling(), TemperatureScaling()
    right(logits, logits.argmax(axis=1))
    wrong(logits, logits.argmin(axis=1))
    assert (right.best().temperature, right.best().inside) == (TEMPERATURES[-1], False)
    assert (wrong.best().temperature, wrong.best().inside) == (TEMPERATURES[0], False)


@pytest.mark.parametrize("vocab", [1, 7])
def test_uniform_logits_give_temperature_1(vocab: int) -> None:
    scaling = TemperatureScaling()
    scaling(np.zeros((5, vocab), np.float32), np.zeros(5, np.int64))
    found = scaling.best()
    assert (found.temperature, found.inside, found.nats) == (1.0, True, pytest.approx(np.log(vocab)))

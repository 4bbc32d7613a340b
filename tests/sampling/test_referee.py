"""Samples must not depend on what is drawn beside them, although their last bits do."""

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from small_models import ALPHABET, random_weights

from textgen.config import ModelConfig, SamplingConfig
from textgen.engine import Engine
from textgen.sampling.logits import controlled, draw
from textgen.sampling.referee import TOLERANCE, Referee, settled
from textgen.sampling.sampler import write_samples

CONTROLS: list[dict[str, Any]] = [
    {},
    {"temperature": 0.0},
    {"temperature": 0.3},
    {"temperature": (0.2, 1.5)},
    {"top_k": 4},
    {"top_p": 0.8},
    {"min_p": 0.1},
    {"typical_p": 0.7},
    {"repetition_penalty": 1.5, "repetition_window": 5},
    {"top_k": 9, "top_p": 0.95, "min_p": 0.02, "typical_p": 0.95, "temperature": 1.3},
]


class Drifting(Engine):
    """Gives logits that are wrong by up to `drift` tolerances as soon as there is more than one row."""

    drift = 1.0

    def __init__(self, config: ModelConfig, seed: int) -> None:
        super().__init__(config, random_weights(config, seed=seed, scale=2.0))
        self._rng = np.random.default_rng(seed)
        self.alone = 0

    def step(self, ids: Any, state: Any) -> Any:
        logits, state = super().step(ids, state)
        self.alone += len(ids) == 1
        if len(ids) > 1:
            most = self.drift * TOLERANCE * np.abs(logits).max() * 0.9
            logits = logits + self._rng.uniform(-most, most, logits.shape).astype(np.float32)
        return logits, state


@pytest.mark.parametrize("chosen", CONTROLS)
@settings(max_examples=30)
@given(st.integers(0, 2**32 - 1), st.sampled_from([1e-3, 1e-2, 0.1]), st.sampled_from([1.0, 3.0]))
def test_what_is_settled_survives_any_drift_within_the_tolerance(
    chosen: dict[str, Any], seed: int, tolerance: float, scale: float
) -> None:
    config = SamplingConfig(**chosen)
    rng = np.random.default_rng(seed)
    logits = rng.standard_normal((500, 8)) * scale
    noise = rng.gumbel(size=(500, 8))
    recent = rng.integers(0, 8, (500, 3)) if config.repetition_penalty > 1 else None
    temperature = config.temperatures[0]
    options: dict[str, Any] = {"temperature": temperature, "recent": recent}

    ids = draw(controlled(logits, config, **options), noise)
    stands = settled(logits, config, **options, noise=noise, tolerance=tolerance)
    for _ in range(20):
        signs = rng.choice([-1.0, 1.0], logits.shape)
        drift = tolerance * signs * rng.choice([1.0, 1.0, 0.5], logits.shape)
        moved = draw(controlled(logits + drift, config, **options), noise)
        np.testing.assert_array_equal(moved[stands], ids[stands])


@pytest.mark.parametrize("chosen", CONTROLS)
def test_nearly_all_draws_are_settled(chosen: dict[str, Any]) -> None:
    config = SamplingConfig(**chosen)
    rng = np.random.default_rng(0)
    logits, noise = rng.standard_normal((2000, 30)) * 3, rng.gumbel(size=(2000, 30))
    recent = rng.integers(0, 30, (2000, 3))
    options: dict[str, Any] = {"temperature": config.temperatures[0], "recent": recent}
    assert settled(logits, config, **options, noise=noise, tolerance=1e-5).mean() > 0.995


@settings(max_examples=25)
@given(st.integers(0, 2**32 - 1), st.sampled_from(CONTROLS), st.integers(2, 9))
def test_texts_do_not_depend_on_how_many_are_drawn_even_if_logits_do(
    seed: int, chosen: dict[str, Any], count: int
) -> None:
    shape = ModelConfig(vocab_size=ALPHABET.vocab_size, layers=1, units=16, embedding=8)
    engine = Drifting(shape, seed)
    config = SamplingConfig(**chosen, max_new_tokens=60, seed=seed)
    several = write_samples(engine, ALPHABET, "abc", config, count=count)
    (alone,) = write_samples(engine, ALPHABET, "abc", config)
    more = write_samples(engine, ALPHABET, "abc", config, count=count + 3)
    assert several[0] == alone
    assert more[:count] == several


def test_without_the_referee_such_a_drift_would_change_texts(monkeypatch: pytest.MonkeyPatch) -> None:
    shape = ModelConfig(vocab_size=ALPHABET.vocab_size, layers=1, units=16, embedding=8)
    monkeypatch.setattr(Drifting, "drift", 1e4)
    monkeypatch.setattr("textgen.sampling.pen.settled", lambda logits, *_, **__: np.full(len(logits), True))
    config = SamplingConfig(max_new_tokens=300, seed=5)
    first = write_samples(Drifting(shape, 1), ALPHABET, "abc", config, count=4)[0]
    assert first != write_samples(Drifting(shape, 1), ALPHABET, "abc", config)[0]


def test_a_referee_goes_on_from_what_it_knows_of_each_sample() -> None:
    shape = ModelConfig(vocab_size=10, layers=1, units=8, embedding=4)
    engine = Drifting(shape, 0)
    _, start = engine.read(np.array([[1, 2]]), engine.initial_state(1))
    referee = Referee(engine, start, 2)
    for ids in ([3], [3, 4, 5], [3, 4, 5, 6]):
        logits, _ = referee.logits(0, ids)
        expected, _ = engine.read(np.array([[1, 2, *ids]]), engine.initial_state(1), last=True)
        np.testing.assert_allclose(logits, expected, atol=1e-6)
    assert engine.alone == 4
    logits, state = referee.logits(1, [7])
    np.testing.assert_allclose(
        logits, engine.read(np.array([[1, 2, 7]]), engine.initial_state(1), last=True)[0], atol=1e-6
    )
    before = state.hidden.copy()
    referee.logits(1, [7, 8])
    np.testing.assert_array_equal(state.hidden, before)

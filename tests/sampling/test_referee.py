"""Samples must not depend on what is drawn beside them, although their last bits do."""

from typing import Any

import numpy as np
import pytest
from drifting import Drifting
from hypothesis import given, settings
from hypothesis import strategies as st
from many_controls import CONTROLS
from small_models import ALPHABET

from textgen.config import ModelConfig, SamplingConfig
from textgen.engine import Mixture
from textgen.sampling.referee import Referee
from textgen.sampling.sampler import write_samples


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


@settings(max_examples=15)
@given(st.integers(0, 2**32 - 1), st.sampled_from(CONTROLS), st.integers(2, 9))
def test_texts_of_a_mixture_do_not_depend_on_how_many_are_drawn_even_if_its_members_logits_do(
    seed: int, chosen: dict[str, Any], count: int
) -> None:
    shape = ModelConfig(vocab_size=ALPHABET.vocab_size, layers=1, units=16, embedding=8)
    mixture = Mixture([Drifting(shape, seed), Drifting(shape.replace(units=9), seed + 1)], [0.7, 0.3])
    config = SamplingConfig(**chosen, max_new_tokens=60, seed=seed)
    several = write_samples(mixture, ALPHABET, "abc", config, count=count)
    assert several[0] == write_samples(mixture, ALPHABET, "abc", config)[0]
    assert write_samples(mixture, ALPHABET, "abc", config, count=count + 3)[:count] == several


def test_without_the_referee_such_a_drift_would_change_texts(monkeypatch: pytest.MonkeyPatch) -> None:
    shape = ModelConfig(vocab_size=ALPHABET.vocab_size, layers=1, units=16, embedding=8)
    monkeypatch.setattr(Drifting, "drift", 1e4)
    monkeypatch.setattr("textgen.sampling.batch_sampler.TOLERANCE", -1.0)
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

"""How close decisions were: while logits move by less than a margin, nothing that was decided may change."""

import dataclasses
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from many_controls import CONTROLS

from textgen.config import CONSTRAINTS, SamplingConfig
from textgen.sampling import logits as controls
from textgen.sampling.logits import controlled, draw
from textgen.sampling.margin import Margin

NO_CONTROLS = {
    *CONSTRAINTS, "label", "repetition_window", "max_new_tokens", "stop", "include_stop", "until", "trim",
    "unknown", "seed",
}  # fmt: skip
"""What of a `SamplingConfig` decides nothing about a character."""


def drawn(logits: np.ndarray, noise: np.ndarray, config: SamplingConfig, recent: Any, margin: Any = None) -> np.ndarray:
    temperature = config.temperatures[0]
    return draw(controlled(logits, config, temperature=temperature, recent=recent, margin=margin), noise, margin)


def test_every_control_is_among_those_that_are_tested_here() -> None:
    names = {field.name for field in dataclasses.fields(SamplingConfig)} - NO_CONTROLS
    assert names == {name for chosen in CONTROLS for name in chosen} - NO_CONTROLS


@pytest.mark.parametrize("chosen", CONTROLS)
@settings(max_examples=30)
@given(st.integers(0, 2**32 - 1), st.sampled_from([1e-3, 1e-2, 0.1]), st.sampled_from([1.0, 3.0]))
def test_a_draw_stays_while_logits_move_by_less_than_its_margin(
    chosen: dict[str, Any], seed: int, least: float, scale: float
) -> None:
    config = SamplingConfig(**chosen)
    rng = np.random.default_rng(seed)
    logits = rng.standard_normal((500, 8)) * scale
    noise = rng.gumbel(size=(500, 8))
    recent = rng.integers(0, 8, (500, 3)) if config.repetition_penalty > 1 else None

    margin = Margin(500)
    ids = drawn(logits, noise, config, recent, margin)
    np.testing.assert_array_equal(ids, drawn(logits, noise, config, recent))
    stands = margin.nats > least
    for _ in range(20):
        signs = rng.choice([-1.0, 1.0], logits.shape)
        drift = np.minimum(margin.nats, 1.0)[:, None] * 0.999 * signs * rng.choice([1.0, 1.0, 0.5], logits.shape)
        moved = drawn(logits + drift, noise, config, recent)
        np.testing.assert_array_equal(moved[stands], ids[stands])


@pytest.mark.parametrize("chosen", CONTROLS)
def test_nearly_all_margins_are_wider_than_rounding(chosen: dict[str, Any]) -> None:
    config = SamplingConfig(**chosen)
    rng = np.random.default_rng(0)
    logits, noise = rng.standard_normal((2000, 30)) * 3, rng.gumbel(size=(2000, 30))
    margin = Margin(2000)
    drawn(logits, noise, config, rng.integers(0, 30, (2000, 3)), margin)
    assert (margin.nats > 1e-5).mean() > 0.995


def test_banned_ids_are_never_drawn_and_never_close() -> None:
    rng = np.random.default_rng(0)
    logits, noise, banned = rng.standard_normal((500, 8)), rng.gumbel(size=(500, 8)), np.array([1, 4, 7])
    config = SamplingConfig(top_p=0.9, min_p=0.05, typical_p=0.9, top_k=4)
    margin, shorter = Margin(500), Margin(500)
    left = np.array([0, 2, 3, 5, 6])
    possible = logits.copy()
    possible[:, banned] = -np.inf
    ids = draw(controlled(possible, config, temperature=1.0, margin=margin), noise, margin)
    expected = draw(controlled(logits[:, left], config, temperature=1.0, margin=shorter), noise[:, left], shorter)
    np.testing.assert_array_equal(ids, left[expected])
    # The bound for typical_p grows with the number of ids.
    assert (margin.nats <= shorter.nats * 1.0001).all()
    assert (margin.nats > 0.6 * shorter.nats).all()


def probabilities(*values: float) -> np.ndarray:
    return np.log([values])


@pytest.mark.parametrize(
    ("control", "value", "odds", "expected"),
    [
        (controls.temper, 0.0, (0.6, 0.3, 0.1), np.log(0.6 / 0.3) / 2),
        (controls.keep_top_k, 2, (0.6, 0.3, 0.1), np.log(0.3 / 0.1) / 2),
        (controls.keep_top_p, 0.85, (0.6, 0.3, 0.1), np.log((0.9 / 0.1) / (0.85 / 0.15)) / 2),
        (controls.keep_top_p, 0.65, (0.6, 0.3, 0.1), np.log((0.65 / 0.35) / (0.6 / 0.4)) / 2),
        (controls.keep_min_p, 0.4, (0.6, 0.3, 0.1), np.log((0.3 / 0.6) / 0.4) / 2),
        (controls.keep_min_p, 0.2, (0.6, 0.3, 0.1), np.log(0.2 / (0.1 / 0.6)) / 2),
    ],
)
def test_the_margin_of_a_control_is_half_the_distance_to_where_it_decides_otherwise(
    control: Any, value: float, odds: tuple[float, ...], expected: float
) -> None:
    margin = Margin(1)
    control(probabilities(*odds), value, margin)
    assert margin.nats == pytest.approx([expected])


def test_a_margin_is_in_nats_of_the_logits_before_the_temperature() -> None:
    noise = np.zeros((1, 2))
    for temperature in (0.5, 1.0, 4.0):
        margin = Margin(1)
        left = controlled(np.array([[3.0, 1.0]]), SamplingConfig(), temperature=temperature, margin=margin)
        draw(left, noise, margin)
        assert margin.nats == pytest.approx([1.0])


def test_what_is_decided_already_has_an_endless_margin() -> None:
    for value in (np.array([[0.0]]), np.array([[-np.inf, 0.0, -np.inf]])):
        margin = Margin(1)
        config = SamplingConfig(top_p=0.5, typical_p=0.5, top_k=1)
        draw(controlled(value, config, temperature=1.0, margin=margin), np.zeros_like(value), margin)
        assert margin.nats.tolist() == [np.inf]

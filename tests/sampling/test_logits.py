"""The controls against their definitions, over arbitrary logits."""

import math

import numpy as np
import pytest
from hypothesis import assume, example, given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from textgen.config import SamplingConfig
from textgen.sampling import logits as controls

FINITE = st.floats(-60.0, 60.0, width=32)
ROWS = hnp.arrays(np.float64, hnp.array_shapes(min_dims=2, max_dims=2, max_side=9), elements=FINITE)
TIED = hnp.arrays(np.float64, hnp.array_shapes(min_dims=2, max_dims=2, max_side=9), elements=st.integers(-2, 2))
ANY = ROWS | TIED
SHARES = st.floats(0.001, 0.999)
TEMPERATURES = st.sampled_from([0.0, 1e-6, 1e-300, 1e6]) | st.floats(0.05, 5.0)


def probabilities(row: np.ndarray) -> np.ndarray:
    weights = np.exp(row - row.max())
    return weights / weights.sum()


def kept(row: np.ndarray) -> set[int]:
    return set(np.flatnonzero(np.isfinite(row)).tolist())


def likeliest_first(row: np.ndarray) -> list[int]:
    return sorted(range(len(row)), key=lambda n: (-row[n], n))


@st.composite
def configurations(draw: st.DrawFn) -> SamplingConfig:
    return SamplingConfig(
        repetition_penalty=draw(st.sampled_from([1.0, 1.3, 100.0])),
        top_k=draw(st.sampled_from([0, 1, 2, 5, 10**9])),
        top_p=draw(st.sampled_from([1.0, 1e-9, 0.3, 0.9, 1 - 1e-12])),
        min_p=draw(st.sampled_from([0.0, 1e-9, 0.1, 1.0])),
        typical_p=draw(st.sampled_from([1.0, 1e-9, 0.3, 0.9, 1 - 1e-12])),
    )


def off(values: np.ndarray) -> list[np.ndarray]:
    return [
        controls.penalize_repetition(values, np.zeros((len(values), 1), np.intp), 1.0),
        controls.penalize_repetition(values, np.zeros((len(values), 0), np.intp), 2.0),
        controls.keep_top_k(values, 0),
        controls.keep_top_p(values, 1.0),
        controls.keep_min_p(values, 0.0),
        controls.keep_typical(values, 1.0),
    ]


@given(ANY)
def test_a_control_that_is_off_changes_nothing(values: np.ndarray) -> None:
    for result in off(values):
        assert result is values


@given(ANY, st.integers(1, 12))
@example(np.zeros((1, 5)), 3)
def test_top_k_keeps_exactly_k_and_of_equals_those_with_lower_ids(values: np.ndarray, k: int) -> None:
    for row, result in zip(values, controls.keep_top_k(values, k), strict=True):
        assert kept(result) == set(likeliest_first(row)[:k])
        assert all(result[n] == row[n] for n in kept(result))


@given(ANY, SHARES)
def test_top_p_keeps_the_smallest_set_of_the_likeliest_that_holds_p(values: np.ndarray, p: float) -> None:
    for row, result in zip(values, controls.keep_top_p(values, p), strict=True):
        order, held = likeliest_first(row), len(kept(result))
        assert kept(result) == set(order[:held])
        assert probabilities(row)[order[:held]].sum() >= p - 1e-9
        assert probabilities(row)[order[: held - 1]].sum() < p + 1e-9


@given(ANY, SHARES)
def test_min_p_keeps_what_is_likely_enough_beside_the_likeliest(values: np.ndarray, share: float) -> None:
    for row, result in zip(values, controls.keep_min_p(values, share), strict=True):
        ratios = np.exp(row - row.max())
        assume(np.abs(ratios - share).min() > 1e-9)
        assert kept(result) == set(np.flatnonzero(ratios >= share).tolist())


@given(ANY, SHARES)
def test_typical_p_keeps_what_surprises_as_expected(values: np.ndarray, p: float) -> None:
    for row, result in zip(values, controls.keep_typical(values, p), strict=True):
        odds = probabilities(row)
        surprise = -np.log(odds)
        distances = np.abs(surprise - (odds * surprise).sum())
        inside = kept(result)
        outside = set(range(len(row))) - inside
        assert max(distances[n] for n in inside) <= min((distances[n] for n in outside), default=math.inf) + 1e-9
        assert odds[sorted(inside)].sum() >= p - 1e-9
        farthest = max(distances[n] for n in inside)
        least = min(odds[n] for n in inside if distances[n] >= farthest - 1e-9)
        assert odds[sorted(inside)].sum() - least < p + 1e-9


@given(ANY, st.data())
def test_repetition_penalty_divides_the_odds_once(values: np.ndarray, data: st.DataObject) -> None:
    batch, vocab = values.shape
    recent = data.draw(hnp.arrays(np.intp, (batch, data.draw(st.integers(1, 20))), elements=st.integers(0, vocab - 1)))
    result = controls.penalize_repetition(values, recent, 1.7)
    for row, seen, penalized in zip(values, recent, result, strict=True):
        expected = [value - (math.log(1.7) if n in seen else 0.0) for n, value in enumerate(row)]
        np.testing.assert_allclose(penalized, expected, atol=1e-12)


@given(ANY, st.floats(0.05, 20.0))
def test_temperature_raises_probabilities_to_its_inverse(values: np.ndarray, temperature: float) -> None:
    for row, result in zip(values, controls.temper(values, temperature), strict=True):
        powers = probabilities(row) ** (1.0 / temperature)
        np.testing.assert_allclose(probabilities(result), powers / powers.sum(), atol=1e-9)
        assert result.max() == 0.0


@given(ANY)
def test_temperature_zero_keeps_the_first_of_the_likeliest(values: np.ndarray) -> None:
    for row, result in zip(values, controls.temper(values, 0.0), strict=True):
        assert kept(result) == {likeliest_first(row)[0]}


@given(ANY, TEMPERATURES, configurations(), st.floats(-700.0, 700.0))
@example(np.array([[-3e38, 3e38, 0.0]]), 1e-6, SamplingConfig(), 0.5)
@example(np.array([[-3e38, 3e38, 0.0]]), 1e6, SamplingConfig(typical_p=0.5), 0.999)
@example(np.array([[-np.inf, 1.0, 2.0]]), 1e-300, SamplingConfig(top_k=1), -700.0)
def test_no_setting_gives_a_nan_or_drops_everything(
    values: np.ndarray, temperature: float, config: SamplingConfig, noise: float
) -> None:
    recent = np.zeros((len(values), 2), np.intp)
    with np.errstate(over="raise", invalid="raise", divide="raise"):
        result = controls.controlled(values, config, temperature=temperature, recent=recent)
        drawn = controls.draw(result, np.full(values.shape, noise))
    assert not np.isnan(result).any()
    assert np.isfinite(result[np.arange(len(values)), drawn]).all()


@given(ANY, TEMPERATURES, configurations(), st.integers(0, 2**32 - 1))
def test_rows_do_not_touch_one_another(
    values: np.ndarray, temperature: float, config: SamplingConfig, seed: int
) -> None:
    recent = np.zeros((len(values), 1), np.intp)
    together = controls.controlled(values, config, temperature=temperature, recent=recent)
    noise = np.random.default_rng(seed).gumbel(size=values.shape)
    drawn = controls.draw(together, noise)
    for n in range(len(values)):
        alone = controls.controlled(values[n : n + 1], config, temperature=temperature, recent=recent[:1])
        np.testing.assert_array_equal(alone[0], together[n])
        assert controls.draw(alone, noise[n : n + 1])[0] == drawn[n]


@given(ANY, configurations())
def test_controls_leave_their_argument_as_it_is(values: np.ndarray, config: SamplingConfig) -> None:
    before = values.copy()
    controls.controlled(values, config, temperature=0.7, recent=np.zeros((len(values), 1), np.intp))
    np.testing.assert_array_equal(values, before)


def test_controls_come_in_the_order_of_the_configuration() -> None:
    logits = np.log([[0.4, 0.3, 0.2, 0.1]])
    none = np.zeros((1, 0), np.intp)

    hot_top_p = controls.controlled(logits, SamplingConfig(top_p=0.5), temperature=1e6, recent=none)
    assert kept(hot_top_p[0]) == {0, 1}, "top_p measures after the temperature: four equals of a quarter each"

    top_k_then_p = controls.controlled(logits, SamplingConfig(top_k=2, top_p=0.55), temperature=1.0, recent=none)
    assert kept(top_k_then_p[0]) == {0}, "top_p measures what top_k left: the first has 4/7 of it"

    penalized = SamplingConfig(repetition_penalty=2.0, top_k=1)
    assert kept(controls.controlled(logits, penalized, temperature=1.0, recent=np.array([[0]]))[0]) == {1}

    top_p_then_typical = SamplingConfig(top_p=0.3, typical_p=0.9)
    assert kept(controls.controlled(logits, top_p_then_typical, temperature=1.0, recent=none)[0]) == {0}

    fields = list(SamplingConfig.__dataclass_fields__)
    ordered = ["repetition_penalty", "temperature", "top_k", "top_p", "min_p", "typical_p"]
    assert [name for name in fields if name in ordered] == ordered


@given(ROWS, st.integers(0, 2**32 - 1))
def test_a_draw_wins_the_race_of_exponential_times(values: np.ndarray, seed: int) -> None:
    arrivals = np.random.default_rng(seed).standard_exponential(values.shape)
    for row, times, drawn in zip(values, arrivals, controls.draw(values, -np.log(arrivals)), strict=True):
        assert times[drawn] / probabilities(row)[drawn] == pytest.approx(min(times / probabilities(row)))


def test_draws_are_as_frequent_as_likely() -> None:
    odds = np.array([0.5, 0.0, 0.3, 0.2, 0.0])
    with np.errstate(divide="ignore"):
        logits = np.log(odds)[None].repeat(20_000, axis=0)
    noise = np.random.default_rng(0).gumbel(size=logits.shape)
    counts = np.bincount(controls.draw(logits, noise), minlength=5)
    np.testing.assert_allclose(counts / 20_000, odds, atol=0.01)


@given(ANY)
def test_log_softmax_is_the_logarithm_of_the_probabilities(values: np.ndarray) -> None:
    for row, logs in zip(values, controls.log_softmax(values), strict=True):
        np.testing.assert_allclose(np.exp(logs), probabilities(row), atol=1e-12)

"""A mixture of networks against the weighted mean of probabilities, computed slowly in float64."""

import copy
import math
import pickle
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from small_models import random_weights, slow_logits

from textgen.config import CELLS, ModelConfig
from textgen.engine import Engine, Mixture
from textgen.engine.mixture import mix_logprobs, shares
from textgen.engine.scoring import score_ids, score_windows
from textgen.errors import ConfigError

VOCAB = 7
SHAPES = [
    ModelConfig(vocab_size=VOCAB, layers=1, units=5, embedding=3, cell="gru"),
    ModelConfig(vocab_size=VOCAB, layers=2, units=9, embedding=4, cell="lstm"),
    ModelConfig(vocab_size=VOCAB, layers=1, units=6, embedding=2, cell="coupled", skip=True),
]
WEIGHTS = [random_weights(config, seed=n, scale=2.0) for n, config in enumerate(SHAPES)]
ENGINES = [Engine(*made) for made in zip(SHAPES, WEIGHTS, strict=True)]


def slow_probabilities(ids: np.ndarray, weights: list[float]) -> np.ndarray:
    """The mixed probabilities after each of `ids`, `(time, vocab)`, without logarithms."""
    total = np.zeros((len(ids), VOCAB))
    for config, made, weight in zip(SHAPES, WEIGHTS, weights, strict=False):
        for row, logits in enumerate(slow_logits(config, made, ids)):
            odds = [math.exp(logit) for logit in logits]
            total[row] += [weight / sum(weights) * each / sum(odds) for each in odds]
    return total


def random_ids(shape: Any, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, VOCAB, shape)


@settings(max_examples=30)
@given(st.lists(st.floats(1e-3, 1e3), min_size=3, max_size=3), st.integers(0, 10**6))
def test_a_step_gives_the_weighted_mean_of_the_members_probabilities(weights: list[float], seed: int) -> None:
    mixture = Mixture(ENGINES, weights)
    ids = random_ids((2, 12), seed)
    expected = np.stack([slow_probabilities(row, weights) for row in ids])
    state = mixture.initial_state(2)
    for time in range(12):
        logits, state = mixture.step(ids[:, time], state)
        assert (logits.shape, logits.dtype) == ((2, VOCAB), np.float32)
        np.testing.assert_allclose(np.exp(logits), expected[:, time], rtol=2e-5)


@pytest.mark.parametrize("cell", CELLS)
def test_every_cell_can_be_mixed_with_another(cell: Any) -> None:
    config = ModelConfig(vocab_size=VOCAB, layers=1, units=6, embedding=3, cell=cell)
    made = random_weights(config, seed=4)
    ids = random_ids(9)
    odds = [np.exp(slow_logits(*each, ids)) for each in ((config, made), (SHAPES[0], WEIGHTS[0]))]
    first, second = (each / each.sum(axis=1, keepdims=True) for each in odds)
    mixture = Mixture([Engine(config, made), ENGINES[0]], [0.7, 0.3])
    logits, _ = mixture.read(ids[None], mixture.initial_state(1))
    np.testing.assert_allclose(np.exp(logits[0]), 0.7 * first + 0.3 * second, rtol=2e-5)


def test_reading_is_stepping_and_the_last_logits_are_those_of_all() -> None:
    mixture = Mixture(ENGINES[:2], [2, 1])
    ids = random_ids((3, 20))
    logits, state = mixture.read(ids, mixture.initial_state(3))
    np.testing.assert_allclose(np.exp(logits), [slow_probabilities(row, [2, 1]) for row in ids], rtol=2e-5)
    last, other = mixture.read(ids, mixture.initial_state(3), last=True)
    np.testing.assert_array_equal(last, logits[:, -1])
    np.testing.assert_allclose(
        mixture.step(ids[:, 0], state)[0], mixture.read(ids[:, :1], other, last=True)[0], atol=1e-5
    )


def test_more_logits_than_are_mixed_at_once_are_mixed_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    mixture = Mixture(ENGINES)
    ids = random_ids((5, 30))
    whole, _ = mixture.read(ids, mixture.initial_state(5))
    monkeypatch.setattr("textgen.engine.mixture._BLOCK", 3 * VOCAB)
    parts, _ = mixture.read(ids, mixture.initial_state(5))
    np.testing.assert_allclose(parts, whole, rtol=1e-6)


def test_a_mixture_of_one_is_that_network_bit_for_bit() -> None:
    engine = ENGINES[1]
    mixture = Mixture([engine], [0.3])
    ids = random_ids((2, 10))
    found, state = mixture.read(ids, mixture.initial_state(2))
    expected, own = engine.read(ids, engine.initial_state(2))
    np.testing.assert_array_equal(found, expected)
    for each in ([1, 2], [3, 4]):
        logits, state = mixture.step(each, state)
        plain, own = engine.step(each, own)
        np.testing.assert_array_equal(logits, plain)
        assert mixture.magnitude(logits, state) == engine.magnitude(plain, own)


def test_probabilities_far_below_a_float_s_range_are_mixed_exactly() -> None:
    logs = [np.array([-1000.0, -0.5]), np.array([-1001.0, -2.0])]
    found = mix_logprobs(logs, np.log([0.75, 0.25]))
    expected = -1000.0 + math.log(0.75 + 0.25 * math.exp(-1.0))
    assert found[0] == pytest.approx(expected, rel=1e-15)
    assert math.exp(found[1]) == pytest.approx(0.75 * math.exp(-0.5) + 0.25 * math.exp(-2.0), rel=1e-15)


def test_a_mixture_in_a_mixture_is_a_mixture_of_all() -> None:
    nested = Mixture([Mixture(ENGINES[:2], [1, 3]), ENGINES[2]], [0.8, 0.2])
    flat = Mixture(ENGINES, [0.2, 0.6, 0.2])
    ids = random_ids((2, 15))
    found, state = nested.read(ids, nested.initial_state(2))
    expected, other = flat.read(ids, flat.initial_state(2))
    np.testing.assert_allclose(found, expected, rtol=1e-5)
    np.testing.assert_allclose(nested.step([1, 2], state)[0], flat.step([1, 2], other)[0], rtol=1e-5)


def test_states_are_copied_taken_and_put_with_those_of_all_members() -> None:
    mixture = Mixture(ENGINES)
    ids = random_ids((3, 6))
    _, state = mixture.read(ids, mixture.initial_state(3))
    assert state.batch == 3
    kept = state.copy()
    taken = state.take([2, 0, 2])
    after, _ = mixture.step([1, 2, 3], state)
    np.testing.assert_array_equal(mixture.step([1, 2, 3], kept)[0], after)
    np.testing.assert_allclose(mixture.step([3, 1, 3], taken)[0], after[[2, 0, 2]], rtol=1e-5)
    _, fresh = mixture.read(ids, mixture.initial_state(3))
    _, own = mixture.read(ids[[1]], mixture.initial_state(1))
    fresh.put(0, own)
    np.testing.assert_allclose(mixture.step([2, 2, 3], fresh)[0], after[[1, 1, 2]], rtol=1e-5)


def test_rounding_errors_are_in_proportion_to_the_largest_logit_of_any_member() -> None:
    """The mixed log-probabilities are no measure: a member that is sure has large logits, and the mixture none."""
    config = SHAPES[0]
    sure = random_weights(config, seed=9, scale=60.0)
    flat = type(sure).from_arrays([np.zeros_like(each) for each in sure.arrays()])
    mixture = Mixture([Engine(config, sure), Engine(config, flat)])
    engine = Engine(config, sure)
    logits, state = mixture.step([2], mixture.initial_state(1))
    own, _ = engine.step([2], engine.initial_state(1))
    largest = float(np.abs(own).max())
    assert np.abs(logits).max() < 3.0 < largest
    assert mixture.magnitude(logits, state) >= 2.0 * largest
    assert mixture.magnitude(logits, state.take([0])) == mixture.magnitude(logits, state.copy())


def test_a_text_is_scored_by_every_protocol_as_the_mean_of_probabilities() -> None:
    mixture = Mixture(ENGINES, [1, 2, 3])
    ids = random_ids(60).astype(np.uint8)
    chosen = slow_probabilities(ids[:-1], [1, 2, 3])[np.arange(59), ids[1:]]
    np.testing.assert_allclose(score_ids(mixture, ids), np.log(chosen), atol=1e-5)
    windows = np.concatenate(
        [
            slow_probabilities(ids[start : min(start + 16, 59)], [1, 2, 3])[
                np.arange(min(16, 59 - start)), ids[start + 1 : min(start + 16, 59) + 1]
            ]
            for start in range(0, 59, 16)
        ]
    )
    np.testing.assert_allclose(score_windows(mixture, ids, length=16), np.log(windows), atol=1e-5)


def test_the_loss_of_a_mixture_is_at_most_the_mean_of_the_losses() -> None:
    ids = random_ids(400).astype(np.uint8)
    losses = [-score_ids(engine, ids).mean() for engine in ENGINES]
    mixed = -score_ids(Mixture(ENGINES, [0.5, 0.3, 0.2]), ids).mean()
    assert mixed < np.dot(losses, [0.5, 0.3, 0.2])


def test_a_pickled_or_copied_mixture_gives_the_same_logits_also_in_the_middle_of_a_text() -> None:
    mixture = Mixture(ENGINES, [1, 2, 3])
    _, state = mixture.read(random_ids((1, 9)), mixture.initial_state(1))
    copies = [copy.deepcopy((mixture, state)), pickle.loads(pickle.dumps((mixture, state)))]
    expected, _ = mixture.step([3], state)
    for other, own in copies:
        np.testing.assert_array_equal(other.step([3], own)[0], expected)


@pytest.mark.parametrize(
    ("count", "weights", "expected"),
    [
        (2, [0.7, 0.3], [0.7, 0.3]),
        (2, (7, 3), [0.7, 0.3]),
        (3, None, [1 / 3] * 3),
        (2, [1e308, 1e308], [0.5, 0.5]),
        (2, [5e-324, 5e-324], [0.5, 0.5]),
        (1, np.array([4.0]), [1.0]),
    ],
)
def test_weights_are_divided_by_their_sum(count: int, weights: Any, expected: list[float]) -> None:
    assert shares(count, weights).tolist() == expected


def test_a_vanishing_weight_keeps_a_finite_logarithm() -> None:
    mixture = Mixture(ENGINES[:2], [5e-324, 1e308])
    logits, _ = mixture.read(random_ids((1, 4)), mixture.initial_state(1))
    plain, _ = ENGINES[1].read(random_ids((1, 4)), ENGINES[1].initial_state(1))
    odds = np.exp(plain.astype(np.float64))
    np.testing.assert_allclose(np.exp(logits), odds / odds.sum(axis=-1, keepdims=True), rtol=1e-6)


@pytest.mark.parametrize(
    ("count", "weights", "sentence"),
    [
        (2, [1.0], r"weights must be one for each of 2; got \[1.0\]\."),
        (2, [1.0, 0.0], r"weights must be positive numbers; got \[1.0, 0.0\]. Leave out what is to have no weight."),
        (2, [1.0, -1.0], "weights must be positive numbers"),
        (2, [1.0, math.nan], "weights must be positive numbers"),
        (2, [1.0, math.inf], "weights must be positive numbers"),
        (2, [1.0, 10**400], "weights must be positive numbers"),
        (2, [1.0, "2"], "weights must be positive numbers"),
        (0, None, "writers must be at least one; got 0"),
    ],
)
def test_weights_that_are_none_are_refused(count: int, weights: Any, sentence: str) -> None:
    with pytest.raises(ConfigError, match=sentence):
        Mixture(ENGINES[:count], weights)


def test_networks_of_vocabularies_of_different_sizes_are_refused() -> None:
    config = SHAPES[0].replace(vocab_size=8)
    with pytest.raises(ConfigError, match="must have one vocabulary; got some of 7 and 8 ids"):
        Mixture([ENGINES[0], Engine(config, random_weights(config))])


def test_a_state_of_another_number_of_texts_is_refused() -> None:
    mixture = Mixture(ENGINES)
    with pytest.raises(ValueError, match="ids must be of 2 texts"):
        mixture.step([1], mixture.initial_state(2))
    with pytest.raises(ValueError, match="of 2 texts"):
        mixture.read(random_ids((1, 3)), mixture.initial_state(2))

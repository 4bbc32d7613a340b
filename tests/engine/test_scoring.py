"""Scores against the slow oracle, and the protocols against their descriptions."""

import math
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from small_models import ALPHABET, Scripted, random_weights, random_writer, slow_logits

from textgen.corpus.tokenizer import CharTokenizer
from textgen.engine.scoring import Score, score_ids, score_text, score_windows
from textgen.errors import ConfigError, UnknownCharacterError
from textgen.sampling.logits import log_softmax

WRITER = random_writer()
WEIGHTS = random_weights(WRITER.config, seed=0, scale=4.0)


def ids(length: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, ALPHABET.vocab_size, length).astype(np.uint8)


def slow_logprobs(text: np.ndarray) -> np.ndarray:
    """The log-probability of each id but the first, given all before it."""
    logs = log_softmax(slow_logits(WRITER.config, WEIGHTS, text[:-1]))
    return logs[np.arange(len(text) - 1), text[1:]]


def test_each_id_is_predicted_from_all_before_it() -> None:
    text = ids(1300)
    np.testing.assert_allclose(score_ids(WRITER.engine, text), slow_logprobs(text), atol=1e-4)


@settings(max_examples=30)
@given(st.integers(2, 60), st.integers(1, 70))
def test_streams_are_contiguous_parts_that_begin_without_context(length: int, streams: int) -> None:
    text = ids(length)
    part = -(-(length - 1) // min(streams, length - 1))
    expected = [slow_logprobs(text[start : start + part + 1]) for start in range(0, length - 1, part)]
    np.testing.assert_allclose(score_ids(WRITER.engine, text, streams=streams), np.concatenate(expected), atol=1e-4)


@settings(max_examples=30)
@given(st.integers(2, 60), st.integers(1, 20), st.integers(1, 5))
def test_windows_lie_side_by_side_and_begin_without_context(length: int, window: int, batch_size: int) -> None:
    text = ids(length)
    expected = [slow_logprobs(text[start : start + window + 1]) for start in range(0, length - 1, window)]
    actual = score_windows(WRITER.engine, text, length=window, batch_size=batch_size)
    np.testing.assert_allclose(actual, np.concatenate(expected), atol=1e-4)


def test_a_text_is_scored_from_its_first_character_on() -> None:
    score = WRITER.score("hello world")
    expected = slow_logprobs(ALPHABET.encode("\nhello world"))
    np.testing.assert_allclose(score.logprobs, expected, atol=1e-5)
    assert score.text == "hello world"
    assert score.nats == pytest.approx(-expected.sum(), abs=1e-4)
    assert score.nats_per_character == pytest.approx(-expected.mean(), abs=1e-5)
    assert score.bits_per_character == pytest.approx(-expected.mean() / math.log(2), abs=1e-5)


def test_certainty_costs_zero_without_a_sign() -> None:
    certain = Score("aaa", np.zeros(3))
    assert f"{certain.nats:.1f} {certain.nats_per_character:.1f} {certain.bits_per_character:.1f}" == "0.0 0.0 0.0"


def test_what_the_network_knows_for_certain_costs_nothing_and_a_coin_costs_a_bit() -> None:
    certain = Scripted({"a": {"b": 1.0}, "": {"a": 1.0}})
    assert score_text(certain, ALPHABET, "abab").bits_per_character == pytest.approx(0.0, abs=1e-6)
    coin = Scripted({"": {"a": 0.5, "b": 0.5}})
    assert score_text(coin, ALPHABET, "abba").bits_per_character == pytest.approx(1.0, abs=1e-6)


def test_what_is_written_is_as_likely_as_its_logprobs_said() -> None:
    sample = WRITER.generate("", max_new_tokens=50, seed=1, logprobs=1)
    assert sample.logprobs is not None
    np.testing.assert_allclose(
        WRITER.score(sample.text).logprobs, [each.logprob for each in sample.logprobs], atol=1e-4
    )


def test_unknown_characters_are_errors_dropped_or_the_unknown_one() -> None:
    with pytest.raises(UnknownCharacterError):
        WRITER.score("aÉb")
    skipped = WRITER.score("aÉb", unknown="skip")
    assert skipped.text == "ab"
    np.testing.assert_array_equal(skipped.logprobs, WRITER.score("ab").logprobs)

    tokenizer = CharTokenizer("\nab", has_unknown=True)
    engine = Scripted({"": {"a": 0.5, "b": 0.25, "\ufffd": 0.25}}, tokenizer=tokenizer)
    folded = score_text(engine, tokenizer, "aÉb", unknown="replace")
    assert folded.text == "aÉb"
    np.testing.assert_allclose(folded.logprobs, np.log([0.5, 0.25, 0.25]), atol=1e-6)
    np.testing.assert_array_equal(score_text(engine, tokenizer, "aÉb").logprobs, folded.logprobs)


@pytest.mark.parametrize(
    ("text", "arguments", "message"),
    [
        ("", {}, "text must be at least one character that the model knows; got ''"),
        ("É", {"unknown": "skip"}, "text must be at least one"),
        ("ab", {"streams": 0}, "streams must be a whole number of at least 1; got 0. Use 1 for"),
    ],
)
def test_what_cannot_be_scored_is_a_sentence(text: str, arguments: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        WRITER.score(text, **arguments)


@pytest.mark.parametrize("streams", [1, 3, 7])
def test_an_observer_sees_the_logits_of_each_id_once(streams: int) -> None:
    text, seen = ids(2501), []

    def observe(logits: np.ndarray, came: np.ndarray) -> None:
        assert logits.shape == (len(came), ALPHABET.vocab_size)
        seen.append(np.take_along_axis(log_softmax(logits), came[:, None].astype(int), axis=1)[:, 0])
        logits[...] = np.nan

    scored = score_ids(WRITER.engine, text, streams=streams, observe=observe)
    observed = np.concatenate(seen)
    np.testing.assert_allclose(np.sort(observed), np.sort(scored), atol=1e-5)
    if streams == 1:
        np.testing.assert_allclose(observed, scored, atol=1e-5)


@pytest.mark.parametrize("arguments", [{"length": 0}, {"batch_size": 0}])
def test_windows_of_nothing_are_sentences(arguments: dict[str, int]) -> None:
    with pytest.raises(ConfigError, match="must be a whole number of at least 1; got 0"):
        score_windows(WRITER.engine, ids(9), **arguments)


def test_progress_rises_to_the_whole() -> None:
    for scored in (
        lambda progress: score_ids(WRITER.engine, ids(2500), progress=progress),
        lambda progress: score_ids(WRITER.engine, ids(2501), streams=7, progress=progress),
        lambda progress: score_windows(WRITER.engine, ids(2500), length=64, batch_size=8, progress=progress),
    ):
        calls: list[tuple[int, int]] = []
        scored(lambda done, total, calls=calls: calls.append((done, total)))
        assert [done for done, _ in calls] == sorted({done for done, _ in calls})
        assert calls[-1][0] == calls[-1][1]

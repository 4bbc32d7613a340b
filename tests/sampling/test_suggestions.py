"""Suggestions against an exhaustive search, and with scripted networks."""

import itertools
import math
from functools import cache
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from small_models import Scripted, random_weights

from textgen.config import ModelConfig
from textgen.corpus.tokenizer import CharTokenizer
from textgen.errors import ConfigError, UnknownCharacterError
from textgen.sampling.logits import log_softmax
from textgen.sampling.suggestions import LONGEST, is_word, suggest
from textgen.sampling.writer import Writer

WORDS = CharTokenizer("\n .abdegiknorstu")


def suggestions(engine: Scripted, text: str, **chosen: Any) -> dict[str, float]:
    found = suggest(engine, engine.tokenizer, text, **chosen)
    assert [each.probability for each in found] == sorted((each.probability for each in found), reverse=True)
    return {each.text: each.probability for each in found}


def test_the_rest_of_the_word_is_suggested_with_its_probability() -> None:
    engine = Scripted(
        {
            "lo": {"o": 0.75, "n": 0.25},
            "loo": {"k": 1.0},
            "look": {"s": 0.4, " ": 0.5, ".": 0.1},
            "looks": {" ": 1.0},
            "lon": {"g": 1.0},
            "long": {".": 1.0},
            "": {"u": 1.0},
        },
        tokenizer=CharTokenizer("\n .aegiklnosu"),
    )
    found = suggestions(engine, "a lo", n=3)
    assert found == pytest.approx({"ok": 0.75 * 0.6, "oks": 0.75 * 0.4, "ng": 0.25}, abs=1e-5)


def test_a_whole_word_is_followed_by_the_next_one() -> None:
    engine = Scripted(
        {"is": {" ": 1.0}, " ": {"a": 0.5, "b": 0.5}, "a": {" ": 1.0}, "b": {".": 1.0}, "": {" ": 1.0}}, tokenizer=WORDS
    )
    assert suggestions(engine, "is", n=5) == pytest.approx({" a": 0.5, " b": 0.5}, abs=1e-5)


def test_after_a_space_a_new_word_is_suggested() -> None:
    engine = Scripted({" ": {"a": 1.0}, "a": {".": 1.0}, "": {" ": 1.0}}, tokenizer=WORDS)
    assert suggestions(engine, "is ", n=5) == pytest.approx({"a": 1.0}, abs=1e-5)


def test_an_empty_text_has_suggestions_too() -> None:
    engine = Scripted({"\n": {"a": 1.0}, "a": {" ": 1.0}, "": {" ": 1.0}})
    assert suggestions(engine, "") == pytest.approx({"a": 1.0}, abs=1e-5)


def test_characters_of_a_script_without_spaces_are_words_by_themselves() -> None:
    engine = Scripted({"": {"山": 0.6, "水": 0.3, "。": 0.1}}, tokenizer=CharTokenizer("\n。山水"))
    assert suggestions(engine, "山", n=2) == pytest.approx({"山": 0.6, "水": 0.3}, abs=1e-5)


def test_accents_and_apostrophes_belong_to_their_word() -> None:
    engine = Scripted(
        {"e": {"\u0301": 0.5, "'": 0.5}, "\u0301": {" ": 1.0}, "'": {"s": 1.0}, "s": {" ": 1.0}, "": {"e": 1.0}},
        tokenizer=CharTokenizer("\n 'es\u0301"),
    )
    assert set(suggestions(engine, "e", n=2)) == {"\u0301", "'s"}


def test_a_word_without_end_is_not_suggested() -> None:
    engine = Scripted({"": {"a": 1.0}}, tokenizer=WORDS)
    assert suggestions(engine, "a") == {}
    assert engine.steps <= LONGEST + 1


def test_the_unknown_character_is_never_suggested() -> None:
    tokenizer = CharTokenizer("\n ab", has_unknown=True)
    engine = Scripted({"b": {"a": 0.5, " ": 0.5}, "": {"\ufffd": 0.7, "a": 0.2, "b": 0.1}}, tokenizer=tokenizer)
    assert all(set(text) <= set(" ab") for text in suggestions(engine, "b"))


def test_unknown_characters_are_replaced_unless_asked_otherwise() -> None:
    engine = Scripted({"": {"a": 0.5, " ": 0.5}}, tokenizer=WORDS)
    assert suggestions(engine, "É")
    with pytest.raises(UnknownCharacterError):
        suggest(engine, WORDS, "É", unknown="error")


@pytest.mark.parametrize("n", [0, 101, 2.5])
def test_a_wrong_number_is_a_sentence(n: Any) -> None:
    with pytest.raises(ConfigError, match=r"n must be a whole number in \[1, 100\]"):
        suggest(Scripted({"": {"a": 1.0}}, tokenizer=WORDS), WORDS, "a", n=n)


@settings(max_examples=15)
@given(st.integers(0, 1000), st.sampled_from(["a", "b ", "ab"]))
def test_the_beam_finds_what_an_exhaustive_search_finds(seed: int, text: str) -> None:
    tokenizer = CharTokenizer(" ab")
    config = ModelConfig(vocab_size=3, layers=1, units=8, embedding=4)
    weights = random_weights(config, seed=seed, scale=3.0)
    weights.head_bias[0] += 2.5
    writer = Writer(config=config, weights=weights, tokenizer=tokenizer)

    @cache
    def logprob(ending: str) -> np.ndarray:
        ids = tokenizer.encode(text + ending)[None]
        logits, _ = writer.engine.read(ids, writer.engine.initial_state(1), last=True)
        return log_softmax(logits.astype(np.float64))[0]

    expected = {}
    for length in range(1, 7):
        for characters in itertools.product(" ab", repeat=length):
            ending = "".join(characters)
            word = ending.lstrip(" ")
            if not word or " " in word or len(ending) - len(word) > 4:
                continue
            total = sum(logprob(ending[:n])[tokenizer.characters.index(c)] for n, c in enumerate(ending))
            expected[ending] = math.exp(total + logprob(ending)[0])
    best = sorted(expected.items(), key=lambda item: -item[1])[:3]
    found = writer.suggest(text, n=3)
    assert [each.text for each in found] == [ending for ending, _ in best]
    np.testing.assert_allclose([each.probability for each in found], [odds for _, odds in best], rtol=1e-4)


@given(st.characters())
def test_white_space_and_stops_end_words(character: str) -> None:
    if character.isspace() or character in '.,;:!?-()[]"':
        assert not is_word(character)
    if character.isalpha():
        assert is_word(character)

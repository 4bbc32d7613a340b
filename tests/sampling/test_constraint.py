"""Constraints on whole texts, with Python's `re.fullmatch` over all texts of a few letters as the oracle."""

import itertools
import math
import re
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
import pytest
from drawn_patterns import LETTERS, PATTERNS, matching, texts
from hypothesis import given, settings
from hypothesis import strategies as st
from small_models import Scripted, random_writer, script

from textgen.config import SamplingConfig
from textgen.corpus.tokenizer import CharTokenizer
from textgen.errors import ConfigError
from textgen.model.description import CorpusDescription
from textgen.model.metadata import Metadata
from textgen.sampling.constraint import Constraint, Walk
from textgen.sampling.sample import Sample
from textgen.sampling.sampler import Stream, write_samples
from textgen.sampling.writer import Writer

VOCABULARY = CharTokenizer("".join(sorted("\n" + LETTERS)), has_unknown=True)
TINY = random_writer(VOCABULARY, layers=1, units=4, embedding=2)
LIMITS = st.tuples(st.integers(0, 5), st.integers(0, 5)).map(sorted)


def fits(constraint: Constraint, text: str, characters: str) -> tuple[set[str], bool] | None:
    """The characters that fit after a text, and whether it may end there; None where it must."""
    walk = constraint.walk()
    for character in text:
        assert walk.add(characters.index(character))
    if walk.ended:
        return None
    allowed = {characters[n] for n in np.flatnonzero(walk.bias == 0.0).tolist() if n < len(characters)}
    fitting = {c for c in characters if Walk.add(replayed(constraint, text, characters), characters.index(c))}
    assert fitting <= allowed
    return fitting, allowed > fitting


def replayed(constraint: Constraint, text: str, characters: str) -> Walk:
    walk = constraint.walk()
    assert all(walk.add(characters.index(character)) for character in text)
    return walk


def check_steps(pattern: str, ban: str, least: int, most: int) -> None:
    """Compares what fits after every text that can be begun with what the list of all that match says."""
    left = "".join(c for c in LETTERS if c not in ban)
    language = matching(pattern, left, most, least)
    banned = tuple(n for n, c in enumerate(LETTERS) if c in ban)
    config = SamplingConfig(match=pattern, min_length=least, max_new_tokens=most)
    if not language:
        with pytest.raises(ConfigError, match="must fit a text"):
            Constraint(LETTERS, banned, config, size=len(LETTERS))
        return
    constraint = Constraint(LETTERS, banned, config, size=len(LETTERS))
    beginnings = {text[:n] for text in language for n in range(len(text) + 1)}
    for text in beginnings:
        follow = {each[len(text)] for each in beginnings if len(each) == len(text) + 1 and each.startswith(text)}
        found = fits(constraint, text, LETTERS)
        if found is None:
            assert text in language
            assert not follow
        else:
            assert found == (follow, text in language and follow != set(left))


@settings(max_examples=100)
@given(PATTERNS, st.sampled_from(["", "", "a", "éb"]), LIMITS)
def test_a_character_fits_if_a_text_that_matches_begins_so(pattern: str, ban: str, limits: list[int]) -> None:
    check_steps(pattern, ban, *limits)


@pytest.mark.parametrize(
    ("chosen", "expected"),
    [
        ({"starts_with": "a.", "max_length": 3}, lambda text: text.startswith("a.")),
        ({"ends_with": "a|", "max_length": 3}, lambda text: text.endswith("a|")),
        ({"contains": ("aa",), "max_length": 4}, lambda text: "aa" in text),
        ({"contains": ("a.", ".a"), "max_length": 4}, lambda text: "a." in text and ".a" in text),
        ({"min_length": 2, "max_length": 3}, lambda text: len(text) >= 2),
        (
            {"starts_with": "a", "contains": ("|",), "ends_with": "\n", "match": r"(?s:.)*", "max_length": 4},
            lambda text: text.startswith("a") and "|" in text and text.endswith("\n"),
        ),
    ],
)
def test_constraints_without_a_pattern_take_texts_literally(chosen: dict[str, Any], expected: Any) -> None:
    letters = "\n.a|"
    language = {text for text in texts(letters, chosen["max_length"]) if expected(text)}
    constraint = Constraint(letters, (), SamplingConfig(**chosen), size=len(letters))
    found, waiting = set(), [""]
    for text in waiting:
        if text in language:
            found.add(text)
        following = fits(constraint, text, letters)
        waiting += [] if following is None else [text + each for each in following[0]]
    assert found == language
    assert set(waiting) == {text[:n] for text in language for n in range(len(text) + 1)}


def test_the_lengths_at_which_a_text_may_begin_are_found_far_from_where_it_ends() -> None:
    pattern = "a(?:aaaaaaa)*|b(?:aaaaa)*c"
    for least, most in ((10_000, 10_001), (9_999, 9_999), (10_002, 10_003)):
        a = any((n - 1) % 7 == 0 for n in range(least, most + 1))
        b = any((n - 2) % 5 == 0 for n in range(least, most + 1))
        config = SamplingConfig(match=pattern, min_length=least, max_new_tokens=most)
        if a or b:
            found = fits(Constraint("abc", (), config, size=3), "", "abc")
            assert found == (set("a" * a + "b" * b), False)
        else:
            with pytest.raises(ConfigError, match="must fit a text of"):
                Constraint("abc", (), config, size=3)


CHOSEN: dict[str, Any] = {
    "temperature": st.sampled_from([0.0, 0.7, 1.0, 3.0, (0.5, 2.0)]),
    "top_k": st.integers(0, 3),
    "top_p": st.sampled_from([1.0, 0.5, 0.9]),
    "min_p": st.sampled_from([0.0, 0.3]),
    "typical_p": st.sampled_from([1.0, 0.5]),
    "repetition_penalty": st.sampled_from([1.0, 50.0]),
    "ban": st.sampled_from(["", "", "a\n", "1é"]),
    "max_new_tokens": st.integers(0, 12),
    "starts_with": st.sampled_from(["", "", "a", "ab"]),
    "ends_with": st.sampled_from(["", "", "b", "1"]),
    "contains": st.sampled_from([(), (), ("é",), ("a", "b")]),
    "seed": st.integers(0, 9),
}


def check_samples(pattern: str, chosen: dict[str, Any], least: int, count: int) -> bool:
    """Checks that texts are drawn that match, or that none of few characters does; says which."""
    chosen = {**chosen, "match": pattern, "min_length": min(least, chosen["max_new_tokens"])}

    def right(text: str) -> bool:
        return (
            re.fullmatch(pattern, text) is not None
            and chosen["min_length"] <= len(text) <= chosen["max_new_tokens"]
            and text.startswith(chosen["starts_with"])
            and text.endswith(chosen["ends_with"])
            and all(each in text for each in chosen["contains"])
            and not set(text) & set(chosen["ban"])
        )

    try:
        samples = TINY.generate_many("ab", count=count, **chosen)
    except ConfigError:
        assert not any(map(right, texts(LETTERS, min(4, chosen["max_new_tokens"]))))
        return False
    assert all(right(sample.text) for sample in samples)
    return True


@settings(max_examples=200)
@given(PATTERNS, st.fixed_dictionaries(CHOSEN), st.integers(0, 6), st.sampled_from([1, 3]))
def test_every_text_matches(pattern: str, chosen: dict[str, Any], least: int, count: int) -> None:
    check_samples(pattern, chosen, least, count)


@pytest.mark.slow
@settings(max_examples=10_000)
@given(PATTERNS, st.fixed_dictionaries(CHOSEN), st.integers(0, 6), st.sampled_from([1, 3]))
def test_every_text_of_ten_thousand_patterns_matches(
    pattern: str, chosen: dict[str, Any], least: int, count: int
) -> None:
    check_samples(pattern, chosen, least, count)


def likelihood(odds: dict[str, dict[str, float]], language: set[str], text: str) -> float:
    """A text's probability after "c": of its characters among those that fit, and at its end of one that does not."""
    letters = sorted(odds)
    beginnings = {each[:n] for each in language for n in range(len(each) + 1)}
    probability, most = 1.0, max(map(len, language))
    for n in range(len(text) + 1):
        sofar = text[:n]
        next_ = odds[("c" + sofar)[-1]]
        fitting = {c for c in letters if sofar + c in beginnings}
        if not fitting or n == most:
            break
        # Where the text may end, all characters are drawn from: one that does not fit ends it.
        among = letters if sofar in language else sorted(fitting)
        total = math.fsum(next_[c] for c in among)
        event = [text[n]] if n < len(text) else [c for c in letters if c not in fitting]
        probability *= math.fsum(next_[c] for c in event) / total
    return probability


ODDS = {
    "a": {"a": 0.2, "b": 0.5, "c": 0.3},
    "b": {"a": 0.6, "b": 0.3, "c": 0.1},
    "c": {"a": 0.4, "b": 0.35, "c": 0.25},
}


@pytest.mark.parametrize(
    ("chosen", "most"),
    [
        ({"match": "(ab|c)*a?"}, 4),
        ({"match": "[ab]{2,4}"}, 6),
        ({"match": "a*b+|c{3}"}, 3),
        ({"contains": ("ba",)}, 3),
        ({"match": "[ac]*", "min_length": 2}, 4),
    ],
)
def test_texts_have_the_models_probabilities_renormalised_at_each_step(chosen: dict[str, Any], most: int) -> None:
    engine = Scripted(ODDS, tokenizer=CharTokenizer("abc"))
    pattern = chosen.get("match", ".*ba.*")
    language = matching(pattern, "abc", most, chosen.get("min_length", 0))
    expected = {text: likelihood(ODDS, language, text) for text in language}
    assert math.fsum(expected.values()) == pytest.approx(1.0)
    count = 6000
    config = SamplingConfig(**chosen, max_new_tokens=most, temperature=1.0, seed=1)
    found = Counter(sample.text for sample in write_samples(engine, engine.tokenizer, "c", config, count=count))
    assert set(found) <= language
    for text, probability in expected.items():
        sigma = math.sqrt(probability * (1 - probability) * count)
        assert abs(found[text] - probability * count) <= 4.5 * sigma + 1e-6, (text, found[text], probability * count)


def test_controls_apply_among_the_characters_that_fit() -> None:
    engine = Scripted({"": {"z": 0.9, "a": 0.06, "b": 0.03, "c": 0.01}})
    for chosen in ({"temperature": 0.0}, {"top_k": 1}, {"top_p": 0.3}, {"min_p": 0.9}):
        assert text(engine, match="[abc]{5}", **chosen) == "aaaaa"
    written = Counter(text(engine, match="[abc]{3000}", max_new_tokens=3000, top_k=2, temperature=1.0))
    assert set(written) == {"a", "b"}
    assert written["b"] == pytest.approx(1000, abs=120)


def text(engine: Scripted, prompt: str = "", **chosen: Any) -> str:
    return sample(engine, prompt, **chosen).text


def sample(engine: Scripted, prompt: str = "", **chosen: Any) -> Sample:
    config = SamplingConfig(**{"seed": 0, **chosen})
    return write_samples(engine, engine.tokenizer, prompt, config)[0]


@pytest.mark.parametrize(
    ("chosen", "expected", "reason"),
    [
        ({"match": "[a-z]{4}"}, "once", "match"),
        ({"match": "[a-z ]{4,}"}, "once upon a time", "match"),
        ({"match": "[a-z]+"}, "once", "match"),
        ({"match": "[a-z ]+", "max_new_tokens": 7}, "once up", "length"),
        ({"match": "(?:[a-z ]{5})*", "max_new_tokens": 12}, "once upon ", "length"),
        ({"match": r"(?:.*\n)"}, "once upon a time\n", "match"),
        ({"contains": ("upon",), "max_length": 12}, "once upon a ", "length"),
        ({"starts_with": "once u", "max_length": 9}, "once upon", "length"),
        ({"min_length": 4, "max_length": 5}, "once ", "length"),
        ({"match": "x*"}, "", "match"),
        ({"match": "(?:xxx)*", "max_new_tokens": 2}, "", "length"),
        ({"match": "x*", "max_new_tokens": 0}, "", "length"),
    ],
)
def test_where_a_text_ends_and_what_it_says_about_that(chosen: dict[str, Any], expected: str, reason: str) -> None:
    written = sample(script("once upon a time\nthere"), **chosen)
    assert (written.text, written.finish_reason) == (expected, reason)


def test_a_text_that_only_one_way_leads_on_takes_it_though_the_model_would_not() -> None:
    assert text(script("zzzzz"), match="once") == "once"
    assert text(script("zzzzz"), starts_with="the sea", max_length=7) == "the sea"


def test_banned_characters_are_no_way_to_an_end() -> None:
    engine = Scripted({"": {"a": 0.99, "b": 0.01, "x": 0.5, "y": 0.5}})
    assert text(engine, match="(?:ax|b)y", ban="x") == "by"
    assert text(engine, match="(?:ax|b)y", allow="bay") == "by"
    assert text(engine, match="a|b{3}", max_length=3, min_length=2) == "bbb"


def test_the_unknown_id_is_never_written() -> None:
    tokenizer = CharTokenizer("\nab", has_unknown=True)
    engine = Scripted({"": {"\ufffd": 0.98, "a": 0.01, "b": 0.01}}, tokenizer=tokenizer)
    for pattern in (".{20}", "[^a]{20}", r"(?:\W|a){3,20}"):
        assert set(text(engine, match=pattern)) <= set("\nab")


@pytest.mark.parametrize(
    ("chosen", "problem"),
    [
        ({"match": "[0-9]"}, "match must fit a text of characters that the model may write; none does. It cannot"),
        ({"match": "a{9}", "max_length": 5}, "match must fit a text of at most 5 characters; the shortest that fits"),
        ({"match": "a{9}", "min_length": 10}, "match must fit a text of 10 to 500 characters; none does."),
        ({"match": "a+", "starts_with": "b"}, "match and starts_with must fit a text of characters that the model may"),
        (
            {"match": "[ab]*", "starts_with": "b", "contains": ("c",)},
            "match, starts_with and contains must fit a text of characters",
        ),
        ({"contains": ("éa",)}, "contains must be made of characters of the model's vocabulary, which lacks 'é' "),
        ({"starts_with": "abc", "ban": "bc"}, "starts_with must be made of characters that may be written, not 'b' "),
        ({"match": "(a"}, "match is not a regular expression: missing )"),
        ({"match": "(a|b)*a(a|b){20}"}, "match, starts_with, ends_with and contains must have fewer cases"),
        ({"match": "a", "max_new_tokens": 0}, "match must fit a text of at most 0 characters; the shortest that fits"),
    ],
)  # fmt: skip
def test_what_no_text_fits_is_refused_before_the_first_character(chosen: dict[str, Any], problem: str) -> None:
    engine = script("abc")
    with pytest.raises(ConfigError) as caught:
        Stream(engine, engine.tokenizer, "abc", SamplingConfig(**chosen))
    assert str(caught.value).startswith(problem)
    assert engine.steps == 0


def test_far_lengths_of_a_pattern_with_many_cases_are_refused() -> None:
    cycles = "|".join(
        f"{first}(?:a{{{length}}})*" for first, length in zip("abcdefg", (53, 59, 61, 67, 71, 73, 79), strict=True)
    )
    with pytest.raises(ConfigError, match="min_length must be smaller for a pattern with so many cases"):
        text(script("abc"), match=cycles, min_length=100_000, max_new_tokens=100_000)


CONSTRAINTS: list[dict[str, Any]] = [
    {"match": "[a-z]{3,8}(?: [a-z]{2,9})*"},
    {"starts_with": "the ", "contains": ["sea", "wind"], "max_length": 50},
    {"match": r"(?:.{5,20}\n){3}", "temperature": 0.0},
    {"ends_with": "tide", "min_length": 30, "repetition_penalty": 2.0},
]


@pytest.mark.parametrize("chosen", CONSTRAINTS)
def test_pieces_and_many_texts_and_seeds_are_those_of_one_text(chosen: dict[str, Any]) -> None:
    writer = random_writer()
    mixed = Writer.mix([writer, random_writer(seed=1)])
    for each in (writer, mixed, writer.adapt("the sea and the wind and the tide " * 3)):
        one = each.generate("abc", seed=3, max_new_tokens=60, **chosen)
        assert one == each.generate("abc", seed=3, max_new_tokens=60, **chosen)
        assert "".join(each.stream("abc", seed=3, max_new_tokens=60, **chosen)) == one.text
        many = each.generate_many("abc", seed=3, count=6, max_new_tokens=60, **chosen)
        assert many[0] == one
        assert len({sample.text for sample in many}) > 1 or "temperature" in chosen
        assert "match" not in chosen or all(re.fullmatch(chosen["match"], sample.text) for sample in many)


def test_threads_that_share_a_constraint_write_what_each_would_alone() -> None:
    writer = random_writer()
    chosen: dict[str, Any] = {"match": "(?:[a-z]{3,8} )*[a-z]{2}", "min_length": 20, "max_new_tokens": 60}
    alone = [writer.generate("abc", seed=seed, **chosen).text for seed in range(24)]
    with ThreadPoolExecutor(8) as pool:
        assert list(pool.map(lambda seed: writer.generate("abc", seed=seed, **chosen).text, range(24))) == alone


def test_log_probabilities_are_recorded_for_the_characters_of_the_text() -> None:
    written = random_writer().generate("abc", seed=2, match="[a-z]{2,9}", logprobs=2)
    assert written.logprobs is not None
    assert "".join(each.character for each in written.logprobs) == written.text


def test_texts_are_normalised_as_the_training_text_was_and_patterns_composed() -> None:
    tokenizer = CharTokenizer("\n abé")
    metadata = Metadata(
        model=random_writer(tokenizer).config,
        tokenizer=tokenizer,
        corpus=CorpusDescription(settings={"normalize": "nfkc"}),
    )
    writer = random_writer(tokenizer, metadata=metadata)
    decomposed = "e\u0301"
    assert set(writer.generate(match=f"[{decomposed}]{{4}}", seed=1).text) == {"é"}
    written = writer.generate(
        starts_with=decomposed, contains=decomposed + "\r\n", ends_with="ａ", max_length=9, seed=1
    )
    assert written.text.startswith("é") and written.text.endswith("a") and "é\n" in written.text


def test_a_records_end_competes_with_the_characters_that_fit() -> None:
    config = SamplingConfig(match="ab*", min_length=2, max_new_tokens=4)
    walk = Constraint("abc", (), config, size=5, end=4).walk()
    drawn = []
    for each in (0, 1, 1):
        drawn.append(np.flatnonzero(walk.bias == 0.0).tolist())
        assert walk.add(each)
    assert drawn == [[0], [1], [1, 4]]
    assert np.flatnonzero(walk.bias == 0.0).tolist() == [1, 4]
    assert not walk.add(4)
    assert walk.ended


def test_what_is_remembered_of_a_large_vocabulary_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("textgen.sampling.constraint._CACHED", 50)
    engine = Scripted(ODDS, tokenizer=CharTokenizer("abc"))
    config = SamplingConfig(match="(?:[ab]{3}c){2,40}", max_new_tokens=100, seed=1)
    constraint = Constraint("abc", (), config, size=3)
    walk = constraint.walk()
    for each in itertools.chain.from_iterable([(0, 1, 0, 2)] * 20):
        assert walk.add(each)
        assert sum(map(len, constraint._nexts.values())) * 3 <= 50
    assert re.fullmatch(config.match, text(engine, match=config.match, max_new_tokens=100))

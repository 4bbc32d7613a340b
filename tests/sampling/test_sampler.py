"""The sampling loop, with scripted networks whose next character is known."""

import tracemalloc
from collections import Counter
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from small_models import ALPHABET, Scripted, random_writer, script

from textgen.config import SamplingConfig
from textgen.corpus.tokenizer import CharTokenizer
from textgen.errors import ConfigError, UnknownCharacterError
from textgen.sampling.sample import Sample
from textgen.sampling.sampler import Stream, write_samples

COIN = {"": {"a": 1.0, "b": 1.0}}
WORDS = st.text("ab", max_size=30)


def write(engine: Scripted, prompt: str = "", *, count: int = 1, logprobs: int = 0, **chosen: Any) -> list[Sample]:
    config = SamplingConfig(**{"seed": 0, **chosen})
    return write_samples(engine, engine.tokenizer, prompt, config, count=count, logprobs=logprobs)


def text(engine: Scripted, prompt: str = "", **chosen: Any) -> str:
    return write(engine, prompt, **chosen)[0].text


def test_it_writes_what_the_network_predicts() -> None:
    assert text(script("sequentially"), max_new_tokens=12) == "sequentially"


def test_the_prompt_is_neither_counted_nor_repeated() -> None:
    engine = Scripted({"a": {"b": 1.0}, "b": {"c": 1.0}, "": {"a": 1.0}})
    (sample,) = write(engine, "cab", max_new_tokens=5)
    assert (sample.prompt, sample.text) == ("cab", "cabca")


@pytest.mark.parametrize("length", [1, 100, 5000])
def test_prompts_of_any_length_are_read_whole(length: int) -> None:
    engine = Scripted({"x" + "a" * (length - 1): {"b": 1.0}, "": {"z": 1.0}})
    assert text(engine, "x" + "a" * (length - 1), max_new_tokens=1) == "b"


def test_a_text_without_a_prompt_begins_as_after_a_line_break() -> None:
    assert text(Scripted({"\n": {"q": 1.0}, "": {"z": 1.0}}), max_new_tokens=2) == "qz"
    unbroken = CharTokenizer(" abz")
    assert text(Scripted({" ": {"a": 1.0}, "": {"z": 1.0}}, tokenizer=unbroken), max_new_tokens=2) == "az"


def test_one_step_is_made_for_each_character_but_the_last() -> None:
    engine = script("abc")
    text(engine, "zz", max_new_tokens=10)
    assert engine.steps == 2 + 9


def test_no_characters_take_no_steps() -> None:
    engine = script("abc")
    (sample,) = write(engine, max_new_tokens=0)
    assert (sample.text, sample.finish_reason, engine.steps) == ("", "length", 0)


@pytest.mark.parametrize(
    ("chosen", "expected", "reason"),
    [
        ({"max_new_tokens": 4}, "once", "length"),
        ({"stop": ("upon",)}, "once ", "stop"),
        ({"stop": ("zzz", "n a")}, "once upo", "stop"),
        ({"stop": ("on a", "n a"), "include_stop": True}, "once upon a", "stop"),
        ({"stop": ("zzz",), "include_stop": True, "max_new_tokens": 4}, "once", "length"),
        ({"include_stop": True, "max_new_tokens": 4}, "once", "length"),
        ({"until": "line", "max_new_tokens": 3}, "once upon a time\n", "line"),
        ({"until": "paragraph", "max_new_tokens": 3}, "once upon a time\nthere was\n\n", "paragraph"),
    ],
)
def test_each_way_to_end_is_reported(chosen: dict[str, Any], expected: str, reason: str) -> None:
    (sample,) = write(script("once upon a time\nthere was\n\na fox"), **chosen)
    assert (sample.text, sample.finish_reason) == (expected, reason)


def test_temperatures_take_turns() -> None:
    engine = Scripted({"": {"a": 0.6, "b": 0.4}})
    written = text(engine, temperature=(0.0, 1.0, 3.0), max_new_tokens=3000)
    assert set(written[::3]) == {"a"}
    assert Counter(written[1::3])["b"] == pytest.approx(400, abs=50)
    assert Counter(written[2::3])["b"] == pytest.approx(1000 / (1 + 1.5 ** (1 / 3)), abs=50)


def test_temperature_zero_takes_the_likeliest_and_needs_no_chance() -> None:
    engine = Scripted({"a": {"b": 0.6, "a": 0.4}, "": {"a": 0.51, "b": 0.49}})
    assert {text(engine, temperature=0.0, max_new_tokens=6, seed=seed) for seed in range(5)} == {"ababab"}


def test_a_character_that_was_never_seen_is_never_written() -> None:
    tokenizer = CharTokenizer("\nab", has_unknown=True)
    engine = Scripted({"": {"\ufffd": 0.98, "a": 0.01, "b": 0.01}}, tokenizer=tokenizer)
    for chosen in ({}, {"temperature": 0.0}, {"top_k": 1}, {"typical_p": 0.1}, {"temperature": 1e6}):
        for count in (1, 3):
            for sample in write(engine, max_new_tokens=50, count=count, **chosen):
                assert set(sample.text) <= set("\nab")


def test_the_repetition_penalty_looks_back_over_its_window_prompt_included() -> None:
    engine = Scripted({"": {"a": 1.0, "b": 0.9, "c": 0.8}})
    chosen: dict[str, Any] = {"temperature": 0.0, "repetition_penalty": 2.0}
    assert text(engine, "a", repetition_window=1, max_new_tokens=6, **chosen) == "bababa"
    assert text(engine, "a", repetition_window=2, max_new_tokens=6, **chosen) == "bcabca"
    assert text(engine, "cc", repetition_window=50, max_new_tokens=4, **chosen) == "abaa"
    assert text(engine, "", repetition_window=1, max_new_tokens=4, **chosen) == "abab"


def test_top_k_one_is_greedy_at_any_temperature() -> None:
    engine = Scripted({"": {"a": 0.51, "b": 0.49}})
    assert text(engine, top_k=1, temperature=1e6, max_new_tokens=30) == "a" * 30


def test_the_same_seed_brings_the_same_text_and_another_one_another() -> None:
    first = text(Scripted(COIN), seed=7, max_new_tokens=80)
    assert text(Scripted(COIN), seed=7, max_new_tokens=80) == first
    assert text(Scripted(COIN), seed=8, max_new_tokens=80) != first


def test_a_seed_that_was_drawn_is_reported_and_brings_the_text_back() -> None:
    (sample,) = write(Scripted(COIN), seed=None, max_new_tokens=80)
    (again,) = write(Scripted(COIN), seed=sample.seed, max_new_tokens=80)
    assert again == sample
    assert sample.config.seed == sample.seed
    assert len({write(Scripted(COIN), seed=None, max_new_tokens=0)[0].seed for _ in range(20)}) == 20


def test_samples_of_one_seed_differ_from_each_other() -> None:
    samples = write(Scripted(COIN), count=8, max_new_tokens=80)
    assert len({sample.text for sample in samples}) == 8
    assert [sample.index for sample in samples] == list(range(8))


@settings(deadline=None, max_examples=40)
@given(
    st.integers(0, 2**63 - 1),
    st.integers(1, 12),
    st.integers(1, 12),
    st.sampled_from(["", "zz", "a b"]),
    st.fixed_dictionaries(
        {},
        optional={
            "temperature": st.sampled_from([0.3, 1.0, (0.5, 2.0)]),
            "top_p": st.just(0.9),
            "top_k": st.just(5),
            "min_p": st.just(0.05),
            "typical_p": st.just(0.9),
            "repetition_penalty": st.just(1.3),
            "stop": st.just(("e", "th")),
        },
    ),
)
def test_a_sample_does_not_depend_on_how_many_are_drawn(
    seed: int, few: int, many: int, prompt: str, chosen: dict[str, Any]
) -> None:
    writer = random_writer(units=16, layers=1)
    config = SamplingConfig(**chosen, seed=seed, max_new_tokens=40)
    some = write_samples(writer.engine, ALPHABET, prompt, config, count=few)
    others = write_samples(writer.engine, ALPHABET, prompt, config, count=many)
    shared = min(few, many)
    assert some[:shared] == others[:shared]


def test_samples_that_end_early_leave_the_others_as_they_are() -> None:
    samples = write(Scripted({"": {"a": 0.9, "b": 0.1}}), count=20, stop=("b",), max_new_tokens=30)
    full = write(Scripted({"": {"a": 0.9, "b": 0.1}}), count=20, max_new_tokens=30)
    assert len({len(sample.text) for sample in samples}) > 3
    for sample, whole in zip(samples, full, strict=True):
        assert sample.text == whole.text.partition("b")[0]
        assert sample.finish_reason == ("stop" if "b" in whole.text else "length")


def test_logprobs_are_the_networks_own_before_the_controls() -> None:
    odds = {"a": 0.6, "b": 0.3, "c": 0.1}
    (sample,) = write(Scripted({"": odds}), logprobs=2, max_new_tokens=40, temperature=5.0, repetition_penalty=3.0)
    assert sample.logprobs is not None
    assert "".join(each.character for each in sample.logprobs) == sample.text
    for each in sample.logprobs:
        assert each.logprob == pytest.approx(np.log(odds[each.character]), abs=1e-6)
        assert [character for character, _ in each.top] == ["a", "b"]
        assert [logprob for _, logprob in each.top] == pytest.approx(np.log([0.6, 0.3]), abs=1e-6)


def test_logprobs_belong_to_the_characters_of_the_text_alone() -> None:
    (sample,) = write(script("abc end"), logprobs=1, stop=(" end",))
    assert sample.logprobs is not None
    assert [each.character for each in sample.logprobs] == ["a", "b", "c"]
    (sample,) = write(script("abc end"), logprobs=1, stop=(" end",), include_stop=True)
    assert sample.logprobs is not None
    assert "".join(each.character for each in sample.logprobs) == sample.text == "abc end"
    assert write(script("abc"), max_new_tokens=2)[0].logprobs is None
    assert write(script("abc"), max_new_tokens=0, logprobs=3)[0].logprobs == ()


def test_more_logprobs_than_characters_are_all_of_them() -> None:
    (sample,) = write(script("ab"), logprobs=10**6, max_new_tokens=1)
    assert sample.logprobs is not None
    assert len(sample.logprobs[0].top) == ALPHABET.vocab_size


def test_logprobs_of_a_batch_are_those_of_each_alone() -> None:
    writer = random_writer()
    config = SamplingConfig(seed=3, max_new_tokens=20)
    (alone,) = write_samples(writer.engine, ALPHABET, "ab", config, logprobs=2)
    first, *_ = write_samples(writer.engine, ALPHABET, "ab", config, logprobs=2, count=3)
    assert alone.logprobs is not None
    assert first.logprobs is not None
    for one, other in zip(alone.logprobs, first.logprobs, strict=True):
        assert one.character == other.character
        assert one.logprob == pytest.approx(other.logprob, abs=1e-4)


def test_a_sample_is_plain_json_values() -> None:
    (sample,) = write(script("ab"), max_new_tokens=2, seed=4, logprobs=1)
    values = sample.to_json()
    assert {name: values[name] for name in ("text", "prompt", "seed", "index", "finish_reason")} == {
        "text": "ab",
        "prompt": "",
        "seed": 4,
        "index": 0,
        "finish_reason": "length",
    }
    assert values["parameters"]["max_new_tokens"] == 2
    assert values["logprobs"][0]["character"] == "a"
    assert "logprobs" not in write(script("ab"), max_new_tokens=2)[0].to_json()


def test_unknown_characters_of_a_prompt_are_errors_unless_asked_otherwise() -> None:
    with pytest.raises(UnknownCharacterError, match="É"):
        write(script("ab"), "É", max_new_tokens=2)
    engine = Scripted({"a": {"b": 1.0}, " ": {"c": 1.0}, "": {"z": 1.0}})
    assert text(engine, "aÉ", unknown="skip", max_new_tokens=1) == "b"
    assert text(engine, "aÉ", unknown="replace", max_new_tokens=1) == "c"


def test_a_prompt_that_is_skipped_whole_is_no_prompt() -> None:
    assert text(Scripted({"\n": {"q": 1.0}, "": {"z": 1.0}}), "ÉÉ", unknown="skip", max_new_tokens=1) == "q"


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"count": 0}, r"count must be a whole number in \[1, 65536\]; got 0"),
        ({"count": 2.0}, "count must be"),
        ({"logprobs": -1}, "logprobs must be a whole number of at least 0; got -1. Use 0 to switch it off."),
    ],
)
def test_wrong_values_are_sentences(arguments: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        write(script("ab"), **arguments)


def test_a_vocabulary_without_characters_cannot_write() -> None:
    tokenizer = CharTokenizer("", has_unknown=True)
    with pytest.raises(ConfigError, match="characters must be at least one that can be written"):
        write(Scripted({"": {}}, tokenizer=tokenizer))


@given(WORDS, st.lists(st.text("ab", min_size=1, max_size=4), max_size=3))
def test_a_stream_is_the_text_in_pieces_and_leaks_no_stop(words: str, stops: list[str]) -> None:
    config = SamplingConfig(seed=0, max_new_tokens=40, stop=tuple(stops))
    expected = write(script(words), max_new_tokens=40, stop=tuple(stops))[0]
    stream = Stream(script(words), ALPHABET, "", config)
    shown = ""
    for piece in stream:
        assert piece
        shown += piece
        assert not any(stop in shown for stop in stops)
        assert stream.sample.text == shown
    assert shown == expected.text
    assert stream.sample == expected


@given(WORDS, st.lists(st.text("ab", min_size=1, max_size=4), min_size=1, max_size=3))
def test_a_stream_shows_a_stop_that_is_kept_in_one_piece(words: str, stops: list[str]) -> None:
    controls: dict[str, Any] = {"max_new_tokens": 40, "stop": tuple(stops), "include_stop": True}
    expected = write(script(words), **controls)[0]
    stream = Stream(script(words), ALPHABET, "", SamplingConfig(seed=0, **controls))
    pieces = list(stream)
    assert stream.sample == expected
    assert "".join(pieces) == expected.text
    assert not any(stop in "".join(pieces[:-1]) for stop in stops)
    assert (expected.finish_reason == "stop") == expected.text.endswith(tuple(stops))
    if expected.finish_reason == "stop":
        assert pieces[-1].endswith(max((stop for stop in stops if expected.text.endswith(stop)), key=len))


def test_a_stream_hands_out_each_character_as_soon_as_it_is_certain() -> None:
    engine = script("abxyend")
    stream = Stream(engine, ALPHABET, "", SamplingConfig(stop=("xz", "end"), max_new_tokens=9))
    pieces, steps = [], []
    for piece in stream:
        pieces.append(piece)
        steps.append(engine.steps)
    assert (pieces, steps) == (["a", "b", "xy"], [1, 2, 4])


def test_a_stream_reports_its_seed_before_its_first_piece() -> None:
    stream = Stream(Scripted(COIN), ALPHABET, "", SamplingConfig(max_new_tokens=50))
    seed = stream.sample.seed
    assert "".join(stream) == text(Scripted(COIN), seed=seed, max_new_tokens=50)


def test_a_stream_says_what_is_wrong_before_its_first_piece() -> None:
    with pytest.raises(UnknownCharacterError):
        Stream(script("ab"), ALPHABET, "É", SamplingConfig())


def test_a_closed_stream_takes_no_more_steps() -> None:
    engine = script("abcdef")
    stream = Stream(engine, ALPHABET, "", SamplingConfig(max_new_tokens=6))
    assert next(stream) + next(stream) == "ab"
    steps = engine.steps
    stream.close()
    assert list(stream) == []
    assert engine.steps == steps
    assert stream.sample.text == "ab"


def test_memory_does_not_grow_with_each_character_written() -> None:
    writer = random_writer(units=128)

    def peak(length: int) -> int:
        tracemalloc.start()
        try:
            writer.generate("ab", seed=1, max_new_tokens=length)
            return tracemalloc.get_traced_memory()[1]
        finally:
            tracemalloc.stop()

    peak(50)
    assert peak(1200) - peak(200) < 500_000

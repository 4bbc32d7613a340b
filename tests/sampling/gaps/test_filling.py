"""Filling gaps against an exhaustive search by the slow network, and with scripted networks."""

import itertools
import json
import math
import subprocess
import sys
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from labelled_models import labelled_writer, write_words
from small_models import Scripted, random_writer, scripted_writer, slow_logits

import textgen
from textgen.config import CorpusConfig, FillConfig, ModelConfig
from textgen.corpus.tokenizer import CharTokenizer
from textgen.errors import ConfigError, UnknownCharacterError
from textgen.model.description import CorpusDescription
from textgen.model.metadata import Metadata
from textgen.sampling.gaps.filling import Filling, fill
from textgen.sampling.gaps.markers import parse_gaps
from textgen.sampling.writer import Writer

SMALL = CharTokenizer("\nabcde")
WORDS = CharTokenizer("abcde", has_end=True)


@pytest.fixture(scope="module")
def writer() -> Writer:
    return random_writer(SMALL, units=12, seed=3)


def test_newlines_are_those_of_the_text(writer: Writer) -> None:
    (found,) = writer.fill("ab\r\ne[1]cd\r\n[1]a", allow="\n")
    assert (found.text, found.gaps) == ("ab\r\ne\r\ncd\r\n\r\na", ("\r\n", "\r\n"))
    assert [found.text[place:][:2] for place in found.places] == ["\r\n", "\r\n"]
    (plain,) = writer.fill("ab\ne[1]cd\n[1]a", allow="\n")
    assert (plain.text, plain.probability) == ("ab\ne\ncd\n\na", found.probability)


def logprob(writer: Writer, ids: Sequence[int], labels: Any = None) -> float:
    """The log-probability of the ids after the first, one step at a time in float64, as records or running text."""
    end = writer.tokenizer.end_id
    starts = [n for n, each in enumerate(ids) if n == 0 or each == end]
    total = 0.0
    for start, stop in itertools.pairwise([*starts, len(ids)]):
        read = list(ids[start:stop])
        logits = slow_logits(writer.config, writer.weights, np.array(read), labels)
        logprobs = logits - np.log(np.exp(logits).sum(-1, keepdims=True))
        followed = [*read[1:], *ids[stop : stop + 1]]
        total += sum(logprobs[n, each] for n, each in enumerate(followed))
    return total


def exhaustive(
    writer: Writer, text: str, config: FillConfig, *, characters: str = "", labels: Any = None
) -> dict[tuple[str, ...], float]:
    """The probability of each filling of a text's gaps among all there are."""
    parsed, tokenizer = parse_gaps(text, config), writer.tokenizer
    characters = characters or tokenizer.characters
    of_gaps = [
        ["".join(each) for n in range(gap.least, gap.most + 1) for each in itertools.product(characters, repeat=n)]
        for gap in parsed.gaps
    ]
    found = {}
    for fillings in itertools.product(*of_gaps):
        whole = parsed.filled(fillings)
        if tokenizer.has_end:
            ids = [tokenizer.end_id, *tokenizer.encode(whole).tolist(), tokenizer.end_id]
        else:
            ids = [*([] if parsed.texts[0] else [0]), *tokenizer.encode(whole).tolist()]
            ids = ids if parsed.texts[-1].endswith("\n") else [*ids, 0]
        found[fillings] = logprob(writer, ids, labels)
    total = np.logaddexp.reduce(list(found.values()))
    return {fillings: math.exp(each - total) for fillings, each in found.items()}


def as_dict(found: Iterable[Filling]) -> dict[tuple[str, ...], float]:
    return {each.gaps: each.probability for each in found}


def best(probabilities: dict[tuple[str, ...], float], count: int) -> dict[tuple[str, ...], float]:
    return dict(sorted(probabilities.items(), key=lambda pair: -pair[1])[:count])


@pytest.mark.parametrize(
    "text", ["ab[1]cd", "ab[2]cd", "[1]ab", "ab\n[2]", "a[1-2]ecab", "ab[1]\n", "[2]", "b[0-2]c", "ba[2]"]
)
def test_the_best_fillings_are_those_of_an_exhaustive_search(writer: Writer, text: str) -> None:
    expected = exhaustive(writer, text, FillConfig())
    found = writer.fill(text, count=4, candidates=200)
    assert as_dict(found) == pytest.approx(best(expected, 4), rel=2e-3)
    assert [each.probability for each in found] == sorted((each.probability for each in found), reverse=True)
    assert [each.text for each in found] == [parse_gaps(text, FillConfig()).filled(each.gaps) for each in found]


def test_the_narrow_beam_of_the_defaults_finds_the_best_of_a_small_vocabulary(writer: Writer) -> None:
    for text in ("ab[2]cd", "de[3]ab"):
        assert writer.fill(text)[0].gaps == next(iter(best(exhaustive(writer, text, FillConfig()), 1)))


def test_several_gaps_are_ranked_as_one(writer: Writer) -> None:
    text = "ab[1]c[1]de"
    assert as_dict(writer.fill(text, count=5, candidates=200)) == pytest.approx(
        best(exhaustive(writer, text, FillConfig()), 5), rel=2e-3
    )


def test_what_stands_behind_a_gap_decides() -> None:
    odds = {"x": {"a": 0.6, "b": 0.4}, "xa": {"c": 0.9, "d": 0.1}, "xb": {"d": 1.0}, "": {"x": 0.5, "\n": 0.5}}
    engine = Scripted(odds, tokenizer=CharTokenizer("\nabcdx"))
    writer: Any = scripted_writer(engine)
    assert as_dict(fill(writer, "x[1]d", FillConfig(), count=2)) == pytest.approx(
        {("b",): 0.4 / 0.46, ("a",): 0.06 / 0.46}
    )
    assert as_dict(fill(writer, "x[1]d", FillConfig(reach=0), count=2)) == pytest.approx({("a",): 0.6, ("b",): 0.4})


def test_gaps_far_from_each_other_are_filled_one_after_the_other() -> None:
    odds = {"x": {"a": 0.6, "b": 0.4}, "": {"z": 0.5, "x": 0.5}}
    writer = scripted_writer(Scripted(odds, tokenizer=CharTokenizer("\nabxz")))
    text = "x[1]" + "z" * 300 + "x[1]z"
    expected = {("a", "a"): 0.36, ("a", "b"): 0.24, ("b", "a"): 0.24, ("b", "b"): 0.16}
    found = fill(writer, text, FillConfig(candidates=2), count=4)
    assert as_dict(found) == pytest.approx(expected, abs=1e-4)
    assert [each.text for each in found] == [text.replace("[1]", "{}").format(*each.gaps) for each in found]
    assert found[0].places == (1, 303)


def test_a_second_gap_is_filled_with_what_was_chosen_for_the_first() -> None:
    odds = {"x": {"a": 0.6, "b": 0.4}, "az": {"a": 1.0}, "bz": {"b": 1.0}, "": {"z": 1.0}}
    writer = scripted_writer(Scripted(odds, tokenizer=CharTokenizer("\nabxz")))
    assert as_dict(fill(writer, "x[1]z[1]z", FillConfig(), count=2)) == pytest.approx(
        {("a", "a"): 0.6, ("b", "b"): 0.4}
    )


@pytest.fixture(scope="module")
def records() -> Writer:
    config = CorpusConfig(records="lines")
    encoded = textgen.corpus.encode_corpus(textgen.corpus.open_texts(["abcde", "ba"] * 9, config=config))
    shape = ModelConfig(vocab_size=6)
    description = CorpusDescription.of(encoded)
    return random_writer(WORDS, units=12, seed=5, metadata=Metadata(model=shape, tokenizer=WORDS, corpus=description))


@pytest.mark.parametrize("text", ["ab[2]", "[1]", "[1-2]ab", "a[2]c"])
def test_the_end_of_a_record_is_behind_a_gap(records: Writer, text: str) -> None:
    expected = best(exhaustive(records, text, FillConfig()), 4)
    assert as_dict(records.fill(text, count=4, candidates=200)) == pytest.approx(expected, rel=2e-3)


def test_records_do_not_know_of_each_other(records: Writer) -> None:
    together = records.fill("ab\n\nab[2]c\nde[1]\n", count=3, candidates=200)
    first, second = (as_dict(records.fill(text, count=9, candidates=200)) for text in ("ab[2]c", "de[1]"))
    products = {(a, b): p * q for ((a,), p), ((b,), q) in itertools.product(first.items(), second.items())}
    assert as_dict(together) == pytest.approx(best(products, 3), rel=2e-3)
    assert together[0].text == "ab\n\nab{}c\nde{}\n".format(*together[0].gaps)


def test_a_label_decides_with(tmp_path: Path) -> None:
    writer = labelled_writer(write_words(tmp_path / "words.csv"))
    for n, label in enumerate(writer.labels):
        weights = np.eye(len(writer.labels))[n]
        expected = best(exhaustive(writer, "ab[1]", FillConfig(), labels=weights), 3)
        assert as_dict(writer.fill("ab[1]", count=3, label=label)) == pytest.approx(expected, rel=2e-3)
    with pytest.raises(ConfigError, match="label must be one of the run's labels"):
        writer.fill("ab[1]", label="none")


def test_only_allowed_characters_are_filled_in(writer: Writer) -> None:
    expected = best(exhaustive(writer, "a[2]b", FillConfig(), characters="cd"), 4)
    assert as_dict(writer.fill("a[2]b", count=9, allow="cde", ban="e")) == pytest.approx(expected, rel=2e-3)


@pytest.mark.parametrize("temperature", [0.7, 1.5])
def test_fillings_are_drawn_with_their_probability(writer: Writer, temperature: float) -> None:
    exact = {key: p ** (1 / temperature) for key, p in exhaustive(writer, "ab[1-2]cd", FillConfig()).items()}
    total = sum(exact.values())
    draws = writer.fill("ab[1-2]cd", count=1000, sample=True, seed=5, temperature=temperature, candidates=4)
    counts = {key: sum(each.gaps == key for each in draws) for key in best(exact, 4)}
    for key, count in counts.items():
        expected = exact[key] / total
        assert count / 1000 == pytest.approx(expected, abs=5 * math.sqrt(expected / 1000) + 0.02)


def test_of_several_gaps_fillings_are_drawn_with_their_probability(writer: Writer) -> None:
    exact = exhaustive(writer, "ab[1]c[1]d", FillConfig())
    draws = writer.fill("ab[1]c[1]d", count=1000, sample=True, seed=5)
    for key, expected in best(exact, 3).items():
        assert sum(each.gaps == key for each in draws) / 1000 == pytest.approx(expected, abs=0.08)


def test_a_draw_is_repeated_by_its_seed(writer: Writer) -> None:
    first = writer.fill("ab[3]cd", count=3, sample=True)
    assert first[0].seed is not None
    again = writer.fill("ab[3]cd", count=3, sample=True, seed=first[0].seed)
    assert again == first
    assert writer.fill("ab[3]cd", sample=True, seed=first[0].seed)[0].gaps == first[0].gaps
    several = {writer.fill("ab[3]cd", sample=True, seed=seed)[0].gaps for seed in range(20)}
    assert len(several) > 3


def test_a_mixture_fills_gaps_too(writer: Writer) -> None:
    other = random_writer(SMALL, units=8, seed=8, cell="gru")
    mixed = Writer.mix([writer, other])
    parts = [exhaustive(each, "a[1]b", FillConfig()) for each in (writer, other)]
    assert set(as_dict(mixed.fill("a[1]b", count=6))) == {(each,) for each in "\nabcde"}
    alike = Writer.mix([writer, writer]).fill("a[1-2]b", count=3)
    assert as_dict(alike) == pytest.approx(as_dict(writer.fill("a[1-2]b", count=3)), rel=1e-3)
    assert parts[0] != parts[1]


def test_unknown_characters_are_treated_as_asked(writer: Writer) -> None:
    with pytest.raises(UnknownCharacterError, match="'Q'"):
        writer.fill("aQ[1]b")
    dropped = writer.fill("aQ[1]b", unknown="skip")[0]
    assert dropped.gaps == writer.fill("a[1]b")[0].gaps
    assert dropped.text == f"aQ{dropped.gaps[0]}b"


def test_neither_the_unknown_id_nor_an_end_is_filled_in() -> None:
    tokenizer = CharTokenizer("ab", has_unknown=True, has_end=True)
    found = random_writer(tokenizer, units=8).fill("a[2]", count=50)
    assert {each.gaps[0] for each in found} == {"aa", "ab", "ba", "bb"}
    assert sum(each.probability for each in found) == pytest.approx(1.0)


@pytest.mark.parametrize("count", [0, 1001, 1.5])
def test_the_number_of_alternatives_has_a_range(writer: Writer, count: Any) -> None:
    with pytest.raises(ConfigError, match=r"count must be a whole number in \[1, 1,000\]"):
        writer.fill("a[1]b", count=count)


def test_a_misspelt_setting_is_refused(writer: Writer) -> None:
    with pytest.raises(TypeError, match="Did you mean 'longest'"):
        writer.fill("a[1]b", longst=3)  # type: ignore[call-arg]


def test_filling_does_not_import_tensorflow(home: Path) -> None:
    code = (
        "import sys, json, textgen; found = textgen.load('checkpoints/tiny').fill('The [10] sea', count=3);"
        "print(json.dumps([len(each.gaps[0]) for each in found]));"
        "assert not {'tensorflow', 'keras'} & set(sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=home, capture_output=True, text=True, check=True)
    assert json.loads(done.stdout) == [10, 10, 10]

"""Figures of how good tunes are: by hand, and those of `textgen eval` on a run on tunes."""

from itertools import pairwise
from pathlib import Path

import pytest
from small_models import random_writer

import textgen
from textgen.analysis.evaluation import composing
from textgen.analysis.tunes import measure_tunes, read_tune
from textgen.config import CorpusConfig
from textgen.corpus import encode_corpus, open_corpus
from textgen.corpus.record_text import cut_records
from textgen.model.description import CorpusDescription
from textgen.model.metadata import Metadata
from textgen.sampling.writer import Writer

CONFIG = CorpusConfig(records="tunes", label_field="R")
HEAD = "X:1\nT:t\nM:2/4\nL:1/8\nK:D\n"


@pytest.fixture(scope="module")
def writer(tmp_path_factory: pytest.TempPathFactory, bundled_corpus: Path) -> Writer:
    """A random model of the start of the bundled book."""
    path = tmp_path_factory.mktemp("tunes") / "book.abc"
    path.write_text((bundled_corpus / "tunes.abc").read_text()[:6000].rpartition("\n\n")[0])
    encoded = encode_corpus(open_corpus(path, config=CONFIG), seed=4)
    assert encoded.records is not None
    plain = random_writer(encoded.tokenizer, labels=len(encoded.records.labels), layers=1, units=12)
    metadata = Metadata(model=plain.config, tokenizer=encoded.tokenizer, corpus=CorpusDescription.of(encoded))
    return Writer(config=plain.config, weights=plain.weights, tokenizer=plain.tokenizer, metadata=metadata)


def test_the_figures_are_shares_of_tunes_and_of_bars() -> None:
    texts = [
        f"{HEAD}|:DE FG|A2 D2:|",
        f"{HEAD.replace('T:t', 'T:u')}|:DE FG|A2 D2:|",
        f"{HEAD}|:DE FG|A2 D:|\n|:A2 d2|",
        f"{HEAD}DE F|a2 [d|",
    ]
    found = measure_tunes(texts, longest_copy=7)
    assert found.tunes == 4
    assert found.parsed == 3 / 4
    # Of the last tune, what stands before the complaint.
    assert (found.bars, found.filled) == (9, 6 / 9)
    assert (found.repeating, found.closed) == (3, 2 / 3)
    assert found.on_tonic == 3 / 4
    assert found.range == (7 + 7 + 12 + 19) / 4
    assert found.distinct == 3 / 4
    assert found.to_json()["longest_copy"] == 7


def test_tunes_without_bars_and_repeats_have_no_shares_of_them() -> None:
    found = measure_tunes(["X:1\nK:D\nDEF"])
    assert found.filled is None
    assert found.closed is None
    assert found.parsed == 1


@pytest.fixture
def fewer(monkeypatch: pytest.MonkeyPatch) -> None:
    """A random model's tunes seldom end: 10 instead of the 200 that are judged."""
    assert composing.SAMPLES == 200
    monkeypatch.setattr(composing, "SAMPLES", 10)


@pytest.mark.usefixtures("fewer")
def test_an_evaluation_judges_samples_beside_the_held_out_tunes(writer: Writer) -> None:
    pytest.importorskip("pydivsufsort", reason="copies are looked for by the extra novelty")
    found = textgen.evaluate(writer, seed=5)
    tunes = found.tunes
    assert tunes is not None
    assert tunes.samples.tunes == 10
    assert tunes.samples.parsed == 0
    held_out = [text for text in found_texts(writer) if text]
    assert tunes.given.tunes == len(held_out) > 1
    assert (tunes.given.parsed, tunes.given.filled, tunes.given.closed, tunes.given.on_tonic) == (1, 1, 1, 1)
    training = "\x00".join(text for text in trained_texts(writer))
    assert tunes.given.longest_copy == max(longest_in(read_tune(text).body, training) for text in held_out)
    assert found.to_json()["tunes"]["samples"] == tunes.samples.to_json()
    again = textgen.evaluate(writer, seed=5).tunes
    assert again == tunes


@pytest.mark.usefixtures("fewer")
def test_a_given_book_is_judged_too(writer: Writer) -> None:
    found = textgen.evaluate(writer, f"{HEAD}DE FG|D4|\n\nWords.\n\n{HEAD}DE F|D4|\n", seed=5, unknown="skip")
    assert found.tunes is not None
    assert (found.tunes.given.tunes, found.tunes.given.filled) == (2, 3 / 4)


def found_texts(writer: Writer) -> list[str]:
    return split_texts(writer)[1]


def trained_texts(writer: Writer) -> list[str]:
    return split_texts(writer)[0]


def split_texts(writer: Writer) -> tuple[list[str], list[str]]:
    """The tunes that train and those that are held out, read again."""
    (source,) = writer.metadata.corpus.sources
    encoded = encode_corpus(open_corpus(source, config=CONFIG), seed=4)
    records = encoded.records
    assert records is not None
    text = Path(source).read_text()
    assert len(cut_records(text, CONFIG)) == len(records)
    starts = records.starts.tolist()
    texts = [encoded.tokenizer.decode(encoded.ids[a : b - 1]) for a, b in pairwise(starts)]
    return texts[: records.training], texts[records.training :]


def longest_in(text: str, training: str) -> int:
    """The length of the longest part of a text that is in another, slowly."""
    best = 0
    for start in range(len(text)):
        while start + best < len(text) and text[start : start + best + 1] in training:
            best += 1
    return best

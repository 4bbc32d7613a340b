"""The parts of a text, ranked by what a model gives them."""

import math

import numpy as np
import pytest
from labelled_models import slow_logprob
from small_models import random_writer

from textgen.analysis.ranking import cut, rank
from textgen.corpus.tokenizer import CharTokenizer
from textgen.errors import ConfigError, CorpusError, UnknownCharacterError
from textgen.model.description import CorpusDescription
from textgen.model.metadata import Metadata
from textgen.sampling.writer import Writer

TEXT = "the sea\n\n  \nthe bay\nof the sea\n\na\n"


def on_records(**settings: str) -> Writer:
    tokenizer = CharTokenizer("\n abcefhosty", has_end=True)
    plain = random_writer(tokenizer)
    metadata = Metadata(model=plain.config, tokenizer=tokenizer, corpus=CorpusDescription(settings=settings))
    return Writer(config=plain.config, weights=plain.weights, tokenizer=tokenizer, metadata=metadata)


def test_running_text_is_ranked_where_it_stands() -> None:
    writer = random_writer()
    logprobs = writer.score(TEXT).logprobs / -math.log(2.0)
    for by, parts in (
        ("line", {1: "the sea", 4: "the bay", 5: "of the sea", 7: "a"}),
        ("paragraph", {1: "the sea", 4: "the bay\nof the sea", 7: "a"}),
    ):
        found = rank(writer, TEXT, by=by)  # type: ignore[arg-type]
        assert found.unit == "line"
        assert {each.number: each.text for each in found.parts} == parts
        ranks = [each.bits_per_character for each in found.parts]
        assert ranks == sorted(ranks, reverse=True)
        for each in found.parts:
            start = TEXT.index(each.text) if each.text != "a" else len(TEXT) - 2
            own = logprobs[start : start + len(each.text) + 1]
            assert each.characters == len(own)
            assert each.bits == pytest.approx(own.sum())


@pytest.mark.parametrize(
    ("settings", "by", "expected"),
    [
        ({"records": "lines"}, "record", {1: "the sea", 4: "the bay", 5: "of the sea", 7: "a"}),
        ({"records": "paragraphs"}, "record", {1: "the sea", 4: "the bay\nof the sea", 7: "a"}),
        ({"records": "paragraphs"}, "line", {1: "the sea", 4: "the bay", 5: "of the sea", 7: "a"}),
        ({"text_field": "title"}, "record", {1: TEXT.rstrip()}),
        ({"text_field": "title"}, "paragraph", {1: "the sea", 4: "the bay\nof the sea", 7: "a"}),
    ],
)
def test_a_run_on_records_ranks_each_part_by_itself(
    settings: dict[str, str], by: str, expected: dict[int, str]
) -> None:
    writer = on_records(**settings)
    found = rank(writer, TEXT, by=by)  # type: ignore[arg-type]
    assert {each.number: each.text for each in found.parts} == expected
    for each in found.parts:
        assert each.characters == len(each.text) + 1
        assert each.bits == pytest.approx(-slow_logprob(writer, each.text) / math.log(2.0), rel=1e-5)
    assert sum(each.bits for each in found.parts) == pytest.approx(found.score.nats / math.log(2.0))


def test_the_records_of_a_table_are_counted() -> None:
    writer, records = on_records(text_field="title"), ["the sea", "a\nbay", "the\n\nsea"]
    found = rank(writer, records, by="record")
    assert found.unit == "record"
    assert {each.number: each.text for each in found.parts} == dict(enumerate(records, 1))
    lines = rank(writer, records, by="line")
    assert sorted((each.number, each.text) for each in lines.parts) == [
        (1, "the sea"), (2, "a"), (2, "bay"), (3, "sea"), (3, "the"),
    ]  # fmt: skip
    (first,) = found.to_json(1)
    assert list(first) == ["record", "bits_per_character", "bits", "characters", "text"]
    assert first["text"] == found.parts[0].text


def test_characters_that_are_dropped_do_not_move_the_parts() -> None:
    for writer in (random_writer(), on_records(records="lines")):
        plain = {each.text: each for each in rank(writer, "the sea\nthe bay\n", by="line").parts}
        noted = rank(writer, "th!e !sea\nthe bay!!\n", by="line", unknown="skip").parts
        for each in noted:
            same = plain[each.text.replace("!", "")]
            assert (each.characters, each.number) == (same.characters, same.number)
            assert each.bits == pytest.approx(same.bits)
        with pytest.raises(UnknownCharacterError):
            rank(writer, "th!e", by="line")


def test_what_cannot_be_ranked_is_refused() -> None:
    with pytest.raises(ConfigError, match=r"^--by record needs a run on records, and 'model' was trained on"):
        rank(random_writer(), TEXT, by="record")
    for writer in (random_writer(), on_records(records="lines")):
        with pytest.raises(CorpusError, match="the text has no paragraph that is not empty"):
            rank(writer, "\n \n", by="paragraph")


def test_parts_are_found_in_their_places() -> None:
    rng = np.random.default_rng(2)
    for _ in range(200):
        text = "".join(rng.choice(["a", "b", " ", "\n", "\n"], 12))
        for by in ("line", "paragraph"):
            for number, place, part in cut(text, by):  # type: ignore[arg-type]
                assert text[place : place + len(part)] == part
                assert number == 1 + text[:place].count("\n")
                assert place == 0 or text[place - 1] == "\n"
        assert [part for *_, part in cut(text, "line")] == [line for line in text.split("\n") if line.strip()]

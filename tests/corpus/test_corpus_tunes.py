"""Books of tunes: where a tune begins and ends, however the text is cut into pieces, and what labels it has."""

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from textgen.config import CorpusConfig
from textgen.corpus import encode_corpus, open_corpus
from textgen.corpus.form import note_on_list
from textgen.corpus.record_text import cut_records
from textgen.corpus.tunes import tunes
from textgen.errors import ConfigError

FIRST = "X:1\nT:The Quay\nR:jig, slip jig\nM:9/8\nL:1/8\nK:Edor % dorian\nE2F GFE B3|\nR:reel\nE9|]"
SECOND = "X:2\nT:The Sand\nM:4/4\nK:G\nG4 B4|G8|]"
BOOK = f"%abc-2.1\nM:2/4\n\n{FIRST}\n \nSaid to be fast.\n\nT:No tune: there is no X\n\n{SECOND}\nX:3\nK:D\nD8|]\n\n"
FOUND = [FIRST, SECOND, "X:3\nK:D\nD8|]"]


@given(st.lists(st.integers(1, 40), max_size=30))
def test_the_tunes_do_not_depend_on_how_the_text_comes_in_pieces(lengths: list[int]) -> None:
    pieces, rest = [], BOOK
    for length in lengths:
        pieces.append(rest[:length])
        rest = rest[length:]
    assert [text for rows in tunes([*pieces, rest]) for text in rows.texts] == FOUND


@pytest.mark.parametrize(
    ("fields", "labels"),
    [
        ("R", [("jig", "slip jig"), (), ()]),
        ("M", [("9/8",), ("4/4",), ()]),
        ("K,L", [("1/8", "Edor"), ("G",), ("D",)]),
    ],
)
def test_a_tunes_labels_are_those_of_its_header(tmp_path: Path, fields: str, labels: list[tuple[str, ...]]) -> None:
    path = tmp_path / "book.abc"
    path.write_text(BOOK)
    config = CorpusConfig(records="tunes", label_field=fields, validation=0)
    records = encode_corpus(open_corpus(path, config=config)).records
    assert records is not None
    assert [tuple(records.labels[n] for n in records.label_sets[each]) for each in records.label_of] == labels


def test_a_text_is_cut_as_a_book_is() -> None:
    assert cut_records(BOOK, CorpusConfig(records="tunes")) == FOUND
    assert cut_records("GAB|", CorpusConfig(records="tunes")) == []


@pytest.mark.parametrize("field", ["T", "R,Q", "kind"])
def test_only_four_fields_of_a_tune_are_labels(field: str) -> None:
    with pytest.raises(ConfigError, match=r"^label_field must be one of K, L, M, R for tunes.*; got '"):
        CorpusConfig(records="tunes", label_field=field)


def test_a_book_that_is_read_as_running_text_is_noted(tmp_path: Path) -> None:
    path = tmp_path / "book.abc"
    path.write_text(BOOK)
    assert note_on_list(open_corpus(path)).startswith(f"{path} is a book of tunes: --records tunes would")
    assert note_on_list(open_corpus(path, config=CorpusConfig(records="none"))) == ""

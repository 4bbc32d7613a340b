"""CSV, TSV and JSON Lines files: what is read from them, and the row that an error names."""

import csv
import io
import json
from collections.abc import Iterator
from itertools import chain
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from textgen.config import CorpusConfig
from textgen.corpus import cells as cells_module
from textgen.corpus import encode_corpus, open_corpus
from textgen.corpus.form import note_on_list, refuse_table
from textgen.corpus.rows import Fields, Rows
from textgen.corpus.tables import Kind, read_table
from textgen.errors import CorpusError

FIELDS = Fields("text", ("by",))
cells = st.text(st.sampled_from('ab,;"\t\n\r é'), max_size=8)


def read(
    kind: Kind, text: str, *, fields: Fields = FIELDS, size: int = 7, **options: Any
) -> list[tuple[str, tuple[str, ...]]]:
    """The rows of a table whose text comes in short pieces."""
    pieces = [text[start : start + size] for start in range(0, len(text), size)]
    blocks: Iterator[Rows] = read_table(kind, "a.table", pieces, fields, **options)
    return list(chain.from_iterable(zip(block.texts, block.labels, strict=True) for block in blocks))


@given(
    rows=st.lists(st.tuples(cells, cells, cells), max_size=5),
    delimiter=st.sampled_from(",;\t"),
    newline=st.sampled_from(("\n", "\r\n", "\r")),
    size=st.integers(1, 9),
)
def test_cells_are_what_a_csv_writer_was_given(
    rows: list[tuple[str, str, str]], delimiter: str, newline: str, size: int
) -> None:
    file = io.StringIO()
    writer = csv.writer(file, delimiter=delimiter, lineterminator=newline, quoting=csv.QUOTE_ALL)
    writer.writerows([("by", "text", "more"), *rows])
    expected = [(text, tuple(sorted({each.strip() for each in by.split(",")} - {""}))) for by, text, _ in rows]
    assert read("csv", file.getvalue(), size=size) == expected
    if delimiter == "\t":
        assert read("tsv", file.getvalue(), size=size) == expected


@given(
    rows=st.lists(st.tuples(st.text(max_size=8), st.none() | st.text("ab, ", max_size=4)), max_size=5),
    size=st.integers(1, 30),
)
def test_objects_are_what_a_json_writer_was_given(rows: list[tuple[str, str | None]], size: int) -> None:
    lines = [json.dumps({"by": by, "text": text}, ensure_ascii=len(text) % 2 == 0) for text, by in rows]
    # Without a label in sight the field counts as missing only if no object has it.
    expected = [(text, tuple(sorted({each.strip() for each in (by or "").split(",")} - {""}))) for text, by in rows]
    assert read("jsonl", "\n\n".join(lines), size=size) == expected


def test_labels_come_from_lists_from_several_fields_and_from_none() -> None:
    lines = [{"text": "a", "by": ["poe, jr", "keats"], "in": "en"}, {"text": "b", "in": None}, {"text": None}]
    text = "\n".join(map(json.dumps, lines))
    found = read("jsonl", text, fields=Fields("text", ("by", "in")), size=10**6)
    assert found == [("a", ("en", "keats", "poe, jr")), ("b", ()), ("", ())]
    table = "text,by,in\na,poe,en\nb,,\n"
    assert read("csv", table, fields=Fields("text", ("by", "in"))) == [("a", ("en", "poe")), ("b", ())]
    assert read("csv", table, fields=Fields("text")) == [("a", ()), ("b", ())]


@pytest.mark.parametrize(
    ("kind", "text", "words"),
    [
        ("csv", "text,by\na,b\n\nc\n", "Row 4 of a.table has 1 field, but the first row names 2. .* comma"),
        ("csv", 'text,by\n"a\nb",c\nd,e,f\n', "Row 3 of a.table has 3 fields, but the first row names 2"),
        ("csv", "text;by\na;b;c\n", "Row 2 of a.table has 3 fields.* semicolon"),
        ("tsv", "text\tby\na\n", "Row 2 of a.table has 1 field.* tab"),
        ("csv", 'text,by\na,b\n"c,d\ne,f\n', "Row 3 of a.table has a quotation mark that nothing closes"),
        ("csv", 'text,by\na,b\nc,d\n"e"f,g\n', "Row 4 of a.table cannot be read .* double those within it"),
        ("csv", "verse,by\na,b\n", "a.table has no field 'text'; it has 'verse' and 'by'. .*--text-field"),
        ("csv", "text,author\na,b\n", "a.table has no field 'by'; it has 'text' and 'author'. .*--label-field"),
        ("jsonl", '{"text": "a", "by": "b"}\n\n{"text": "a"\n', r"Line 3 of a.table is no JSON object \(.* 13\)"),
        ("jsonl", '{"text": "a", "by": "b"}\n["text"]\n', r"Line 2 of a.table is no JSON object\. Correct"),
        ("jsonl", '{"text": "a", "by": "b"}\n{"text": "a"}, {}\n', "Line 2 of a.table is no JSON object"),
        (
            "jsonl",
            '{"text": "a", "by": "b"}\n{"verse": "a"}\n',
            "Line 2 of a.table has no field 'text'; it has 'verse'",
        ),
        ("jsonl", '{"text": 3, "by": "b"}\n', "Line 1 of a.table has a number in the field 'text'"),
        ("jsonl", '{"text": "a", "by": 3}\n', "Line 1 of a.table has a number in the field 'by'"),
        ("jsonl", '{"text": "a", "by": {}}\n', "Line 1 of a.table has an object in the field 'by'"),
        ("jsonl", '{"text": "a", "by": ["b", 3]}\n', "Line 1 of a.table has a list that is not all strings"),
        ("jsonl", '{"text": "a"}\n{"text": "b"}\n', "a.table has no field 'by'; it has 'text'"),
        ("jsonl", "[" * 100_000, "Line 1 of a.table is no JSON object"),
    ],
)
@pytest.mark.parametrize("size", [5, 10**6])
def test_what_is_wrong_is_said_with_its_row(kind: Kind, text: str, words: str, size: int) -> None:
    with pytest.raises(CorpusError, match=words):
        read(kind, text, size=size)


def test_a_row_is_counted_over_many_blocks() -> None:
    text = "text,by\n" + "a,b\n" * 1000 + "c\n"
    with pytest.raises(CorpusError, match=r"Row 1,002 of a\.table has 1 field,"):
        read("csv", text, size=10**4)
    text = '{"text": "a", "by": "b"}\n' * 1000 + "3\n"
    with pytest.raises(CorpusError, match=r"Line 1,001 of a\.table is no JSON object"):
        read("jsonl", text, size=10**4)


def test_a_cell_without_an_end_stops_before_it_fills_the_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    before = csv.field_size_limit()
    monkeypatch.setattr(cells_module, "LONGEST", 300_000)
    assert read("csv", f'text,by\n"{"a" * 250_000}",b\n', size=10**5)[0][0] == "a" * 250_000
    taken = []

    def pieces() -> Iterator[str]:
        yield 'text,by\n"'
        for number in range(1000):
            taken.append(number)
            yield "a,b\n" * 10_000

    with pytest.raises(CorpusError, match=r"Row 2 of a\.csv has a quotation mark that nothing closes"):
        list(read_table("csv", "a.csv", pieces(), FIELDS))
    assert len(taken) < 20
    assert csv.field_size_limit() == before


@pytest.mark.parametrize(("errors", "expected"), [("replace", "a\ufffd"), ("skip", "a")])
def test_half_a_surrogate_pair_is_treated_as_the_errors_of_an_encoding_are(errors: Any, expected: str) -> None:
    text = '{"text": "ok", "by": ""}\n{"text": "a\\ud83d", "by": ""}\n'
    assert read("jsonl", text, size=10**6, errors=errors)[1][0] == expected
    with pytest.raises(CorpusError, match=r"Line 2 of a\.table has half of a surrogate pair"):
        read("jsonl", text, size=10**6)
    assert read("jsonl", '{"text": "\\ud83c\\udf0a", "by": ""}\n', size=10**6)[0][0] == "\U0001f30a"


def test_tables_are_known_by_their_endings_and_streams_by_their_start(tmp_path: Path) -> None:
    tables = {"a.CSV": "text,by\nsea,b\n", "b.tsv": "text\tby\nsea\tb\n", "c.jsonl": '{"text": "sea", "by": "b"}\n'}
    config = CorpusConfig(text_field="text", label_field="by", glob="*", validation=0.0)
    for name, text in tables.items():
        (tmp_path / name).write_bytes(b"\xef\xbb\xbf" + text.encode())
        stream = open_corpus("-", config=config, stdin=io.BytesIO(text.encode()))
        assert encode_corpus(stream).sha256 == encode_corpus(open_corpus(tmp_path / name, config=config)).sha256
    together = encode_corpus(open_corpus(tmp_path, config=config))
    assert together.tokenizer.decode(together.ids) == "sea\nsea\nsea\n"
    (tmp_path / "d.txt").write_text("sea")
    with pytest.raises(CorpusError, match=r"d\.txt is not named as a table, but --text-field reads \.csv, \.tsv and"):
        encode_corpus(open_corpus(tmp_path, config=config))


@pytest.mark.parametrize(
    ("name", "text", "fields"),
    [
        ("a.csv", "text,by\nsea,b\n", " with the fields 'text' and 'by'"),
        ("a.csv", "text;by;in\nsea;b;c\n", " with the fields 'text', 'by' and 'in'"),
        ("a.tsv", "text\nsea\n", " with the field 'text'"),
        ("a.jsonl", '\n{"text": "sea"}\n', " with the field 'text'"),
        ("a.jsonl", "no json", r"\. Pass"),
    ],
)
def test_a_table_is_refused_where_nobody_said_how_to_read_it(tmp_path: Path, name: str, text: str, fields: str) -> None:
    (tmp_path / name).write_text(text)
    with pytest.raises(CorpusError, match=f"is a table{fields}") as caught:
        refuse_table(open_corpus(tmp_path / name))
    assert "--text-field NAME" in str(caught.value)
    assert ("--pairs" in str(caught.value)) == (name == "a.csv" and ";" not in text)
    for config in (CorpusConfig(records="none"), CorpusConfig(records="lines"), CorpusConfig(text_field="text")):
        refuse_table(open_corpus(tmp_path / name, config=config))
    # It is told that it is empty.
    (tmp_path / name).write_text("")
    refuse_table(open_corpus(tmp_path / name))


NAMES = "Ada\nBea\nCleo\nDorothea\n" * 20
LOG = "".join(f"2024-01-{n % 28:02} worker {n * 7919 % 1000} {'retry ' * (n % 7)}done\n" for n in range(60))
WRAPPED = ("The harbour lay quite still, and on the quay an old man mended nets as if\n" * 9 + "nothing.\n") * 5


@pytest.mark.parametrize(
    ("text", "noted"),
    [(NAMES, True), (LOG, True), (NAMES[:40], False), (WRAPPED, False), (NAMES + "\n" + NAMES, False), ("", False)],
    ids=["names", "log", "few", "wrapped", "paragraphs", "empty"],
)
def test_a_list_is_noted_where_nobody_said_what_a_record_is(tmp_path: Path, text: str, noted: bool) -> None:
    (tmp_path / "a.txt").write_text(text)
    note = note_on_list(open_corpus(tmp_path / "a.txt"))
    assert bool(note) is noted
    assert not noted or "--records lines" in note
    for config in (CorpusConfig(records="none"), CorpusConfig(records="paragraphs")):
        assert note_on_list(open_corpus(tmp_path / "a.txt", config=config)) == ""

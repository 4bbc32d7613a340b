"""Tables by their kind: CSV and TSV files with a row of names, and JSON Lines files."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import PurePath
from typing import Literal

from textgen.config.corpus import DecodingErrors
from textgen.corpus.cells import header, read_cells
from textgen.corpus.json_lines import keys, read_objects
from textgen.corpus.rows import Fields, Rows

Kind = Literal["csv", "tsv", "jsonl"]

_ENDINGS: dict[str, Kind] = {".csv": "csv", ".tsv": "tsv", ".jsonl": "jsonl"}
# Where a comma is the decimal mark, spreadsheets separate a CSV file's cells by semicolons.
SEPARATORS: dict[Kind, str] = {"csv": ",;\t", "tsv": "\t"}


def table_kind(location: str) -> Kind | None:
    """What kind of table a file is by the ending of its path; None if it is none.

    >>> table_kind("letters/Poems.CSV"), table_kind("poems.txt")
    ('csv', None)
    """
    return _ENDINGS.get(PurePath(location).suffix.lower())


def guess_kind(start: str) -> Kind:
    r"""What kind of table a stream is, which has no ending, by its start.

    >>> guess_kind('{"text": "The sea"}\n'), guess_kind("text,author\n"), guess_kind("text\tauthor\n")
    ('jsonl', 'csv', 'csv')
    """
    return "jsonl" if start.lstrip().startswith("{") else "csv"


def field_names(kind: Kind, pieces: Iterable[str]) -> list[str]:
    r"""The names of a table's fields: its first row, or the keys of its first object; empty if there is none.

    >>> field_names("csv", ["text,author\nThe sea,Nan\n"]), field_names("jsonl", ['{"id": 1, "text": "The sea"}\n'])
    (['text', 'author'], ['id', 'text'])
    """
    return keys(pieces) if kind == "jsonl" else header(SEPARATORS[kind], pieces)


def read_table(
    kind: Kind, name: str, pieces: Iterable[str], fields: Fields, *, errors: DecodingErrors = "strict"
) -> Iterator[Rows]:
    r"""The rows of a table.

    Args:
        kind: what kind it is.
        name: its name in messages.
        pieces: its text.
        fields: the fields to read.
        errors: what becomes of half a surrogate pair in a JSON string: see `CorpusConfig`.

    Raises:
        CorpusError: a field is missing, a row has more or fewer cells than the first one, a line is no JSON object, ...

    >>> list(read_table("tsv", "poems.tsv", ["text\tby\nThe sea\tNan, Jem\n"], Fields("text", ("by",))))
    [Rows(texts=['The sea'], labels=[('Jem', 'Nan')])]
    """
    if kind == "jsonl":
        return read_objects(name, pieces, fields, errors=errors)
    return read_cells(name, pieces, fields, separators=SEPARATORS[kind])

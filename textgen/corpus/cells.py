"""Reads CSV and TSV files: the text and the labels of each row."""

from __future__ import annotations

import csv
import re
from collections.abc import Iterable, Iterator
from itertools import chain, islice

from textgen.corpus.rows import Fields, Rows, labels_of, missing_field
from textgen.errors import CorpusError

LONGEST = 1 << 24
"""Characters of a cell; one that is longer rather starts with a quotation mark that nothing closes."""

_ROWS = 64
"""How many rows are read at first."""

_BLOCK = 1 << 20
"""Characters of text that are read at a time."""

_NAMES = {",": "a comma", ";": "a semicolon", "\t": "a tab"}
_LINE = re.compile(r"[^\r\n]*(?>\r\n|\n|\r)")


def header(separators: str, pieces: Iterable[str]) -> list[str]:
    r"""The names in a table's first row; of several separators, the one that finds most. Empty if there is no row.

    >>> header(",;", ["text;author\nThe sea;Nan\n"])
    ['text', 'author']
    """
    first = next(_lines(pieces), "")
    return max((_split(first, separator) for separator in separators), key=len)


def read_cells(name: str, pieces: Iterable[str], fields: Fields, *, separators: str) -> Iterator[Rows]:
    r"""The rows of a CSV or TSV file (RFC 4180). Blank lines are skipped.

    Args:
        name: its name in messages.
        pieces: its text.
        fields: the fields to read, named in the first row.
        separators: what may separate its cells; the first one that makes the first row name the field of the text.

    Raises:
        CorpusError: a field is missing, a row has more or fewer cells than the first one, or a quotation mark stands
            where none may. It says the row, counted from 1 with the first one, as spreadsheets do.

    >>> pieces = ['by;text\nNan, Jem;"The sea;\nthe sea"\n']
    >>> list(read_cells("poems.csv", pieces, Fields("text", ("by",)), separators=",;"))
    [Rows(texts=['The sea;\nthe sea'], labels=[('Jem', 'Nan')])]
    """
    found = _lines(pieces)
    first = next(found, None)
    if first is None:
        return
    separator = _separator(first, fields, separators)
    reader = csv.reader(chain([first], found), delimiter=separator, strict=True)
    names = list(fields.names) or [cell.strip() for row in _take(reader, 1, name, 1) for cell in row]
    for field, option in ((fields.text, fields.option), *((label, "--label-field") for label in fields.labels)):
        if field not in names:
            raise missing_field(name, option, field, names)
    text, labels = names.index(fields.text), [names.index(field) for field in fields.labels]
    known: dict[str, tuple[str, ...]] = {}
    number, count = 1 if fields.names else 2, _ROWS
    while rows := _take(reader, count, name, number):
        for place, row in enumerate(rows):
            if len(row) != len(names) and row:
                raise _ragged(name, number + place, len(row), names, separator, named=not fields.names)
        number += len(rows)
        rows = [row for row in rows if row]
        cells = [",".join([row[place] for place in labels]) for row in rows]
        for cell in set(cells) - set(known):
            known[cell] = labels_of(cell)
        yield Rows([row[text] for row in rows], [known[cell] for cell in cells])
        characters = sum(len(row[text]) for row in rows) + 1
        count = max(1, min(4 * count, _BLOCK * len(rows) // characters))


def _take(reader: Iterator[list[str]], count: int, name: str, number: int) -> list[list[str]]:
    """The next rows, of which the first has this number; none at the end."""
    before = csv.field_size_limit(LONGEST)
    rows: list[list[str]] = []
    try:
        rows.extend(islice(reader, count))
    except csv.Error as error:
        where = f"Row {number + len(rows):,} of {name}"
        if "limit" in str(error) or "unexpected end" in str(error):
            raise CorpusError(
                f"{where} has a quotation mark that nothing closes. Close it; or, if it belongs to the text, double it "
                "and put the whole field into quotation marks."
            ) from error
        raise CorpusError(
            f"{where} cannot be read ({error}). Put a field that holds quotation marks into quotation marks, and "
            "double those within it."
        ) from error
    finally:
        csv.field_size_limit(before)
    return rows


def _separator(first: str, fields: Fields, separators: str) -> str:
    """What separates a table's cells: what makes its first row name the text's field, or have as many as are known."""
    if fields.names:
        return next((each for each in separators if len(_split(first, each)) == len(fields.names)), separators[0])
    return next((each for each in separators if fields.text in _split(first, each)), separators[0])


def _ragged(name: str, number: int, got: int, names: list[str], separator: str, *, named: bool) -> CorpusError:
    wanted = f"but {'the first row names' if named else 'there must be'} {len(names):,}"
    return CorpusError(
        f"Row {number:,} of {name} has {got:,} field{'s' if got != 1 else ''}, {wanted}. "
        f"Put a field that holds {_NAMES[separator]} into quotation marks, or complete the row."
    )


def _split(line: str, separator: str) -> list[str]:
    """The cells of a first row."""
    try:
        return [cell.strip() for cell in next(csv.reader([line], delimiter=separator), [])]
    except csv.Error:
        return []


def _lines(pieces: Iterable[str]) -> Iterator[str]:
    """The lines of a text with their newlines, whichever these are."""
    held = ""
    for piece in pieces:
        text = held + piece
        if "\r" not in text:
            *whole, held = text.split("\n")
            yield from [f"{line}\n" for line in whole]
            continue
        # A CR at the end of a piece may be followed by an LF.
        done = 0
        for match in _LINE.finditer(text, 0, len(text) - text.endswith("\r")):
            yield match[0]
            done = match.end()
        held = text[done:]
    if held:
        yield held

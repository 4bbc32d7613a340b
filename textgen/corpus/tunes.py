"""Cuts books in ABC notation into tunes, each with the labels that its information fields give it."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import PurePath

from textgen.config.corpus import TUNE_FIELDS
from textgen.corpus.lists import lines
from textgen.corpus.rows import Rows, labels_of


def is_book(location: str) -> bool:
    """Whether a file is a book of tunes by the ending of its path.

    >>> is_book("tunes/Reels.ABC"), is_book("tunes.txt")
    (True, False)
    """
    return PurePath(location).suffix.lower() == ".abc"


def tunes(pieces: Iterable[str], fields: Iterable[str] = ()) -> Iterator[Rows]:
    r"""The tunes of a book, as they stand there.

    A tune begins at a line `X:` and ends at an empty line or the next `X:`, as the ABC standard 2.1 has it. What stands
    between tunes, such as a file's header and free text, is left out.

    Args:
        pieces: the book's text.
        fields: which of `K`, `L`, `M` and `R` are labels: the tune's key, unit length, metre and rhythm, by the first
            such line of its header. What a header lacks is no label.

    Yields:
        Some tunes with their labels.

    >>> book = "%abc-2.1\n\nX:1\nR:jig\nK:G\nGAB dBG|\n\nPlay it twice.\n\nX:2\nK:Am\nABc|\n"
    >>> for rows in tunes([book], ["R"]):
    ...     print(rows.texts, rows.labels)
    ['X:1\nR:jig\nK:G\nGAB dBG|'] [('jig',)]
    ['X:2\nK:Am\nABc|'] [()]
    """
    wanted = tuple(fields)
    held: list[str] = []
    for block in lines(pieces):
        found: list[str] = []
        for line in block:
            begins = line.startswith("X:")
            if held and (begins or not line.strip()):
                found.append("\n".join(held))
                held = []
            if held or begins:
                held.append(line.rstrip("\r"))
        if found:
            yield _labelled(found, wanted)
    if held:
        yield _labelled(["\n".join(held)], wanted)


def _labelled(texts: list[str], fields: tuple[str, ...]) -> Rows:
    return Rows(texts, [_labels(text, fields) if fields else () for text in texts])


def _labels(text: str, fields: tuple[str, ...]) -> tuple[str, ...]:
    values: dict[str, str] = {}
    for line in text.split("\n"):
        name, colon, value = line.partition(":")
        if colon and name in TUNE_FIELDS:
            values.setdefault(name, value.partition("%")[0].strip())
        if colon and name == "K":
            break
    return labels_of(",".join(values.get(name, "") for name in fields))

"""Cuts a source's text into records: its lines, its paragraphs, or all of it."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator

_NEWLINE = r"(?>\r\n|\n|\r)"
_BREAK = re.compile(rf"{_NEWLINE}(?:[^\S\r\n]*{_NEWLINE})+")
_BLANK_LINES = re.compile(rf"(?:[^\S\r\n]*{_NEWLINE})+")
_BLANK_END = re.compile(rf"(?:{_NEWLINE}[^\S\r\n]*)+\Z")

_LOOKED_AT = 1 << 16
"""Characters at a text's start that tell whether it is a list."""

_FEWEST = 30
"""How many lines a list has at least."""

_LONGEST = 200
"""The length in characters that nine in ten of its lines do not exceed."""

_WRAPPED = 0.5
"""The share of lines nearly as long as the longest from which they are a wrapped text's."""


def lines(pieces: Iterable[str]) -> Iterator[list[str]]:
    r"""The lines of a text, without their newlines.

    Args:
        pieces: the text; a line ends with LF.

    >>> list(lines(["Ada\nBe", "a\n\nCleo"]))
    [['Ada'], ['Bea', ''], ['Cleo']]
    """
    held: list[str] = []
    for piece in pieces:
        first, *others = piece.split("\n")
        held.append(first)
        if others:
            yield ["".join(held), *others[:-1]]
            held = [others[-1]]
    last = "".join(held)
    if last:
        yield [last]


def paragraphs(pieces: Iterable[str]) -> Iterator[list[str]]:
    r"""The paragraphs of a text: what blank lines, empty or of spaces, part. Newlines within them are kept.

    >>> list(paragraphs(["The sea,\nthe ", "sea\n", "\n  \n  Nan\n"]))
    [['The sea,\nthe sea'], ['  Nan']]
    """
    held = ""
    for piece in pieces:
        text = held + piece
        if held and not _BREAK.search(text, max(0, len(held) - _longest_tail(held))):
            held = text
            continue
        *whole, held = _BREAK.split(text)
        if whole:
            yield [_without_blank_lines(each) for each in whole]
    last = _BLANK_END.sub("", _without_blank_lines(held))
    if last:
        yield [last]


def _longest_tail(text: str) -> int:
    """How much of the end of `text` may belong to a break that only what follows completes."""
    return len(text) - len(text.rstrip()) + 2


def _without_blank_lines(text: str) -> str:
    """A paragraph without blank lines before it: those of a break that reached over two pieces."""
    start = _BLANK_LINES.match(text)
    return text[start.end() :] if start else text


def whole(pieces: Iterable[str]) -> Iterator[list[str]]:
    r"""A text as one record, without the newlines at its end.

    >>> list(whole(["The sea,\n", "the sea\n"]))
    [['The sea,\nthe sea']]
    """
    yield ["".join(pieces).rstrip("\r\n")]


def looks_like_list(start: str) -> bool:
    r"""Whether a text that starts like this is rather a list of lines: they are short, and no blank line parts them.

    >>> looks_like_list("Ada\nBea\nCleo\n" * 20), looks_like_list("Ada\nBea\nCleo\n\n" * 20)
    (True, False)
    """
    *found, _ = start[:_LOOKED_AT].split("\n")
    if len(found) < _FEWEST or any(not line or line.isspace() for line in found):
        return False
    lengths = sorted(map(len, found))
    long = lengths[9 * len(lengths) // 10]
    nearly = sum(length >= 0.85 * long for length in lengths)
    return long <= _LONGEST and (long < 40 or nearly <= _WRAPPED * len(lengths))

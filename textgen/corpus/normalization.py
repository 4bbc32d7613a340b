"""Unicode normalisation of a text that comes in pieces, equal to normalising it as a whole.

Characters that may combine with what follows are held back for the next piece: "e" at the end of a piece, since U+0301
may come next.
"""

from __future__ import annotations

import functools
import unicodedata
from collections.abc import Iterable, Iterator, Mapping
from typing import Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray

from textgen.config import CorpusConfig, Normalization
from textgen.corpus.characters import CODE_POINTS, to_code_points
from textgen.errors import CorpusError

LONGEST_RUN = 1000
"""The maximum number of combining marks in a row: sorting them takes quadratic time."""

_Form = Literal["NFC", "NFKC"]
_FORMS: Mapping[Normalization, _Form] = {"nfc": "NFC", "nfkc": "NFKC"}
_DENSE = 1 / 16


class _Table(NamedTuple):
    """The normalisation properties of each code point, each `(1114112,)`.

    Attributes:
        starts: whether it never composes or is reordered with a character before it.
        changes: by form, whether normalising it alone changes it.
    """

    starts: NDArray[np.bool_]
    changes: Mapping[_Form, NDArray[np.bool_]]


def normalize(pieces: Iterable[str], form: Normalization) -> Iterator[str]:
    r"""The text in a normalisation form (Unicode Standard Annex 15).

    Args:
        pieces: the text.
        form: "nfc" composes, "nfkc" also replaces compatibility characters, "none" changes nothing.

    Yields:
        The normalised text, in pieces of at least one character.

    Raises:
        CorpusError: more than `LONGEST_RUN` combining marks follow one another.

    >>> "".join(normalize(["Cafe", "\u0301 ﬁn"], "nfkc"))
    'Café fin'
    """
    if form == "none":
        yield from filter(None, pieces)
        return
    held = ""
    for piece in pieces:
        text = held + piece
        cut = _last_start(text)
        if cut > 0:
            yield _normalize(text[:cut], _FORMS[form])
        held = text[cut:]
    if held:
        yield _normalize(held, _FORMS[form])


def as_read(text: str, config: CorpusConfig) -> str:
    r"""A text with the newlines and characters that it would have if it were read with these settings.

    Raises:
        CorpusError: as of `normalize`.

    >>> as_read("Cafe\u0301\r\n", CorpusConfig(normalize="nfc"))
    'Café\n'
    """
    if not config.keep_newlines:
        text = text.replace("\r\n", "\n").replace("\r", "\n")
    return text if text.isascii() else "".join(normalize([text], config.normalize))


def composed(pattern: str, config: CorpusConfig) -> str:
    """A pattern composed where `config` normalises texts; it has a syntax, which nothing else may touch."""
    if pattern.isascii() or config.normalize == "none":
        return pattern
    return "".join(normalize([pattern], "nfc"))


def _last_start(text: str) -> int:
    """The position of the last character that does not interact with any before it; 0 if there is none."""
    if text.isascii():
        return max(len(text) - 1, 0)
    ending = _table().starts[to_code_points(text[-LONGEST_RUN - 2 :])]
    _reject_long_runs(np.flatnonzero(~ending))
    places = np.flatnonzero(ending)
    return len(text) - len(ending) + int(places[-1]) if len(places) else 0


def _normalize(text: str, form: _Form) -> str:
    """`unicodedata.normalize`, called only for the segments that it may change: it takes 10 times as long."""
    if text.isascii():
        return text
    codes, table = to_code_points(text), _table()
    starts = table.starts[codes]
    _reject_long_runs(np.flatnonzero(~starts))
    touched = np.flatnonzero(~starts | table.changes[form][codes])
    if len(touched) == 0:
        return text
    if len(touched) > _DENSE * len(text):
        return unicodedata.normalize(form, text)
    parts, done = [], 0
    for first, last, new in _segments(text, form, starts, touched):
        parts += [text[done:first], new]
        done = last
    return "".join([*parts, text[done:]])


def changed_segments(text: str, form: Literal["nfc", "nfkc"]) -> Iterator[tuple[int, int, str]]:
    r"""The parts of a text that normalising it changes, each by itself, in their order.

    Yields:
        Where a part begins and ends, and what it becomes, at least one character.

    Raises:
        CorpusError: more than `LONGEST_RUN` combining marks follow one another.

    >>> list(changed_segments("Cafe\u0301 ﬁn", "nfkc"))
    [(3, 5, 'é'), (6, 7, 'fi')]
    """
    codes, table = to_code_points(text), _table()
    starts = table.starts[codes]
    _reject_long_runs(np.flatnonzero(~starts))
    touched = np.flatnonzero(~starts | table.changes[_FORMS[form]][codes])
    if len(touched):
        for first, last, new in _segments(text, _FORMS[form], starts, touched):
            if new != text[first:last]:
                yield first, last, new


def _segments(
    text: str, form: _Form, starts: NDArray[np.bool_], touched: NDArray[np.intp]
) -> Iterator[tuple[int, int, str]]:
    """The segments, from one start to the next, that hold one of `touched`, `(n,)`, n > 0, and what they become."""
    boundaries = np.append(np.flatnonzero(np.append(True, starts[1:])), len(text))
    segments = np.flatnonzero(np.bincount(np.searchsorted(boundaries, touched, side="right") - 1))
    for first, last in zip(boundaries[segments].tolist(), boundaries[segments + 1].tolist(), strict=True):
        yield first, last, unicodedata.normalize(form, text[first:last])


def _reject_long_runs(marks: NDArray[np.intp]) -> None:
    if (marks[LONGEST_RUN:] - marks[:-LONGEST_RUN] == LONGEST_RUN).any():
        raise CorpusError(
            f"The text has more than {LONGEST_RUN:,} combining marks in a row, which cannot be normalised. "
            "Correct the text, or pass --normalize none."
        )


@functools.cache
def _table() -> _Table:
    """A character is a start if its decomposition starts with one of combining class 0 that ends no canonical pair.

    Hangul vowels and final consonants, which `unicodedata` composes arithmetically, are not starts.
    """
    starts = np.ones(CODE_POINTS, np.bool_)
    starts[0x1160:0x1200] = False
    changes = {form: np.zeros(CODE_POINTS, np.bool_) for form in _FORMS.values()}
    firsts: list[tuple[int, str]] = []
    for code, character in enumerate(map(chr, range(CODE_POINTS))):
        if decomposition := unicodedata.decomposition(character):
            parts = decomposition.split()
            if len(parts) == 2 and not parts[0].startswith("<"):
                starts[int(parts[1], 16)] = False
            firsts.append((code, unicodedata.normalize("NFKD", character)[0]))
            for form, changed in changes.items():
                changed[code] = unicodedata.normalize(form, character) != character
        elif unicodedata.combining(character):
            starts[code] = False
    simple = starts.copy()
    for code, first in firsts:
        starts[code] &= simple[ord(first)]
    return _Table(starts, changes)

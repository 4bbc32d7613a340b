"""Unicode normalisation of a text that comes in pieces, as if it had come whole.

Pieces of text go in and pieces come out, cut elsewhere. What may still change with what follows is held back:
"e" at the end of a piece, since U+0301 may come next. The module knows no file and no encoding.
"""

from __future__ import annotations

import functools
import unicodedata
from collections.abc import Iterable, Iterator
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from textgen.characters import CODE_POINTS, to_code_points
from textgen.config import Normalization
from textgen.errors import CorpusError

LONGEST_RUN = 1000
"""Combining marks in a row that are taken: sorting them takes time that grows with the square of their number."""

_FORMS: dict[str, Literal["NFC", "NFKC"]] = {"nfc": "NFC", "nfkc": "NFKC"}


def normalize(pieces: Iterable[str], form: Normalization) -> Iterator[str]:
    """The text in a normalisation form (Unicode Standard Annex 15), equal to that of all the pieces joined.

    Args:
        pieces: the text.
        form: "nfc" composes, "nfkc" also replaces compatibility characters, "none" changes nothing.

    Yields:
        The text anew, in pieces of at least one character.

    Raises:
        CorpusError: more than `LONGEST_RUN` combining marks follow one another.

    >>> "".join(normalize(["Cafe", "\\u0301 ﬁn"], "nfkc"))
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
            yield unicodedata.normalize(_FORMS[form], text[:cut])
        held = text[cut:]
    if held:
        yield unicodedata.normalize(_FORMS[form], held)


def _last_start(text: str) -> int:
    """The place of the last character that nothing before it can touch; 0 if there is none."""
    if text.isascii():
        return max(len(text) - 1, 0)
    places = np.flatnonzero(_starts()[to_code_points(text)])
    gaps = np.diff(places, prepend=0, append=len(text))
    if gaps.max() > LONGEST_RUN + 1:
        raise CorpusError(
            f"The text has more than {LONGEST_RUN:,} combining marks in a row, which cannot be normalised. "
            "Mend the text, or pass --normalize none."
        )
    return int(places[-1]) if len(places) else 0


@functools.cache
def _starts() -> NDArray[np.bool_]:
    """For each code point, whether normalising never joins or swaps its character with one before it, `(1114112,)`.

    So it is where its decomposition starts with a character of combining class 0 that ends no canonical pair.
    The vowels and final consonants of Hangul, which `unicodedata` composes by arithmetic, are no starts either.
    """
    starts = np.ones(CODE_POINTS, np.bool_)
    starts[0x1160:0x1200] = False
    firsts: list[tuple[int, str]] = []
    for code in range(CODE_POINTS):
        character = chr(code)
        if decomposition := unicodedata.decomposition(character):
            parts = decomposition.split()
            if len(parts) == 2 and not parts[0].startswith("<"):
                starts[int(parts[1], 16)] = False
            firsts.append((code, unicodedata.normalize("NFKD", character)[0]))
        elif unicodedata.combining(character):
            starts[code] = False
    ends_pair = ~starts
    for code, first in firsts:
        starts[code] = starts[code] and not ends_pair[ord(first)]
    return starts

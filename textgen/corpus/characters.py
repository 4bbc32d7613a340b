"""Conversion between text and arrays of Unicode code points, and character counts.

Lone surrogates, which a Python string may contain, survive the round trip.
"""

from __future__ import annotations

import unicodedata
from typing import Any

import numpy as np
from numpy.typing import NDArray

_CHUNK = 1 << 17
CODE_POINTS = 0x110000
"""The number of Unicode code points."""


def to_code_points(text: str) -> NDArray[np.uint8] | NDArray[np.uint32]:
    """The code points of `text`, `(len(text),)`, read-only: uint8 if all are below 256, else uint32.

    >>> to_code_points("né")
    array([110, 233], dtype=uint8)
    >>> to_code_points("诗")
    array([35799], dtype=uint32)
    """
    try:
        return np.frombuffer(text.encode("latin-1"), np.uint8)
    except UnicodeEncodeError:
        return np.frombuffer(text.encode("utf-32-le", "surrogatepass"), "<u4")


def from_code_points(codes: NDArray[Any]) -> str:
    """The text of the code points `codes`, integers in [0, 1114112), `(characters,)`.

    >>> from_code_points(np.array([110, 233]))
    'né'
    """
    return codes.astype("<u4", copy=False).tobytes().decode("utf-32-le", "surrogatepass")


class CharacterCounts:
    """Counts the characters of a text that comes in pieces.

    >>> counts = CharacterCounts()
    >>> counts.add("banana").tolist()
    [98, 97, 110, 97, 110, 97]
    >>> counts.to_dict(), counts.total, counts.distinct
    ({'a': 3, 'b': 1, 'n': 2}, 6, 3)
    """

    def __init__(self) -> None:
        self._counts = np.zeros(CODE_POINTS, np.int64)
        self._total = 0

    def add(self, text: str) -> NDArray[np.uint8] | NDArray[np.uint32]:
        """Adds the characters of a piece, and returns its code points."""
        codes = to_code_points(text)
        for start in range(0, len(codes), _CHUNK):
            # Counting makes 8 bytes of each code point: a chunk of them stays in the processor's cache.
            counts = np.bincount(codes[start : start + _CHUNK])
            self._counts[: len(counts)] += counts
        self._total += len(text)
        return codes

    @property
    def total(self) -> int:
        """The number of characters."""
        return self._total

    @property
    def distinct(self) -> int:
        """The number of distinct characters."""
        return int(np.count_nonzero(self._counts))

    def to_dict(self) -> dict[str, int]:
        """The count of each character that occurs, in code-point order."""
        codes = np.flatnonzero(self._counts)
        return {chr(code): count for code, count in zip(codes.tolist(), self._counts[codes].tolist(), strict=True)}


def name_characters(characters: str, *, limit: int = 5) -> str:
    r"""The characters with their code points, at most `limit` of them, for a message.

    >>> name_characters("é\u0301\x00")
    "'é' (U+00E9), U+0301 COMBINING ACUTE ACCENT and U+0000"
    >>> name_characters("abcdef", limit=2)
    "'a' (U+0061), 'b' (U+0062) and 4 more"
    """
    names = [_name(character) for character in characters[:limit]]
    if len(characters) > limit:
        return ", ".join(names) + f" and {len(characters) - limit:,} more"
    return " and ".join([", ".join(names[:-1]), names[-1]]) if len(names) > 1 else names[0]


def _name(character: str) -> str:
    code = f"U+{ord(character):04X}"
    if character.isprintable() and not character.isspace() and not unicodedata.category(character).startswith("M"):
        return f"'{character}' ({code})"
    return f"{code} {unicodedata.name(character, '')}".rstrip()

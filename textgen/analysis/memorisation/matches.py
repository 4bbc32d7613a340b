"""Matching statistics of a query against a far longer text: the longest match that starts at each position.

The text's suffix array is built one chunk at a time, so that memory is bounded; the results do not depend on the chunk
size. Matches up to a limit are searched for all positions at once. A match that reaches the limit is followed to its
end, in time proportional to the copies and not to the square of their length. Chunks overlap by the limit, so a chunk's
border only cuts a match that contains the whole overlap: those are searched again at each border, in the text itself.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from textgen.analysis.memorisation.suffixes import Ids, Suffixes, common_prefix
from textgen.system.mapping import release_pages

LIMIT = 64
"""Match length up to which all positions are searched at once; no n-gram may be longer."""

CHUNK = 1 << 25
"""One-byte ids per suffix array, in about 200 MB; fewer of wider ids, which take more."""

_BLOCK = 1 << 20

Progress = Callable[[int, int], None]


class Match(NamedTuple):
    """A part of the query that occurs in the text.

    Args:
        start: its position in the query.
        length: its length in ids.
        place: its position in the text.
    """

    start: int
    length: int
    place: int


@dataclass(frozen=True, eq=False)
class Matches:
    """The matching statistics of a query (Chang and Lawler 1994).

    Args:
        lengths: `(n,)`, the length of the longest match that starts at each position, 0 for none.
        places: `(n,)`, the position in the text of such a match.

    >>> found = find_matches(np.array([1, 0, 2, 0, 2, 0], np.uint8), np.array([0, 2, 0, 1, 0], np.uint8))
    >>> found.lengths.tolist(), found.spans()
    ([3, 2, 1, 2, 1], [Match(start=0, length=3, place=3), Match(start=3, length=2, place=0)])
    """

    lengths: NDArray[np.int64]
    places: NDArray[np.int64]

    def spans(self) -> list[Match]:
        """The matches that are part of no other, the longest first, then in the query's order."""
        ends = np.arange(len(self.lengths)) + self.lengths
        before = np.concatenate([[0], ends[:-1]])
        starts = np.flatnonzero((self.lengths > 0) & (ends > before))
        starts = starts[np.argsort(-self.lengths[starts], kind="stable")]
        return [Match(start, int(self.lengths[start]), int(self.places[start])) for start in starts.tolist()]


def find_matches(
    text: Ids, query: Ids, *, chunk: int | None = None, limit: int = LIMIT, progress: Progress | None = None
) -> Matches:
    """Finds the longest match that starts at each position of a query.

    Args:
        text: `(characters,)`, unsigned; may be mapped from a file, and is only read.
        query: `(n,)` of the same type. No match contains an id that does not occur in the text.
        chunk: ids per suffix array; None derives it from `CHUNK` and the ids' width.
        limit: the match length from which a match is searched individually; the result does not depend on it.
        progress: called with the ids sorted and the total.

    Raises:
        TextgenError: pydivsufsort is not installed.
    """
    # The library sorts wider ids byte by byte, so that memory grows with the square of their width.
    step = max(1, CHUNK // text.dtype.itemsize**2) if chunk is None else chunk
    found = Matches(np.zeros(len(query), np.int64), np.zeros(len(query), np.int64))
    for start in range(0, len(text), step):
        end = min(start + step + limit, len(text))
        suffixes = Suffixes(text[start:end])
        lengths, places = suffixes.matches(query, limit=limit)
        _record_longer(found, 0, lengths, places + start)
        _record(found, _unlimited(suffixes, query, lengths, limit), offset=start)
        del suffixes
        if start + step < len(text):
            _record(found, _across(text, query, start + step, end), offset=0)
        release_pages(text)
        if progress is not None:
            progress(min(start + step, len(text)), len(text))
    return found


def count_places(text: Ids, part: Ids) -> tuple[int, int]:
    """The position of a part's first occurrence in a text, and the number of occurrences, overlapping ones included.

    >>> count_places(np.array([2, 1, 1, 1, 2], np.uint8), np.array([1, 1], np.uint8))
    (1, 2)

    Args:
        text: `(characters,)`; may be mapped from a file.
        part: `(n,)` of the same type, at least one id; it occurs in the text.
    """
    first, count = -1, 0
    for start in range(0, len(text), _BLOCK):
        for place in _occurrences(text[start : start + _BLOCK + len(part) - 1], part):
            first = start + place if first < 0 else first
            count += 1
    release_pages(text)
    return first, count


def _unlimited(suffixes: Suffixes, query: Ids, lengths: NDArray[np.int64], limit: int) -> Iterator[Match]:
    """The matches of at least the limit's length that are part of no other."""
    reached = np.concatenate([[False], lengths >= limit, [False]])
    borders = np.flatnonzero(reached[1:] != reached[:-1])
    for first, after in zip(borders[::2].tolist(), borders[1::2].tolist(), strict=True):
        # No match that starts before `after` ends later than the last of them.
        start, last = first, after - 1 + limit
        while True:
            length, place = suffixes.longest(query[start:last])
            yield Match(start, length, place)
            end = start + length
            if end >= last:
                break
            start = _next_start(suffixes, query, start + 1, min(after - 1, end), end + 1)


def _next_start(suffixes: Suffixes, query: Ids, low: int, high: int, end: int) -> int:
    """The first start in `low` to `high` of a match that reaches `end`, by bisection: all later ones reach it, too."""
    while low < high:
        middle = (low + high) // 2
        if suffixes.longest(query[middle:end])[0] == end - middle:
            high = middle
        else:
            low = middle + 1
    return low


def _across(text: Ids, query: Ids, border: int, end: int) -> list[Match]:
    """The matches that contain the text from a chunk's border to its end and are part of no other such match."""
    found = []
    for start in _occurrences(query, text[border:end]):
        left = _common_suffix(text[:border], query[:start])
        right = common_prefix(text[border:], query[start:])
        found.append(Match(start - left, left + right, border - left))
    kept: list[Match] = []
    for match in sorted(found, key=lambda match: (match.start, -match.length)):
        if not kept or match.start + match.length > kept[-1].start + kept[-1].length:
            kept.append(match)
    return kept


def _common_suffix(a: Ids, b: Ids) -> int:
    length = min(len(a), len(b))
    return common_prefix(a[len(a) - length :][::-1], b[len(b) - length :][::-1])


def _occurrences(text: Ids, part: Ids) -> Iterator[int]:
    """The positions of a part in a text, by byte search."""
    width = part.dtype.itemsize
    haystack, needle = np.ascontiguousarray(text).tobytes(), np.ascontiguousarray(part).tobytes()
    place = haystack.find(needle)
    while place >= 0:
        if place % width == 0:
            yield place // width
        place = haystack.find(needle, place + 1)


def _record(found: Matches, matches: Iterator[Match] | list[Match], *, offset: int) -> None:
    """Records matches for all the positions that they cover."""
    for start, length, place in matches:
        steps = np.arange(length)
        _record_longer(found, start, length - steps, place + offset + steps)


def _record_longer(found: Matches, start: int, lengths: NDArray[Any], places: NDArray[Any]) -> None:
    part = slice(start, start + len(lengths))
    better = lengths > found.lengths[part]
    found.lengths[part][better] = lengths[better]
    found.places[part][better] = places[better]

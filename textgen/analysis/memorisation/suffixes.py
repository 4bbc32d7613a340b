"""The suffix array of a text, and the longest matches of a query in it.

pydivsufsort (Yuta Mori's libdivsufsort) builds the array. Queries are searched for many positions at once up to a
limit, or for a single, rare long match without one.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from textgen.errors import TextgenError

Ids = NDArray[np.unsignedinteger[Any]]

_QUERIES = 1 << 16
"""Searches in one vectorised batch: enough to be fast, few enough for memory to stay small."""

_FIRST, _WIDEST = 8, 64
"""Ids compared at once: in the first comparison, where most end, and in the ones after."""


class Suffixes:
    """The suffix array of a text (Manber and Myers 1993): its suffixes in lexicographic order.

    It takes 5 bytes for each one-byte id; while it is built for two-byte ids, about 22.

    Args:
        text: `(characters,)`, unsigned; copied where it is read-only.

    Raises:
        TextgenError: pydivsufsort is not installed.

    >>> suffixes = Suffixes(np.array([1, 0, 2, 0, 2, 0], np.uint8))
    >>> suffixes.order.tolist()
    [5, 3, 1, 0, 4, 2]
    >>> lengths, places = suffixes.matches(np.array([0, 2, 0, 1], np.uint8), limit=2)
    >>> lengths.tolist(), places.tolist()
    ([2, 2, 1, 1], [3, 2, 5, 0])
    """

    def __init__(self, text: Ids) -> None:
        self.text = np.require(text, requirements=["C", "W"])
        sort = _sorter()
        self.order: NDArray[np.int32] = sort(self.text) if len(text) else np.empty(0, np.int32)

    def matches(self, query: Ids, *, limit: int) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """The longest match that starts at each position of a query.

        Args:
            query: `(n,)`, of any length.
            limit: the length at which a match is cut off, at least 1.

        Returns:
            lengths: `(n,)`, in [0, `limit`].
            places: `(n,)`, the position in the text of such a match; 0 if there is none.
        """
        lengths, places = np.zeros(len(query), np.int64), np.zeros(len(query), np.int64)
        for start in range(0, len(query) if len(self.text) else 0, _QUERIES):
            part = slice(start, start + _QUERIES)
            starts = np.arange(start, min(start + _QUERIES, len(query)))
            lengths[part], places[part] = self._search(query, starts, limit)
        return lengths, places

    def longest(self, query: Ids) -> tuple[int, int]:
        """The length of the longest match of a query's start, and its position in the text.

        >>> Suffixes(np.array([1, 0, 2, 0, 2, 0], np.uint8)).longest(np.array([0, 2, 0, 2, 2], np.uint8))
        (4, 1)
        """
        low, high, best, place = 0, len(self.order), 0, 0
        while low < high:
            middle = (low + high) // 2
            start = int(self.order[middle])
            common = common_prefix(self.text[start:], query)
            if common > best:
                best, place = common, start
            if common == len(query):
                break
            if start + common == len(self.text) or self.text[start + common] < query[common]:
                low = middle + 1
            else:
                high = middle
        return best, place

    def _search(self, query: Ids, starts: NDArray[np.int64], limit: int) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """Binary search for all starts at once; a prefix shared with both bounds is not compared again.

        The suffixes with the longest common prefix are the neighbours of the query's own position in the order, and
        both have been bounds when the search ends.
        """
        count = len(starts)
        low, high = np.zeros(count, np.int64), np.full(count, len(self.order), np.int64)
        shared = np.zeros((2, count), np.int64)
        places = np.zeros((2, count), np.int64)
        active = np.arange(count)
        while len(active):
            middle = (low[active] + high[active]) // 2
            candidates = self.order[middle].astype(np.int64)
            common, greater = self._compare(query, starts[active], candidates, shared[:, active].min(axis=0), limit)
            side = greater.astype(np.int64)
            shared[side, active] = common
            places[side, active] = candidates
            whole = common == limit
            low[active] = np.where(greater & ~whole, low[active], middle + 1)
            high[active] = np.where(greater | whole, middle, high[active])
            active = active[low[active] < high[active]]
        nearer = shared.argmax(axis=0)
        columns = np.arange(count)
        return shared[nearer, columns], places[nearer, columns]

    def _compare(
        self, query: Ids, starts: NDArray[np.int64], places: NDArray[np.int64], common: NDArray[np.int64], limit: int
    ) -> tuple[NDArray[np.int64], NDArray[np.bool_]]:
        """Each suffix's common prefix with the query from each start, and whether the suffix is the greater."""
        common = common.copy()
        greater = np.zeros(len(starts), np.bool_)
        left, width = np.arange(len(starts)), _FIRST
        while len(left):
            steps = common[left, None] + np.arange(min(width, limit))
            mine, theirs = starts[left, None] + steps, places[left, None] + steps
            a = query.take(mine, mode="clip")
            b = self.text.take(theirs, mode="clip")
            differ = (a != b) | (mine >= len(query)) | (theirs >= len(self.text)) | (steps >= limit)
            column = differ.argmax(axis=1)
            rows = np.arange(len(left))
            ended = differ[rows, column]
            common[left] += np.where(ended, column, differ.shape[1])
            # The end of a sequence sorts before any id; at the limit the order does not matter.
            text_ends = theirs[rows, column] >= len(self.text)
            query_ends = mine[rows, column] >= len(query)
            greater[left] = ended & ~text_ends & (query_ends | (b[rows, column] > a[rows, column]))
            left, width = left[~ended], _WIDEST
        return common, greater


def common_prefix(a: Ids, b: Ids) -> int:
    """The length of the common prefix of two texts.

    >>> common_prefix(np.array([3, 1, 4, 1], np.uint8), np.array([3, 1, 5], np.uint8))
    2
    """
    done, width, length = 0, _WIDEST, min(len(a), len(b))
    while done < length:
        end = min(done + width, length)
        differ = a[done:end] != b[done:end]
        first = int(differ.argmax())
        if differ[first]:
            return done + first
        done, width = end, min(2 * width, 1 << 20)
    return length


def check_installed() -> None:
    """Fails early if the library is missing.

    Raises:
        TextgenError: pydivsufsort is not installed.
    """
    _sorter()


def _sorter() -> Callable[[Ids], NDArray[np.int32]]:
    """The library's function that builds a suffix array."""
    try:
        from pydivsufsort import divsufsort
    except ImportError as error:
        raise TextgenError(
            "Finding copies needs pydivsufsort, which is not installed here: pip install 'textgen-chars[novelty]'"
        ) from error
    return divsufsort  # type: ignore[no-any-return]

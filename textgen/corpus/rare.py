"""Decides how rare a character of a text must be to share one id with the other rare ones.

    counts of each character -> automatic_min_count -> the `min_count` of a run whose settings leave it to the text

Every character costs a row of the embedding and one of the output layer, and the output layer is most of a training
step where there are thousands. Those that occur a few times in millions of characters are not learned anyway.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

LARGE = 1500
"""The number of distinct characters from which on rare ones share an id; the same from which on a step's softmax is
estimated (`--negatives`)."""

SHARE = 0.001
"""The largest share of a text whose characters may be made one. Of seven Chinese, Japanese, Korean and emoji texts with
2,534 to 9,728 distinct characters it takes 17 to 42 % of the vocabulary; half of it takes 10 to 35 %. Twice of it takes
19 to 42 %, so one character in a thousand buys most of what there is to save."""

FREQUENT = 10
"""How often a character occurs that always keeps its own id. It decides for texts of many millions of characters, where
`SHARE` would reach to characters with dozens of examples."""


def automatic_min_count(counts: Mapping[str, int]) -> int:
    """The `min_count` that follows from a text: characters that occur less often share one id.

    Args:
        counts: how often each character occurs, at least once.

    Returns:
        1, which keeps every character, for fewer than `LARGE` of them; else one more than the largest number of times
        below `FREQUENT` such that all characters that occur so often or less make up at most `SHARE` of the text. In
        [1, `FREQUENT`].

    >>> automatic_min_count({"a": 3, "b": 1, "n": 2})
    1
    >>> common = {chr(0x4E00 + rank): 1000 for rank in range(1500)}
    >>> automatic_min_count({**common, "龍": 2, "龜": 5})
    6
    >>> automatic_min_count({**common, **{chr(0x3400 + rank): 1 for rank in range(1600)}})
    1
    """
    if len(counts) < LARGE:
        return 1
    times = np.fromiter(counts.values(), np.int64, len(counts))
    rare = np.bincount(times[times < FREQUENT], minlength=FREQUENT)
    folded = np.cumsum(rare * np.arange(FREQUENT))
    within = (folded <= SHARE * times.sum()) & (rare > 0)
    return int(np.flatnonzero(within)[-1]) + 1 if within.any() else 1

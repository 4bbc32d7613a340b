"""Confidence intervals for a mean over a text, by circular block bootstrap (Politis and Romano 1992).

The surprisals of neighbouring characters are correlated: a new name, an unusual page. Resampling single characters
would treat them as independent and give an interval at most half as wide as it should be, so blocks are resampled,
circularly, so that every position is equally likely. The interval says nothing about text of another kind.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

LEVEL = 0.95
BLOCK = 1000
"""Block length in characters for a long enough text: a few paragraphs, or half a page."""

REPLICATES = 2000
LEAST = 20
"""The minimum number of blocks, and of characters: below it there is no interval."""

_MOST = 10_000
_AT_ONCE = 1 << 20


@dataclass(frozen=True, kw_only=True)
class Interval:
    """A confidence interval of a mean.

    Args:
        low: the lower bound.
        high: the upper bound.
        block: the block length in characters.
        level: the confidence level.
    """

    low: float
    high: float
    block: int
    level: float = LEVEL


def block_length(characters: int) -> int:
    """The block length: `BLOCK`, shorter if there would be fewer than `LEAST` blocks, longer for a very long text.

    >>> block_length(111_540), block_length(2000), block_length(20), block_length(50_000_000)
    (1000, 100, 1, 5000)
    """
    return max(1, min(BLOCK, characters // LEAST), -(-characters // _MOST))


def block_bootstrap(values: NDArray[np.float64], *, seed: int = 0, block: int | None = None) -> Interval | None:
    """The confidence interval of the mean of `values` at `LEVEL`, from `REPLICATES` bootstrap replicates.

    Args:
        values: `(characters,)` in the order of the text, for instance negative log-probabilities in nats.
        seed: of the resampling, at least 0.
        block: the block length in characters, in [1, characters]; None takes `block_length`.

    Returns:
        The interval; None for fewer than `LEAST` characters.

    >>> interval = block_bootstrap(np.tile([1.0, 3.0], 5000))
    >>> interval.block, interval.low, interval.high
    (500, 2.0, 2.0)
    """
    count = len(values)
    if count < LEAST:
        return None
    length = block_length(count) if block is None else block
    sums = np.concatenate([[0.0], np.cumsum(np.concatenate([values, values[:length]]))])
    blocks = count // length
    rng = np.random.default_rng(seed)
    means = np.empty(REPLICATES)
    rows = max(1, _AT_ONCE // blocks)
    for first in range(0, REPLICATES, rows):
        part = means[first : first + rows]
        starts = rng.integers(0, count, (len(part), blocks))
        part[...] = (sums[starts + length] - sums[starts]).sum(axis=1) / (blocks * length)
    low, high = np.quantile(means, [(1.0 - LEVEL) / 2.0, (1.0 + LEVEL) / 2.0]).tolist()
    return Interval(low=low, high=high, block=length)


def ratio_bootstrap(amounts: NDArray[np.float64], sizes: NDArray[np.float64], *, seed: int = 0) -> Interval | None:
    """The confidence interval of `amounts.sum() / sizes.sum()` over independent items, such as pairs of texts.

    Args:
        amounts: `(items,)`, for instance each one's errors.
        sizes: `(items,)`, what they are shares of, for instance each one's characters; not all zero.
        seed: of the resampling, at least 0.

    Returns:
        The interval, from items drawn again; None for fewer than `LEAST` of them.

    >>> interval = ratio_bootstrap(np.tile([0.0, 2.0], 500), np.full(1000, 4.0))
    >>> round(interval.low, 2), round(interval.high, 2)
    (0.23, 0.27)
    """
    count = len(amounts)
    if count < LEAST:
        return None
    rng = np.random.default_rng(seed)
    ratios = np.empty(REPLICATES)
    rows = max(1, _AT_ONCE // count)
    for first in range(0, REPLICATES, rows):
        part = ratios[first : first + rows]
        chosen = rng.integers(0, count, (len(part), count))
        part[...] = amounts[chosen].sum(axis=1) / np.maximum(sizes[chosen].sum(axis=1), 1e-9)
    low, high = np.quantile(ratios, [(1.0 - LEVEL) / 2.0, (1.0 + LEVEL) / 2.0]).tolist()
    return Interval(low=low, high=high, block=1)

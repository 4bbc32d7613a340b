"""How far a mean over a text may be from that of other text like it: an interval by block bootstrap.

Figures for each character go in, in the order of the text, and two bounds come out. The module knows no model.

Neighbouring characters are surprising together: a new name, a strange page. Drawing single characters anew would take
them for independent and give an interval too narrow by half or worse, so whole stretches are drawn, circularly, so that
each place is as likely as any other (Politis and Romano 1992). What such an interval cannot tell is how the model would
do on text of another kind.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

LEVEL = 0.95
BLOCK = 1000
"""Characters of a block in a text long enough: a few paragraphs, or half a page."""

REPLICATES = 2000
LEAST = 20
"""Blocks that a text has at least, and characters below which there is no interval."""

_MOST = 10_000
_AT_ONCE = 1 << 20


@dataclass(frozen=True, kw_only=True)
class Interval:
    """Where a mean lies, as far as the text itself can tell.

    Args:
        low: the lower bound.
        high: the upper bound.
        block: the length of the blocks drawn, in characters.
        level: the share of such intervals that hold the mean, about.
    """

    low: float
    high: float
    block: int
    level: float = LEVEL


def block_length(characters: int) -> int:
    """The length of a block: `BLOCK`, less where a text would have fewer than `LEAST`, more in an enormous one.

    >>> block_length(111_540), block_length(2000), block_length(20), block_length(50_000_000)
    (1000, 100, 1, 5000)
    """
    return max(1, min(BLOCK, characters // LEAST), -(-characters // _MOST))


def block_bootstrap(values: NDArray[np.float64], *, seed: int = 0, block: int | None = None) -> Interval | None:
    """The interval of the mean of `values` at `LEVEL`, from `REPLICATES` texts made of blocks drawn from this one.

    Args:
        values: `(characters,)`, for instance negative log-probabilities in nats.
        seed: the same one gives the same interval; at least 0.
        block: the length of a block in characters, in [1, characters]; None is `block_length`.

    Returns:
        The interval; None for fewer than `LEAST` characters, which cannot tell how they vary.

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

"""The colour scale for surprisal, shared by the terminal and the page."""

from __future__ import annotations

import itertools

THRESHOLDS = (1.0, 2.0, 3.0, 4.0, 6.0, 8.0, 11.0)
"""The surprisal in bits at which each level after the first begins."""


def level(bits: float) -> int:
    """The level of a surprisal on the scale, from 0.

    >>> [level(bits) for bits in (0.0, 1.0, 5.9, 6.0, 40.0)]
    [0, 1, 4, 5, 7]
    """
    return sum(bits >= threshold for threshold in THRESHOLDS)


def legend() -> list[str]:
    """The range of each level, in bits.

    >>> legend()[:2], legend()[-1]
    (['below 1', '1 to 2'], '11 and more')
    """
    between = [f"{low:g} to {high:g}" for low, high in itertools.pairwise(THRESHOLDS)]
    return [f"below {THRESHOLDS[0]:g}", *between, f"{THRESHOLDS[-1]:g} and more"]

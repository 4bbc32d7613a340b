"""The steps in which surprise is shown, on a terminal and on a page alike."""

from __future__ import annotations

import itertools

BORDERS = (1.0, 2.0, 3.0, 4.0, 6.0, 8.0, 11.0)
"""Bits of surprise at which the next shade begins."""


def level(bits: float) -> int:
    """The number of the shade for a surprise.

    >>> [level(bits) for bits in (0.0, 1.0, 5.9, 6.0, 40.0)]
    [0, 1, 4, 5, 7]
    """
    return sum(bits >= border for border in BORDERS)


def legend() -> list[str]:
    """What the shades mean, in bits.

    >>> legend()[:2], legend()[-1]
    (['below 1', '1 to 2'], '11 and more')
    """
    between = [f"{low:g} to {high:g}" for low, high in itertools.pairwise(BORDERS)]
    return [f"below {BORDERS[0]:g}", *between, f"{BORDERS[-1]:g} and more"]

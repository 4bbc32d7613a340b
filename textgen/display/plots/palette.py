"""How runs are told apart: four colours that the colour-blind tell apart, on light and on dark, then dashes.

The colours are from Okabe and Ito's set (https://jfly.uni-koeln.de/color/), the blue a little lighter for dark pages;
the lighter ones of the set would vanish on white.
"""

from __future__ import annotations

COLOURS = ("#1b7fc4", "#d55e00", "#009e73", "#cc79a7")
TERMINAL_256 = ("38;5;32", "38;5;166", "38;5;36", "38;5;175")
TERMINAL_16 = ("94", "33", "32", "35")
DASHES: tuple[tuple[float, ...], ...] = ((), (5.0, 2.0), (1.5, 1.5), (6.0, 2.0, 1.5, 2.0))
"""Lengths of strokes and gaps, in widths of the line."""


def colour(number: int) -> str:
    """The colour of a run by its number from 0.

    >>> colour(0), colour(4) == colour(0)
    ('#1b7fc4', True)
    """
    return COLOURS[number % len(COLOURS)]


def dashes(number: int) -> tuple[float, ...]:
    """The dashes of a run by its number from 0: none for the first four.

    >>> dashes(3), dashes(4)
    ((), (5.0, 2.0))
    """
    return DASHES[number // len(COLOURS) % len(DASHES)]

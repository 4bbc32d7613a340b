"""Line styles by run: four colour-blind safe colours for light and dark backgrounds, then dashes.

The colours are from Okabe and Ito's palette (https://jfly.uni-koeln.de/color/), the blue a little lighter for dark
backgrounds; the palette's lighter colours have too little contrast on white.
"""

from __future__ import annotations

COLOURS = ("#1b7fc4", "#d55e00", "#009e73", "#cc79a7")
TERMINAL_256 = ("38;5;32", "38;5;166", "38;5;36", "38;5;175")
TERMINAL_16 = ("94", "33", "32", "35")
DASHES: tuple[tuple[float, ...], ...] = ((), (5.0, 2.0), (1.5, 1.5), (6.0, 2.0, 1.5, 2.0))
"""Lengths of dashes and gaps, in line widths."""


def colour(number: int) -> str:
    """The colour of a run, by its index.

    >>> colour(0), colour(4) == colour(0)
    ('#1b7fc4', True)
    """
    return COLOURS[number % len(COLOURS)]


def dashes(number: int) -> tuple[float, ...]:
    """The dash pattern of a run, by its index: solid for the first four.

    >>> dashes(3), dashes(4)
    ((), (5.0, 2.0))
    """
    return DASHES[number // len(COLOURS) % len(DASHES)]

"""Figures of how good tunes are, each the share of a simple check; no listener, but what one hears first."""

from __future__ import annotations

import statistics
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from typing import Any

from textgen.analysis.tunes.reading import read_tune


@dataclass(frozen=True, kw_only=True)
class TuneFigures:
    """How good some tunes are.

    Args:
        tunes: their number.
        parsed: the share of them whose notation is read without a complaint.
        bars: the number of bars that have a metre.
        filled: the share of these that fill it; None without bars.
        repeating: the number of tunes with repeats or endings.
        closed: the share of these in which all of them close; None without such tunes.
        on_tonic: the share of tunes that end on the tonic of their key.
        range: the mean interval between a tune's lowest and highest note, in semitones.
        distinct: the share of tunes whose music is not that of an earlier one, whatever their titles.
        longest_copy: the longest passage of their music, in characters, that is in the training tunes; None if that
            was not looked for.
    """

    tunes: int
    parsed: float
    bars: int
    filled: float | None
    repeating: int
    closed: float | None
    on_tonic: float
    range: float
    distinct: float
    longest_copy: int | None = None

    def to_json(self) -> dict[str, Any]:
        """The figures as plain JSON values."""
        return asdict(self)


def measure_tunes(texts: Iterable[str], *, longest_copy: int | None = None) -> TuneFigures:
    r"""Measures how good some tunes are.

    Args:
        texts: the tunes, one or more, in ABC notation.
        longest_copy: see `TuneFigures`.

    >>> tune = "X:1\nM:2/4\nL:1/8\nK:G\n|:GB dB|cA G2:|\n"
    >>> found = measure_tunes([tune, tune.replace("cA ", "A")])
    >>> found.parsed, found.filled, found.closed, found.on_tonic, found.range
    (1.0, 0.75, 1.0, 1.0, 7.0)
    """
    tunes = [read_tune(text) for text in texts]
    fills = [filled for tune in tunes for filled in tune.fills]
    closed = [close for close in (tune.repeats_close for tune in tunes) if close is not None]
    return TuneFigures(
        tunes=len(tunes),
        parsed=statistics.fmean(not tune.complaints for tune in tunes),
        bars=len(fills),
        filled=statistics.fmean(fills) if fills else None,
        repeating=len(closed),
        closed=statistics.fmean(closed) if closed else None,
        on_tonic=statistics.fmean(tune.ends_on_tonic for tune in tunes),
        range=statistics.fmean(tune.range for tune in tunes),
        distinct=len({tune.body for tune in tunes}) / len(tunes),
        longest_copy=longest_copy,
    )

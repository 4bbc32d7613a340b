"""A page that shows tunes as notation and plays them."""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction
from typing import Any

from textgen.analysis.tunes.reading import read_tune
from textgen.analysis.tunes.tune import Tune
from textgen.display.pages import page

_TEMPOS = {
    "jig": 112,
    "slip jig": 112,
    "reel": 190,
    "hornpipe": 160,
    "polka": 124,
    "waltz": 132,
    "air": 84,
    "march": 108,
    "round": 108,
}
_TEMPO = 120


def tunes_page(texts: Sequence[str], *, title: str, facts: Sequence[tuple[str, str]] = ()) -> str:
    """A self-contained page of tunes: notation, play and stop, tempo, and each as an ABC and a MIDI file.

    A tune whose notation is not read without a complaint is shown as text, with the complaints.

    Args:
        texts: the tunes in ABC notation.
        title: the page's title.
        facts: labels and values to list under it.

    Returns:
        HTML. It asks nothing of the network; abcjs, which draws the notation, is part of it.
    """
    return page("tunes", title=title, facts=facts, data={"tunes": list(map(_values, texts))}, library="abcjs")


def _values(text: str) -> dict[str, Any]:
    tune = read_tune(text)
    rhythm = tune.fields.get("R", "").lower()
    beat = _beat(tune)
    return {
        "text": text,
        # Directives would change how abcjs draws, and the card has the title and the rhythm already.
        "music": "\n".join(line for line in text.split("\n") if not line.startswith(("%", "T:", "R:"))),
        "title": tune.fields.get("T", ""),
        "about": _about(tune),
        "beat": float(beat),
        "beatName": str(beat),
        "tempo": _TEMPOS.get(rhythm, _TEMPO),
        "complaints": list(tune.complaints),
    }


def _beat(tune: Tune) -> Fraction:
    """The note of which the tempo counts so many a minute: of compound metres the dotted quarter note."""
    metre = next((bar.metre for bar in tune.bars), None)
    written = tune.fields.get("M", "")
    if metre is not None and written.endswith("/8") and (metre * 8) % 3 == 0:
        return Fraction(3, 8)
    return Fraction(1, 2) if written in ("C|", "2/2") else Fraction(1, 4)


def _about(tune: Tune) -> str:
    """What a tune is, and what is wrong with its music."""
    parts = [tune.fields.get("R", ""), tune.fields.get("M", ""), tune.fields.get("K", "")]
    found = ", ".join(filter(None, parts))
    fills = tune.fills
    wrong = []
    if tune.complaints:
        return found
    if not all(fills):
        does = "does" if fills.count(False) == 1 else "do"
        wrong.append(f"{fills.count(False)} of {len(fills)} bars {does} not fill the metre.")
    if tune.repeats_close is False:
        wrong.append("A repeat does not close.")
    return " ".join(filter(None, [f"{found}." * bool(found), *wrong]))

"""Keys of tunes in ABC notation: a tonic, a mode, and the accidentals that they give."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass

PITCH_CLASSES = {"C": 0, "D": 2, "E": 4, "F": 5, "G": 7, "A": 9, "B": 11}
"""Semitones above C of each letter."""

_FIFTHS = {"F": -1, "C": 0, "G": 1, "D": 2, "A": 3, "E": 4, "B": 5}
_MODES = {"maj": 0, "ion": 0, "mix": -1, "dor": -2, "m": -3, "min": -3, "aeo": -3, "phr": -4, "loc": -5, "lyd": 1}
_SIGNS = {"#": 1, "b": -1, "": 0}
_KEY = re.compile(r"([A-G])([#b]?) ?([A-Za-z]*)(?: +clef=\w+)?")
_MOST = 7


@dataclass(frozen=True, kw_only=True)
class Key:
    """A key.

    Args:
        tonic: its pitch class, in semitones above C; None for music without a key, `K:none`.
        accidentals: by letter, how many semitones the key raises it by; those that it leaves alone are not in it.
    """

    tonic: int | None
    accidentals: Mapping[str, int]


def read_key(text: str) -> Key | None:
    """The key that the value of a `K:` field names; None if it names none.

    Args:
        text: a tonic and a mode, such as "G", "F#m", "Edor" or "A Mixolydian": three letters of it are enough.

    >>> read_key("Edor")
    Key(tonic=4, accidentals={'F': 1, 'C': 1})
    >>> read_key("B flat"), read_key("none")
    (None, Key(tonic=None, accidentals={}))
    """
    if text == "none":
        return Key(tonic=None, accidentals={})
    match = _KEY.fullmatch(text)
    if match is None:
        return None
    letter, sign, mode = match.groups()
    # "M" is major and "m" minor, which is all that case tells.
    shift = 0 if mode in ("", "M") else _MODES.get(mode.lower()[:3])
    if shift is None:
        return None
    fifths = _FIFTHS[letter] + 7 * _SIGNS[sign] + shift
    if abs(fifths) > _MOST:
        return None
    order = "FCGDAEB" if fifths > 0 else "BEADGCF"
    accidentals = dict.fromkeys(order[: abs(fifths)], 1 if fifths > 0 else -1)
    return Key(tonic=(PITCH_CLASSES[letter] + _SIGNS[sign]) % 12, accidentals=accidentals)

"""A tune as it is read: notes with pitch and length, bars, and what is wrong with it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction

from textgen.analysis.tunes.key import Key


@dataclass(frozen=True, kw_only=True)
class Note:
    """A note, or a chord.

    Args:
        pitches: of a note its pitch, of a chord those of its notes, as MIDI numbers: 60 is middle C, `C`.
        length: in whole notes.
        tied: whether a tie joins it to the next one.
    """

    pitches: tuple[int, ...]
    length: Fraction
    tied: bool = False


@dataclass(frozen=True, kw_only=True)
class Bar:
    """A bar.

    Args:
        length: of its notes and rests together, in whole notes.
        metre: how long it should be; None for free metre.
        opening: the bar line before it, such as "|" or "|:"; "" at the start of the tune.
        closing: the bar line after it; "" at its end.
        ending: the number of a first, second, ... ending that begins with it, such as "1" or "1,3"; "" if none does.
    """

    length: Fraction
    metre: Fraction | None
    opening: str
    closing: str
    ending: str = ""


@dataclass(frozen=True, kw_only=True)
class Tune:
    """A tune.

    Args:
        fields: the values of its header, by letter; of those that are repeated the first.
        body: its music as text, what follows the line `K:`.
        key: the key of its header; None if it cannot be read.
        notes: its notes, in their order, without grace notes.
        bars: its bars, in their order, without those that hold neither notes nor rests.
        complaints: what is wrong with its notation, a sentence each; empty if it was read whole. What is wrong with
            its music is in `fills`, `repeats_close` and `ends_on_tonic`.
    """

    fields: Mapping[str, str]
    body: str
    key: Key | None
    notes: tuple[Note, ...]
    bars: tuple[Bar, ...]
    complaints: tuple[str, ...]

    @property
    def fills(self) -> list[bool]:
        """For each bar in a metre, whether it fills it.

        At the edges of a part, which repeats, double bars and endings are, a bar may be split in two: a pickup and the
        bar before an edge that, together, are as long as the metre.
        """
        return _fills(self.bars)

    @property
    def repeats_close(self) -> bool | None:
        """Whether every repeat that begins also ends, and endings follow one another; None without repeats.

        The first part may be repeated without a sign at its beginning.
        """
        return _repeats_close(self.bars)

    @property
    def ends_on_tonic(self) -> bool:
        """Whether the last note, or a note of the last chord, is the tonic of the key in any octave."""
        if not self.notes or self.key is None or self.key.tonic is None:
            return False
        return any(pitch % 12 == self.key.tonic for pitch in self.notes[-1].pitches)

    @property
    def range(self) -> int:
        """The interval between the lowest and the highest note, in semitones."""
        pitches = [pitch for note in self.notes for pitch in note.pitches]
        return max(pitches) - min(pitches) if pitches else 0


def _is_edge(line: str) -> bool:
    """Whether a bar line ends a part: it is no single one."""
    return line != "|"


def _fills(bars: Sequence[Bar]) -> list[bool]:
    pickups, closings = set(), set()
    for number, bar in enumerate(bars):
        if _is_edge(bar.opening):
            pickups.add(bar.length)
        if _is_edge(bar.closing) or (number + 1 < len(bars) and bars[number + 1].ending):
            closings.add(bar.length)
    filled = []
    for number, bar in enumerate(bars):
        if bar.metre is None:
            continue
        rest = bar.metre - bar.length
        begins = _is_edge(bar.opening) and rest in closings
        ends = (_is_edge(bar.closing) or (number + 1 < len(bars) and bool(bars[number + 1].ending))) and rest in pickups
        filled.append(rest == 0 or (rest > 0 and (begins or ends)))
    return filled


def _repeats_close(bars: Sequence[Bar]) -> bool | None:
    opened, seen, closed = False, False, True
    numbers: list[int] = []
    for bar in bars:
        begins, ends = bar.opening.endswith(":"), bar.closing.startswith(":")
        seen |= begins or ends or bool(bar.ending)
        if begins or (":" in bar.opening and not bar.ending):
            closed &= _are_whole(numbers)
            numbers = []
        if begins:
            closed &= not opened
            opened = True
        numbers += _numbers(bar.ending)
        if ends:
            opened = False
    closed &= not opened and _are_whole(numbers)
    return closed if seen else None


def _are_whole(numbers: Sequence[int]) -> bool:
    """Whether the endings of a part are 1, 2 and so on, or none.

    >>> _are_whole([]), _are_whole([1, 2]), _are_whole([1, 3, 2]), _are_whole([1]), _are_whole([1, 3])
    (True, True, True, False, False)
    """
    return len(numbers) != 1 and sorted(numbers) == list(range(1, len(numbers) + 1))


def _numbers(ending: str) -> list[int]:
    """The numbers of an ending.

    >>> _numbers("1,3"), _numbers("1-3"), _numbers("")
    ([1, 3], [1, 2, 3], [])
    """
    found: list[int] = []
    for part in filter(None, ending.split(",")):
        first, _, last = part.partition("-")
        found += range(int(first), int(last or first) + 1)
    return found

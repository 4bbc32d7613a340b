"""Collects the notes and bars of a tune while it is read, and applies what changes the lengths of notes."""

from __future__ import annotations

from fractions import Fraction

from textgen.analysis.tunes.key import PITCH_CLASSES, Key
from textgen.analysis.tunes.tune import Bar, Note

_MIDDLE = 60
_SIGNS = {"^^": 2, "^": 1, "=": 0, "_": -1, "__": -2}


class Melody:
    """The notes and bars of a tune so far.

    Every method raises ValueError, with a sentence, where what it is called for cannot stand there.

    Attributes:
        key: the key in force.
        unit: the unit length in whole notes; None until it is set or a note asks for it, when it follows from the
            metre: 1/16 for one shorter than 3/4, otherwise 1/8.
    """

    def __init__(self) -> None:
        self.key = Key(tonic=0, accidentals={})
        self.unit: Fraction | None = None
        self._metre: Fraction | None = None
        self._compound = False
        self._accidentals: dict[str, int] = {}
        self._events: list[Note] = []
        self._bars: list[Bar] = []
        self._start = 0
        self._opening, self._ending = "", ""
        self._broken: tuple[Fraction, Fraction] | None = None
        self._tuplet: tuple[Fraction, int] | None = None

    @property
    def notes(self) -> tuple[Note, ...]:
        """All notes, without rests."""
        return tuple(event for event in self._events if event.pitches)

    @property
    def bars(self) -> tuple[Bar, ...]:
        """All bars that have ended."""
        return tuple(self._bars)

    def set_metre(self, metre: Fraction | None, beat: int) -> None:
        """Another metre, in whole notes, and the note that its lower number names."""
        self._metre = metre
        self._compound = beat >= 8 and metre is not None and (metre * beat) % 3 == 0 and metre * beat > 3

    def pitch(self, letter: str, *, accidental: str | None, octave: int) -> int:
        """The pitch of a letter, as a MIDI number, with the key's accidentals and those of the bar."""
        name = letter.upper()
        if accidental is not None:
            self._accidentals[name] = _SIGNS[accidental]
        shift = self._accidentals.get(name, self.key.accidentals.get(name, 0))
        return _MIDDLE + PITCH_CLASSES[name] + 12 * (letter.islower() + octave) + shift

    def note(self, pitches: list[int], length: Fraction) -> None:
        """A note, a chord, or a rest, `length` units long."""
        if self.unit is None:
            self.unit = Fraction(1, 16) if self._metre is not None and self._metre < Fraction(3, 4) else Fraction(1, 8)
        length *= self.unit
        if self._broken is not None:
            factor, written = self._broken
            self._broken = None
            if length != written:
                raise ValueError("Broken rhythm joins notes that are not equally long.")
            length *= factor
        if self._tuplet is not None:
            factor, left = self._tuplet
            length *= factor
            self._tuplet = (factor, left - 1) if left > 1 else None
        last = self._events[-1] if self._events else None
        self._events.append(Note(pitches=tuple(pitches), length=length))
        if last is not None and last.tied and not set(last.pitches) & set(pitches):
            raise ValueError("A tie joins notes of different pitch.")

    def rest_bars(self, count: int) -> None:
        """A rest of whole bars."""
        if self._metre is None:
            raise ValueError("A rest of whole bars needs a metre.")
        for number in range(count):
            self._events.append(Note(pitches=(), length=self._metre))
            if number + 1 < count:
                self._close("|")

    def broken(self, signs: str) -> None:
        """Broken rhythm: one of two notes is lengthened by what the other loses."""
        if self._start == len(self._events) or self._broken is not None or self._tuplet is not None:
            raise ValueError(f"{signs!r} does not stand between two notes.")
        less = Fraction(1, 2 ** len(signs))
        before, after = (2 - less, less) if signs[0] == ">" else (less, 2 - less)
        last = self._events[-1]
        self._broken = after, last.length
        self._events[-1] = Note(pitches=last.pitches, length=last.length * before, tied=last.tied)

    def tuplet(self, notes: int | None, within: int | None = None, over: int | None = None) -> None:
        """A tuplet: `notes` in the time of `within`, for the next `over` notes."""
        assert notes is not None
        self._finish("A tuplet")
        usual = {2: 3, 3: 2, 4: 3, 6: 2, 8: 3}.get(notes, 3 if self._compound else 2)
        self._tuplet = (Fraction(within or usual, notes), over or notes)

    def tie(self) -> None:
        """A tie after the last note."""
        if not self._events or not self._events[-1].pitches:
            raise ValueError("'-' ties no note.")
        last = self._events[-1]
        self._events[-1] = Note(pitches=last.pitches, length=last.length, tied=True)

    def bar_line(self, line: str, ending: str) -> None:
        """A bar line, and the number of the ending that begins with it."""
        self._close("::" if line == ":" * len(line) and len(line) > 1 else line)
        if ending:
            self._ending = ending
        if line == ":":
            raise ValueError("':' is no bar line.")
        self._finish("A bar")

    def later_ending(self, ending: str) -> None:
        """The number of an ending, apart from its bar line."""
        if self._start < len(self._events):
            raise ValueError(f"'[{ending}' does not follow a bar line.")
        self._ending = ending

    def _close(self, line: str) -> None:
        """Ends a bar, unless it is empty; of several bar lines in a row the weightiest counts."""
        events = self._events[self._start :]
        if events:
            length = sum((event.length for event in events), Fraction(0))
            self._bars.append(
                Bar(length=length, metre=self._metre, opening=self._opening, closing=line, ending=self._ending)
            )
            self._start, self._opening, self._ending = len(self._events), line, ""
        elif line != "|":
            self._reopen(line)
        self._accidentals = {}

    def _reopen(self, line: str) -> None:
        """Another bar line right after the last one."""
        if line.startswith(":") and (not self._bars or ":" in self._opening):
            raise ValueError(f"{line!r} repeats no bar.")
        if self._bars:
            last = self._bars[-1]
            closing = last.closing if last.closing.startswith(":") else line
            self._bars[-1] = Bar(
                length=last.length, metre=last.metre, opening=last.opening, closing=closing, ending=last.ending
            )
        self._opening = line if line.endswith(":") or not self._opening.endswith(":") else self._opening

    def _finish(self, what: str) -> None:
        """Refuses what a bar line or another tuplet cuts off."""
        if self._broken is not None:
            self._broken = None
            raise ValueError("Broken rhythm has no second note.")
        if self._tuplet is not None:
            self._tuplet = None
            raise ValueError(f"{what} begins or ends within a tuplet.")

    def end(self) -> list[str]:
        """Ends the tune, and says what is left open."""
        complaints = []
        if self._start < len(self._events):
            self._close("")
        try:
            self._finish("The tune")
        except ValueError as error:
            complaints.append(str(error))
        if self._events and self._events[-1].tied:
            complaints.append("The last note is tied to none.")
        return complaints

"""Reads a tune in ABC notation, strictly: whatever is not notation is a complaint.

What is read is the part of the standard 2.1 (https://abcnotation.com/wiki/abc:standard:v2.1) in which tunes of one
voice are written: notes, rests, chords, grace notes, broken rhythm, tuplets, ties, slurs, bars, repeats, endings, key
with mode, accidentals, changes of key, metre and unit length; decorations, chord symbols and words are passed over.
Several voices are a complaint.
"""

from __future__ import annotations

import re
from fractions import Fraction

from textgen.analysis.tunes.key import Key, read_key
from textgen.analysis.tunes.melody import Melody
from textgen.analysis.tunes.tune import Tune

_MOST = 20
"""Complaints after which a tune is read no further."""

_IN_BODY = "IKLMmNPQRrsTUVWw"
_POWERS = [2**n for n in range(8)]
_FIELD = re.compile(r"([A-Za-z]):(.*)")
_METRE = re.compile(r"(\d{1,3}(?:\+\d{1,3})*)/(1|2|4|8|16|32|64)")
_UNIT = re.compile(r"1/(1|2|4|8|16|32|64|128)|1")
_COMMON = {"C": Fraction(1), "C|": Fraction(1), "none": None}

_LENGTH = r"(\d{0,3})(/{0,4})(\d{0,3})(?!\d)"
_PITCH = r"(\^\^|\^|__|_|=)?([A-G],{0,4}|[a-g]'{0,4})"
_NOTE = re.compile(rf"{_PITCH}{_LENGTH}")
_TOKENS = re.compile(
    rf"""(?P<note>{_PITCH}{_LENGTH})
    |(?P<rest>[zx]{_LENGTH})
    |(?P<bars>Z(?P<many>\d{{0,2}}))
    |\[(?P<field>[A-Za-z]):(?P<value>[^\]]*)\]
    |(?P<line>:+\|*:*|\|+:+|\[\||\|[|\]]*)\s*(?P<ending>(?:(?<=[|:])|\s*\[)[1-9](?:[,-][1-9])*)?
    |\[(?P<later>[1-9](?:[,-][1-9])*)
    |\[(?P<chord>[^\]|\[]+)\](?P<long>\d{{0,3}}/{{0,4}}\d{{0,3}})
    |(?P<grace>\{{/?(?P<graced>[^}}]*)\}})
    |(?P<broken>>{{1,3}}|<{{1,3}})
    |\((?P<tuplet>[2-9](?::[1-9]?(?::[1-9]?)?)?)
    |(?P<tie>-)
    |(?P<open>\()|(?P<close>\))
    |(?P<passed>[\s`]+|"\(?[A-Ga-g^_<>@][^"]*"|![^!\s|]*!|[.~HLMOPSTuv](?=[\^_=A-Ga-gzx\[{{(.~HLMOPSTuv"!])|y\d*|\\$)""",
    re.VERBOSE,
)


def read_tune(text: str) -> Tune:
    r"""Reads a tune.

    Args:
        text: its lines, from `X:` on.

    Returns:
        What could be read of it; `complaints` says what could not. No text is an error.

    >>> tune = read_tune("X:1\nM:6/8\nL:1/8\nK:Edor\n|:E2F GAB|B6:|\n")
    >>> [note.pitches[0] for note in tune.notes], [float(bar.length) for bar in tune.bars], tune.complaints
    ([64, 66, 67, 69, 71, 71], [0.75, 0.75], ())
    >>> read_tune("X:1\nM:6/8\nK:E flat\nE2[G|").complaints
    ("Line 3: 'E flat' is no key.", "Line 4: '[G|' is no notation.")
    """
    reader = _Reader()
    header, body = True, list[str]()
    for number, full in enumerate(text.split("\n"), 1):
        reader.line = number
        line = full if full.startswith("%") else _without_comment(full)
        if line.startswith("%") or not line.strip():
            continue
        field = _FIELD.fullmatch(line.rstrip())
        if header:
            if field is None:
                reader.complain(f"{_shown(line)} stands in the header, before K:, and is no field.")
            else:
                header = reader.head(field[1], field[2].strip())
            continue
        body.append(line)
        if field is not None:
            if field[1] not in _IN_BODY:
                reader.complain(f"{_shown(line)} is no field of a tune's body.")
            reader.change(field[1], field[2].strip())
        else:
            reader.music(line)
        if len(reader.complaints) >= _MOST:
            break
    return reader.end(header=header, body="\n".join(body))


class _Reader:
    """Reads the lines of a tune, one after the other."""

    def __init__(self) -> None:
        self.line = 0
        self.complaints: list[str] = []
        self._fields: dict[str, str] = {}
        self._key: Key | None = None
        self._melody = Melody()
        self._slurs = 0

    def complain(self, sentence: str) -> None:
        self.complaints.append(f"Line {self.line}: {sentence}")

    def head(self, name: str, value: str) -> bool:
        """A field of the header; False if it is its last, `K:`."""
        if not self._fields and name != "X":
            self.complain("A tune begins with the line X:.")
        if name == "X" and "X" in self._fields:
            self.complain("X: begins another tune.")
        self._fields.setdefault(name, value)
        self.change(name, value)
        if name == "K":
            self._key = self._melody.key
        return name != "K"

    def change(self, name: str, value: str) -> None:
        """A field that may change what follows it."""
        melody = self._melody
        if name == "K":
            key = read_key(value)
            if key is None:
                self.complain(f"{_shown(value)} is no key.")
            else:
                melody.key = key
        elif name == "M":
            metre = _METRE.fullmatch(value)
            if metre is not None and any(map(int, metre[1].split("+"))):
                melody.set_metre(Fraction(sum(map(int, metre[1].split("+"))), int(metre[2])), int(metre[2]))
            elif value in _COMMON:
                melody.set_metre(_COMMON[value], 4)
            else:
                self.complain(f"{_shown(value)} is no metre.")
        elif name == "L":
            if _UNIT.fullmatch(value):
                melody.unit = Fraction(value)
            else:
                self.complain(f"{_shown(value)} is no unit length.")
        elif name == "V":
            self.complain("Several voices are not read.")

    def music(self, line: str) -> None:
        """A line of the body."""
        place = 0
        while place < len(line):
            match = _TOKENS.match(line, place)
            if match is None or match.end() == place:
                self.complain(f"{_shown(line[place:])} is no notation.")
                # What follows would be read from the middle of something.
                return
            try:
                self._take(match)
            except ValueError as error:
                self.complain(str(error))
            if len(self.complaints) >= _MOST:
                return
            place = match.end()

    def _take(self, match: re.Match[str]) -> None:
        melody, found = self._melody, match.groupdict()
        if found["note"]:
            melody.note([_pitch(match["note"], melody)], _length(match["note"]))
        elif found["rest"]:
            melody.note([], _length(match["rest"]))
        elif found["bars"]:
            melody.rest_bars(int(match["many"] or 1))
        elif found["field"]:
            self.change(match["field"], match["value"].strip())
        elif found["line"]:
            melody.bar_line(match["line"], (match["ending"] or "").strip(" ["))
        elif found["later"]:
            melody.later_ending(match["later"])
        elif found["chord"]:
            notes = _notes(match["chord"])
            lengths = {_length(each[0]) for each in notes}
            if len(lengths) > 1:
                raise ValueError("The notes of a chord are not equally long.")
            melody.note([_pitch(each[0], melody) for each in notes], lengths.pop() * _length(match["long"]))
        elif found["grace"]:
            for each in _notes(match["graced"]):
                _pitch(each[0], melody)
        elif found["broken"]:
            melody.broken(match["broken"])
        elif found["tuplet"]:
            melody.tuplet(*(int(each) if each else None for each in match["tuplet"].split(":")))
        elif found["tie"]:
            melody.tie()
        elif found["open"]:
            self._slurs += 1
        elif found["close"]:
            self._slurs -= 1
            if self._slurs < 0:
                self._slurs = 0
                raise ValueError("')' ends no slur.")

    def end(self, *, header: bool, body: str) -> Tune:
        if header:
            self.complain("The tune has no line K:, and so no music.")
        else:
            for sentence in self._melody.end():
                self.complain(sentence)
            if self._slurs:
                self.complain("A slur does not end.")
            if not self._melody.notes:
                self.complain("The tune has no notes.")
        return Tune(
            fields=self._fields,
            body=body,
            key=self._key,
            notes=self._melody.notes,
            bars=self._melody.bars,
            complaints=tuple(self.complaints),
        )


def _without_comment(line: str) -> str:
    """A line without its comment, which `%` begins outside quotation marks."""
    if "%" not in line:
        return line
    parts = re.split(r'("[^"]*")', line)
    kept: list[str] = []
    for part in parts:
        if not part.startswith('"') and "%" in part:
            return "".join([*kept, part.partition("%")[0]])
        kept.append(part)
    return line


def _notes(text: str) -> list[re.Match[str]]:
    """The notes within a chord or grace notes."""
    found, place = [], 0
    while place < len(text):
        if text[place] in " -":
            place += 1
            continue
        match = _NOTE.match(text, place)
        if match is None:
            raise ValueError(f"{_shown(text)} is no row of notes.")
        found.append(match)
        place = match.end()
    if not found:
        raise ValueError("There are no notes within brackets.")
    return found


def _pitch(text: str, melody: Melody) -> int:
    match = _NOTE.fullmatch(text)
    assert match is not None
    letter, octaves = match[2][0], match[2][1:]
    return melody.pitch(letter, accidental=match[1], octave=octaves.count("'") - octaves.count(","))


def _length(text: str) -> Fraction:
    """The length at the end of a note, in unit lengths.

    >>> [str(_length(text)) for text in ("c", "c3", "c/", "c3/2", "c//", "")]
    ['1', '3', '1/2', '3/2', '1/4', '1']
    """
    number, slashes, below = re.search(_LENGTH + r"\Z", text).groups()  # type: ignore[union-attr]
    length = Fraction(int(number or 1))
    if slashes and below:
        if len(slashes) > 1 or int(below) not in _POWERS:
            raise ValueError(f"{_shown(text)} has no length.")
        length /= int(below)
    else:
        length /= 2 ** len(slashes)
    if not length or (below and not slashes):
        raise ValueError(f"{_shown(text)} has no length.")
    return length


def _shown(text: str) -> str:
    text = text.strip()
    return repr(text if len(text) <= 12 else f"{text[:12]}...")

"""Reading tunes in ABC notation, against abc2midi's MIDI and against what the standard says."""

import re
from fractions import Fraction
from pathlib import Path

import pytest
from abc_tools import convert, midi_notes, needs_abc2midi
from hypothesis import given
from hypothesis import strategies as st

from textgen.analysis.tunes import Tune, read_tune
from textgen.analysis.tunes.key import read_key
from textgen.corpus.lists import paragraphs

BOOK = (Path(__file__).parents[3] / "corpora" / "tunes.abc").read_text()
TUNES = [tune for block in paragraphs([BOOK]) for tune in block]
TICKS = 1920
"""Ticks of a whole note in abc2midi's files."""

LATE = 11
"""The most ticks by which it begins a note late."""

HARD = """X:1
T:All that is read
M:4/4
L:1/8
K:Eb
E>F G<A (3BcB {cd}e2|[EG]2 c/d/ ^F =A-A^c2|e g z4 E,2|
|F3/2G/ AA F2 A2|_d>>e f<<g [ce][df] a2|(5cdefg (2ab c3-|c2"Bb"B"(Gm7)"B (ce) vGuG|
|[K:Ddor] dcBA =B^G_G=G|[M:3/4][L:1/16] d4 c4 f4|b'2a2 ^f2F2 F2f2|z6 c'2 B,2C,,2|
"""


def tune(body: str, *, key: str = "G", metre: str = "4/4", unit: str = "1/8") -> Tune:
    return read_tune(f"X:1\nT:t\nM:{metre}\nL:{unit}\nK:{key}\n{body}\n")


def played(read: Tune) -> list[tuple[int, int, int]]:
    """The notes as `midi_notes` gives them, for a tune without rests; tied ones are one."""
    found, end = [], Fraction(0)
    held: dict[int, Fraction] = {}
    for note in read.notes:
        for pitch in note.pitches:
            length = note.length + held.pop(pitch, Fraction(0))
            if note.tied:
                held[pitch] = length
            else:
                found.append((round((end + note.length) * TICKS), pitch, round(length * TICKS)))
        end += note.length
    return sorted(found)


def without_repeats(text: str) -> str:
    """A tune that is played as it is written."""
    return re.sub(r":\||\|:|\|\||\|]", "|", re.sub(r"\|[12]|:\|2", "|", text)).replace("||", "|")


@needs_abc2midi
def test_abc2midi_accepts_every_bundled_tune(tmp_path: Path) -> None:
    complaints, files = convert(BOOK, tmp_path)
    assert complaints == []
    assert len(files) == len(TUNES) >= 120


@needs_abc2midi
def test_the_notes_are_those_of_abc2midi(tmp_path: Path) -> None:
    hard = without_repeats(re.sub(r"z4 |z6 ", lambda rest: rest[0].replace("z", "e"), HARD))
    # Of a hornpipe abc2midi plays even notes as dotted ones.
    few = [without_repeats(tune.replace("R:hornpipe\n", "")) for tune in TUNES[::6]]
    book = "\n".join(re.sub(r"X:\d+", f"X:{n}", each) + "\n" for n, each in enumerate([hard, *few], 1))
    _, files = convert(book, tmp_path)
    assert len(files) == len(few) + 1
    for file, text in zip(files, [hard, *few], strict=True):
        read = read_tune(text)
        assert read.complaints == ()
        ours, its = played(read), midi_notes(file)
        assert [note[:2] for note in ours] == [note[:2] for note in its], text
        assert max(abs(one[2] - other[2]) for one, other in zip(ours, its, strict=True)) <= LATE, text


@needs_abc2midi
@pytest.mark.parametrize(
    "body",
    ["ABc[d|", "A>>|B2|", "(3AB|c2", "A-B|", "A!|", "[AB2]", "A2>B|", "A/3B|", "A'B|", "e4 {ab|", "A-|]", "h"],
)  # fmt: skip
def test_what_abc2midi_complains_of_is_complained_of(tmp_path: Path, body: str) -> None:
    text = f"X:1\nT:t\nM:none\nL:1/8\nK:G\n{body}\n"
    complaints, _ = convert(text, tmp_path)
    assert complaints
    read = read_tune(text)
    assert read.complaints or read.repeats_close is False


def test_the_bundled_tunes_are_whole() -> None:
    for text in TUNES:
        read = read_tune(text)
        assert read.complaints == (), text
        assert all(read.fills), text
        assert read.repeats_close is not False, text
        assert read.ends_on_tonic, text
        assert list(read.fields) == ["X", "T", "R", "M", "L", "K"]
    assert len({read_tune(text).body for text in TUNES}) == len({read_tune(text).fields["T"] for text in TUNES})


@pytest.mark.parametrize(
    ("written", "semitones"),
    [("G", "F#"), ("Gm", "Bb Eb"), ("Edor", "F# C#"), ("A Mixolydian", "F# C#"), ("Bb", "Bb Eb"), ("F#m", "F# C# G#"),
     ("CM", ""), ("Dphr", "Bb Eb"), ("Clyd", "F#"), ("G clef=treble", "F#")],
)  # fmt: skip
def test_a_key_has_the_accidentals_of_its_mode(written: str, semitones: str) -> None:
    key = read_key(written)
    assert key is not None
    assert key.accidentals == {each[0]: {"#": 1, "b": -1}[each[1]] for each in semitones.split()}


@pytest.mark.parametrize("written", ["", "H", "Gq", "E flat", "G#", "Gbphr", "g"])
def test_what_is_no_key_is_none(written: str) -> None:
    assert read_key(written) is None


@pytest.mark.parametrize(
    ("body", "fills"),
    [
        ("GABc defg|G8|", [True, True]),
        ("GABc def|G8|", [False, True]),
        ("|:D2|G8|B8|G6:|", [True] * 4),
        ("|:D2|G8|B8|G8:|", [False, True, True, True]),
        ("|:D2|G8|1 G6:|2 G6||", [True] * 4),
        ("G4|G8|G4|G8|]", [False, True, False, True]),
        ("G4:|G4|G8||", [True, True, True]),
        ("(3GAB c2 d4|Z|z8|", [True] * 3),
        ("G16|", [False]),
    ],
)
def test_a_bar_fills_its_metre_or_is_split_at_an_edge(body: str, fills: list[bool]) -> None:
    assert tune(body).fills == fills


def test_a_change_of_metre_counts_from_where_it_stands() -> None:
    assert tune("G8|\nM:3/4\nG6|[M:2/4]G4|[M:none]G|").fills == [True] * 3
    assert tune("G6|", metre="C|").fills == [False]


@pytest.mark.parametrize(
    ("body", "closes"),
    [
        ("G8|", None),
        ("G8:|", True),
        ("|:G8:|\n|:B8:|", True),
        ("|:G8::B8:|", True),
        ("|:G8|1 A8:|2 B8|]", True),
        ("|:G8|1,3 A8:|", False),
        ("|:G8|", False),
        ("|:G8|:B8:|", False),
        ("|:G8|1 A8:|B8|]", False),
        ("|:G8|2 A8:|", False),
        ("|:G8|1 A8:|2 B8||\n|:c8|1 d8:|2 e8|]", True),
    ],
)
def test_repeats_close(body: str, closes: bool | None) -> None:
    assert tune(body).repeats_close is closes


@pytest.mark.parametrize(
    ("body", "key", "ends"),
    [("GD|", "G", False), ("Dg|", "G", True), ("e[EB]|", "Em", True), ("E|", "none", False), ("z|", "G", False)],
)  # fmt: skip
def test_a_tune_ends_on_its_tonic(body: str, key: str, ends: bool) -> None:
    assert tune(body, key=key).ends_on_tonic is ends


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("", "Line 1: The tune has no line K:, and so no music."),
        ("T:a\nX:1\nK:G\nG|", "Line 1: A tune begins with the line X:."),
        ("X:1\nGAB|\nK:G\nG|", "Line 2: 'GAB|' stands in the header, before K:, and is no field."),
        ("X:1\nM:5/7\nK:G\nG|", "Line 2: '5/7' is no metre."),
        ("X:1\nL:1/9\nK:G\nG|", "Line 2: '1/9' is no unit length."),
        ("X:1\nK:G\nX:2\nG|", "Line 3: 'X:2' is no field of a tune's body."),
        ("X:1\nK:G\nV:2\nG|", "Line 3: Several voices are not read."),
        ("X:1\nK:G\n% nothing", "Line 3: The tune has no notes."),
        ("X:1\nK:G\nG>|A|", "Line 3: Broken rhythm has no second note."),
        ("X:1\nK:G\nG2>A|", "Line 3: Broken rhythm joins notes that are not equally long."),
        ("X:1\nK:G\n(3GA|B|", "Line 3: A bar begins or ends within a tuplet."),
        ("X:1\nK:G\nG-A|", "Line 3: A tie joins notes of different pitch."),
        ("X:1\nK:G\nG)|", "Line 3: ')' ends no slur."),
        ("X:1\nK:G\nG1000|", "Line 3: 'G1000' has no length."),
        ("X:1\nK:G\nG [1 A|", "Line 3: '[1' does not follow a bar line."),
    ],
)
def test_a_complaint_says_what_is_wrong_and_where(text: str, complaint: str) -> None:
    assert complaint in read_tune(text).complaints


@given(
    st.lists(
        st.sampled_from([*"ABCdefg|:[](){}12/<>'-^_=zZ \n%\"!~", "X:", "K:", "M:", "[M:", "|1", ":|2", "\ud800"]),
        max_size=60,
    ).map("".join)
)
def test_any_text_is_read(text: str) -> None:
    for read in (read_tune(text), tune(text)):
        assert len(read.fills) <= len(read.bars)
        assert read.repeats_close in (None, True, False)
        assert all(bar.length > 0 for bar in read.bars)

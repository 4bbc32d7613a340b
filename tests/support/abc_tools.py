"""abc2midi and mftext of the Debian package abcmidi: what they say of tunes, and the notes of the MIDI they make."""

import re
import shutil
import subprocess
from pathlib import Path

import pytest

needs_abc2midi = pytest.mark.skipif(
    shutil.which("abc2midi") is None or shutil.which("mftext") is None,
    reason="these tests need abc2midi (Debian: apt-get install abcmidi)",
)

_NOTE = re.compile(r"Time=(\d+)  Note (on|off), chan=\d+ pitch=(\d+) vol=(\d+)")


def convert(book: str, folder: Path) -> tuple[list[str], list[Path]]:
    """The complaints of abc2midi about some tunes, and the MIDI files that it makes of them, by their numbers."""
    path = folder / "book.abc"
    path.write_text(book)
    done = subprocess.run(
        ["abc2midi", str(path), "-NGRA", "-NGUI"], cwd=folder, capture_output=True, text=True, check=False
    )
    lines = (done.stdout + done.stderr).splitlines()
    # On the lengths of broken rhythm, once for each tune that has it.
    found = [line for line in lines if re.search("warning|error", line, re.IGNORECASE) and "use -CS" not in line]
    files = sorted(folder.glob("book*.mid"), key=lambda file: int(re.sub(r"\D", "", file.name)))
    return found, files


def midi_notes(file: Path) -> list[tuple[int, int, int]]:
    """The notes of a MIDI file as their end in ticks, their pitch, and their length, in the order of their ends.

    abc2midi begins a note a tick late, and those of a chord ten ticks after one another.
    """
    out = subprocess.run(["mftext", str(file)], capture_output=True, text=True, check=True).stdout
    begun: dict[int, int] = {}
    found = []
    for time, what, pitch, volume in _NOTE.findall(out):
        if what == "on" and volume != "0":
            begun[int(pitch)] = int(time)
        else:
            found.append((int(time), int(pitch), int(time) - begun.pop(int(pitch))))
    return sorted(found)

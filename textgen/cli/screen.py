"""The last line of a terminal, drawn again and again with carriage returns alone, so that any terminal can show it."""

from __future__ import annotations

import shutil
from typing import TextIO

from textgen.cli.command import visible
from textgen.system import width


class Screen:
    """Shows a growing text whose last line changes, and a note behind it.

    Args:
        stream: the terminal.
        columns: its width; None asks it each time.
        dim: codes that the note stands between; empty for none.
    """

    def __init__(self, stream: TextIO, *, columns: int | None = None, dim: tuple[str, str] = ("", "")) -> None:
        self._stream, self._fixed, self._dim = stream, columns, dim
        self._above = ""
        self._drawn = 0

    def show(self, text: str, note: str = "") -> None:
        """Shows the text so far, with the note behind its last line and the cursor between them."""
        end = text.rfind("\n") + 1
        if not text.startswith(self._above):
            self._wipe()
            self._stream.write("----\n")
            self._above = text[: text.rfind("\n", 0, max(end - 1, 0)) + 1]
        if end > len(self._above):
            self._wipe()
            self._stream.write(visible(text[len(self._above) : end]))
            self._above = text[:end]
        self._draw(visible(text[end:]), visible(note))

    def say(self, message: str) -> None:
        """Writes a line above."""
        self._wipe()
        self._stream.write(f"{message}\n")
        self._stream.flush()

    def close(self) -> None:
        """Leaves the text's last line standing, without the note."""
        self._stream.write("\n")
        self._stream.flush()

    def _draw(self, line: str, note: str) -> None:
        columns = (self._fixed or shutil.get_terminal_size().columns) - 1
        line = line.replace("\t", " ")
        room = max(columns - min(width(note) + 3, columns // 2), 1)
        if width(line) > room:
            while line and width(line) + 2 > room:
                line = line[1:]
            line = f"..{line}"
        note = _cut(note, columns - width(line) - 3)
        tail = f"   {self._dim[0]}{note}{self._dim[1]}" if note else ""
        drawn = width(line) + (3 + width(note) if note else 0)
        blank = " " * max(self._drawn - drawn, 0)
        self._stream.write(f"\r{line}{tail}{blank}\r{line}")
        self._stream.flush()
        self._drawn = drawn

    def _wipe(self) -> None:
        self._stream.write(f"\r{' ' * self._drawn}\r")
        self._drawn = 0


def _cut(text: str, columns: int) -> str:
    """The words of a note that fit, in pairs of spaces."""
    words = text.split("  ")
    while words and width("  ".join(words)) > columns:
        words.pop()
    return "  ".join(words)

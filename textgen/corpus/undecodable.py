"""The error for a source that is not valid in its encoding: how much of it is not, and what would read it."""

from __future__ import annotations

import codecs
import string
import threading
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from textgen.corpus.characters import from_code_points, to_code_points
from textgen.corpus.sources import Source
from textgen.errors import CorpusError

_BYTE_ORDER_MARKS: Mapping[bytes, str] = {
    codecs.BOM_UTF32_LE: "utf-32",
    codecs.BOM_UTF32_BE: "utf-32",
    codecs.BOM_UTF16_LE: "utf-16",
    codecs.BOM_UTF16_BE: "utf-16",
}
_COUNTING = "textgen.count"
_FEW = 0.05
"""The share of invalid bytes up to which replacing or skipping them leaves a text."""

_WESTERN = 0.3
"""The share of letters that are not ASCII up to which a text may be in a Western language."""

_SAMPLE = 1 << 16
"""How many characters of a chunk that are not ASCII are looked at one by one."""

_ASCII_LETTERS = to_code_points(string.ascii_letters)

_ANYWAY = 3
"""How many of them tell nothing."""

_counted = threading.local()


def _count(error: UnicodeError) -> tuple[str, int]:
    """An error handler that skips what is invalid and counts it."""
    if not isinstance(error, UnicodeDecodeError):
        raise error
    _counted.bytes += error.end - error.start
    # A character that the end of the file cuts says nothing against the encoding.
    _counted.within += error.reason != "unexpected end of data"
    return "", error.end


codecs.register_error(_COUNTING, _count)


@dataclass
class _Reading:
    """How a source reads in an encoding.

    Args:
        valid: whether all of it is valid.
        letters: its letters.
        other: those that are not ASCII.
        controls: its control characters above ASCII, which texts do not have.
    """

    valid: bool = True
    letters: int = 0
    other: int = 0
    controls: int = 0

    def add(self, text: str) -> None:
        codes = to_code_points(text)
        above = from_code_points(codes[codes >= 0x80])
        others = sum(map(str.isalpha, above[:_SAMPLE]))
        self.other += others
        self.letters += others + int(np.count_nonzero(np.isin(codes, _ASCII_LETTERS)))
        self.controls += sum(character < "\xa0" for character in above[:_SAMPLE])

    @property
    def sensible(self) -> bool:
        return self.valid and not self.controls and self.other <= max(_WESTERN * self.letters, _ANYWAY)


def undecodable(source: Source, encoding: str, head: bytes, error: UnicodeError, read: int) -> CorpusError:
    """The error for a source that is not valid in its encoding. Reads all of it.

    Args:
        source: the source.
        encoding: the encoding.
        head: its first bytes.
        error: what its decoder raised.
        read: how many bytes had been read by then.
    """
    where, reason = "", "its bytes cannot be decoded"
    if isinstance(error, UnicodeDecodeError):
        # The decoder's input is the bytes it kept from before and the newest chunk, which ends at `read`.
        where, reason = f" at byte {read - len(error.object) + error.start}", error.reason
    what = f"{source.name} is not valid {encoding}{where} ({reason})."
    for mark, name in _BYTE_ORDER_MARKS.items():
        if head.startswith(mark) and not encoding.startswith(name):
            return CorpusError(f"{what} It starts with a byte order mark of {name.upper()}: pass --encoding {name}.")
    if b"\0" in head and not encoding.startswith(("utf-16", "utf-32")):
        return CorpusError(f"{what} It looks like a binary file. Give a plain text file.")
    invalid, other = _examine(source, encoding)
    share = None if invalid is None else f"{invalid:,} of its {source.size:,} bytes"
    few = invalid is not None and invalid <= max(_FEW * source.size, 4)
    # What is valid as UTF-8 is UTF-8, and would only be spoilt.
    few = few and other != "utf-8"
    repair = f"--errors replace or --errors skip, which touch {share}" if few else ""
    if other or repair:
        encode = f"--encoding {other}, in which it is valid" if other else ""
        return CorpusError(f"{what} Pass {', or '.join(filter(None, (encode, repair)))}.")
    touched = f" {share} are not." if share else ""
    return CorpusError(f"{what}{touched} If it is a text file, pass its own encoding with --encoding.")


def _examine(source: Source, encoding: str) -> tuple[int | None, str]:
    """How many bytes are invalid, None if that cannot be told, and another encoding that reads it sensibly, or ""."""
    rival = "cp1252" if encoding == "utf-8" else "utf-8"
    counting = codecs.getincrementaldecoder(encoding)(_COUNTING)
    other = codecs.getincrementaldecoder(rival)()
    _counted.bytes = _counted.within = 0
    known: int | None = 0
    own, reading = 0, _Reading()
    for chunk in (*source.chunks(), b""):
        if known is not None:
            try:
                text = counting.decode(chunk, final=not chunk)
                own += int(np.count_nonzero(to_code_points(text) >= 0x80))
            except UnicodeError:
                known = None
        if reading.valid:
            try:
                reading.add(other.decode(chunk, final=not chunk))
            except UnicodeError:
                reading.valid = False
    invalid, within = _counted.bytes, _counted.within
    if rival == "utf-8":
        # Hardly anything but UTF-8 is valid as UTF-8 by chance.
        return invalid if known is not None else None, rival if reading.valid else ""
    return invalid, rival if reading.sensible and within > own else ""

"""A text as a run reads it beside the text as it was given, so that what is changed in the one changes the other."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from textgen.config import CorpusConfig, require
from textgen.corpus.characters import to_code_points
from textgen.corpus.normalization import as_read, changed_segments

_LINE_END = re.compile(r"\r\n|\r|\n")

_LONGEST_TAKEN_APART = 32
"""The characters of a segment whose inner boundaries are looked for: texts made for exchange have 30 marks in a row."""


@dataclass(frozen=True, eq=False)
class AlignedText:
    """A text with the newlines and characters of a training text, and where each of them comes from.

    Args:
        given: the text as it was given.
        text: the text as it is read.
        places: `(len(text) + 1,)`, the position in `given` of each character of `text`, and of its end; -1 within
            several characters that normalisation makes of several others, of which only the first has one, and those
            from which on the rest could be normalised by itself.
        line_end: what a line break in a change becomes.
        keep_newlines: whether CR, LF and both together are different characters of `text`.
    """

    given: str
    text: str
    places: NDArray[np.intp]
    line_end: str
    keep_newlines: bool

    def replaced(self, changes: Iterable[tuple[int, int, str]]) -> str:
        r"""The text as it was given, with parts replaced. What no change touches stays as it was.

        Args:
            changes: for each part the position in `text` where it begins, the one where it ends, and what stands there
                instead; in the order of the text, without overlaps.

        >>> align("one\r\nto\r\n", CorpusConfig()).replaced([(5, 5, "w")])
        'one\r\ntwo\r\n'
        """
        parts, done = list[str](), 0
        for start, stop, new in changes:
            # Characters that normalisation changed together are replaced together.
            first = self._boundary(start, -1)
            before = [self._kept(done, first), self.text[first:start]] if first >= done else [self.text[done:start]]
            parts += [*before, new.replace("\n", self.line_end)]
            done = stop
        return self._joined([*parts, self._kept(done, len(self.text))])

    def _joined(self, parts: Iterable[str]) -> str:
        """Parts end to end; between two line ends that would meet as CR and LF, which is one, a second LF is put."""
        found = list[str]()
        for part in filter(None, parts):
            if part[0] == "\n" and not self.keep_newlines and found and found[-1][-1] == "\r":
                found.append("\n")
            found.append(part)
        return "".join(found)

    def _kept(self, start: int, stop: int) -> str:
        """A part of the text as it was given, from the first boundary in it on; it ends at one."""
        first = self._boundary(start, 1)
        return self.text[start:first] + self.given[self.places[first] : self.places[stop]]

    def _boundary(self, place: int, step: int) -> int:
        while self.places[place] < 0:
            place += step
        return place


def align(given: str, config: CorpusConfig) -> AlignedText:
    r"""A text with the newlines and characters that it would have if it were read with these settings.

    Raises:
        ConfigError: it is not a string.
        CorpusError: as of `normalize`.

    >>> aligned = align("Cafe\u0301\r\n!", CorpusConfig(normalize="nfc"))
    >>> aligned.text, aligned.places.tolist()
    ('Café\n!', [0, 1, 2, 3, 5, 7, 8])
    """
    require(isinstance(given, str), "text", "a string", given)
    text, places, line_end = given, np.arange(len(given) + 1), line_end_of(given, config)
    if not config.keep_newlines:
        codes = to_code_points(given)
        second = (codes[1:] == ord("\n")) & (codes[:-1] == ord("\r"))
        places = np.delete(places, np.flatnonzero(second) + 1)
        text = as_read(given, config.replace(normalize="none"))
    if config.normalize == "none" or text.isascii():
        return AlignedText(given, text, places, line_end, config.keep_newlines)
    parts, kept, done = [], [], 0
    for first, last, new in changed_segments(text, config.normalize):
        inside = np.full(len(new), -1)
        inside[0] = places[first]
        for taken, before in _parts(text[first:last], new, config.normalize):
            inside[before] = places[first + taken]
        parts += [text[done:first], new]
        kept += [places[done:first], inside]
        done = last
    text, places = "".join([*parts, text[done:]]), np.concatenate([*kept, places[done:]])
    return AlignedText(given, text, places, line_end, config.keep_newlines)


def _parts(segment: str, new: str, form: str) -> Iterator[tuple[int, int]]:
    """Where a segment can be cut so that both parts, normalised by themselves, make `new`.

    Yields:
        The characters before the cut, and those that they become.
    """
    if len(new) == 1 or len(segment) > _LONGEST_TAKEN_APART:
        return
    normal: Literal["NFC", "NFKC"] = "NFC" if form == "nfc" else "NFKC"
    for taken in range(1, len(segment)):
        head, tail = (unicodedata.normalize(normal, part) for part in (segment[:taken], segment[taken:]))
        if head + tail == new:
            yield taken, len(head)


def line_end_of(given: str, config: CorpusConfig) -> str:
    r"""What ends the first line of a text, if all line ends are read as a newline; else, and without any, a newline.

    >>> line_end_of("one\r\ntwo", CorpusConfig()), line_end_of("one\r\ntwo", CorpusConfig(keep_newlines=True))
    ('\r\n', '\n')
    """
    found = None if config.keep_newlines else _LINE_END.search(given)
    return found[0] if found else "\n"

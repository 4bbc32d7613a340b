"""A text as a run reads it beside the text as it was given, so that what is changed in the one changes the other."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from textgen.config import CorpusConfig, require
from textgen.corpus.characters import to_code_points
from textgen.corpus.normalization import as_read, changed_segments

_LINE_END = re.compile(r"\r\n|\r|\n")


@dataclass(frozen=True, eq=False)
class AlignedText:
    """A text with the newlines and characters of a training text, and where each of them comes from.

    Args:
        given: the text as it was given.
        text: the text as it is read.
        places: `(len(text) + 1,)`, the position in `given` of each character of `text`, and of its end; -1 within
            several characters that normalisation makes of several others, of which only the first has one.
        line_end: what a line break in a change becomes.
    """

    given: str
    text: str
    places: NDArray[np.intp]
    line_end: str

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
        return "".join([*parts, self._kept(done, len(self.text))])

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
        return AlignedText(given, text, places, line_end)
    parts, kept, done = [], [], 0
    for first, last, new in changed_segments(text, config.normalize):
        inside = np.full(len(new), -1)
        inside[0] = places[first]
        parts += [text[done:first], new]
        kept += [places[done:first], inside]
        done = last
    return AlignedText(given, "".join([*parts, text[done:]]), np.concatenate([*kept, places[done:]]), line_end)


def line_end_of(given: str, config: CorpusConfig) -> str:
    r"""What ends the first line of a text, if all line ends are read as a newline; else, and without any, a newline.

    >>> line_end_of("one\r\ntwo", CorpusConfig()), line_end_of("one\r\ntwo", CorpusConfig(keep_newlines=True))
    ('\r\n', '\n')
    """
    found = None if config.keep_newlines else _LINE_END.search(given)
    return found[0] if found else "\n"

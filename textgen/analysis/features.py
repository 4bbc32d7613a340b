"""What can be told of each character from the text alone, by a name: inside quotes, position in the line.

A text goes in, a vector over its characters for each feature comes out. The module knows no model.

A feature's value at a character holds once that character has been read, as a unit's state does: an opening quotation
mark is inside the quotation, a closing one is not. Features that look ahead ("end of line") say so.
"""

from __future__ import annotations

import re
import unicodedata
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from textgen.corpus.characters import to_code_points
from textgen.sampling.suggestions import is_whole_word, is_word

Values = NDArray[np.float64]
Mask = NDArray[np.bool_]

VOWELS = frozenset("aeiouæœøıαεηιουωаеиоуыэюяіє")
"""Latin, Greek and Cyrillic ones; a letter with a mark counts as the letter."""

_BRACKETS = {")": "(", "]": "[", "}": "{", "）": "（", "］": "［", "｝": "｛", "】": "【", "〉": "〈", "》": "《"}
_QUOTES = {"”": "“„", "“": "„", "»": "«", "」": "「", "』": "『"}
_OPENING_QUOTES = "“„«「『"
_SENTENCE_ENDS = ".!?…。！？"

_SPEAKER = re.compile(
    r"""^[^\S\n]*
    (?P<name>[^\W\d_][\w'’.-]*(?:[ ](?:(?:of|the|and|de|di|von|van)[ ])*[^\W\d_a-z][\w'’.-]*){0,4})
    [:：]""",
    re.MULTILINE | re.VERBOSE,
)


@dataclass(frozen=True, eq=False)
class Feature:
    """Something nameable that a unit may follow.

    Args:
        name: a few words.
        meaning: what its value is.
        values: `(characters,)` float64; 0 or 1 where it is `binary`.
        binary: it holds or does not hold.
    """

    name: str
    meaning: str
    values: Values
    binary: bool

    @property
    def share(self) -> float:
        """Of a binary feature, the share of characters where it holds; of another, its mean."""
        return float(self.values.mean())


def find_features(text: str) -> tuple[Feature, ...]:
    """The features that vary over a text, in a fixed order.

    Left out is what is nowhere or everywhere in it, or in one stretch alone: whatever else changed there would seem to
    follow it.

    Args:
        text: any text.

    >>> [feature.name for feature in find_features("ab ab ")]
    ['space', 'start of a word', 'end of a word', 'position in word', 'vowel']
    """
    reading = _Reading(text)
    found = []
    for name, meaning, values in _DEFINITIONS:
        vector = values(reading)
        if _stretches(vector) > 1:
            found.append(Feature(name, meaning, vector.astype(np.float64), vector.dtype == np.bool_))
    return tuple(found)


def count_since(marks: Mask) -> NDArray[np.int64]:
    """How many characters ago the last mark was; before the first one, how many from the start.

    >>> count_since(np.array([False, False, True, False])).tolist()
    [1, 2, 0, 1]
    """
    places = np.arange(len(marks))
    return places - np.maximum.accumulate(np.where(marks, places, -1))


def _stretches(values: NDArray[np.int64] | Mask) -> int:
    """In how many stretches a vector is not what it is most often."""
    if not len(values):
        return 0
    found, counts = np.unique(values, return_counts=True)
    other = values != found[counts.argmax()]
    return int(np.count_nonzero(other & ~_shifted(other)))


class _Reading:
    """A text and what several features need of it."""

    def __init__(self, text: str) -> None:
        self.text = text
        codes, self._kinds = np.unique(to_code_points(text), return_inverse=True)
        self._distinct = [chr(code) for code in codes]

    def where(self, holds: Callable[[str], bool]) -> Mask:
        """At which characters something holds that depends on the character alone."""
        return np.array([bool(holds(each)) for each in self._distinct], np.bool_)[self._kinds.reshape(-1)]

    def nowhere(self) -> Mask:
        return np.zeros(len(self.text), np.bool_)

    @cached_property
    def newline(self) -> Mask:
        return self.where(lambda c: c == "\n")

    @cached_property
    def space(self) -> Mask:
        return self.where(str.isspace)

    @cached_property
    def word(self) -> Mask:
        return self.where(is_word)

    @cached_property
    def word_start(self) -> Mask:
        """A word's first character; each one by itself in scripts that do not part words."""
        whole = self.where(is_whole_word)
        return self.word & (~_shifted(self.word) | whole | _shifted(whole))

    @cached_property
    def blank(self) -> Mask:
        """The line break that ends a blank line."""
        blank = self.nowhere()
        for match in re.finditer(r"^[^\S\n]*\n", self.text, re.MULTILINE):
            blank[match.end() - 1] = True
        return blank

    @cached_property
    def indentation(self) -> NDArray[np.int64]:
        """How many spaces and tabs its line begins with."""
        depths = np.zeros(len(self.text), np.int64)
        for match in re.finditer(r"^([ \t\u3000]*)[^\n]*\n?", self.text, re.MULTILINE):
            depths[match.start() : match.end()] = len(match[1])
        return depths

    @cached_property
    def bracket_depth(self) -> NDArray[np.int64]:
        """How many brackets are open; one that is never closed, or closes none, does not count."""
        change = np.zeros(len(self.text) + 1, np.int64)
        opened = _Opened()
        for match in re.finditer("[" + re.escape("".join({*_BRACKETS, *_BRACKETS.values()})) + "]", self.text):
            mark, place = match[0], match.start()
            if mark not in _BRACKETS:
                opened.push(mark, place)
            elif opened.holds(_BRACKETS[mark]):
                change[opened.close(_BRACKETS[mark])] += 1
                change[place] -= 1
        return np.cumsum(change[:-1])

    @cached_property
    def quoted(self) -> Mask:
        """Inside quotation marks; a quotation that is not closed ends with its paragraph."""
        change = np.zeros(len(self.text) + 1, np.int64)
        opened = _Opened()
        for match in re.finditer(r'["“”„«»「」『』]|\n[^\S\n]*(?=\n)|\Z', self.text):
            mark, place = match[0], match.start()
            closes = mark if mark == '"' else _QUOTES.get(mark, "")
            if mark == "" or mark[0] == "\n":
                starts = opened.clear()
            elif opened.holds(closes):
                starts = [opened.close(closes)]
            else:
                starts = []
                if mark == '"' or mark in _OPENING_QUOTES:
                    opened.push(mark, place)
            for start in starts:
                change[start] += 1
                change[place] -= 1
        inside: Mask = np.cumsum(change[:-1]) > 0
        return inside

    @cached_property
    def speakers(self) -> list[tuple[int, int, int]]:
        """Of each line that begins with a name and a colon, where the name starts, the colon, and the speech's line.

        The speech begins in the same line, or where nothing follows the colon there, in the next one. The third number
        is the end of the line in which it begins, its line break counted.
        """
        found = []
        for match in _SPEAKER.finditer(self.text):
            name = match["name"]
            if name[0].islower() or len(name) > 40:
                continue
            end = self._line_end(match.end())
            if not self.text[match.end() : end].strip():
                end = self._line_end(end)
            found.append((match.start("name"), match.end() - 1, end))
        return found

    def _line_end(self, place: int) -> int:
        end = self.text.find("\n", place)
        return len(self.text) if end < 0 else end + 1


class _Opened:
    """Marks that are open, innermost last."""

    def __init__(self) -> None:
        self._marks: list[tuple[str, int]] = []
        self._counts: Counter[str] = Counter()

    def push(self, mark: str, place: int) -> None:
        self._marks.append((mark, place))
        self._counts[mark] += 1

    def holds(self, marks: str) -> bool:
        """Whether one of these is open."""
        return any(self._counts[mark] for mark in marks)

    def close(self, marks: str) -> int:
        """Takes the innermost of these, and what is open within it, away; returns its place."""
        while True:
            mark, place = self._marks.pop()
            self._counts[mark] -= 1
            if mark in marks:
                return place

    def clear(self) -> list[int]:
        """Takes all away; returns their places."""
        places = [place for _, place in self._marks]
        self._marks.clear()
        self._counts.clear()
        return places


def _shifted(mask: Mask) -> Mask:
    """Each character's value of the character before it."""
    return np.concatenate([[False], mask[:-1]]) if len(mask) else mask


def _ahead(mask: Mask) -> Mask:
    """Each character's value of the character after it."""
    return np.concatenate([mask[1:], [False]]) if len(mask) else mask


def _in_line(reading: _Reading) -> NDArray[np.int64]:
    return _counted(reading.newline)


def _in_paragraph(reading: _Reading) -> NDArray[np.int64]:
    return _counted(reading.blank)


def _in_sentence(reading: _Reading) -> NDArray[np.int64]:
    return _counted(reading.where(lambda c: c in _SENTENCE_ENDS))


def _counted(marks: Mask) -> NDArray[np.int64]:
    """Characters since the last mark; nothing at all where there is no mark."""
    return count_since(marks) if marks.any() else np.zeros(len(marks), np.int64)


def _first_line(reading: _Reading) -> Mask:
    blank, newline = reading.blank, reading.newline
    if not blank.any():
        return reading.nowhere()
    lines = np.cumsum(newline)
    found: Mask = lines == np.maximum.accumulate(np.where(blank, lines, 0))
    return found


def _depth(reading: _Reading) -> NDArray[np.int64]:
    depth = reading.bracket_depth
    return depth if (depth > 1).any() else np.zeros_like(depth)


def _speaker(reading: _Reading) -> Mask:
    values = reading.nowhere()
    for start, colon, _ in reading.speakers:
        values[start : colon + 1] = True
    return values


def _speech(reading: _Reading) -> Mask:
    values = reading.nowhere()
    for _, colon, end in reading.speakers:
        values[colon + 1 : end] = True
    return values


def _in_word(reading: _Reading) -> NDArray[np.int64]:
    return np.where(reading.word, count_since(reading.word_start) + 1, 0)


def _word_end(reading: _Reading) -> Mask:
    ends = reading.word & (~_ahead(reading.word) | _ahead(reading.word_start))
    ends[-1:] = False
    return ends


def _is_capital(character: str) -> bool:
    return character.isupper() or character.istitle()


def _is_punctuation(character: str) -> bool:
    return unicodedata.category(character).startswith("P")


def _is_vowel(character: str) -> bool:
    return unicodedata.normalize("NFD", character.lower())[:1] in VOWELS


_DEFINITIONS: tuple[tuple[str, str, Callable[[_Reading], NDArray[np.int64] | Mask]], ...] = (
    ("position in line", "characters since the last line break", _in_line),
    ("line break", "the character is a line break", lambda r: r.newline),
    ("end of line", "a line break comes next", lambda r: _ahead(r.newline)),
    ("position in paragraph", "characters since the last blank line", _in_paragraph),
    ("first line of a paragraph", "no line break since the last blank line", _first_line),
    ("indentation", "spaces and tabs that the line begins with", lambda r: r.indentation),
    ("inside quotes", "after an opening quotation mark, before the closing one", lambda r: r.quoted),
    ("inside brackets", "after an opening bracket, before the closing one", lambda r: r.bracket_depth > 0),
    ("bracket depth", "how many brackets are open; only where they are nested", _depth),
    ("speaker's name", "a name that a line begins with, up to its colon", _speaker),
    ("speech just begun", "the first line after a speaker's name", _speech),
    ("position in sentence", "characters since the last full stop, question or exclamation mark", _in_sentence),
    ("space", "the character is a space, a tab or a line break", lambda r: r.space),
    ("start of a word", "the character is the first of a word", lambda r: r.word_start),
    ("end of a word", "the character is in a word that ends with it", _word_end),
    ("position in word", "characters of the word so far; 0 between words", _in_word),
    ("capital letter", "the character is one", lambda r: r.where(_is_capital)),
    ("vowel", "the character is one", lambda r: r.where(_is_vowel)),
    ("digit", "the character is one", lambda r: r.where(str.isdigit)),
    ("punctuation", "the character is a punctuation mark", lambda r: r.where(_is_punctuation)),
)

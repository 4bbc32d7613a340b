"""Named features of a text that units may be correlated with: inside quotes, position in line, and so on.

Each feature is a vector over the text's characters. Its value at a character applies after that character has been
read, as a unit's state does: an opening quotation mark is inside the quotation, a closing one is not. Features that
look ahead ("end of line") say so.
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
"""Latin, Greek and Cyrillic vowels; accents are ignored."""

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
    """A named property of each character of a text.

    Args:
        name: a few words.
        meaning: what its value is.
        values: `(characters,)` float64; 0 or 1 if it is `binary`.
        binary: whether it is true or false rather than a count.
    """

    name: str
    meaning: str
    values: Values
    binary: bool

    @property
    def share(self) -> float:
        """The mean value: for a binary feature, the share of characters where it is true."""
        return float(self.values.mean())


def find_features(text: str) -> tuple[Feature, ...]:
    """The features that vary over a text, in a fixed order.

    Features that are constant, or that differ from their most frequent value in a single segment only, are left out:
    anything else that changed in that segment would be correlated with them.

    Args:
        text: any text.

    >>> [feature.name for feature in find_features("ab ab ")]
    ['space', 'start of a word', 'end of a word', 'position in word', 'vowel']
    """
    annotated = _AnnotatedText(text)
    found = []
    for name, meaning, values in _DEFINITIONS:
        vector = values(annotated)
        if _segments(vector) > 1:
            found.append(Feature(name, meaning, vector.astype(np.float64), vector.dtype == np.bool_))
    return tuple(found)


def count_since(marks: Mask) -> NDArray[np.int64]:
    """The number of characters since the last mark; before the first one, since the start, counted from 1.

    >>> count_since(np.array([False, False, True, False])).tolist()
    [1, 2, 0, 1]
    """
    places = np.arange(len(marks))
    return places - np.maximum.accumulate(np.where(marks, places, -1))


def _segments(values: NDArray[np.int64] | Mask) -> int:
    """The number of segments in which a vector differs from its most frequent value."""
    if not len(values):
        return 0
    found, counts = np.unique(values, return_counts=True)
    other = values != found[counts.argmax()]
    return int(np.count_nonzero(other & ~_previous(other)))


class _AnnotatedText:
    """A text with the properties that several features share, computed once."""

    def __init__(self, text: str) -> None:
        self.text = text
        codes, self._kinds = np.unique(to_code_points(text), return_inverse=True)
        self._distinct = [chr(code) for code in codes]

    def where(self, predicate: Callable[[str], bool]) -> Mask:
        """The characters for which a predicate is true."""
        return np.array([bool(predicate(each)) for each in self._distinct], np.bool_)[self._kinds.reshape(-1)]

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
        """The first character of each word; every character in scripts without spaces between words."""
        whole = self.where(is_whole_word)
        return self.word & (~_previous(self.word) | whole | _previous(whole))

    @cached_property
    def blank(self) -> Mask:
        """The line breaks that end blank lines."""
        blank = self.nowhere()
        for match in re.finditer(r"^[^\S\n]*\n", self.text, re.MULTILINE):
            blank[match.end() - 1] = True
        return blank

    @cached_property
    def indentation(self) -> NDArray[np.int64]:
        """The number of spaces and tabs at the start of the character's line."""
        depths = np.zeros(len(self.text), np.int64)
        for match in re.finditer(r"^([ \t\u3000]*)[^\n]*\n?", self.text, re.MULTILINE):
            depths[match.start() : match.end()] = len(match[1])
        return depths

    @cached_property
    def bracket_depth(self) -> NDArray[np.int64]:
        """The number of open brackets; unbalanced ones do not count."""
        change = np.zeros(len(self.text) + 1, np.int64)
        open_marks = _OpenMarks()
        for match in re.finditer("[" + re.escape("".join({*_BRACKETS, *_BRACKETS.values()})) + "]", self.text):
            mark, place = match[0], match.start()
            if mark not in _BRACKETS:
                open_marks.push(mark, place)
            elif open_marks.contains(_BRACKETS[mark]):
                change[open_marks.close(_BRACKETS[mark])] += 1
                change[place] -= 1
        return np.cumsum(change[:-1])

    @cached_property
    def quoted(self) -> Mask:
        """Inside quotation marks; a quotation that is not closed ends with its paragraph."""
        change = np.zeros(len(self.text) + 1, np.int64)
        open_marks = _OpenMarks()
        for match in re.finditer(r'["“”„«»「」『』]|\n[^\S\n]*(?=\n)|\Z', self.text):
            mark, place = match[0], match.start()
            closes = mark if mark == '"' else _QUOTES.get(mark, "")
            if mark == "" or mark[0] == "\n":
                starts = open_marks.clear()
            elif open_marks.contains(closes):
                starts = [open_marks.close(closes)]
            else:
                starts = []
                if mark == '"' or mark in _OPENING_QUOTES:
                    open_marks.push(mark, place)
            for start in starts:
                change[start] += 1
                change[place] -= 1
        inside: Mask = np.cumsum(change[:-1]) > 0
        return inside

    @cached_property
    def speakers(self) -> list[tuple[int, int, int]]:
        """For each line that begins with a name and a colon: the name's start, the colon, the end of the speech's line.

        The speech begins in the same line or, if nothing follows the colon there, in the next one. The end includes the
        line break.
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


class _OpenMarks:
    """A stack of opening marks that are not closed yet."""

    def __init__(self) -> None:
        self._marks: list[tuple[str, int]] = []
        self._counts: Counter[str] = Counter()

    def push(self, mark: str, place: int) -> None:
        self._marks.append((mark, place))
        self._counts[mark] += 1

    def contains(self, marks: str) -> bool:
        """Whether one of these marks is open."""
        return any(self._counts[mark] for mark in marks)

    def close(self, marks: str) -> int:
        """Pops the innermost of these marks, and all above it; returns its position."""
        while True:
            mark, place = self._marks.pop()
            self._counts[mark] -= 1
            if mark in marks:
                return place

    def clear(self) -> list[int]:
        """Pops all marks; returns their positions."""
        places = [place for _, place in self._marks]
        self._marks.clear()
        self._counts.clear()
        return places


def _previous(mask: Mask) -> Mask:
    """For each character, the value of the character before it."""
    return np.concatenate([[False], mask[:-1]]) if len(mask) else mask


def _next(mask: Mask) -> Mask:
    """For each character, the value of the character after it."""
    return np.concatenate([mask[1:], [False]]) if len(mask) else mask


def _in_line(text: _AnnotatedText) -> NDArray[np.int64]:
    return _since_last(text.newline)


def _in_paragraph(text: _AnnotatedText) -> NDArray[np.int64]:
    return _since_last(text.blank)


def _in_sentence(text: _AnnotatedText) -> NDArray[np.int64]:
    return _since_last(text.where(lambda c: c in _SENTENCE_ENDS))


def _since_last(marks: Mask) -> NDArray[np.int64]:
    """Characters since the last mark; all zeros if there is none."""
    return count_since(marks) if marks.any() else np.zeros(len(marks), np.int64)


def _first_line(text: _AnnotatedText) -> Mask:
    blank, newline = text.blank, text.newline
    if not blank.any():
        return text.nowhere()
    lines = np.cumsum(newline)
    found: Mask = lines == np.maximum.accumulate(np.where(blank, lines, 0))
    return found


def _depth(text: _AnnotatedText) -> NDArray[np.int64]:
    depth = text.bracket_depth
    return depth if (depth > 1).any() else np.zeros_like(depth)


def _speaker(text: _AnnotatedText) -> Mask:
    values = text.nowhere()
    for start, colon, _ in text.speakers:
        values[start : colon + 1] = True
    return values


def _speech(text: _AnnotatedText) -> Mask:
    values = text.nowhere()
    for _, colon, end in text.speakers:
        values[colon + 1 : end] = True
    return values


def _in_word(text: _AnnotatedText) -> NDArray[np.int64]:
    return np.where(text.word, count_since(text.word_start) + 1, 0)


def _word_end(text: _AnnotatedText) -> Mask:
    ends = text.word & (~_next(text.word) | _next(text.word_start))
    ends[-1:] = False
    return ends


def _is_capital(character: str) -> bool:
    return character.isupper() or character.istitle()


def _is_punctuation(character: str) -> bool:
    return unicodedata.category(character).startswith("P")


def _is_vowel(character: str) -> bool:
    return unicodedata.normalize("NFD", character.lower())[:1] in VOWELS


_DEFINITIONS: tuple[tuple[str, str, Callable[[_AnnotatedText], NDArray[np.int64] | Mask]], ...] = (
    ("position in line", "characters since the last line break", _in_line),
    ("line break", "the character is a line break", lambda r: r.newline),
    ("end of line", "a line break comes next", lambda r: _next(r.newline)),
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

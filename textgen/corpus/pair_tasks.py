"""Makes pairs from a plain text: each sentence is a target, and its source lacks something or is damaged."""

from __future__ import annotations

import random
import re
import unicodedata
from collections.abc import Callable, Mapping
from typing import TypeGuard

from textgen.config.corpus import PairTask

LONGEST_SENTENCE = 200
"""Characters of a sentence from which on it is cut, at white space where there is some."""

_SENTENCE = re.compile(r"""[.!?…؟۔।]+["'”’»)\]]*\s+|[。！？｡]+[」』”）]*\s*|\n+""")
_SPACE = re.compile(r"\s+")


def cut_sentences(text: str, *, longest: int = LONGEST_SENTENCE) -> list[str]:
    r"""A text in pieces that end where sentences or lines end; joined they are the text.

    A sentence ends with a full stop, a question or an exclamation mark and white space, which belongs to it; of Chinese
    and Japanese whatever follows. One that is too long is cut after white space, or where there is none, anywhere.

    Args:
        text: any text.
        longest: the most characters of a piece, at least 1.

    >>> cut_sentences('The sea. "Calm!" he said.\nAnd 3.5 miles on')
    ['The sea. ', '"Calm!" ', 'he said.\n', 'And 3.5 miles on']
    >>> cut_sentences("the calm sea", longest=9)
    ['the calm ', 'sea']
    """
    pieces, start = [], 0
    for match in [*_SENTENCE.finditer(text), None]:
        stop = len(text) if match is None else match.end()
        while stop - start > longest:
            space = max((found.end() for found in _SPACE.finditer(text, start, start + longest)), default=start)
            cut = space if space > start else start + longest
            pieces.append(text[start:cut])
            start = cut
        if stop > start:
            pieces.append(text[start:stop])
            start = stop
    return pieces


def damage(text: str, task: PairTask, *, rate: float = 0.1, seed: int = 0) -> str:
    """The source that a task makes of a target; the same for the same arguments.

    Args:
        text: the target.
        task: see `textgen.config.CorpusConfig`.
        rate: the share of characters that noise damages, in (0, 1].
        seed: of the noise.

    >>> [damage("Señor Ødal", task) for task in ("diacritics", "case", "spaces")]
    ['Senor Ødal', 'señor ødal', 'SeñorØdal']
    >>> damage("the calm sea", "noise", rate=0.2, seed=1)
    'thc alm ssea'
    """
    if task == "noise":
        return _with_noise(text, rate, seed)
    return _TAKEN_AWAY[task](text)


def takes_away(task: PairTask | None) -> TypeGuard[PairTask]:
    """Whether a task takes something from its targets, so that doing it again changes nothing.

    >>> [takes_away(task) for task in ("diacritics", "noise", None)]
    [True, False, False]
    """
    return task in _TAKEN_AWAY


def told(task: PairTask, rate: float) -> str:
    """What a task does to the sources, in words.

    Args:
        task: see `textgen.config.CorpusConfig`.
        rate: the share of characters that noise damages.

    >>> told("spaces", 0.1), told("noise", 0.125)
    ('white space is taken from the sources', "12.5 % of the sources' characters are damaged, on average")
    """
    if task == "noise":
        return f"{100 * rate:g} % of the sources' characters are damaged, on average"
    return _TOLD[task]


def _without_diacritics(text: str) -> str:
    if text.isascii():
        return text
    decomposed = unicodedata.normalize("NFD", text)
    return unicodedata.normalize("NFC", "".join(each for each in decomposed if unicodedata.category(each) != "Mn"))


def _without_spaces(text: str) -> str:
    return _SPACE.sub("", text)


_TAKEN_AWAY: Mapping[str, Callable[[str], str]] = {
    "diacritics": _without_diacritics,
    "case": str.lower,
    "spaces": _without_spaces,
}


_TOLD: Mapping[str, str] = {
    "diacritics": "combining marks are taken from the sources",
    "case": "capitals are made small in the sources",
    "spaces": "white space is taken from the sources",
}


def _with_noise(text: str, rate: float, seed: int) -> str:
    """Damages some characters: each is dropped, doubled, swapped with the next, or replaced by another of the text."""
    # Python promises the same numbers from a string in every version.
    drawn = random.Random(f"{seed} {text}")
    written, place = [], 0
    while place < len(text):
        here = text[place]
        place += 1
        kind = int(4 * drawn.random() / rate)
        if kind == 1:
            written.append(here * 2)
        elif kind == 2 and place < len(text):
            written.append(text[place] + here)
            place += 1
        elif kind == 3:
            written.append(text[int(drawn.random() * len(text))])
        elif kind != 0:
            written.append(here)
    return "".join(written)

"""The longest stretches of some texts that stand word for word in the text a model was trained on.

Texts and the training text go in; stretches with their places in both come out, ready to be shown.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from textgen.analysis.memorisation.matches import Matches, Progress, count_places, find_matches
from textgen.analysis.memorisation.training_text import TrainingText

SHORTEST = 8
"""Characters that a span has at least: shorter ones are everywhere."""

CONTEXT = 40
"""Characters shown before and after a span."""


@dataclass(frozen=True, kw_only=True)
class Span:
    """A stretch of a text that stands in the training text, and in no longer such stretch.

    Args:
        text: the stretch.
        sample: which of the texts it is part of, from 0.
        start: where in that text it starts, in characters from 0.
        before: what precedes it there, up to 40 characters.
        after: what follows it there, up to 40 characters.
        file: where it first stands in the training text: the file, "-" for standard input.
        line: the line of that file, from 1.
        offset: the character of the whole training text, from 0.
        occurrences: how often it stands in the training text.
    """

    text: str
    sample: int
    start: int
    before: str
    after: str
    file: str
    line: int
    offset: int
    occurrences: int

    @property
    def length(self) -> int:
        """How many characters it has."""
        return len(self.text)

    def to_json(self) -> dict[str, Any]:
        """The span as plain JSON values."""
        return {**dataclasses.asdict(self), "length": self.length}


class Passages:
    """Several texts as one query, parted by an id that stands nowhere else.

    Args:
        passages: the ids of each, all of one type.
        foreign: the id between them.

    >>> Passages([np.array([1, 0], np.uint8), np.array([2], np.uint8)], foreign=3).ids.tolist()
    [1, 0, 3, 2, 3]
    """

    def __init__(self, passages: Sequence[NDArray[Any]], *, foreign: int) -> None:
        border = np.array([foreign], passages[0].dtype if len(passages) else np.uint8)
        parts = [part for passage in passages for part in (passage, border)]
        self.ids: NDArray[Any] = np.concatenate(parts) if parts else border[:0]
        lengths = np.array([len(passage) + 1 for passage in passages], np.int64)
        self._ends = np.cumsum(lengths) - 1
        self._starts = self._ends + 1 - lengths

    def lengths(self, found: Matches, passages: Iterable[int]) -> list[NDArray[np.int64]]:
        """The matches' lengths at each place of some passages."""
        return [found.lengths[self._starts[passage] : self._ends[passage]] for passage in passages]

    def place(self, start: int) -> tuple[int, int]:
        """In which passage a place of the query is, and where."""
        passage = int(np.searchsorted(self._ends, start))
        return passage, start - int(self._starts[passage])


def find_spans(
    training: TrainingText,
    texts: Sequence[str],
    *,
    count: int,
    each: bool = False,
    progress: Progress | None = None,
) -> list[Span]:
    """The longest spans of some texts in the training text, held-out text not counted.

    Args:
        training: the text to look in.
        texts: the texts.
        count: how many spans to find.
        each: as many in each text, rather than in all of them together.
        progress: called with the characters sorted and all, now and then.

    Returns:
        At most so many, the longest first; none is part of another where it stands, none is shorter than `SHORTEST`,
        and what is copied more than once is named where it first is.

    Raises:
        TextgenError: pydivsufsort is not installed.
    """
    passages = Passages([training.encode(text) for text in texts], foreign=training.foreign)
    found = find_matches(training.encoded.training, passages.ids, progress=progress)
    return show_spans(training, texts, passages, found, count=count, each=each)


def show_spans(
    training: TrainingText,
    texts: Sequence[str],
    passages: Passages,
    found: Matches,
    *,
    count: int,
    each: bool = False,
) -> list[Span]:
    """The longest spans among matches that were found already; passages beyond the texts are left out."""
    spans: list[Span] = []
    left = [count] * (len(texts) if each else 1)
    shown: set[tuple[int, str]] = set()
    for match in found.spans():
        sample, start = passages.place(match.start)
        if match.length < SHORTEST or not any(left):
            break
        share = sample if each else 0
        if sample >= len(texts) or not left[share]:
            continue
        text, end = texts[sample], start + match.length
        if (share, text[start:end]) in shown:
            continue
        shown.add((share, text[start:end]))
        left[share] -= 1
        ids = passages.ids[match.start : match.start + match.length]
        first, occurrences = count_places(training.encoded.training, ids)
        place = training.locate(first)
        spans.append(
            Span(
                text=text[start:end],
                sample=sample,
                start=start,
                before=text[max(0, start - CONTEXT) : start],
                after=text[end : end + CONTEXT],
                file=place.file,
                line=place.line,
                offset=place.offset,
                occurrences=occurrences,
            )
        )
    return spans

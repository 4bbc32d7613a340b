"""The longest spans of some texts that occur verbatim in the training text, with their positions in both."""

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
"""The minimum length of a span in characters: shorter matches are common."""

CONTEXT = 40
"""Characters of context before and after a span."""


@dataclass(frozen=True, kw_only=True)
class Span:
    """A part of a text that occurs in the training text and is part of no longer match.

    Args:
        text: the copied text.
        sample: the index of the text that contains it, from 0.
        start: its position in that text, in characters from 0.
        before: the characters before it there, up to 40.
        after: the characters after it there, up to 40.
        file: the file of its first occurrence in the training text, "-" for standard input.
        line: the line in that file, from 1; 0 in records.
        offset: the position in the whole training text, in characters from 0.
        occurrences: how often it occurs in the training text.
        record: the number of the record among those that train, from 1; None in running text.
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
    record: int | None = None

    @property
    def length(self) -> int:
        """Its length in characters."""
        return len(self.text)

    def to_json(self) -> dict[str, Any]:
        """The span as plain JSON values."""
        values = {**dataclasses.asdict(self), "length": self.length}
        if self.record is None:
            del values["record"]
        return values


class Passages:
    """Several texts as one query, separated by an id that does not occur in any.

    Args:
        passages: the ids of each text, all of one type.
        sentinel: the id between them.

    >>> Passages([np.array([1, 0], np.uint8), np.array([2], np.uint8)], sentinel=3).ids.tolist()
    [1, 0, 3, 2, 3]
    """

    def __init__(self, passages: Sequence[NDArray[Any]], *, sentinel: int) -> None:
        separator = np.array([sentinel], passages[0].dtype if len(passages) else np.uint8)
        parts = [part for passage in passages for part in (passage, separator)]
        self.ids: NDArray[Any] = np.concatenate(parts) if parts else separator[:0]
        lengths = np.array([len(passage) + 1 for passage in passages], np.int64)
        self._ends = np.cumsum(lengths) - 1
        self._starts = self._ends + 1 - lengths

    def lengths(self, found: Matches, passages: Iterable[int]) -> list[NDArray[np.int64]]:
        """The match lengths at each position of some passages."""
        return [found.lengths[self._starts[passage] : self._ends[passage]] for passage in passages]

    def place(self, start: int) -> tuple[int, int]:
        """The passage of a position in the query, and the position within it."""
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
    """Finds the longest spans of some texts that occur in the training text, held-out text excluded.

    Args:
        training: the text to search.
        texts: the texts.
        count: how many spans to return at most.
        each: whether `count` is for each text rather than for all together.
        progress: called with the characters sorted and the total.

    Returns:
        The spans, the longest first; none is shorter than `SHORTEST` or part of another, and a span that is copied
        several times is returned once.

    Raises:
        TextgenError: pydivsufsort is not installed.
    """
    passages = Passages([training.encode(text) for text in texts], sentinel=training.sentinel)
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
    """The longest spans among given matches; passages beyond the texts are ignored."""
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
                record=place.record,
            )
        )
    return spans

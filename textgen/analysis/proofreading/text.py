"""A text as ids, each with its position, as proofreading changes it."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from textgen.analysis.proofreading.edits import Edits
from textgen.config import Unknown
from textgen.corpus.context import context_ids
from textgen.errors import CorpusError
from textgen.sampling.writer import Writer

Ids = NDArray[Any]

_BORDERS = {"lines": re.compile(r"\n+"), "paragraphs": re.compile(r"\n(?:[^\S\n]*\n)+")}
"""What parts the records of a text, by their kind."""


@dataclass(frozen=True, eq=False)
class PlacedText:
    """A text as ids.

    Args:
        ids: `(n,)`.
        origins: `(n,)`, the position of each in the original text; of one that was put in, of what stands behind it.
        fixed: `(n,)`, those that are not to be changed: ends of records, and what was changed before.
        before: the ids that stand before the text, at least one.
        after: those behind it, at least one.
        end: the position where they stand.
    """

    ids: Ids
    origins: NDArray[np.intp]
    fixed: NDArray[np.bool_]
    before: Ids
    after: Ids
    end: int

    def mirrored(self) -> PlacedText:
        """The text from right to left."""
        return PlacedText(
            self.ids[::-1], self.origins[::-1], self.fixed[::-1], self.after[::-1], self.before[::-1], self.end
        )

    def applied(self, edits: Edits) -> PlacedText:
        """The text with edits that do not touch each other; what they put there is fixed."""
        ids, origins, fixed, done = [], [], [], 0
        for which in np.argsort(edits.places, kind="stable").tolist():
            place, taken, count = (int(each[which]) for each in (edits.places, edits.taken, edits.count))
            origin = self.origins[place] if place < len(self.ids) else self.end
            ids += [self.ids[done:place], edits.put[which, :count].astype(self.ids.dtype)]
            origins += [self.origins[done:place], np.full(count, origin)]
            fixed += [self.fixed[done:place], np.ones(count, np.bool_)]
            done = place + taken
        return PlacedText(
            np.concatenate([*ids, self.ids[done:]]),
            np.concatenate([*origins, self.origins[done:]]),
            np.concatenate([*fixed, self.fixed[done:]]),
            self.before,
            self.after,
            self.end,
        )


def place_text(writer: Writer, text: str, unknown: Unknown) -> PlacedText:
    """A text as ids; of a run on records, as records.

    Raises:
        CorpusError: the text is empty, or all its characters are dropped.
        UnknownCharacterError: it holds characters outside the vocabulary, and `unknown` refuses them.
    """
    tokenizer = writer.tokenizer
    if not text:
        raise CorpusError("There is nothing to proofread: the text is empty.")
    if tokenizer.end_id is None:
        ids, origins = _encode(writer, text, 0, unknown)
        before = after = context_ids(tokenizer, ids[:0])
        end = len(text)
        if len(ids) > 1 and ids[-1] == after[0]:
            # The line break at the end of a text stands for its end; no other follows it.
            ids, origins, end = ids[:-1], origins[:-1], int(origins[-1])
        fixed = np.zeros(len(ids), np.bool_)
    else:
        ids, origins, fixed = _encode_records(writer, text, unknown)
        end = len(text.rstrip("\r\n"))
        before = after = np.array([tokenizer.end_id], tokenizer.dtype)
    if not len(ids):
        raise CorpusError(
            "There is nothing to proofread: none of the text's characters is in the model's vocabulary. Give a text "
            "like the training text."
        )
    return PlacedText(ids, origins, fixed, before, after, end)


def _encode(writer: Writer, text: str, start: int, unknown: Unknown) -> tuple[Ids, NDArray[np.intp]]:
    """The ids of a part of a text that begins at `start`, and their positions."""
    ids = writer.tokenizer.encode(text, unknown=unknown)
    if len(ids) == len(text):
        return ids, np.arange(start, start + len(text))
    outside = set(writer.tokenizer.outside(text))
    return ids, start + np.flatnonzero([each not in outside for each in text])


def _encode_records(writer: Writer, text: str, unknown: Unknown) -> tuple[Ids, NDArray[np.intp], NDArray[np.bool_]]:
    border = _BORDERS.get(writer.reading.records or "")
    stop = len(text.rstrip("\r\n"))
    cuts = [(found.start(), found.end()) for found in border.finditer(text, 0, stop)] if border else []
    end = writer.tokenizer.end_id
    ids, origins, fixed, start = [], [], [], 0
    for cut, following in [*cuts, (stop, stop)]:
        if cut > start:
            own, places = _encode(writer, text[start:cut], start, unknown)
            last = cut == stop
            ids += [own, np.full(int(not last), end, own.dtype)]
            origins += [places, np.full(int(not last), cut)]
            fixed += [np.zeros(len(own), np.bool_), np.ones(int(not last), np.bool_)]
        start = following
    if not ids:
        raise CorpusError("There is nothing to proofread: the text has no record that is not empty.")
    return np.concatenate(ids), np.concatenate(origins), np.concatenate(fixed)

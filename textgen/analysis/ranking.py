"""Ranks the records, lines or paragraphs of a text by how badly a model predicts them, the strangest first."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from textgen.config import Unknown
from textgen.corpus.lists import lines, paragraphs
from textgen.corpus.record_text import cut_records
from textgen.engine.scoring import Score, score_text
from textgen.errors import CorpusError
from textgen.sampling.labels import Label, as_given, labels_of
from textgen.sampling.records import check_records
from textgen.sampling.writer import Writer

By = Literal["record", "line", "paragraph"]

_STREAMS = 64
"""The parts in which records are read; each is read by itself, so that the number changes nothing."""


@dataclass(frozen=True, kw_only=True)
class Ranked:
    """A part of a text with what it costs.

    Args:
        number: the line on which it begins, or of a table the record, counted from 1.
        text: the part, without its end.
        characters: how many of its characters were scored, its end included.
        bits: their negative log-probability in bits.
    """

    number: int
    text: str
    characters: int
    bits: float

    @property
    def bits_per_character(self) -> float:
        """The mean over its characters."""
        return self.bits / self.characters


@dataclass(frozen=True, eq=False, kw_only=True)
class Ranking:
    """The parts of a text, the worst predicted first; of equal ones, the earlier.

    Args:
        by: what the parts are.
        unit: what their numbers count.
        parts: the parts.
        score: the log-probabilities of the whole text.
    """

    by: By
    unit: Literal["line", "record"]
    parts: tuple[Ranked, ...]
    score: Score

    def to_json(self, most: int | None = None) -> list[dict[str, Any]]:
        """The first `most` parts, or all, as plain JSON values."""
        return [
            {
                self.unit: each.number,
                "bits_per_character": each.bits_per_character,
                "bits": each.bits,
                "characters": each.characters,
                "text": each.text,
            }
            for each in self.parts[:most]
        ]


def rank(
    writer: Writer,
    text: str | Sequence[str],
    *,
    by: By,
    streams: int = 1,
    unknown: Unknown = "auto",
    label: Label | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> Ranking:
    """Ranks the parts of a text by their mean bits per character.

    With a run on records each part is scored by itself, as a record. With a run on running text each is scored where it
    stands, after all that comes before it, so that what is strange is so in its context; its newline counts with it.

    Args:
        writer: the model.
        text: the text; of a run on records it may be a list of them.
        by: what to rank; records are of the kind that the run was trained on.
        streams: the parts in which a running text is read; see `textgen.engine.scoring`.
        unknown: see `CharTokenizer.encode`.
        label: the labels of all records, as for `Writer.score`.
        progress: called now and then with the characters done and the total.

    Raises:
        ConfigError: records are asked for of a run on running text, or labels of a run without.
        CorpusError: there is nothing to rank.
        UnknownCharacterError: the text holds characters outside the vocabulary, and `unknown` refuses them.
    """
    if by == "record":
        check_records(writer, "--by record")
    labels = labels_of(writer, as_given(label))
    found = _parts(writer, text, by)
    if not found:
        raise CorpusError(f"There is nothing to score: the text has no {by} that is not empty.")
    numbers, places, texts = (list(each) for each in zip(*found, strict=True))
    if writer.tokenizer.has_end:
        scored = score_text(
            writer.engine,
            writer.tokenizer,
            texts,
            streams=_STREAMS,
            unknown=unknown,
            labels=labels,
            progress=progress,
        )
        lengths = [len(writer.tokenizer.encode(each, unknown=unknown)) + 1 for each in texts]
        stops = np.cumsum(lengths)
        starts = stops - lengths
    else:
        assert isinstance(text, str)
        scored = score_text(writer.engine, writer.tokenizer, text, streams=streams, unknown=unknown, progress=progress)
        before = _positions(writer, text, len(scored.logprobs))
        starts = before[np.array(places)]
        stops = before[np.minimum(np.array(places) + [len(each) + 1 for each in texts], len(text))]
    total = np.append(0.0, np.cumsum(scored.logprobs))
    bits = (total[starts] - total[stops]) / math.log(2.0)
    parts = [
        Ranked(number=number, text=part, characters=size, bits=cost)
        for number, part, size, cost in zip(numbers, texts, (stops - starts).tolist(), bits.tolist(), strict=True)
        if size
    ]
    parts.sort(key=lambda each: -each.bits_per_character)
    unit: Literal["line", "record"] = "line" if isinstance(text, str) and _is_cut(writer, by) else "record"
    return Ranking(by=by, unit=unit, parts=tuple(parts), score=scored)


def cut(text: str, by: Literal["line", "paragraph"]) -> list[tuple[int, int, str]]:
    r"""The lines or paragraphs of a text that are not blank.

    Returns:
        For each the line on which it begins, counted from 1, the position of its first character, and its text.

    >>> cut("Ada\n\nBea\nCy\n", "line"), cut("Ada\n\nBea\nCy\n", "paragraph")
    ([(1, 0, 'Ada'), (3, 5, 'Bea'), (4, 9, 'Cy')], [(1, 0, 'Ada'), (3, 5, 'Bea\nCy')])
    """
    cutter = lines if by == "line" else paragraphs
    found, line, place = [], 1, 0
    for part in (each for block in cutter([text]) for each in block):
        start = text.index(part, place)
        line += text.count("\n", place, start)
        if part and not part.isspace():
            found.append((line, start, part))
        # A line's newline does not belong to the next one, which may be empty.
        place = start + len(part) + (by == "line")
        line += text.count("\n", start, place)
    return found


def _parts(writer: Writer, text: str | Sequence[str], by: By) -> list[tuple[int, int, str]]:
    """The parts, as `cut` returns them; of records the number of the record, and no position."""
    if not isinstance(text, str):
        if by == "record":
            return [(number, 0, each) for number, each in enumerate(text, 1)]
        return [(number, 0, part) for number, each in enumerate(text, 1) for _, _, part in cut(each, by)]
    if by != "record":
        return cut(text, by)
    if _is_cut(writer, by):
        return cut(text, "line" if writer.reading.records == "lines" else "paragraph")
    if writer.reading.records == "tunes":
        return [(number, 0, tune) for number, tune in enumerate(cut_records(text, writer.reading), 1)]
    return [(1, 0, text.rstrip("\r\n"))] if text and not text.isspace() else []


def _is_cut(writer: Writer, by: By) -> bool:
    """Whether the parts are lines or paragraphs of a text."""
    return by != "record" or writer.reading.records in ("lines", "paragraphs")


def _positions(writer: Writer, text: str, scored: int) -> NDArray[np.int64]:
    """How many characters before each position of a text were scored, `(characters + 1,)`; some may be dropped."""
    if scored == len(text):
        return np.arange(len(text) + 1)
    outside = set(writer.tokenizer.outside(text))
    kept = np.fromiter((each not in outside for each in text), np.int64, len(text))
    return np.append(0, np.cumsum(kept))

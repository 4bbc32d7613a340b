"""Scores a text by the two heads that see the text after a character: backwards, and from both sides."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from textgen.analysis.evaluation.scored_text import ScoredText
from textgen.corpus.context import context_ids
from textgen.engine import Engine
from textgen.engine.label_scoring import score_labelled
from textgen.engine.scoring import score_records
from textgen.engine.sides import score_sides
from textgen.sampling.writer import Writer

Doubles = NDArray[np.float64]
Progress = Callable[[int, int], None]


def score_text_sides(
    writer: Writer, scored: ScoredText, *, streams: int, progress: Progress
) -> tuple[Doubles, Doubles]:
    """The log-probability of each character of a running text given the text after it, and given both sides.

    Args:
        writer: a model of both sides.
        scored: the text.
        streams: the number of parts to read it in.
        progress: called now and then with the characters done and the total.
    """
    assert isinstance(writer.engine, Engine)
    assert writer.backward is not None
    assert writer.joint is not None
    after = context_ids(writer.tokenizer, scored.ids[:0])
    _, backwards, joint = score_sides(
        writer.engine,
        writer.backward,
        writer.joint,
        scored.ids,
        before=scored.before,
        after=after,
        streams=streams,
        progress=progress,
    )
    return backwards, joint


def score_record_sides(
    writer: Writer, scored: ScoredText, *, streams: int, progress: Progress
) -> tuple[Doubles, Doubles]:
    """The same of records, each read by itself and given its labels.

    Backwards each character of a record is predicted and then, where its end is predicted forwards, that it begins
    there. From both sides its characters alone are: its end is where it is known to end.

    Args:
        writer: a model of both sides.
        scored: the records.
        streams: the most parts to read them in.
        progress: called now and then with the ids done and the total; it begins anew.
    """
    backward, ids, end = writer.backward, scored.ids, writer.tokenizer.end_id
    assert end is not None
    assert backward is not None
    # From the right, a record's end comes first, and that of the record before it last.
    reverse = np.append(ids[:-1][::-1], np.array([end], ids.dtype))
    if scored.label_of is None:
        backwards = score_records(backward, reverse, end_id=end, streams=streams, progress=progress)
        return backwards, _joint(writer, ids, end, None, progress)
    backwards = score_labelled(
        backward,
        reverse,
        end_id=end,
        label_of=scored.label_of[::-1],
        label_sets=scored.label_sets,
        labels=len(writer.labels),
        streams=streams,
        progress=progress,
    )
    set_of = scored.label_of[np.cumsum(ids == end) - (ids == end)]
    found = []
    for each in np.unique(set_of).tolist():
        weights = np.zeros(len(writer.labels), np.float32)
        weights[list(scored.label_sets[each])] = 1.0
        found.append(_joint(writer, ids[set_of == each], end, weights, progress))
    return backwards, np.concatenate(found)


def _joint(
    writer: Writer, ids: NDArray[np.integer], end: int, labels: NDArray[np.float32] | None, progress: Progress
) -> Doubles:
    """The log-probabilities of the characters of some records from both sides, which begin and end by END."""
    assert isinstance(writer.engine, Engine)
    assert writer.backward is not None
    assert writer.joint is not None
    around = np.array([end], ids.dtype)
    _, _, joint = score_sides(
        writer.engine,
        writer.backward,
        writer.joint,
        ids,
        before=around,
        after=around,
        labels=labels,
        progress=progress,
    )
    found: Doubles = joint[ids != end]
    return found

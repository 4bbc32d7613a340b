"""Beam search for the most probable targets, of many sources at once."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from textgen.engine.pairs import PairEngine
from textgen.engine.pairs.engine import log_softmax
from textgen.sampling.rewriting.rewritten import Hypothesis, normalized
from textgen.sampling.rewriting.writable import Writable

_OPEN = 0.75
"""The share of the lines in a decoder that are still open below which the others are taken out."""


def search(
    engine: PairEngine,
    sources: Sequence[NDArray[Any]],
    limits: Sequence[int],
    writable: Writable,
    *,
    end_id: int,
    beam: int,
    count: int = 1,
    length_penalty: float = 0.0,
) -> list[list[Hypothesis]]:
    """The best targets of each source that the search finds, the best one first.

    Of each source the `beam` best beginnings are kept. One that ends leaves the beam; the search is over where none
    that is left can still become better than the `count` best that have ended. With a beam of 1 it is over at the
    first end, so that each character is the likeliest one.

    Args:
        engine: the model.
        sources: each `(ids,)` with its end last, of like lengths.
        limits: the most characters for each.
        writable: what may be written; all targets of a source begin in one place.
        end_id: the id of a target's end.
        beam: how many beginnings are kept, at least `count`.
        count: how many targets are wanted.
        length_penalty: see `RewriteConfig`.

    Returns:
        For each source at most `count` targets, those that ended before those that came to the limit; none where
        nothing that may be written has a probability.
    """
    decoder = engine.decoder(engine.encode(sources), width=beam)
    lines = np.arange(len(sources))
    most = np.array(limits)
    is_open = np.ones(len(lines), bool)
    scores = np.full((len(lines), beam), -np.inf)
    scores[:, 0] = 0.0
    texts = np.zeros((len(lines), beam, int(most.max())), np.int32)
    states = np.repeat(np.array(writable.first or [0] * len(lines), np.int64)[:, None], beam, axis=1)
    last = np.full((len(lines), beam), end_id)
    found: list[list[Hypothesis]] = [[] for _ in sources]
    length = 0
    while True:
        for row in np.flatnonzero(is_open & (most[lines] <= length)):
            found[lines[row]] += _cut(texts[row, :, :length], scores[row])
            is_open[row] = False
        if not is_open.any():
            break
        if is_open.mean() < _OPEN:
            kept = np.flatnonzero(is_open)
            decoder = decoder.keep(kept)
            lines, is_open, scores = lines[kept], is_open[kept], scores[kept]
            texts, states, last = texts[kept], states[kept], last[kept]
        logprobs = log_softmax(decoder.step(last.ravel())[0])
        bias = writable.bias(states.ravel().tolist(), length)
        logprobs += bias.reshape(-1, beam, bias.shape[1]) if len(bias) > 1 else bias
        values, parents, ids = _best(scores[:, :, None] + logprobs, 2 * beam)
        ends = ids == end_id
        for row, rank in np.argwhere(ends[:, :beam] & np.isfinite(values[:, :beam]) & is_open[:, None]):
            text = texts[row, parents[row, rank], :length]
            found[lines[row]].append(Hypothesis(tuple(text.tolist()), float(values[row, rank])))
        # The best that go on: a stable sort brings them before those that end.
        rest = np.argsort(ends, axis=1, kind="stable")[:, :beam]
        values, parents, last = (np.take_along_axis(each, rest, axis=1) for each in (values, parents, ids))
        scores = np.full((len(lines), beam), -np.inf)
        scores[:, : values.shape[1]] = np.where(last == end_id, -np.inf, values)
        parents, last = _filled(parents, beam), _filled(last, beam)
        if writable.has_states:
            before = np.take_along_axis(states, parents, axis=1).ravel().tolist()
            states = np.array(writable.after(before, last.ravel().tolist(), length)).reshape(states.shape)
        texts = np.take_along_axis(texts, parents[:, :, None], axis=1)
        texts[:, :, length] = last
        decoder.reorder(parents)
        length += 1
        for row in np.flatnonzero(is_open):
            is_open[row] = not _is_over(
                found[lines[row]], float(scores[row].max()), int(most[lines[row]]), beam, count, length_penalty
            )
    return [sorted(each, key=lambda h: (not h.whole, -h.score(length_penalty)))[:count] for each in found]


def _best(values: NDArray[np.float64], count: int) -> tuple[NDArray[Any], NDArray[Any], NDArray[Any]]:
    """The `count` highest of each line, descending, with the beginning and the id that each belongs to."""
    lines, _, vocab = values.shape
    flat = values.reshape(lines, -1)
    count = min(count, flat.shape[1])
    places = np.argpartition(-flat, count - 1, axis=1)[:, :count]
    places.sort(axis=1)
    chosen = np.take_along_axis(flat, places, axis=1)
    order = np.argsort(-chosen, axis=1, kind="stable")
    places = np.take_along_axis(places, order, axis=1)
    return np.take_along_axis(chosen, order, axis=1), places // vocab, places % vocab


def _filled(values: NDArray[Any], width: int) -> NDArray[Any]:
    """Columns of zeros where there are fewer candidates than places in the beam."""
    return np.pad(values, ((0, 0), (0, width - values.shape[1])))


def _cut(texts: NDArray[Any], scores: NDArray[np.float64]) -> list[Hypothesis]:
    pairs = zip(texts.tolist(), scores.tolist(), strict=True)
    return [Hypothesis(tuple(text), score, whole=False) for text, score in pairs if score > -np.inf]


def _is_over(
    found: Sequence[Hypothesis], best: float, limit: int, beam: int, count: int, length_penalty: float
) -> bool:
    """Whether no beginning can become better than the best that ended; `best` is the highest of their scores."""
    if best == -np.inf or (beam == 1 and found):
        return True
    if len(found) < count:
        return False
    ended = sorted((each.score(length_penalty) for each in found), reverse=True)
    return normalized(best, limit, length_penalty) <= ended[count - 1]

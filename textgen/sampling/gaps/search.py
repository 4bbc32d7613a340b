"""Fills one gap of several drafts: by beam search, or at random, weighed by how well the text behind it follows.

The score of a filling is the log-probability of its characters and of those behind it, given all that stands before.
Fillings of several lengths compete: none is likelier beforehand for being short or long.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from textgen.engine import Network
from textgen.sampling.gaps.drafts import Drafts, highest
from textgen.sampling.gaps.markers import Gap

Array = NDArray[np.float64]
Ids = NDArray[Any]
Mask = NDArray[np.bool_]

_BROAD = 8
"""How many times the width of the beam as many fillings are kept at the end of a gap, until some text is read."""

_STAGES = ((1, 4), (2, 2), (4, 1))
"""After so many characters behind the gap, so many times the width are kept."""


def search(engine: Network, drafts: Drafts, gap: Gap, behind: Ids, *, allowed: Mask, width: int) -> Drafts:
    """The best fillings of the next gap of some drafts, by beam search.

    A beam of `width` grows through the gap. What has a possible length is broadened, and those that the first
    characters behind the gap do not follow from are dropped in stages, until the beam is as wide as before.

    Args:
        engine: the network.
        drafts: those whose next gap it is.
        gap: its length.
        behind: `(n,)`, the ids behind it that count.
        allowed: `(vocab,)`, which ids may stand in the gap.
        width: of the beam.

    Returns:
        At most `width` drafts that have read `behind`, the best first.
    """
    live = drafts.opened()
    ended: list[Drafts] = []
    for length in range(gap.most + 1):
        if length:
            live = live.grown(engine, allowed, width * _BROAD if length >= gap.least else width)
        if length >= gap.least:
            ended.append(live)
    return follow(engine, ended, behind, width).best(width)


def draw_fillings(
    engine: Network,
    drafts: Drafts,
    gap: Gap,
    behind: Ids,
    *,
    allowed: Mask,
    temperature: float,
    generator: np.random.Generator,
) -> Drafts:
    """A filling of the next gap for each draft, drawn from left to right by what stands before it.

    Nothing behind the gap has a say in the draw, so that each is to be weighed: see `weigh`. Each length is as likely.

    Returns:
        The drafts, a row for each, having read `behind`; `drawn` counts the length, too.
    """
    lengths = np.sort(generator.integers(gap.least, gap.most + 1, drafts.rows))
    drawn = np.full(drafts.rows, -np.log(gap.most - gap.least + 1.0))
    live = dataclasses.replace(drafts.opened(), drawn=drawn)
    ended: list[Drafts] = []
    for length in range(gap.most + 1):
        if length:
            live = live.sampled(engine, allowed, temperature, generator)
        done = int(np.count_nonzero(lengths == length))
        if done:
            ended.append(live.take(np.arange(done)).read(engine, behind))
        if done == live.rows:
            break
        live = live.take(np.arange(done, live.rows)) if done else live
    return Drafts.join(ended)


def weigh(found: Drafts, drawn: Drafts, before: Array, temperature: float) -> tuple[Drafts, Array]:
    """Fillings with the logarithms of the weights by which one is to be drawn: in proportion to p ** (1 / temperature).

    Those that the beam search found are counted by themselves, exactly. All others are estimated from those that were
    drawn, each of which stands for as many as its draw was improbable (importance sampling).

    Args:
        found: of the beam search, each once, with the score that counts before it is tempered.
        drawn: of `draw_fillings`.
        before: `(rows,)`, the scores of `drawn` before this gap.
        temperature: that of the draw.

    Returns:
        Both without those of `drawn` that are in `found`, and `(rows,)`.
    """
    known = set(found.fills)
    others = np.array([row for row, fills in enumerate(drawn.fills) if fills not in known], np.intp)
    weights = found.scores / temperature
    if not len(others):
        return found, weights
    rest = drawn.take(others)
    own = (rest.scores - before[others]) / temperature - rest.drawn
    return Drafts.join([found, rest]), np.concatenate([weights, own])


def follow(engine: Network, ended: Sequence[Drafts], behind: Ids, width: int) -> Drafts:
    """The drafts of each length after reading `behind`, fewer and fewer, so that about `width` of all are left.

    Args:
        engine: the network.
        ended: at least one; those of each length of the open gap.
        behind: `(n,)`, the ids behind the gap that count.
        width: how many are read to the end.
    """
    lengths = np.repeat(np.arange(len(ended)), [each.rows for each in ended])
    read = 0
    # The first character is scored by what is known already: none of these need be stepped.
    if len(behind):
        scores = np.concatenate([each.scores + each.logprobs[:, behind[0]] for each in ended])
        kept = _kept(scores, lengths, width * _STAGES[0][1])
        live, lengths = Drafts.join(list(_taken(ended, kept))), lengths[kept]
        for until, factor in _STAGES[1:]:
            if until <= len(behind):
                # Not the last of these: it is scored by what is known once those before it are read.
                live = live.read(engine, behind[read : until - 1])
                read = until - 1
                kept = _kept(live.scores + live.logprobs[:, behind[read]], lengths, width * factor)
                live, lengths = live.take(kept), lengths[kept]
        return live.read(engine, behind[read:])
    return Drafts.join(list(ended))


def reached(ids: Ids, reach: int, end: int | None) -> Ids:
    """The first `reach` ids, or those up to the end of a record and with it, if that is less.

    >>> reached(np.array([1, 2, 9, 3]), 9, 9).tolist(), reached(np.array([1, 2, 9, 3]), 2, 9).tolist()
    ([1, 2, 9], [1, 2])
    """
    ends = np.flatnonzero(ids[:reach] == end) if end is not None else ids[:0]
    return ids[: int(ends[0]) + 1 if len(ends) else reach]


def _kept(scores: Array, lengths: NDArray[np.intp], count: int) -> NDArray[np.intp]:
    """The rows to keep, ascending: the best, half of them of all lengths, the others of each."""
    if count >= len(scores):
        return np.arange(len(scores))
    kinds = np.unique(lengths)
    if len(kinds) == 1:
        return np.sort(highest(scores, count))
    chosen = np.zeros(len(scores), np.bool_)
    chosen[highest(scores, -(-count // 2))] = True
    each = max(1, count // (2 * len(kinds)))
    for kind in kinds:
        rows = np.flatnonzero(lengths == kind)
        chosen[rows[highest(scores[rows], each)]] = True
    return np.flatnonzero(chosen)


def _taken(parts: Sequence[Drafts], rows: NDArray[np.intp]) -> Iterator[Drafts]:
    """Of several drafts those in `rows`, ascending, counted through all of them."""
    start = 0
    for each in parts:
        own = rows[(rows >= start) & (rows < start + each.rows)] - start
        if len(own):
            yield each.take(own)
        start += each.rows

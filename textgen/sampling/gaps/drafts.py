"""Unfinished fillings, side by side in one batch of a network."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from textgen.engine import Network
from textgen.engine.network import NetworkState
from textgen.sampling.logits import log_softmax

Array = NDArray[np.float64]
Ids = NDArray[Any]
Fills = tuple[tuple[int, ...], ...]
"""What stands in each gap so far, as ids."""

_LOGITS = 2**21
"""Logits computed at once."""


@dataclass(frozen=True, eq=False)
class Drafts:
    """Fillings of the same gaps, all having read as much of the text.

    Args:
        fills: those of each row.
        scores: `(rows,)`, the log-probability of the fillings and of what was read behind them.
        drawn: `(rows,)`, the log-probability with which the last filling was drawn; 0 where none was drawn.
        logprobs: `(rows, vocab)`, those of the next character.
        state: the network's.
    """

    fills: list[Fills]
    scores: Array
    drawn: Array
    logprobs: Array
    state: NetworkState

    @classmethod
    def begin(cls, engine: Network, before: Ids, labels: NDArray[np.float32] | None = None) -> Drafts:
        """One row without any filling, after `before`, `(n,)`, at least one id."""
        return cls.after(engine, before[-1:], begun(engine, before, labels))

    @classmethod
    def after(cls, engine: Network, last: Ids, state: NetworkState) -> Drafts:
        """As `begin`, where all but the `last` id, `(1,)`, has been read; the state is taken over."""
        logits, state = engine.read(last[None], state, last=True)
        return cls([()], np.zeros(1), np.zeros(1), log_softmax(logits.astype(np.float64)), state)

    @classmethod
    def join(cls, parts: Sequence[Drafts]) -> Drafts:
        """Several, at least one, as one batch, in their order."""
        if len(parts) == 1:
            return parts[0]
        return cls(
            [fills for each in parts for fills in each.fills],
            np.concatenate([each.scores for each in parts]),
            np.concatenate([each.drawn for each in parts]),
            np.concatenate([each.logprobs for each in parts]),
            parts[0].state.join([each.state for each in parts[1:]]),
        )

    @property
    def rows(self) -> int:
        """How many there are."""
        return len(self.fills)

    def take(self, rows: Sequence[int] | NDArray[np.integer]) -> Drafts:
        """Those in `rows`, in that order; a row may occur several times."""
        index = np.asarray(rows, np.intp)
        fills = [self.fills[row] for row in index.tolist()]
        return Drafts(fills, self.scores[index], self.drawn[index], self.logprobs[index], self.state.take(index))

    def best(self, count: int) -> Drafts:
        """The `count` of the highest score, in descending order; of equal ones, the earlier."""
        if count >= self.rows:
            return self.take(np.argsort(-self.scores, kind="stable"))
        return self.take(highest(self.scores, count))

    def opened(self) -> Drafts:
        """The same with the next gap open, in which nothing stands."""
        return Drafts([(*each, ()) for each in self.fills], self.scores, self.drawn, self.logprobs, self.state)

    def grown(self, engine: Network, allowed: NDArray[np.bool_], width: int) -> Drafts:
        """The `width` best of those with one more character of the `allowed`, `(vocab,)`, in the open gap."""
        grown = np.where(allowed, self.scores[:, None] + self.logprobs, -np.inf)
        flat = highest(grown.ravel(), min(width, self.rows * int(allowed.sum())))
        rows, ids = np.divmod(flat, grown.shape[1])
        return self._stepped(engine, rows, ids, grown.ravel()[flat], self.drawn[rows])

    def sampled(
        self, engine: Network, allowed: NDArray[np.bool_], temperature: float, generator: np.random.Generator
    ) -> Drafts:
        """Each with a character drawn from the `allowed`, `(vocab,)`, in the open gap."""
        tempered = log_softmax(np.where(allowed, self.logprobs / temperature, -np.inf))
        ids = np.argmax(tempered + generator.gumbel(size=tempered.shape), axis=-1)
        rows = np.arange(self.rows)
        scores = self.scores + self.logprobs[rows, ids]
        return self._stepped(engine, rows, ids, scores, self.drawn + tempered[rows, ids])

    def stepped(self, engine: Network, ids: Ids) -> Drafts:
        """Each with the one of `ids`, `(rows,)`, that is its own as the next character of the open gap."""
        rows = np.arange(self.rows)
        return self._stepped(engine, rows, ids, self.scores + self.logprobs[rows, ids], self.drawn)

    def read(self, engine: Network, ids: Ids, *, scored: bool = True) -> Drafts:
        """All after reading the same `ids`, `(n,)`, whose log-probabilities are added to the scores if `scored`."""
        if not len(ids):
            return self
        scores = self.scores.copy()
        logprobs, state = self.logprobs, self.state.copy()
        chunk = max(1, _LOGITS // self.logprobs.size) if scored else len(ids)
        for start in range(0, len(ids), chunk):
            part = ids[start : start + chunk]
            rows = np.broadcast_to(part, (self.rows, len(part)))
            if not scored:
                logits, state = engine.read(rows, state, last=True)
                logprobs = log_softmax(logits.astype(np.float64))
                continue
            scores += logprobs[:, part[0]]
            logits, state = engine.read(rows, state)
            found = log_softmax(logits.astype(np.float64))
            scores += found[:, np.arange(len(part) - 1), part[1:].astype(np.intp)].sum(axis=1)
            logprobs = found[:, -1]
        return Drafts(self.fills, scores, self.drawn, logprobs, state)

    def _stepped(self, engine: Network, rows: NDArray[np.intp], ids: Ids, scores: Array, drawn: Array) -> Drafts:
        logits, state = engine.step(ids, self.state.take(rows))
        fills = [
            (*self.fills[row][:-1], (*self.fills[row][-1], each))
            for row, each in zip(rows.tolist(), ids.tolist(), strict=True)
        ]
        return Drafts(fills, scores, drawn, log_softmax(logits.astype(np.float64)), state)


def begun(engine: Network, ids: Ids, labels: NDArray[np.float32] | None = None) -> NetworkState:
    """The state before the last of `ids`, `(n,)`, at least one, is read."""
    state = engine.initial_state(1) if labels is None else engine.initial_state(1, labels=labels)
    if len(ids) > 1:
        _, state = engine.read(ids[None, :-1], state, last=True)
    return state


def highest(values: Array, count: int) -> NDArray[np.intp]:
    """The places of the `count` highest of `values`, `(n,)`, in descending order; of equal ones, the earlier.

    >>> highest(np.array([1.0, 3.0, 2.0, 3.0]), 3).tolist()
    [1, 3, 2]
    """
    if count < len(values):
        # All that may be among them, so that ties do not depend on the order in which they are parted.
        least = np.partition(values, len(values) - count)[len(values) - count]
        places = np.flatnonzero(values >= least)
    else:
        places = np.arange(len(values))
    return places[np.argsort(-values[places], kind="stable")][:count]

"""Interpolated n-grams as a network, so that the search for fillings is the same."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from textgen.sampling.gaps.drafts import Drafts
from textgen.sampling.gaps.markers import Gap
from textgen.sampling.gaps.search import search


@dataclass
class Contexts:
    """The last ids of several texts, `(batch, order - 1)`."""

    ids: np.ndarray

    @property
    def batch(self) -> int:
        """The number of texts."""
        return len(self.ids)

    def copy(self) -> Contexts:
        """An independent copy."""
        return Contexts(self.ids.copy())

    def take(self, rows: Any) -> Contexts:
        """Those of the texts `rows`."""
        return Contexts(self.ids[np.asarray(rows, np.intp)])

    def put(self, row: int, other: Contexts) -> None:
        """Replaces that of a text."""
        self.ids[row] = other.ids[0]

    def join(self, others: Sequence[Contexts]) -> Contexts:
        """With those of others after its own."""
        return Contexts(np.concatenate([self.ids, *(each.ids for each in others)]))


class NGrams:
    """Counts of n-grams, interpolated as by Witten and Bell (1991); a `textgen.engine.network.Network`.

    Args:
        ids: `(n,)`, the training text.
        vocab: the number of ids.
        order: the longest n-gram.
    """

    def __init__(self, ids: np.ndarray, vocab: int, *, order: int) -> None:
        self.vocab_size, self._order = vocab, order
        self._keys, self._counts = [], []
        for size in range(order):
            keys = self._key(np.lib.stride_tricks.sliding_window_view(ids[:-1], size)) if size else 0 * ids
            following = ids[size:]
            distinct, places = np.unique(keys, return_inverse=True)
            counts = np.zeros((len(distinct), vocab), np.float32)
            np.add.at(counts, (places, following), 1.0)
            self._keys.append(distinct)
            self._counts.append(counts)

    def initial_state(self, batch: int, *, quiet: bool = False, labels: Any = None) -> Contexts:
        """That of texts without a character."""
        del quiet, labels
        return Contexts(np.zeros((batch, self._order - 1), np.int64))

    def step(self, ids: Any, state: Contexts) -> tuple[np.ndarray, Contexts]:
        """Advances each text by an id; returns log-probabilities."""
        state.ids = np.concatenate([state.ids[:, 1:], np.asarray(ids, np.int64)[:, None]], axis=1)
        probabilities = np.full((state.batch, self.vocab_size), 1.0 / self.vocab_size)
        for size in range(self._order):
            context = state.ids[:, self._order - 1 - size :]
            key = self._key(context) if size else np.zeros(state.batch, np.int64)
            place = np.minimum(np.searchsorted(self._keys[size], key), len(self._keys[size]) - 1)
            counts = np.where((self._keys[size][place] == key)[:, None], self._counts[size][place], 0.0)
            kinds = (counts > 0).sum(axis=1, keepdims=True)
            total = counts.sum(axis=1, keepdims=True) + kinds
            mixed = (counts + kinds * probabilities) / np.maximum(total, 1)
            probabilities = np.where(total > 0, mixed, probabilities)
        return np.log(probabilities).astype(np.float32), state

    def read(self, ids: np.ndarray, state: Contexts, *, last: bool = False) -> tuple[np.ndarray, Contexts]:
        """Advances each text by several ids."""
        logits = [self.step(column, state)[0] for column in ids.T[-self._order if last else 0 :]]
        return (logits[-1] if last else np.stack(logits, axis=1)), state

    def magnitude(self, logits: np.ndarray, state: Contexts) -> float:
        """The largest logit."""
        del state
        return float(np.abs(logits).max())

    def _key(self, contexts: np.ndarray) -> np.ndarray:
        keys = np.zeros(len(contexts), np.int64)
        for column in contexts.T:
            keys = keys * self.vocab_size + column
        return keys


def fill_with_ngrams(
    forward: NGrams, backward: NGrams, before: np.ndarray, gap: Gap, behind: np.ndarray, *, reach: int, width: int
) -> list[tuple[int, ...]]:
    """The best fillings by the mean of what n-grams of both directions say, among the best of each."""
    allowed = np.ones(forward.vocab_size, np.bool_)
    fills: dict[tuple[int, ...], None] = {}
    for grams, first, then, step in ((forward, before, behind, 1), (backward, behind[::-1], before[::-1], -1)):
        found = search(grams, Drafts.begin(grams, first), gap, then[:reach], allowed=allowed, width=width)
        fills.update(dict.fromkeys(each[-1][::step] for each in found.fills))
    candidates = list(fills)
    scores = np.zeros(len(candidates))
    for grams, first, then, step in ((forward, before, behind, 1), (backward, behind[::-1], before[::-1], -1)):
        begun = Drafts.begin(grams, first)
        for size in {len(each) for each in candidates}:
            rows = [n for n, each in enumerate(candidates) if len(each) == size]
            ids = np.array([[*candidates[n][::step], *then[:reach]] for n in rows], np.intp)
            logprobs, _ = grams.read(ids, begun.state.take([0] * len(rows)))
            found = np.take_along_axis(logprobs[:, :-1], ids[:, 1:, None], axis=2)[..., 0]
            scores[rows] += begun.logprobs[0, ids[:, 0]] + found.sum(axis=1)
    return [candidates[n] for n in np.argsort(-scores, kind="stable").tolist()]

"""Batches of pairs of like lengths, padded to the longest, for training and validation.

A decoder's inputs are END and the target; its targets are the target and END. A source's ids are one more than those of
its vocabulary, since 0 is padding.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from textgen.config import require
from textgen.errors import CorpusError

_ORDER, _LENGTHS = 0, 1
"""What random numbers of a pass are for."""

_MIXED = 2.0
"""Characters by which pairs of one batch may differ more in length than need be, so that batches differ in passes."""


class PairBatch(NamedTuple):
    """The pairs of a step.

    Attributes:
        sources: `(batch, source_time)`, int32: ids of the source plus 1, END's last, then 0 for padding.
        lengths: `(batch,)`, int32: the ids of each source, at least 1.
        inputs: `(batch, time)`, int32: END and the target.
        targets: `(batch, time)`, int32: the target and END.
        weights: `(batch, time)`, float32: 1 for a target, 0 for padding.
    """

    sources: NDArray[np.int32]
    lengths: NDArray[np.int32]
    inputs: NDArray[np.int32]
    targets: NDArray[np.int32]
    weights: NDArray[np.float32]


class _Pairs:
    """Pairs as ids, of which any can be laid into a batch."""

    def __init__(
        self,
        source_ids: NDArray[Any],
        source_starts: NDArray[np.int64],
        ids: NDArray[Any],
        starts: NDArray[np.int64],
    ) -> None:
        if len(starts) < 2:
            raise CorpusError("There is no pair to train or to validate on. Give more pairs.")
        self._source_ids, self._source_starts, self._ids, self._starts = source_ids, source_starts, ids, starts
        self.source_lengths, self.lengths = np.diff(source_starts), np.diff(starts)

    def __len__(self) -> int:
        return len(self.lengths)

    def lay(self, numbers: NDArray[np.int64], real: NDArray[np.bool_]) -> PairBatch:
        """The batch of some pairs; those that are not `real` have no weight."""
        sources, there = _padded(self._source_ids, self._source_starts, numbers)
        targets, weighed = _padded(self._ids, self._starts, numbers)
        end = int(self._ids[self._starts[1] - 1])
        inputs = np.roll(targets, 1, axis=1)
        inputs[:, 0] = end
        weights = (weighed & real[:, None]).astype(np.float32)
        return PairBatch(
            sources=np.where(there, sources + 1, 0).astype(np.int32),
            lengths=self.source_lengths[numbers].astype(np.int32),
            inputs=np.where(weighed, inputs, end).astype(np.int32),
            targets=np.where(weighed, targets, end).astype(np.int32),
            weights=weights,
        )


def _padded(
    ids: NDArray[Any], starts: NDArray[np.int64], numbers: NDArray[np.int64]
) -> tuple[NDArray[np.int64], NDArray[np.bool_]]:
    """Some rows of ids, `(rows, longest)`, and where they are."""
    lengths = (starts[numbers + 1] - starts[numbers])[:, None]
    within = np.arange(int(lengths.max()))
    there = within < lengths
    return ids[starts[numbers][:, None] + np.where(there, within, 0)].astype(np.int64), there


class PairBatches:
    """Pairs in batches of like lengths, drawn anew in each pass; a batch depends only on its step.

    In each pass the pairs are sorted by the length of source and target, with a little chance so that batches differ,
    cut into batches, and these are shuffled. The last batch of a pass is filled with its first pairs.

    Args:
        source_ids: `(ids,)`, the sources one after the other, each with END as its last id.
        source_starts: `(pairs + 1,)`, the position of each source's first id, and that after the last source.
        ids: `(ids,)`, the targets likewise.
        starts: `(pairs + 1,)`, those of the targets.
        batch_size: pairs in a batch.
        seed: of the orders, at least 0.

    Raises:
        CorpusError: there is no pair.
        ConfigError: a number is out of its range.

    >>> ids, starts = np.array([0, 1, 9, 2, 9]), np.array([0, 3, 5])
    >>> batch = PairBatches(ids, starts, ids, starts, batch_size=2, seed=0).batch(0)
    >>> batch.sources.tolist(), batch.inputs.tolist(), batch.targets.tolist(), batch.weights.tolist()
    ([[3, 10, 0], [1, 2, 10]], [[9, 2, 9], [9, 0, 1]], [[2, 9, 9], [0, 1, 9]], [[1.0, 1.0, 0.0], [1.0, 1.0, 1.0]])
    """

    def __init__(
        self,
        source_ids: NDArray[Any],
        source_starts: NDArray[np.int64],
        ids: NDArray[Any],
        starts: NDArray[np.int64],
        *,
        batch_size: int,
        seed: int,
    ) -> None:
        require(batch_size >= 1, "batch_size", "at least 1", batch_size)
        require(seed >= 0, "seed", "at least 0", seed)
        self._pairs = _Pairs(source_ids, source_starts, ids, starts)
        self.batch_size = batch_size
        self.seed = seed
        self._kept: tuple[int, NDArray[np.int64]] | None = None

    @property
    def batches_per_epoch(self) -> int:
        """The number of batches in each pass."""
        return -(-len(self._pairs) // self.batch_size)

    def batch(self, step: int) -> PairBatch:
        """The batch of a step; steps are counted from 0 over all passes."""
        require(step >= 0, "step", "at least 0", step)
        number, within = divmod(step, self.batches_per_epoch)
        if self._kept is None or self._kept[0] != number:
            self._kept = number, self._order(number)
        return self._pairs.lay(self._kept[1][within], np.ones(self.batch_size, bool))

    def _order(self, number: int) -> NDArray[np.int64]:
        """The pairs of each batch of a pass, `(batches, batch_size)`."""
        pairs, count = self._pairs, self.batches_per_epoch
        chance = self._draw(number, _LENGTHS, 2 * len(pairs)).reshape(2, -1) * _MIXED
        order = np.lexsort((pairs.lengths + chance[0], (pairs.source_lengths + chance[1]).astype(np.int64)))
        order = np.resize(order, count * self.batch_size).reshape(count, self.batch_size)
        return order[np.argsort(self._draw(number, _ORDER, count), kind="stable")]

    def _draw(self, number: int, purpose: int, count: int) -> NDArray[np.float64]:
        """Random numbers in [0, 1), which depend on the seed, the pass and the purpose."""
        # SeedSequence, unlike Generator, guarantees the same numbers in every version of NumPy.
        sequence = np.random.SeedSequence([self.seed, number, purpose])
        return sequence.generate_state(count, np.uint64) / 2.0**64


class HeldOutPairs:
    """The held-out pairs, once, in batches of like lengths, for validation.

    Args:
        source_ids: as of `PairBatches`.
        source_starts: as of `PairBatches`.
        ids: as of `PairBatches`.
        starts: as of `PairBatches`.
        batch_size: pairs in a batch; pairs without weight fill the last one.
        most: scores about this many ids, in pairs at equal distances; None scores all.

    Attributes:
        targets: the number of predicted ids.
        records: the number of pairs.
        streams: the pairs in a batch.

    Raises:
        CorpusError: there is no pair.
    """

    def __init__(
        self,
        source_ids: NDArray[Any],
        source_starts: NDArray[np.int64],
        ids: NDArray[Any],
        starts: NDArray[np.int64],
        *,
        batch_size: int,
        most: int | None = None,
    ) -> None:
        require(batch_size >= 1, "batch_size", "at least 1", batch_size)
        self._pairs = _Pairs(source_ids, source_starts, ids, starts)
        self.streams = batch_size
        count, total = len(self._pairs), int(self._pairs.lengths.sum())
        kept = count if most is None or most >= total else max(1, count * most // total)
        chosen = np.arange(kept) * count // kept
        by_length = np.lexsort((self._pairs.lengths[chosen], self._pairs.source_lengths[chosen]))
        self._order = chosen[by_length]
        self.records, self.targets = kept, int(self._pairs.lengths[chosen].sum())

    def __len__(self) -> int:
        return -(-self.records // self.streams)

    def __iter__(self) -> Iterator[PairBatch]:
        for number in range(len(self)):
            places = number * self.streams + np.arange(self.streams)
            yield self._pairs.lay(self._order[np.minimum(places, self.records - 1)], places < self.records)

"""Batches of inputs and targets from an array of records, packed without padding, for training and validation.

A stream is a row of records in an order of their own. Each target is an id of a record, whose last is END; its input
is the id before it in the stream, so that before a record's first character stands the END of another:

    records "ab" and "c" in the order 1, 0: inputs [END c END a b], targets [c END a b END]

The network sets its state to zero before a step whose input is END, so a record is predicted from itself alone.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from textgen.config import require
from textgen.corpus.batch import Batch
from textgen.errors import CorpusError
from textgen.system.mapping import release_pages

_RELEASE_EVERY = 64

_ORDER, _DROP = 0, 1
"""What random numbers of a pass are for."""


@dataclass(frozen=True, eq=False)
class _Pass:
    """One pass over the records.

    Args:
        order: `(records,)`, the records in the order of the pass.
        ends: `(records,)`, where each of them ends, in characters of the pass.
        starts: `(batch,)`, where each stream starts, in characters of the pass.
        labels: `(records,)`, the label set of each of them; None without labels.
    """

    order: NDArray[np.int64]
    ends: NDArray[np.int64]
    starts: NDArray[np.int64]
    labels: NDArray[np.int32] | None


class RecordStreams:
    """Records as `batch_size` parallel streams, shuffled anew in each pass, for truncated backpropagation through time.

    In each pass the records, in an order drawn from the seed and the pass's number, form a circle of all their
    characters. The streams start at equal distances on it, each moved to the nearest start of a record, and all have
    the same length, the smallest that covers the circle. So two neighbours may share or skip less than a record, and
    the last batch of a pass goes on where the next stream began. A record is cut where a batch ends, and goes on in the
    next, with the state carried. Only where no record starts near, because one is longer than a quarter of a stream,
    does a stream start inside a record.

    A batch depends only on its step; the order of the pass that was asked for last is kept, a few numbers a record.

    Args:
        ids: `(characters,)`, the records one after the other, each with END as its last id; may be mapped from a file.
        starts: `(records + 1,)`, the position of each record's first id, and that after the last record.
        batch_size: the number of parallel streams.
        sequence_length: the length of each stream's segment in a batch, in characters.
        seed: of the orders and of what is dropped, at least 0.
        label_of: `(records,)`, the label set of each record; None for batches without labels.
        label_drop: the share of records whose labels are dropped in a pass, in [0, 1].
        context: of batches of both sides, ids after the one that follows the last target of a segment; None for
            batches of one side.

    Raises:
        CorpusError: there is no record.
        ConfigError: a number is out of its range.

    >>> ids, starts = np.array([0, 1, 9, 2, 9]), np.array([0, 3, 5])
    >>> streams = RecordStreams(ids, starts, batch_size=1, sequence_length=5, seed=0)
    >>> for step in range(2):
    ...     batch = streams.batch(step)
    ...     batch.inputs.tolist(), batch.targets.tolist(), bool(batch.reset)
    ([[9, 2, 9, 0, 1]], [[2, 9, 0, 1, 9]], True)
    ([[9, 0, 1, 9, 2]], [[0, 1, 9, 2, 9]], True)
    """

    def __init__(
        self,
        ids: NDArray[Any],
        starts: NDArray[np.int64],
        *,
        batch_size: int,
        sequence_length: int,
        seed: int,
        label_of: NDArray[np.int32] | None = None,
        label_drop: float = 0.0,
        context: int | None = None,
    ) -> None:
        require(batch_size >= 1, "batch_size", "at least 1", batch_size)
        require(sequence_length >= 1, "sequence_length", "at least 1", sequence_length)
        require(seed >= 0, "seed", "at least 0", seed)
        require(0.0 <= label_drop <= 1.0, "label_drop", "in [0, 1]", label_drop)
        _check_any(starts)
        self.batch_size = batch_size
        self.sequence_length = sequence_length
        self.seed = seed
        self._ids, self._starts = ids, starts
        self._label_of, self._label_drop = label_of, label_drop
        self._context = context
        self._characters = int(starts[-1] - starts[0])
        self._batches_per_epoch = -(-self._characters // (batch_size * sequence_length))
        self._kept: tuple[int, _Pass] | None = None

    @property
    def batches_per_epoch(self) -> int:
        """The number of batches in each pass."""
        return self._batches_per_epoch

    def batch(self, step: int) -> Batch:
        """The batch of a step; steps are counted from 0 over all passes."""
        require(step >= 0, "step", "at least 0", step)
        number, within = divmod(step, self._batches_per_epoch)
        here = self._pass(number)
        if step % _RELEASE_EVERY == 0:
            release_pages(self._ids)
        time, reach = self.sequence_length, 0 if self._context is None else self._context + 1
        offsets = within * time + np.arange(-1, time + reach)
        places = (here.starts[:, None] + offsets) % self._characters
        found = np.searchsorted(here.ends, places, side="right")
        # The place's distance from its record's end is the same among the ids.
        window = self._ids[self._starts[here.order[found] + 1] - (here.ends[found] - places)].astype(np.int32)
        labels, both = None if here.labels is None else here.labels[found], self._context is not None
        return Batch(
            inputs=np.ascontiguousarray(window[:, :time]),
            targets=np.ascontiguousarray(window[:, 1 : time + 1]),
            reset=np.asarray(within == 0),
            following=np.ascontiguousarray(window[:, 2:]) if both else None,
            labels=None if labels is None else labels[:, 1 : time + 1],
            following_labels=labels[:, 2:] if both and labels is not None else None,
        )

    def _pass(self, number: int) -> _Pass:
        if self._kept is None or self._kept[0] != number:
            self._kept = None
            self._kept = number, self._made(number)
        return self._kept[1]

    def _made(self, number: int) -> _Pass:
        order = np.argsort(self._draw(number, _ORDER), kind="stable")
        ends = np.cumsum(np.diff(self._starts)[order])
        labels = None
        if self._label_of is not None:
            labels = self._label_of[order]
            dropped = self._draw(number, _DROP)[order] < self._label_drop * 2.0**64
            labels = np.where(dropped, 0, labels).astype(np.int32)
        return _Pass(order, ends, self._stream_starts(ends), labels)

    def _draw(self, number: int, purpose: int) -> NDArray[np.uint64]:
        """A random number for each record, which depends on the seed, the pass and the purpose."""
        # SeedSequence, unlike Generator, guarantees the same numbers in every version of NumPy.
        sequence = np.random.SeedSequence([self.seed, number, purpose])
        return sequence.generate_state(len(self._starts) - 1, np.uint64).astype(np.uint64, copy=False)

    def _stream_starts(self, ends: NDArray[np.int64]) -> NDArray[np.int64]:
        wanted = np.arange(self.batch_size) * self._characters // self.batch_size
        nearest = nearest_starts(ends, wanted)
        near = np.abs(nearest - wanted) * 4 <= self._batches_per_epoch * self.sequence_length
        return np.where(near, nearest, wanted)


class HeldOutRecords:
    """The held-out records, once, in their order, in parallel streams, for validation with carried state.

    Every id of every record is a target of weight 1 exactly once, END included. All batches have the same shape; the
    end of each stream is padded with weight 0. Each stream starts with a record. It can be iterated again and again.

    Args:
        ids: `(characters,)`, as of `RecordStreams`.
        starts: `(records + 1,)`, as of `RecordStreams`.
        streams: the largest number of parallel streams; there are fewer where one record is longer than most others
            together, since more would be padding.
        sequence_length: the maximum length of each stream's segment in a batch, in characters.
        label_of: `(records,)`, the label set of each record; None for batches without labels.
        most: scores about this many characters, in records at equal distances; None scores all.
        context: as of `RecordStreams`.

    Attributes:
        streams: the number of parallel streams, the first axis of a batch.
        sequence_length: the length of each segment, the second axis of a batch; shorter for a short text.
        targets: the number of predicted ids.
        records: the number of records.

    Raises:
        CorpusError: there is no record.
        ConfigError: a number is out of its range.

    >>> ids, starts = np.array([0, 1, 9, 2, 9]), np.array([0, 3, 5])
    >>> for batch in HeldOutRecords(ids, starts, streams=2, sequence_length=4):
    ...     batch.inputs.tolist(), batch.targets.tolist(), batch.weights.tolist()
    ([[9, 0, 1], [9, 2, 9]], [[0, 1, 9], [2, 9, 9]], [[1.0, 1.0, 1.0], [1.0, 1.0, 0.0]])
    """

    def __init__(
        self,
        ids: NDArray[Any],
        starts: NDArray[np.int64],
        *,
        streams: int = 8,
        sequence_length: int = 256,
        label_of: NDArray[np.int32] | None = None,
        most: int | None = None,
        context: int | None = None,
    ) -> None:
        require(streams >= 1, "streams", "at least 1", streams)
        require(sequence_length >= 1, "sequence_length", "at least 1", sequence_length)
        require(most is None or most >= 1, "most", "at least 1", most)
        _check_any(starts)
        self._ids, self._starts, self._label_of, self._context = ids, starts, label_of, context
        count, characters = len(starts) - 1, int(starts[-1] - starts[0])
        if most is not None and most < characters:
            kept = max(1, count * most // characters)
            self._order = np.arange(kept) * count // kept
        else:
            self._order = np.arange(count)
        self.records = len(self._order)
        self._ends = np.cumsum(np.diff(starts)[self._order])
        self.targets = int(self._ends[-1])
        self.streams = streams
        self._borders = self._split()
        while self.streams > 1 and self._longest * self.streams > 2 * self.targets:
            self.streams //= 2
            self._borders = self._split()
        self.sequence_length = min(sequence_length, self._longest)

    @property
    def _longest(self) -> int:
        return int(np.diff(self._borders).max())

    def _split(self) -> NDArray[np.int64]:
        """Where the streams begin, and the last one's end."""
        wanted = np.arange(self.streams + 1) * self.targets // self.streams
        return nearest_starts(self._ends, wanted)

    def __len__(self) -> int:
        return -(-self._longest // self.sequence_length)

    def __iter__(self) -> Iterator[Batch]:
        starts, lengths, labels = self._borders[:-1, None], np.diff(self._borders)[:, None], self._label_of
        end = self._ids[self._starts[-1] - 1]
        for number in range(len(self)):
            if number % _RELEASE_EVERY == 0:
                release_pages(self._ids)
            within = number * self.sequence_length + np.arange(self.sequence_length)
            there = within < lengths
            places = np.where(there, starts + within, 0)
            found = np.searchsorted(self._ends, places, side="right")
            record = self._order[found]
            targets = self._starts[record + 1] - (self._ends[found] - places)
            first = targets == self._starts[record]
            inputs = np.where(first, end, self._ids[np.where(first, targets, targets - 1)])
            following, following_labels = self._following(starts + within[0] + 1)
            yield Batch(
                inputs=np.where(there, inputs, end).astype(np.int32),
                targets=np.where(there, self._ids[targets], end).astype(np.int32),
                reset=np.asarray(number == 0),
                weights=there.astype(np.float32),
                following=following,
                labels=None if labels is None else np.where(there, labels[record], 0).astype(np.int32),
                following_labels=following_labels,
            )

    def _following(self, first: NDArray[np.int64]) -> tuple[NDArray[np.int32] | None, NDArray[np.int32] | None]:
        """The ids from each place on, a segment and the context, and their label sets; the last record is before the
        first.
        """  # noqa: D205
        if self._context is None:
            return None, None
        places = (first + np.arange(self.sequence_length + self._context)) % self.targets
        found = np.searchsorted(self._ends, places, side="right")
        record = self._order[found]
        ids = self._ids[self._starts[record + 1] - (self._ends[found] - places)].astype(np.int32)
        return ids, None if self._label_of is None else self._label_of[record].astype(np.int32)


def nearest_starts(ends: NDArray[np.int64], wanted: NDArray[np.int64]) -> NDArray[np.int64]:
    """The start of a record nearest to each place, where records end at `ends`; the end of the last counts as one.

    >>> nearest_starts(np.array([3, 5, 9]), np.array([0, 2, 4, 9])).tolist()
    [0, 3, 3, 9]
    """
    after = np.minimum(np.searchsorted(ends, wanted), len(ends) - 1)
    above = ends[after]
    below = np.where(after > 0, ends[after - 1], 0)
    return np.where(wanted - below <= above - wanted, below, above)


def _check_any(starts: NDArray[np.int64]) -> None:
    if len(starts) < 2:
        raise CorpusError("There is no record to train or to validate on. Give a text with more records.")

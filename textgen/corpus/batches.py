"""Batches of inputs and targets, the next ids, from an array of ids, for training and validation.

A batch is a function of its step, so that no state of this module has to be saved to resume a run.
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


@dataclass(frozen=True, kw_only=True)
class Ahead:
    """What the batches of both sides hold besides inputs and targets.

    Args:
        context: ids after the one that follows the last target of a segment.
        end: the id that stands for what comes after the end of the text.
    """

    context: int
    end: int


class Streams:
    """A text as `batch_size` parallel contiguous streams, for truncated backpropagation through time.

        ids 0 1 2 3 4 5 6 7 8 9, batch_size 2, sequence_length 2, an epoch at offset 0:
        step 0: inputs [[0 1] [4 5]], targets [[1 2] [5 6]];  step 1: inputs [[2 3] [6 7]], targets [[3 4] [7 8]]

    Each epoch starts at a random offset, drawn from the seed and the epoch's number, so that sequence boundaries and
    the unused ends of the text differ between epochs. Within an epoch every position is a target at most once. A batch
    depends only on its step.

    Args:
        ids: `(characters,)`, the training text; may be mapped from a file.
        batch_size: the number of parallel streams.
        sequence_length: the length of each stream's segment in a batch, in characters.
        seed: of the offsets, at least 0.
        ahead: of batches of both sides; None for those of one.

    Raises:
        CorpusError: the text is shorter than one batch and the character after it.
        ConfigError: a number is out of its range.

    >>> streams = Streams(np.arange(10), batch_size=2, sequence_length=2, seed=0)
    >>> streams.batches_per_epoch, [bool(streams.batch(step).reset) for step in range(3)]
    (2, [True, False, True])
    """

    def __init__(
        self, ids: NDArray[Any], *, batch_size: int, sequence_length: int, seed: int, ahead: Ahead | None = None
    ) -> None:
        require(batch_size >= 1, "batch_size", "at least 1", batch_size)
        require(sequence_length >= 1, "sequence_length", "at least 1", sequence_length)
        require(seed >= 0, "seed", "at least 0", seed)
        self.batch_size = batch_size
        self.sequence_length = sequence_length
        self.seed = seed
        self._ids = ids
        self._ahead = ahead
        characters, size = len(ids), batch_size * sequence_length
        if characters < size + 1:
            raise _too_short(characters, batch_size, sequence_length)
        # With two batches or more, at least one sequence stays unused, so that a boundary can be at any position.
        self._batches_per_epoch = max(1, (characters - sequence_length) // size)

    @property
    def batches_per_epoch(self) -> int:
        """The number of batches in each epoch."""
        return self._batches_per_epoch

    def batch(self, step: int) -> Batch:
        """The batch of a step; steps are counted from 0 over all epochs.

        >>> Streams(np.arange(7), batch_size=2, sequence_length=3, seed=0).batch(5).targets.tolist()
        [[1, 2, 3], [4, 5, 6]]
        """
        require(step >= 0, "step", "at least 0", step)
        epoch, number = divmod(step, self._batches_per_epoch)
        if step % _RELEASE_EVERY == 0:
            release_pages(self._ids)
        stream = self._batches_per_epoch * self.sequence_length
        starts = self.offset(epoch) + np.arange(self.batch_size) * stream + number * self.sequence_length
        window = self._ids[starts[:, None] + np.arange(self.sequence_length + 1)].astype(np.int32)
        inputs, targets = np.ascontiguousarray(window[:, :-1]), np.ascontiguousarray(window[:, 1:])
        following = _following(self._ids, starts[:, None] + 2, self.sequence_length, self._ahead)
        return Batch(inputs, targets, np.asarray(number == 0), following=following)

    def offset(self, epoch: int) -> int:
        """The start of an epoch, counted from 0, in the text, in characters."""
        spare = len(self._ids) - 1 - self.batch_size * self.sequence_length * self._batches_per_epoch
        # SeedSequence, unlike Generator, guarantees the same numbers in every version of NumPy.
        (drawn,) = np.random.SeedSequence([self.seed, epoch]).generate_state(1, np.uint64)
        return int(drawn) % (spare + 1)


class HeldOut:
    """The held-out text, once, in parallel contiguous streams, for validation with carried state.

    Every id but the first is a target of weight 1 exactly once. All batches have the same shape; the end is padded with
    weight 0. It can be iterated again and again. Of a part of the text the streams start at equal distances in all of
    it.

    Args:
        ids: `(characters,)`, the held-out text.
        streams: the number of parallel streams; with fewer, less context is lost and validation is slower.
        sequence_length: the maximum length of each stream's segment in a batch, in characters.
        most: predicts about this many ids; None predicts all.
        ahead: of batches of both sides; None for those of one.

    Attributes:
        streams: the number of parallel streams, the first axis of a batch.
        sequence_length: the length of each segment, the second axis of a batch; shorter for a short text.
        targets: the number of predicted ids: all but the first, or `most`.

    Raises:
        CorpusError: the text has fewer than two characters.
        ConfigError: a number is out of its range.

    >>> for batch in HeldOut(np.array([5, 6, 7, 8]), streams=2, sequence_length=2):
    ...     batch.inputs.tolist(), batch.targets.tolist(), batch.weights.tolist()
    ([[5, 6], [7, 0]], [[6, 7], [8, 0]], [[1.0, 1.0], [1.0, 0.0]])
    >>> [batch.targets.tolist() for batch in HeldOut(np.arange(10), streams=2, sequence_length=2, most=4)]
    [[[1, 2], [5, 6]]]
    """

    def __init__(
        self,
        ids: NDArray[Any],
        *,
        streams: int = 8,
        sequence_length: int = 256,
        most: int | None = None,
        ahead: Ahead | None = None,
    ) -> None:
        require(streams >= 1, "streams", "at least 1", streams)
        require(sequence_length >= 1, "sequence_length", "at least 1", sequence_length)
        require(most is None or most >= 1, "most", "at least 1", most)
        _check_predictable(ids)
        self._ids = ids
        self._ahead = ahead
        self.streams = streams
        self.targets = len(ids) - 1 if most is None else min(most, len(ids) - 1)
        self._stream = -(-self.targets // streams)
        self._starts = np.arange(streams)[:, None] * max((len(ids) - 1) // streams, self._stream)
        self.sequence_length = min(sequence_length, self._stream)

    def __len__(self) -> int:
        return -(-self._stream // self.sequence_length)

    def __iter__(self) -> Iterator[Batch]:
        for number in range(len(self)):
            if number % _RELEASE_EVERY == 0:
                release_pages(self._ids)
            within = number * self.sequence_length + np.arange(self.sequence_length)
            counted = np.arange(self.streams)[:, None] * self._stream + within
            there = (within < self._stream) & (counted < self.targets)
            places = np.where(there, self._starts + within, 0)
            inputs, targets = (np.where(there, self._ids[places + n], 0).astype(np.int32) for n in (0, 1))
            first = self._starts + within[0] + 2
            following = _following(self._ids, first, self.sequence_length, self._ahead)
            yield Batch(inputs, targets, np.asarray(number == 0), there.astype(np.float32), following)


def windows(
    ids: NDArray[Any], *, length: int = 256, batch_size: int = 64
) -> Iterator[tuple[NDArray[np.int32], NDArray[np.int32]]]:
    """A text in non-overlapping windows, to be scored without context, as nanoGPT does.

    Args:
        ids: `(characters,)`, the text.
        length: the length of a window in characters.
        batch_size: the maximum number of windows in a batch.

    Yields:
        inputs and targets, the ids that follow, `(windows, length)`, int32. Every id but the first is a target once; a
        shorter last window is a batch of its own.

    Raises:
        CorpusError: the text has fewer than two characters.
        ConfigError: a number is out of its range.

    >>> [inputs.tolist() for inputs, targets in windows(np.arange(9), length=3, batch_size=2)]
    [[[0, 1, 2], [3, 4, 5]], [[6, 7]]]
    """
    require(length >= 1, "length", "at least 1", length)
    require(batch_size >= 1, "batch_size", "at least 1", batch_size)
    _check_predictable(ids)
    count, rest = divmod(len(ids) - 1, length)
    for number, first in enumerate(range(0, count, batch_size)):
        if number % _RELEASE_EVERY == 0:
            release_pages(ids)
        rows = min(batch_size, count - first)
        part = ids[first * length : (first + rows) * length + 1].astype(np.int32)
        yield part[:-1].reshape(rows, length), part[1:].reshape(rows, length)
    if rest:
        part = ids[count * length :].astype(np.int32)
        yield part[None, :-1], part[None, 1:]


def _following(
    ids: NDArray[Any], first: NDArray[np.integer], length: int, ahead: Ahead | None
) -> NDArray[np.int32] | None:
    """`length` ids and the context after them from each place of `first`, `(streams, 1)`, on; None for one side."""
    if ahead is None:
        return None
    places = first + np.arange(length + ahead.context)
    following = ids[np.minimum(places, len(ids) - 1)].astype(np.int32)
    return np.where(places < len(ids), following, ahead.end).astype(np.int32)


def _check_predictable(ids: NDArray[Any]) -> None:
    if len(ids) < 2:
        raise CorpusError(
            f"The text to validate on has {len(ids)} character{'s' if len(ids) != 1 else ''}, but at least 2 are "
            "needed. Give a longer text, or pass --validation 0 to train without validation."
        )


def _too_short(characters: int, batch_size: int, sequence_length: int) -> CorpusError:
    fitting = (characters - 1) // sequence_length
    remedy = f"--batch-size {fitting}" if fitting else f"--batch-size 1 --sequence-length {max(1, characters - 1)}"
    remedy = f", or pass {remedy}" if characters >= 2 else ""
    return CorpusError(
        f"The training text has {characters:,} character{'s' if characters != 1 else ''}, but one batch of "
        f"{batch_size:,} streams of {sequence_length:,} needs {batch_size * sequence_length + 1:,}. "
        f"Give a longer text{remedy}."
    )

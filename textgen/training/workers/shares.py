"""Each worker's share: of the streams of a batch, and of the streams of the held-out text."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np

from textgen.corpus.batch import Batch


class SharedStreams:
    """The part of each batch that one worker computes; the parts of all workers are the batch of one machine.

    Args:
        streams: the batches of all workers together.
        index: which worker this is.
        workers: their number, a divisor of the streams.

    >>> from textgen.corpus.batches import Streams
    >>> both = Streams(np.arange(9), batch_size=4, sequence_length=2, seed=0)
    >>> SharedStreams(both, 1, 2).batch(0).inputs.tolist() == both.batch(0).inputs[2:].tolist()
    True
    """

    def __init__(self, streams: Any, index: int, workers: int) -> None:
        self._streams = streams
        size = streams.batch_size // workers
        self._cut = slice(index * size, (index + 1) * size)

    @property
    def batches_per_epoch(self) -> int:
        """The number of batches in each epoch."""
        return int(self._streams.batches_per_epoch)

    def batch(self, step: int) -> Batch:
        """What this worker computes of the batch of a step."""
        batch: Batch = self._streams.batch(step)
        return batch.cut(self._cut)


class SharedHeldOut:
    """The streams of the held-out text that one worker scores; each stream is scored by one of them.

    A worker for which there is none scores the first one with weights of zero.

    Args:
        held_out: the whole.
        index: which worker this is.
        workers: their number.

    Attributes:
        targets: the number of predicted ids of the whole.
        streams: the number of this worker's streams.

    >>> from textgen.corpus.batches import HeldOut
    >>> whole = HeldOut(np.arange(10), streams=2, sequence_length=3)
    >>> sum(float(batch.weights.sum()) for index in range(3) for batch in SharedHeldOut(whole, index, 3))
    9.0
    """

    def __init__(self, held_out: Any, index: int, workers: int) -> None:
        self._held_out = held_out
        self.targets: int = held_out.targets
        self.records: int = getattr(held_out, "records", 0)
        own = np.array_split(np.arange(held_out.streams), workers)[index]
        self._own, self._none = (own, False) if len(own) else (np.zeros(1, int), True)
        self.streams = len(self._own)

    def __len__(self) -> int:
        return len(self._held_out)

    def __iter__(self) -> Iterator[Batch]:
        for whole in self._held_out:
            part = whole.cut(self._own)
            yield part._replace(weights=np.zeros_like(part.weights)) if self._none else part

"""Has a model learn the characters that only the held-out text has, from those that the training text has once.

A vocabulary is that of the whole text. What the training part lacks would be learned as what never comes: an optimizer
that divides by the size of gradients pushes its probability down without end, and reads it by a row of random numbers.
Here the characters that the training text has at most once change places at random in every step, so that all of them
share what there is to learn of rare characters: where they stand, how often, and what follows. How often a new one is
to be expected, that is also what the number of characters that occur once tells (Good 1953).
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from textgen.corpus.batch import Batch

_PURPOSE = 2
"""What the random numbers are for; 0 and 1 are of `textgen.corpus.record_batches`."""


def rare_ids(counts: NDArray[np.integer], *, spared: int | None = None) -> NDArray[np.int64]:
    """The ids that change places: those of which the training text has one or none, if there are both.

    Args:
        counts: `(vocab,)`, how often each id occurs in the training text.
        spared: an id that always stays, that of the end of a record; None for none.

    >>> rare_ids(np.array([7, 1, 0, 2, 1])).tolist(), rare_ids(np.array([7, 1, 1])).tolist()
    ([1, 2, 4], [])
    """
    rare = counts <= 1
    if spared is not None:
        rare[spared] = False
    found = np.flatnonzero(rare)
    return found if len(np.unique(counts[found])) == 2 else found[:0]


class RarePermuted:
    """Batches in which rare ids have changed places, in each step in another way.

    A batch depends only on its step.

    Args:
        streams: the batches as they are in the text.
        rare: the ids, from `rare_ids`.
        vocab_size: the number of all ids.
        seed: of the permutations, at least 0.

    >>> from textgen.corpus.batches import Streams
    >>> streams = Streams(np.array([0, 1, 2, 3, 0, 1, 2]), batch_size=1, sequence_length=6, seed=0)
    >>> permuted = RarePermuted(streams, np.array([3, 4]), vocab_size=5, seed=0)
    >>> [permuted.batch(step).inputs.tolist() for step in (0, 4)]
    [[[0, 1, 2, 3, 0, 1]], [[0, 1, 2, 4, 0, 1]]]
    """

    def __init__(self, streams: Any, rare: NDArray[np.integer], *, vocab_size: int, seed: int) -> None:
        self._streams, self._rare, self._seed = streams, rare, seed
        self._same = np.arange(vocab_size, dtype=np.int32)

    @property
    def batches_per_epoch(self) -> int:
        """The number of batches in each epoch."""
        return int(self._streams.batches_per_epoch)

    def batch(self, step: int) -> Batch:
        """The batch of a step."""
        batch: Batch = self._streams.batch(step)
        # SeedSequence, unlike Generator, guarantees the same numbers in every version of NumPy.
        drawn = np.random.SeedSequence([self._seed, step, _PURPOSE]).generate_state(len(self._rare), np.uint64)
        places = self._same.copy()
        places[self._rare] = self._rare[np.argsort(drawn, kind="stable")]
        following = None if batch.following is None else places[batch.following]
        return batch._replace(inputs=places[batch.inputs], targets=places[batch.targets], following=following)

"""What a batch of parallel streams holds, of training and of validation, of one side and of both."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray


class Batch(NamedTuple):
    """A segment of each of several streams, and what there is to learn or to score in it.

    Attributes:
        inputs: `(batch, time)`, int32.
        targets: `(batch, time)`, int32; each is the id that follows the input.
        reset: `()`, bool: whether to reset the recurrent state to zero before this batch.
        weights: `(batch, time)`, float32, in validation: 1 for a target, 0 for padding.
        following: `(batch, time + context)`, int32, of both sides: each of the first is the id that follows the target.
        labels: `(batch, time)`, int32, with labels: the label set of the target's record; 0, which has no label, where
            it was dropped.
        following_labels: `(batch, time + context)`, int32, of both sides with labels: the label set of the record of
            each following id.
    """

    inputs: NDArray[np.int32]
    targets: NDArray[np.int32]
    reset: NDArray[np.bool_]
    weights: NDArray[np.float32] | None = None
    following: NDArray[np.int32] | None = None
    labels: NDArray[np.int32] | None = None
    following_labels: NDArray[np.int32] | None = None

    def map(self, function: Callable[[Any], Any]) -> Batch:
        """The batch with each of its arrays replaced by what a function makes of it; `reset` stays as it is."""
        arrays = {name: each for name, each in self._asdict().items() if each is not None and name != "reset"}
        return self._replace(**{name: function(each) for name, each in arrays.items()})

    def cut(self, streams: slice | NDArray[np.integer]) -> Batch:
        """The part of the batch that some of its streams are."""
        return self.map(lambda each: each[streams])

"""What a batch holds, of training and of validation, of one side and of both, with labels and without."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray


class Batch(NamedTuple):
    """The batch of a training step.

    Attributes:
        inputs: `(batch, time)`, int32.
        targets: `(batch, time)`, int32; each is the id that follows the input.
        reset: whether to reset the recurrent state to zero before this batch.
    """

    inputs: NDArray[np.int32]
    targets: NDArray[np.int32]
    reset: bool


class HeldOutBatch(NamedTuple):
    """A validation batch.

    Attributes:
        inputs: `(streams, time)`, int32.
        targets: `(streams, time)`, int32; each is the id that follows the input.
        weights: `(streams, time)`, float32; the sample weights: 1 for a target, 0 for padding.
    """

    inputs: NDArray[np.int32]
    targets: NDArray[np.int32]
    weights: NDArray[np.float32]


class TwoSidedBatch(NamedTuple):
    """The batch of a training step of both sides.

    Attributes:
        inputs: `(batch, time)`, int32.
        targets: `(batch, time)`, int32; each is the id that follows the input.
        reset: whether to reset the recurrent state to zero before this batch.
        following: `(batch, time + context)`, int32; each of the first is the id that follows the target.
    """

    inputs: NDArray[np.int32]
    targets: NDArray[np.int32]
    reset: bool
    following: NDArray[np.int32]


class TwoSidedHeldOutBatch(NamedTuple):
    """A validation batch of both sides.

    Attributes:
        inputs: `(streams, time)`, int32.
        targets: `(streams, time)`, int32; each is the id that follows the input.
        weights: `(streams, time)`, float32; the sample weights: 1 for a target, 0 for padding.
        following: `(streams, time + context)`, int32; each of the first is the id that follows the target.
    """

    inputs: NDArray[np.int32]
    targets: NDArray[np.int32]
    weights: NDArray[np.float32]
    following: NDArray[np.int32]


class LabelledBatch(NamedTuple):
    """The batch of a training step with labels.

    Attributes:
        inputs: `(batch, time)`, int32.
        targets: `(batch, time)`, int32; each is the id that follows the input.
        reset: whether to reset the recurrent state to zero before this batch.
        labels: `(batch, time)`, int32: the label set of the target's record; 0, which has no label, where it was
            dropped.
    """

    inputs: NDArray[np.int32]
    targets: NDArray[np.int32]
    reset: bool
    labels: NDArray[np.int32]


class LabelledHeldOutBatch(NamedTuple):
    """A validation batch with labels.

    Attributes:
        inputs: `(streams, time)`, int32.
        targets: `(streams, time)`, int32; each is the id that follows the input.
        weights: `(streams, time)`, float32; the sample weights: 1 for a target, 0 for padding.
        labels: `(streams, time)`, int32: the label set of the target's record.
    """

    inputs: NDArray[np.int32]
    targets: NDArray[np.int32]
    weights: NDArray[np.float32]
    labels: NDArray[np.int32]


class LabelledTwoSidedBatch(NamedTuple):
    """The batch of a training step of both sides, with labels.

    Attributes:
        inputs: `(batch, time)`, int32.
        targets: `(batch, time)`, int32; each is the id that follows the input.
        reset: whether to reset the recurrent state to zero before this batch.
        following: `(batch, time + context)`, int32; each of the first is the id that follows the target.
        labels: `(batch, time)`, int32: the label set of the target's record, as in `LabelledBatch`.
        following_labels: `(batch, time + context)`, int32: the label set of the record of each following id.
    """

    inputs: NDArray[np.int32]
    targets: NDArray[np.int32]
    reset: bool
    following: NDArray[np.int32]
    labels: NDArray[np.int32]
    following_labels: NDArray[np.int32]


class LabelledTwoSidedHeldOutBatch(NamedTuple):
    """A validation batch of both sides, with labels.

    Attributes:
        inputs: `(streams, time)`, int32.
        targets: `(streams, time)`, int32; each is the id that follows the input.
        weights: `(streams, time)`, float32; the sample weights: 1 for a target, 0 for padding.
        following: `(streams, time + context)`, int32; each of the first is the id that follows the target.
        labels: `(streams, time)`, int32: the label set of the target's record.
        following_labels: `(streams, time + context)`, int32: the label set of the record of each following id.
    """

    inputs: NDArray[np.int32]
    targets: NDArray[np.int32]
    weights: NDArray[np.float32]
    following: NDArray[np.int32]
    labels: NDArray[np.int32]
    following_labels: NDArray[np.int32]

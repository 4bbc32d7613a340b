"""By how much logits may move without changing what the controls keep and what is drawn.

Each control reports here how close its own decision was. The module knows none of them: a decision is a set of ids that
are kept, by falling key, and what decided how many.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]
Mask = NDArray[np.bool_]


class Margin:
    """The least margin over all decisions of a step.

    While each logit of a row moves by less than the row's margin, up or down and each by itself, every decision stays,
    up to rounding. A margin may be smaller than it had to be.

    Args:
        rows: how many rows of logits there are.

    Attributes:
        nats: `(rows,)`, the margins, in nats of the network's logits; `inf` until something is decided.
        scale: nats of the network's logits for each nat of those at hand, which is the temperature they were divided
            by.

    >>> margin = Margin(1)
    >>> margin.order(np.array([[3.0, 1.0, 0.0]]), np.array([[True, False, False]]))
    >>> margin.nats
    array([1.])
    """

    def __init__(self, rows: int) -> None:
        self.nats: Array = np.full(rows, np.inf)
        self.scale = 1.0

    def narrow(self, gaps: Array, *, slope: float = 2.0) -> None:
        """A decision that changes only once a difference reaches zero.

        Args:
            gaps: `(rows,)`, the differences.
            slope: by how much a difference shrinks at most where each logit moves by one.
        """
        np.minimum(self.nats, gaps / slope * self.scale, out=self.nats)

    def order(self, keys: Array, kept: Mask, *, slope: float = 2.0) -> None:
        """The ids of the highest keys are kept.

        Args:
            keys: `(rows, vocab)`.
            kept: `(rows, vocab)`, which ids are kept; at least one of each row.
            slope: by how much the difference of two keys changes at most where each logit moves by one.
        """
        lowest = np.where(kept, keys, np.inf).min(axis=-1)
        self.narrow(lowest - np.where(kept, -np.inf, keys).max(axis=-1), slope=slope)

    def mass(self, likelihoods: Array, keys: Array, kept: Mask, target: float, *, slope: float | None = None) -> None:
        """The ids of the highest keys are kept, as many as it takes for the probability `target`.

        Args:
            likelihoods: `(rows, vocab)`, in proportion to the probabilities.
            keys: `(rows, vocab)`.
            kept: `(rows, vocab)`, which ids are kept; at least one of each row.
            target: in (0, 1).
            slope: by how much the difference of two keys changes at most where each logit moves by one; None where the
                keys are the logits themselves. Ids near the border that change places are then about equally likely,
                so that only other keys must keep their last place.
        """
        self.order(keys, kept, slope=2.0 if slope is None else slope)
        ids = np.where(kept, keys, np.inf)
        last = np.take_along_axis(likelihoods, ids.argmin(axis=-1)[:, None], axis=-1)[:, 0]
        held = np.where(kept, likelihoods, 0.0).sum(axis=-1)
        dropped = np.where(kept, 0.0, likelihoods).sum(axis=-1)
        odds = target / (1.0 - target)
        with np.errstate(divide="ignore"):
            enough = np.log(held) - np.log(odds * dropped)
            too_few = np.log(odds * (dropped + last)) - np.log(np.maximum(held - last, 0.0))
        self.narrow(np.minimum(enough, too_few))
        if slope is not None:
            lowest = np.partition(np.pad(ids, ((0, 0), (0, 1)), constant_values=np.inf), 1, axis=-1)
            self.narrow(lowest[:, 1] - lowest[:, 0], slope=slope)

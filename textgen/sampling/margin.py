"""Measures by how much logits may change without changing what the controls keep and what is drawn.

Each control reports its decision here: the set of ids that it keeps, by descending key, and what determined their
number.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]
Mask = NDArray[np.bool_]


class Margin:
    """The smallest margin over all decisions of a step.

    While each logit of a row changes by less than the row's margin, no decision changes, up to rounding. The margin is
    a lower bound.

    Args:
        rows: number of rows of logits.

    Attributes:
        nats: `(rows,)`, the margins, in nats of the network's logits; `inf` before the first decision.
        scale: nats of the network's logits for each nat of the current ones: the temperature they were divided by.

    >>> margin = Margin(1)
    >>> margin.order(np.array([[3.0, 1.0, 0.0]]), np.array([[True, False, False]]))
    >>> margin.nats
    array([1.])
    """

    def __init__(self, rows: int) -> None:
        self.nats: Array = np.full(rows, np.inf)
        self.scale = 1.0

    def narrow(self, gaps: Array, *, slope: float = 2.0) -> None:
        """Records a decision that changes only once a difference reaches zero.

        Args:
            gaps: `(rows,)`, the differences.
            slope: the most by which a difference shrinks where each logit changes by one.
        """
        np.minimum(self.nats, gaps / slope * self.scale, out=self.nats)

    def order(self, keys: Array, kept: Mask, *, slope: float = 2.0) -> None:
        """Records that the ids with the highest keys are kept.

        Args:
            keys: `(rows, vocab)`.
            kept: `(rows, vocab)`, which ids are kept; at least one of each row.
            slope: the most by which the difference of two keys changes where each logit changes by one.
        """
        lowest = np.where(kept, keys, np.inf).min(axis=-1)
        self.narrow(lowest - np.where(kept, -np.inf, keys).max(axis=-1), slope=slope)

    def mass(self, likelihoods: Array, keys: Array, kept: Mask, target: float, *, slope: float | None = None) -> None:
        """Records that the ids with the highest keys are kept, as many as reach the probability `target`.

        Args:
            likelihoods: `(rows, vocab)`, in proportion to the probabilities.
            keys: `(rows, vocab)`.
            kept: `(rows, vocab)`, which ids are kept; at least one of each row.
            target: in (0, 1).
            slope: the most by which the difference of two keys changes where each logit changes by one; None where the
                keys are the logits themselves. Ids near the border that swap places are then about equally likely,
                so that only for other keys the last kept id must stay the same.
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

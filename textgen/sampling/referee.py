"""Makes a sample independent of the number of samples drawn in the same batch.

A matrix product for one row and for many sums in different orders, so the results differ in their last bits. Where a
draw is close, such a difference could change the character, and everything after it. A `Margin` tells which draws no
difference within `TOLERANCE` can change; for the others, about one in ten thousand, a `Referee` recomputes the sample's
logits in a batch of one, and its state continues from there.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from textgen.engine import Network
from textgen.engine.network import NetworkState

TOLERANCE = 1e-6
"""The most by which a logit may differ between batches of one and of many, as a share of `Network.magnitude`.

Measured, not proved: at most 7e-7 with trained networks of up to 2 x 256, hundreds of characters on. Networks that
amplify rounding errors from step to step, such as a simple RNN with weights several times the usual, exceed any
tolerance; with them a text may depend on the batch size.
"""


class Referee:
    """Recomputes a sample's logits in a batch of one.

    Args:
        engine: the network.
        state: of one text, after the prompt; not changed.
        samples: number of samples.
    """

    def __init__(self, engine: Network, state: NetworkState, samples: int) -> None:
        self._engine = engine
        self._known = [(state, 0)] * samples

    def logits(self, sample: int, ids: Sequence[int]) -> tuple[NDArray[np.float32], NetworkState]:
        """The logits, `(1, vocab)`, and the state of a sample after `ids`, all ids drawn for it; at least one.

        Continues from the last call for the same sample.
        """
        state, start = self._known[sample]
        state = state.copy()
        for each in ids[start:]:
            logits, state = self._engine.step([each], state)
        self._known[sample] = (state, len(ids))
        return logits, state

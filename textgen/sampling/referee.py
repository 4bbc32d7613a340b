"""Makes a sample's text independent of how many others are drawn beside it.

A product for one row and the same row of a product for many add the same numbers in another order, so their last bits
differ. Where a draw falls close to a border, such a difference could change the character, and everything after it.
A `Margin` tells which draws no difference within `TOLERANCE` could change; for the others, about one in ten thousand,
a `Referee` computes the logits as if their sample were alone, and starts the sample's state anew from there.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from textgen.engine import Engine, State

TOLERANCE = 1e-6
"""By how much a logit may differ between a sample drawn alone and one drawn with others, as a share of the largest.

Measured, not proved: at most 7e-7 with trained networks of up to 2 x 256, hundreds of characters on. Networks that
amplify rounding errors from step to step, such as a simple RNN with weights several times the usual, exceed any
tolerance; with them a text may depend on the number of samples.
"""


class Referee:
    """Computes a sample's logits as if it were alone.

    Args:
        engine: the network.
        state: of one text, after the prompt; it is left as it is.
        samples: how many there are.
    """

    def __init__(self, engine: Engine, state: State, samples: int) -> None:
        self._engine = engine
        self._known = [(state, 0)] * samples

    def logits(self, sample: int, ids: Sequence[int]) -> tuple[NDArray[np.float32], State]:
        """The logits, `(1, vocab)`, and the state of a sample after `ids`, all that was drawn for it; at least one.

        What was computed for the sample before is where this goes on.
        """
        state, start = self._known[sample]
        state = state.copy()
        for each in ids[start:]:
            logits, state = self._engine.step([each], state)
        self._known[sample] = (state, len(ids))
        return logits, state

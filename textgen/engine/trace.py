"""The activations of one layer over a segment of text."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float32]


@dataclass(frozen=True, eq=False)
class Trace:
    """A layer's activations after each character.

    Args:
        output: `(batch, time, units)`, its output.
        cell_state: `(batch, time, units)`, its cell state; of width 0 where the cell has none.
        gates: for each gate by name, `(batch, time, units)`, its activation in [0, 1]. An LSTM's are input,
            forget and output; a GRU's are update (1 keeps the old output) and reset; a simple network has none.
    """

    output: Array
    cell_state: Array
    gates: Mapping[str, Array]

    @property
    def state(self) -> Array:
        """Each unit's value in [-1, 1], `(batch, time, units)`: the tanh of its cell state, or else its output."""
        return np.tanh(self.cell_state) if self.cell_state.shape[-1] else self.output

"""One time step of each recurrent cell, and its gradient, in NumPy.

Sampling, scoring, observing and adaptation all make their steps here; they differ in the arrays that a step is bound
to. Sampling binds one workspace for good, in which each step overwrites the last. Adaptation binds one a step, keeps
what each step leaves in a `History`, and takes the gradient from that. The package makes no products with weights.

A cell names its gates in the order in which it wants their columns. A sigmoid is half a tanh,
`sigmoid(x) = tanh(x / 2) / 2 + 1 / 2`, and with the half of `x / 2` in the weights one tanh serves all gates: a step's
product and addend come with the factors of their gates (`textgen.engine.columns`).
"""

from textgen.engine.cells.cell import Cell, History, Workspace
from textgen.engine.cells.gru import GRU
from textgen.engine.cells.lstm import LSTM, Coupled, Peephole
from textgen.engine.cells.rnn import RNN

CELLS: dict[str, type[Cell]] = {"lstm": LSTM, "gru": GRU, "rnn": RNN, "peephole": Peephole, "coupled": Coupled}
"""The arithmetic for each `ModelConfig.cell`."""

__all__ = ["CELLS", "Cell", "History", "Workspace"]

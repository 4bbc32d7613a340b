"""One time step of each recurrent cell, and its gradient, in NumPy.

Sampling, scoring, traces and adaptation all use these steps; they differ in the arrays that a step is bound to.
Sampling binds one workspace, in which each step overwrites the last. Adaptation binds one per step, keeps the
activations in a `History` and computes the gradient from them. Products with weights are computed by the caller.

A cell lists its gates in the order in which its step expects their columns. As `sigmoid(x) = tanh(x / 2) / 2 + 1 / 2`,
one tanh serves all gates when the weights of sigmoid gates are halved: a step's product and addend already carry these
factors (`textgen.engine.columns`).
"""

from textgen.engine.cells.cell import Cell, History, Workspace
from textgen.engine.cells.gru import GRU
from textgen.engine.cells.lstm import LSTM, Coupled, Peephole
from textgen.engine.cells.rnn import RNN

CELLS: dict[str, type[Cell]] = {"lstm": LSTM, "gru": GRU, "rnn": RNN, "peephole": Peephole, "coupled": Coupled}
"""The step for each `ModelConfig.cell`."""

__all__ = ["CELLS", "Cell", "History", "Workspace"]

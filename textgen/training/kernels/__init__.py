"""Recurrent layers for training on a CPU: the cells' steps, and the loop over time with its hand-written gradient."""

from textgen.training.kernels.cells import CELLS
from textgen.training.kernels.recurrence import recurrence

__all__ = ["CELLS", "recurrence"]

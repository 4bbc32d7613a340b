"""Recurrent layers over time on a CPU: the cells' arithmetic, and the loop with its hand-written gradient."""

from textgen.training.kernels.cells import CELLS
from textgen.training.kernels.recurrence import recurrence

__all__ = ["CELLS", "recurrence"]

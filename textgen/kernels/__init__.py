"""Recurrent layers over time on a CPU: the cells' arithmetic, and the loop with its hand-written gradient."""

from textgen.kernels.cells import CELLS
from textgen.kernels.recurrence import recurrence

__all__ = ["CELLS", "recurrence"]

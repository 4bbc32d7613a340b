"""Plots of learning curves for a terminal, as inline SVG, or as files through matplotlib.

`chart` computes lines, units and axis limits from the rows of a run's history; `terminal`, `inline` and `figure` render
the same chart. Only `figure` needs a library.
"""

from textgen.display.plots.chart import Against, Chart, Curve, Unit
from textgen.display.plots.figure import FORMATS, save_figure
from textgen.display.plots.inline import inline_svg
from textgen.display.plots.terminal import draw

__all__ = ["FORMATS", "Against", "Chart", "Curve", "Unit", "draw", "inline_svg", "save_figure"]

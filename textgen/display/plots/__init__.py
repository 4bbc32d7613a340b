"""Learning curves as pictures: from the rows of a run's history to a terminal, an inline SVG, or matplotlib's files.

`chart` decides what is drawn, in which units, between which borders; `terminal`, `inline` and `figure` draw the same
chart. The package knows no run and no file of a run, and only `figure` needs a library.
"""

from textgen.display.plots.chart import Against, Chart, Curve, Unit
from textgen.display.plots.figure import FORMATS, save_figure
from textgen.display.plots.inline import inline_svg
from textgen.display.plots.terminal import draw

__all__ = ["FORMATS", "Against", "Chart", "Curve", "Unit", "draw", "inline_svg", "save_figure"]

"""Learning curves of runs, as a file, in a notebook or as text."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Literal, get_args

from textgen.config import require
from textgen.display.plots import Against, Chart, Curve, Unit, draw, inline_svg, save_figure
from textgen.errors import RunError
from textgen.model.read import read_metadata
from textgen.model.results import Validation
from textgen.runs.find import checkpoint_name, find_run
from textgen.runs.run import CHECKPOINTS, Run
from textgen.system import PathLike


class Curves:
    """The learning curves that `plot` returns; a notebook displays them, `print` draws them in 80 columns.

    Args:
        chart: the chart to draw.

    Attributes:
        chart: the chart to draw.
    """

    def __init__(self, chart: Chart) -> None:
        self.chart = chart

    def __repr__(self) -> str:
        return f"Curves({', '.join(line.name for line in self.chart.lines)})"

    def __str__(self) -> str:
        return self.text()

    def save(self, path: PathLike) -> Path:
        """Writes the curves to a file atomically; the same curves give the same bytes.

        Args:
            path: the file; its extension selects the format: .png, .svg or .pdf.

        Returns:
            The file.

        Raises:
            ConfigError: the extension is none of these.
            TextgenError: matplotlib is not installed.
            OSError: the file cannot be written.
        """
        return save_figure(self.chart, path)

    def text(self, *, columns: int = 80, rows: int = 20, colours: Literal[0, 16, 256] = 0, plain: bool = False) -> str:
        """Draws the curves with braille dots, or in ASCII.

        Args:
            columns: the width.
            rows: the height of the plot area, without axes and legend.
            colours: how many colours the terminal supports; 0 for none.
            plain: whether to use ASCII only.
        """
        return draw(self.chart, columns=columns, rows=rows, colours=colours, plain=plain)

    def _repr_html_(self) -> str:
        return inline_svg(self.chart, title=f"Learning curves of {', '.join(line.name for line in self.chart.lines)}")


def plot(
    runs: PathLike | Run | Sequence[PathLike | Run] | None = None,
    *,
    against: Against = "steps",
    unit: Unit = "nats",
    log: bool = False,
    checkpoints: PathLike = CHECKPOINTS,
) -> Curves:
    """Plots the training and validation loss of runs, with the best point marked.

    Args:
        runs: runs' names or folders, `Run`s, or .keras files, one or several; None takes the newest run.
        against: the x axis: training "steps", "characters" seen, or training "time", summed over resumptions.
        unit: of the loss, "nats" or "bits" per character; a secondary axis shows the other.
        log: whether the x axis is logarithmic.
        checkpoints: the folder of the run folders.

    Returns:
        The curves: `save` writes a file, `print` shows text, and a notebook shows a picture.

    Raises:
        ConfigError: an argument is not one of its choices.
        RunError: there is no such run, or it has no validation recorded yet.
        CheckpointError: neither a checkpoint nor `metrics.csv` can be read.

    Example:
        textgen.plot(["small", "large"], against="time").save("curves.svg")
    """
    for name, value, choices in (("against", against, get_args(Against)), ("unit", unit, get_args(Unit))):
        require(value in choices, name, "one of " + ", ".join(choices), value)
    wanted = [runs] if runs is None or isinstance(runs, (str, Path, Run)) or not isinstance(runs, Sequence) else runs
    found = {str(path): (name, history) for path, name, history in (_history(run, checkpoints) for run in wanted)}
    names = [name for name, _ in found.values()]
    curves = []
    for path, (name, history) in found.items():
        # Runs of the same name are labelled by their path.
        curve = Curve(name if names.count(name) == 1 else path, [row.to_json() for row in history])
        if Chart.of([curve], against=against, unit=unit, log=log) is None:
            raise RunError(
                f"The run {name!r} has nothing to plot against {against}: no validation is recorded for it. "
                "Wait for the first one, or leave the run out."
            )
        curves.append(curve)
    chart = Chart.of(curves, against=against, unit=unit, log=log)
    if chart is None:
        raise RunError("There is nothing to plot: no run was named. Name one, or pass None for the newest.")
    return Curves(chart)


def _history(run: PathLike | Run | None, checkpoints: PathLike) -> tuple[Path, str, list[Validation]]:
    """A run's path, name and history."""
    if not isinstance(run, Run):
        if run is not None and Path(run).suffix == ".keras":
            return Path(run), checkpoint_name(Path(run)), list(read_metadata(run).history)
        run = find_run(run, checkpoints=checkpoints, whole=False)
    return run.path, run.name, run.history

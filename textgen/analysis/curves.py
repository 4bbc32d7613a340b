"""The learning curves of runs: from runs' names to a picture, in a file, in a notebook or as text."""

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
    """Learning curves that `plot` made; a notebook shows them, `print` writes them in 80 columns.

    Args:
        chart: what they show.

    Attributes:
        chart: what they show.
    """

    def __init__(self, chart: Chart) -> None:
        self.chart = chart

    def __repr__(self) -> str:
        return f"Curves({', '.join(line.name for line in self.chart.lines)})"

    def __str__(self) -> str:
        return self.text()

    def save(self, path: PathLike) -> Path:
        """Writes them to a file, whole or not at all; the same curves are the same bytes.

        Args:
            path: the file; its ending says what it becomes: .png, .svg or .pdf.

        Returns:
            The file.

        Raises:
            ConfigError: another ending.
            TextgenError: matplotlib is not installed.
            OSError: the file cannot be written.
        """
        return save_figure(self.chart, path)

    def text(self, *, columns: int = 80, rows: int = 20, colours: Literal[0, 16, 256] = 0, plain: bool = False) -> str:
        """Draws them with braille dots, or with ASCII alone.

        Args:
            columns: the width.
            rows: the height of the drawing itself, to which axes and key come.
            colours: how many colours the terminal shows; 0 draws without any.
            plain: ASCII alone.
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
    """Draws the learning curves of runs: the loss in training and on the text held out, with the best point marked.

    Args:
        runs: runs' names or folders, `Run`s, or .keras files, one or several; None takes the newest run.
        against: what progress is measured in: training "steps", "characters" seen, or the "time" of training, which
            is summed over a run's continuations.
        unit: of the loss, "nats" or "bits" per character; the other one stands on a second axis.
        log: progress on a logarithmic axis.
        checkpoints: the folder of the run folders.

    Returns:
        The curves: `save` writes a file, `print` shows text, and a notebook shows a picture.

    Raises:
        ConfigError: an argument is none of its choices.
        RunError: there is no such run, or it has recorded no validation yet.
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
        # Two runs of one name are told apart by where they are.
        curve = Curve(name if names.count(name) == 1 else path, [row.to_json() for row in history])
        if Chart.of([curve], against=against, unit=unit, log=log) is None:
            raise RunError(
                f"The run {name!r} has nothing to plot against {against}: no validation is recorded for it. "
                "Wait for its first one, or leave it out."
            )
        curves.append(curve)
    chart = Chart.of(curves, against=against, unit=unit, log=log)
    if chart is None:
        raise RunError("There is nothing to plot: no run was named. Name one, or pass None for the newest.")
    return Curves(chart)


def _history(run: PathLike | Run | None, checkpoints: PathLike) -> tuple[Path, str, list[Validation]]:
    """Where a run is, its name and its history."""
    if not isinstance(run, Run):
        if run is not None and Path(run).suffix == ".keras":
            return Path(run), checkpoint_name(Path(run)), list(read_metadata(run).history)
        run = find_run(run, checkpoints=checkpoints, whole=False)
    return run.path, run.name, run.history

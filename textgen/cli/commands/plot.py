"""`textgen plot`: draws the learning curves of runs, in a file or on the terminal."""

from __future__ import annotations

import shutil
import sys
from pathlib import Path
from typing import get_args

import click

from textgen.cli.command import command
from textgen.cli.options import OutputPath, checkpoints_option, run_names
from textgen.display.plots.chart import Against, Unit
from textgen.display.plots.terminal import GLYPHS
from textgen.system import can_show, colours

_ROWS = 20
_AROUND = 8
"""Lines of a terminal that axes, legend and prompt take."""


@command(
    "plot",
    examples=(
        "textgen plot",
        "textgen plot marrow_haven --against time --unit bits",
        "textgen plot marrow_haven --out curves.png",
    ),
)
@click.argument("runs", nargs=-1, metavar="[RUNS]...", shell_complete=run_names)
@click.option("--out", "-o", type=OutputPath(), metavar="FILE", help="Write a .png, .svg or .pdf file instead.")
@click.option(
    "--against",
    type=click.Choice(get_args(Against)),
    default="steps",
    show_default=True,
    help="Quantity on the x axis.",
)
@click.option(
    "--unit", type=click.Choice(get_args(Unit)), default="nats", show_default=True, help="Unit of the left axis."
)
@click.option("--log", is_flag=True, help="Make the left axis logarithmic.")
@checkpoints_option
def plot(runs: tuple[str, ...], out: Path | None, against: Against, unit: Unit, log: bool, checkpoints: Path) -> None:
    """Draw the learning curves of runs.

    RUNS are runs' names or folders, or .keras files; the default is the newest run. Shows training and validation loss,
    in nats and in bits per character, with the best validation marked. Times are training times, summed over a run's
    continuations.

    A file needs matplotlib: pip install 'textgen-chars[plot]'
    """
    from textgen.analysis.curves import plot as curves_of
    from textgen.display.plots.figure import check_file

    if out is not None:
        check_file(out)
    curves = curves_of(list(runs) or None, against=against, unit=unit, log=log, checkpoints=checkpoints)
    if out is not None:
        curves.save(out)
        click.echo(f"The curves are in {out}.", err=True)
        return
    size = shutil.get_terminal_size(fallback=(80, _ROWS + _AROUND))
    many = colours(sys.stdout)
    rows = max(min(_ROWS, size.lines - _AROUND), 6)
    click.echo(
        curves.text(columns=size.columns, rows=rows, colours=many, plain=not can_show(GLYPHS, sys.stdout)),
        color=bool(many),
    )

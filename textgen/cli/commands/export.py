"""`textgen export`: writes a run's model to a file for use elsewhere."""

from __future__ import annotations

from pathlib import Path

import click

from textgen.cli.command import command, on_one_line, visible
from textgen.cli.options import OutputPath, checkpoints_option, optional, run_names
from textgen.exporting.formats import FORMATS


@command(
    "export",
    examples=(
        "textgen export marrow_haven --to html",
        "textgen export marrow_haven --to onnx",
        "textgen export marrow_haven --to keras -o plain.keras",
    ),
)
@click.argument("run", shell_complete=run_names)
@click.option("--to", type=click.Choice(list(FORMATS)), default="html", show_default=True, help="Format of the file.")
@optional(
    "--output",
    "-o",
    type=OutputPath(),
    metavar="FILE",
    otherwise="the run's name, in this folder",
    help="The file to write.",
)
@optional(
    "--weights",
    type=click.Choice(list(dict.fromkeys(kind for each in FORMATS.values() for kind in each.weights))),
    otherwise="by format",
    help="Type that the weights are stored in.",
)
@checkpoints_option
def export(run: str, to: str, output: Path | None, weights: str | None, checkpoints: Path) -> None:
    """Write a run's model to a file for use elsewhere.

    RUN is a run's name or folder, or a .keras file.

    html is one page with the model in it, for anyone with a browser: it writes without a server or a network. int6
    makes the smallest page, float32 one with the very weights.

    onnx is a graph for onnxruntime, on servers, phones and in browsers, and for other runtimes, with the vocabulary in
    its metadata; it needs pip install 'textgen-chars[onnx]'. keras is the model as Keras alone writes it, without
    vocabulary, settings and history.

    A run on pairs, which turns one text into another, is written as onnx or keras.
    """
    from textgen.exporting import export as write

    path = write(run, to=to, output=output, weights=weights, checkpoints=checkpoints)
    chosen = FORMATS[to]
    size = path.stat().st_size / 1e6
    shown = visible(on_one_line(str(path)))
    click.echo(f"{chosen.what} is in {shown} ({size:,.1f} MB); {chosen.next_step}.", err=True)

"""`textgen neurons`: correlations of a run's units with features of a text, and saturation of its gates."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING

import click

from textgen.cli.command import command, visible
from textgen.cli.options import (
    AnyPath,
    OutputPath,
    checkpoints_option,
    errors_option,
    json_option,
    optional,
    run_names,
    setting,
)
from textgen.config import CorpusConfig, InsightConfig, Unknown, cell_name
from textgen.config.corpus import DecodingErrors
from textgen.display.format import table

if TYPE_CHECKING:
    from textgen.analysis.neurons import Neurons


@command(
    "neurons",
    examples=(
        "textgen neurons marrow_haven corpora/marrow_haven.txt --limit 2000",
        "textgen neurons marrow_haven corpora/README.md --unknown skip --html neurons.html",
        "head -c 900 corpora/marrow_haven.txt | textgen neurons marrow_haven - --json",
    ),
)
@click.argument("run", shell_complete=run_names)
@click.argument("file", type=AnyPath(allow_dash=True))
@checkpoints_option
@optional(
    "--html",
    type=OutputPath(),
    metavar="OUT",
    help="Also write a page that colours the text by the state of a chosen unit.",
)
@click.option(
    "--top", type=click.IntRange(1, 100), default=3, show_default=True, help="Number of units for each feature."
)
@setting("--limit", metavar="N", config=InsightConfig)
@setting("--encoding", config=CorpusConfig, help="The file's encoding.")
@errors_option
@setting("--unknown", config=InsightConfig)
@json_option("Write one JSON object.")
def neurons(
    run: str,
    file: str,
    checkpoints: Path,
    html: Path | None,
    top: int,
    limit: int,
    encoding: str,
    errors: DecodingErrors | None,
    unknown: Unknown,
    as_json: bool,
) -> None:
    """Find what each unit of a run responds to in a text.

    RUN is a run's name or folder, or a .keras file. FILE is a text, or - for standard input.

    Shows, for each feature of the text, the units whose state correlates best with it (Pearson); layers and units are
    counted from 1. Then, for each gate, the share of time steps at which it is above 0.9 and below 0.1 (Karpathy,
    Johnson and Fei-Fei 2015).
    """
    from textgen.analysis.neurons import neurons as watch
    from textgen.cli.reading import load_writer, note_replaced, read_text
    from textgen.cli.watching import check_page, reading_bar, write_page

    if html is not None:
        check_page(html)
    writer, _ = load_writer(run, checkpoints)
    text = read_text(writer, file, encoding=encoding, errors=errors)
    note_replaced(writer, writer.as_trained(text)[:limit], unknown)
    with reading_bar() as progress:
        found = watch(writer, text, limit=limit, unknown=unknown, progress=progress)
    if as_json:
        click.echo(json.dumps({"file": file, **found.to_json(top=top)}, ensure_ascii=False))
    else:
        for line in _report(found, top):
            click.echo(visible(line))
    if html is not None:
        write_page(html, found, file=file)


def _report(found: Neurons, top: int) -> list[str]:
    """The report's lines."""
    passage, (layers, units, _) = found.passage, found.states.shape
    lines = [
        f"model  {passage.model}, {layers} x {units} {cell_name(found.cell)}",
        f"text   {passage.extent}, sha256 {passage.sha256[:12]}",
        "",
    ]
    if found.features:
        rows: list[tuple[str, ...]] = [("feature", "layer", "unit", "correlation")]
        for n, feature in enumerate(found.features):
            for rank, unit in enumerate(found.top(n, top)):
                name = "" if rank else feature.name
                rows.append((name, str(unit.layer), str(unit.unit), f"{unit.correlation:+.2f}"))
        lines += table(rows, right=(1, 2, 3))
    else:
        lines.append("No feature varies in this text; give a longer one.")
    if found.gates:
        rows = [("layer", "gate", "above 0.9", "below 0.1")]
        rows += [
            (str(use.layer), use.gate, f"{100 * use.above.mean():.1f} %", f"{100 * use.below.mean():.1f} %")
            for use in found.gates
        ]
        lines += ["", *table(rows, right=(0, 2, 3))]
    return lines

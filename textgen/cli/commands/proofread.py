"""`textgen proofread`: finds the places of a text where something else should stand."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from textgen.cli.command import command, echo_unchanged, on_one_line, visible
from textgen.cli.options import (
    AnyPath,
    OutputPath,
    adapt_option,
    checkpoints_option,
    errors_option,
    json_option,
    optional,
    run_option,
    setting,
)
from textgen.config import CorpusConfig, FillConfig, ProofConfig
from textgen.config.corpus import DecodingErrors

if TYPE_CHECKING:
    from textgen.analysis.proofreading import Calibration, Finding


@command(
    "proofread",
    examples=(
        "head -c 900 corpora/README.md | textgen proofread - --threshold 0.7",
        "head -c 900 corpora/README.md | textgen proofread - --fix --passes 1",
        "head -c 900 corpora/README.md | textgen proofread - --html proof.html --passes 1",
        "textgen proofread --calibrate --limit 500 --noise 0.02 corpora/marrow_haven.txt",
    ),
)
@click.argument("file", type=AnyPath(allow_dash=True), required=False)
@run_option
@checkpoints_option
@adapt_option
@setting("--encoding", config=CorpusConfig, help="The files' encoding.")
@errors_option
@setting("--unknown", config=ProofConfig)
@setting("--label", metavar="NAME[:WEIGHT]", config=FillConfig, show_default=False, help="The label of all records.")
@setting("--threshold", config=ProofConfig)
@setting("--noise", config=ProofConfig)
@setting("--reach", config=ProofConfig)
@setting("--candidates", config=ProofConfig)
@setting("--passes", config=ProofConfig)
@click.option("--fix", is_flag=True, help="Write the corrected text instead of a list.")
@optional("--html", type=OutputPath(), metavar="OUT", help="Write a page with what was found and expected.")
@click.option("--calibrate", is_flag=True, help="Show precision and recall by threshold, on a text with noise put in.")
@setting("--limit", config=ProofConfig, help="With --calibrate or --html: read only so many characters.")
@setting("--seed", config=ProofConfig, help="With --calibrate: the same seed puts in the same errors.")
@json_option("Write one JSON object.")
@click.pass_context
def proofread(
    ctx: click.Context,
    /,
    file: str | None,
    runs: tuple[str, ...],
    checkpoints: Path,
    adapt: str | None,
    encoding: str,
    errors: DecodingErrors | None,
    label: tuple[str, ...],
    fix: bool,
    html: Path | None,
    calibrate: bool,
    as_json: bool,
    **options: Any,
) -> None:
    """Find the places of a text where something else should stand.

    FILE is a text, or - for standard input. Wrong, missing, added and exchanged characters are found by how much more
    probable the text becomes once a place is corrected. Each line of the list has the place as LINE:COLUMN, how
    probable it is that exactly this went wrong there, what went wrong, what stands there and what was expected, with
    tabs between them.

    A lower --threshold misses less and raises more false alarms. --calibrate shows how much of both to expect: it puts
    random errors into the run's held-out text, or into FILE, a text without errors, and counts, also at the --threshold
    if one is given.

    With --fix line ends, the end of the file and all that no correction touches stay as they are. Characters that the
    run reads in another form (textgen train --normalize) are kept unless they are part of a correction, which is
    written in the run's form. Of a run on texts that were stripped or unwrapped, so is the corrected text. It is
    written in UTF-8, whatever the --encoding.

    A run of both sides (textgen train --sides both) reads the text from the right, too, and judges by both. A run on
    records reads each record by itself. Several runs with one vocabulary are mixed, as in textgen sample, and read from
    the left alone, those of both sides, too.
    """
    if file is None and not calibrate:
        raise click.UsageError("Missing argument 'FILE'.")
    if adapt == file == "-":
        raise click.UsageError("FILE and --adapt cannot both be standard input.")
    if calibrate and (fix or html is not None):
        raise click.UsageError("--calibrate cannot be given with --fix or --html.")
    if fix and as_json:
        raise click.UsageError("--fix and --json cannot be given together.")

    def given(name: str) -> bool:
        return ctx.get_parameter_source(name) is click.core.ParameterSource.COMMANDLINE

    if given("seed") and not calibrate:
        raise click.UsageError("--seed needs --calibrate.")
    if given("limit") and not calibrate and html is None:
        raise click.UsageError("--limit needs --calibrate or --html.")
    config = ProofConfig(**options)
    from textgen.analysis.proofreading import calibrate as calibrated
    from textgen.analysis.proofreading import proofread as proofed
    from textgen.analysis.proofreading.calibration import THRESHOLDS
    from textgen.cli.bars import bars
    from textgen.cli.reading import adapt as adapt_to
    from textgen.cli.reading import load_writer, mixed_runs, read_unchanged
    from textgen.cli.watching import check_page, write_page

    if html is not None:
        check_page(html)
    writer, name = load_writer(runs, checkpoints)
    mark, text = ("", None) if file is None else read_unchanged(writer, file, encoding=encoding, errors=errors)
    if adapt is not None:
        writer = adapt_to(writer, adapt, encoding=encoding, errors=errors, unknown=config.unknown)
    settings = {each: options[each] for each in ("noise", "reach", "candidates", "passes", "limit", "unknown")}
    settings["label"] = label
    more = {"run": name, **mixed_runs(writer), **({} if adapt is None else {"adapt": adapt})}
    with bars({"proofreading": ("proofreading", " char")}) as progress:
        report = None if progress is None else lambda done, total: progress("proofreading", done, total)
        if calibrate:
            thresholds = sorted({*THRESHOLDS, *([config.threshold] if given("threshold") else [])})
            curve = calibrated(writer, text, seed=config.seed, thresholds=thresholds, progress=report, **settings)
        else:
            assert text is not None
            proof = proofed(writer, text, threshold=config.threshold, progress=report, **settings)
    if calibrate:
        lines = [json.dumps({**curve.to_json(), **more}, ensure_ascii=False)] if as_json else _curve(curve)
    elif as_json:
        lines = [json.dumps({"file": file, **proof.to_json(), **more}, ensure_ascii=False)]
    elif fix:
        lines = []
        echo_unchanged(mark + proof.fixed)
    else:
        lines = _list(proof.findings)
    for line in lines:
        click.echo(visible(line))
    if html is not None:
        write_page(html, proof, file=file or "-")
    if not lines and not fix:
        click.echo(f"(nothing is as probable as --threshold {config.threshold:g})", err=True)


def _list(findings: Sequence[Finding]) -> list[str]:
    """A line for each finding."""
    return [
        "\t".join(
            (
                f"{each.line}:{each.column}",
                f"{each.probability:.2f}",
                each.kind,
                on_one_line(each.stands) or "(nothing)",
                on_one_line(each.expected) or "(nothing)",
            )
        )
        for each in findings
    ]


def _curve(curve: Calibration) -> list[str]:
    """The figures as lines of text."""
    from textgen.display.format import table

    rows = [("threshold", "found", "precision", "recall", "corrected", "error after")]
    rows += [
        (
            f"{each.threshold:.2f}" if each.threshold == round(each.threshold, 2) else f"{each.threshold:g}",
            f"{each.found:,}",
            f"{each.precision:.3f}",
            f"{each.recall:.3f}",
            f"{each.corrected:,}",
            f"{100 * each.error_after:.3f} %",
        )
        for each in curve.rows
    ]
    return [
        f"{curve.errors:,} errors in {curve.characters:,} characters; character error {100 * curve.error_before:.3f} %",
        "",
        *table(rows, right=range(6)),
    ]

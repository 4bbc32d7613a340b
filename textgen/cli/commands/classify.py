"""`textgen classify`: tells the label of each text, by a run on labelled records."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import click

from textgen.cli.command import command, on_one_line, visible
from textgen.cli.options import (
    AnyPath,
    checkpoints_option,
    errors_option,
    json_option,
    label_field_option,
    run_names,
    setting,
    text_field_option,
)
from textgen.config import CorpusConfig, InsightConfig, Unknown
from textgen.config.corpus import DecodingErrors

if TYPE_CHECKING:
    from textgen.sampling.classifying import Classified


@command(
    "classify",
    examples=(
        "echo 'Heavy rain by evening.' | textgen classify short_texts -",
        "textgen classify short_texts corpora/short_texts.csv --label-field kind --top 2",
        "textgen classify short_texts corpora/README.md --unknown skip --uniform --json",
    ),
)
@click.argument("run", shell_complete=run_names)
@click.argument("file", type=AnyPath(allow_dash=True))
@checkpoints_option
@text_field_option
@label_field_option("Column or field of FILE with the labels, to count the right answers.")
@click.option(
    "--top", type=click.IntRange(1, 10**6), default=1, show_default=True, help="Number of labels to show for each text."
)
@click.option("--uniform", is_flag=True, help="Take all labels for equally likely before a text is read.")
@setting("--encoding", config=CorpusConfig, help="The file's encoding.")
@errors_option
@setting("--unknown", config=InsightConfig)
@click.option("--csv", "as_csv", is_flag=True, help="Write CSV with a header.")
@json_option("Write JSON, an object a line.")
def classify(
    run: str,
    file: str,
    checkpoints: Path,
    text_field: str | None,
    label_field: str | None,
    top: int,
    uniform: bool,
    encoding: str,
    errors: DecodingErrors | None,
    unknown: Unknown,
    as_csv: bool,
    as_json: bool,
) -> None:
    """Tell the label of each text in a file.

    RUN is a run on records with labels. FILE is a list with a text on each line, a .csv, .tsv or .jsonl table, or - for
    standard input; empty texts are left out.

    Writes a line for each text: the most probable label, its probability and the text, with tabs between them. The
    probability follows by Bayes' rule from that of the text given each label; beforehand a label is as probable as it
    is frequent in the training records. With --label-field the given labels stand before the text, and the share of
    right answers is said at the end, on standard error; one of several labels is right.
    """
    if as_csv and as_json:
        raise click.UsageError("--csv and --json cannot be given together.")
    from textgen.cli.reading import load_writer, note_replaced
    from textgen.cli.tables import open_list, open_table, read_blocks
    from textgen.sampling.classifying import check_labels
    from textgen.sampling.classifying import classify as classified

    writer, name = load_writer(run, checkpoints)
    check_labels(writer, "textgen classify")
    corpus = open_table(
        writer,
        file,
        encoding=encoding,
        errors=errors,
        text_field=text_field,
        label_field=label_field,
        remember=False,
    ) or open_list(writer, file, encoding=encoding, errors=errors)
    shown, given = min(top, len(writer.labels)), label_field is not None
    header = ""
    if as_csv:
        names = [
            "label",
            "probability",
            *(f"{each}_{n}" for n in range(2, shown + 1) for each in ("label", "probability")),
        ]
        header = _row([*names, *["given"] * given, writer.reading.text_field or "text"]) + "\n"
    right = count = known = 0
    for texts, labels in read_blocks(corpus):
        note_replaced(writer, "".join(texts), unknown)
        found_in = classified(writer, texts, uniform=uniform, unknown=unknown)
        # Not before the first texts, which may be refused.
        click.echo(header if not count else "", nl=False)
        for found, truth in zip(found_in, labels, strict=True):
            count, known, right = count + 1, known + bool(truth), right + (found.label in truth)
            best = found.top(shown)
            if as_json:
                click.echo(_json(found, best, name, truth if given else None))
                continue
            cells = [cell for label, probability in best for cell in (label, f"{probability:.4f}")]
            cells += [*[",".join(truth)] * given, found.text]
            click.echo(_row(cells) if as_csv else visible("\t".join(map(on_one_line, cells))))
    if not count:
        click.echo(header, nl=False)
        click.echo(f"Note: {visible(corpus.title)} has no text that is not empty.", err=True)
    if given and known:
        click.echo(f"({right:,} of {known:,} labels are right: {100 * right / known:.1f} %)", err=True)


def _json(found: Classified, best: Sequence[tuple[str, float]], run: str, truth: Sequence[str] | None) -> str:
    values = {
        "text": found.text,
        "label": found.label,
        "probability": found.probability,
        "labels": [{"label": label, "probability": probability} for label, probability in best],
        **({} if truth is None else {"given": list(truth)}),
        "run": run,
    }
    return json.dumps(values, ensure_ascii=False)


def _row(cells: Sequence[str]) -> str:
    """A row of CSV."""
    row = io.StringIO()
    csv.writer(row, lineterminator="").writerow(cells)
    return row.getvalue()

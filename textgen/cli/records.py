"""Shows the records that `textgen sample` writes: one a line, as CSV or as JSON."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import click

if TYPE_CHECKING:
    from textgen.sampling.records import RecordDraws
    from textgen.sampling.sample import Sample
    from textgen.sampling.writer import Writer

ONLY = {"unique": "--unique", "new": "--new", "any_label": "--any-label", "as_csv": "--csv"}
"""The options that only a run on records has, by their names in the command."""


def refuse_records(writer: Writer, options: Mapping[str, Any]) -> None:
    """Refuses the options of records for a model of running text.

    Raises:
        ConfigError: one of them is given, and the model was not trained on records.
    """
    from textgen.sampling.records import check_records

    for name, flag in ONLY.items():
        if options[name]:
            check_records(writer, flag)


def show_records(
    draws: RecordDraws,
    writer: Writer,
    *,
    as_csv: bool,
    echo: bool,
    shown: Callable[[str], str],
    separator: str,
) -> None:
    """Writes records to standard output.

    Args:
        draws: the records, drawn.
        writer: their model.
        as_csv: as CSV, under the name that the text had in the table it came from, with the labels that were asked for.
        echo: with their prompt.
        shown: makes a text fit for the terminal.
        separator: the line between records of a model that writes line breaks. Between tunes it is an empty one, so
            that what is written is a book in ABC notation.
    """
    texts = [sample.prompt * echo + sample.text for sample in draws.samples]
    if as_csv:
        labels = [",".join(sample.config.label) for sample in draws.samples]
        header = [writer.reading.text_field or "text", *["label"] * any(labels)]
        rows = io.StringIO()
        row_of = csv.writer(rows, lineterminator="\n")
        row_of.writerows([header, *([text, *[label] * any(labels)] for text, label in zip(texts, labels, strict=True))])
        click.echo(rows.getvalue(), nl=False)
        return
    several = "\n" in writer.tokenizer.characters
    separator = "" if writer.reading.records == "tunes" else separator
    for n, text in enumerate(texts):
        click.echo(f"{separator}\n" * (several and n > 0) + shown(text), nl=not text.endswith("\n"))


def show_json(samples: Sequence[Sample], more: Mapping[str, Any], each: Callable[[int], Mapping[str, Any]]) -> None:
    """Writes samples as JSON, an object a line, with more fields for all and for each."""
    for n, sample in enumerate(samples):
        click.echo(json.dumps({**sample.to_json(), **more, **each(n)}, ensure_ascii=False))


def note_missing(draws: RecordDraws, count: int) -> None:
    """Says on standard error where fewer records came than were asked for."""
    if not draws.finished:
        came = len(draws.samples)
        click.echo(
            f"Note: only {came:,} of {count:,} records: of {draws.tried:,} that were drawn, the others were refused. "
            "A higher --temperature makes them more varied.",
            err=True,
        )

"""`textgen runs` and `textgen info`: list the runs, and show one."""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from textgen.cli.command import command, visible
from textgen.cli.options import checkpoints_option, json_option, run_names
from textgen.display.format import age, duration, number, size, table
from textgen.system import colours

if TYPE_CHECKING:
    from textgen.model.description import RecordsDescription
    from textgen.model.metadata import Metadata
    from textgen.model.results import Validation
    from textgen.runs.run import Run

_COLUMNS = ("run", "corpus", "size", "epochs", "val loss", "bits/char", "age")


@command(
    "runs",
    examples=("textgen runs", "textgen runs --json"),
)
@checkpoints_option
@json_option("Write one JSON object per line for each run.")
def runs(checkpoints: Path, as_json: bool) -> None:
    """List the runs, newest first.

    Shows corpus, model size, epochs, validation loss in nats and in bits per character, and the time since the last
    save.
    """
    from textgen.runs.find import elsewhere, list_runs

    summaries = [run.summary() for run in list_runs(checkpoints)]
    if as_json:
        for summary in summaries:
            click.echo(json.dumps(summary, ensure_ascii=False))
        return
    if not summaries:
        start = f"textgen train TEXT{elsewhere(checkpoints)}"
        click.echo(visible(f"There are no runs in {checkpoints} yet. Start one: {start}"), err=True)
        return
    rows = [_row(summary) for summary in summaries]
    for line in table([_COLUMNS, *rows], right=(3, 4, 5)):
        click.echo(visible(line))
    for summary in summaries:
        if summary["problem"]:
            click.echo(f"Warning: {visible(summary['problem'])}", err=True)


@command(
    "info",
    examples=(
        "textgen info",
        "textgen info marrow_haven",
        "textgen info marrow_haven --json",
    ),
)
@click.argument("name", required=False, shell_complete=run_names)
@checkpoints_option
@json_option("Write everything as one JSON object.")
def info(name: str | None, checkpoints: Path, as_json: bool) -> None:
    """Show a run's model, vocabulary, settings and history.

    NAME is a run's name or folder, or a .keras file; the default is the newest run.
    """
    from textgen.model.read import describe, read_metadata

    path, run = _find(name, checkpoints)
    if as_json:
        click.echo(json.dumps(describe(path) if run is None else run.details(), ensure_ascii=False))
        return
    metadata = read_metadata(path)
    sections = _sections(path, metadata, run)
    width = max(len(label) for _, pairs in sections for label, _ in pairs)
    bold = bool(colours(sys.stdout))
    for n, (title, pairs) in enumerate(sections):
        click.echo(("\n" if n else "") + click.style(title, bold=True), color=bold)
        for label, value in pairs:
            click.echo(f"  {label:<{width}}  {visible(value)}")
    history = metadata.history if run is None else run.history
    if history:
        click.echo("\n" + click.style("History", bold=True), color=bold)
        for line in table(_history(history), right=range(6)):
            click.echo(f"  {line}")


def _find(name: str | None, checkpoints: Path) -> tuple[Path, Run | None]:
    """The checkpoint that a name stands for, and its run; None for a file."""
    from textgen.runs.find import find_run, resolve_checkpoint

    if name is not None and resolve_checkpoint(name, checkpoints=checkpoints) == Path(name):
        return Path(name), None
    run = find_run(name, checkpoints=checkpoints)
    return run.checkpoint, run


def _row(summary: Mapping[str, Any]) -> tuple[str, ...]:
    if summary["problem"]:
        return (summary["name"], "cannot be read", "", "", "", "", age(summary["age"]))
    return (
        summary["name"],
        summary["corpus"] or "",
        size(summary),
        number(summary["epochs"], ".1f"),
        number(summary["val_loss"], ".4f"),
        number(summary["bits_per_character"], ".3f"),
        "training now" if summary["live"] else age(summary["age"]),
    )


def _sections(path: Path, metadata: Metadata, run: Run | None) -> list[tuple[str, list[tuple[str, str]]]]:
    """The sections of `textgen info`, each with labels and values; empty values are left out."""
    corpus, metrics = metadata.corpus, metadata.metrics
    model, tokenizer = metadata.model, metadata.tokenizer
    sections = [
        ("Run", [
            ("name", "" if run is None else run.name),
            ("checkpoint", str(path)),
            ("state", "training now" if run is not None and run.live else ""),
        ]),
        ("Model", [
            ("shape", f"{size({**model.to_json(), 'task': corpus.task})}, embedding {model.embedding}"),
            ("encoder layers", _plain(model.encoder_layers or None)),
            ("weights", f"{model.weights:,}"),
            ("skip", _plain(model.skip)),
            ("dropout", _plain(model.dropout)),
            ("input_dropout", _plain(model.input_dropout)),
        ]),
        ("Vocabulary", [
            ("size", f"{tokenizer.vocab_size:,}" + ", one of them for rare characters" * tokenizer.has_unknown
             + ", one of them for the end of a record" * tokenizer.has_end),
            ("characters", _characters(tokenizer.characters)),
        ]),
        ("Result", [
            ("validation loss", number(metrics.reported_loss, ".4f", " nats per character")),
            ("backwards", number(metrics.val_backward_loss, ".4f", " nats per character")),
            ("both sides", number(metrics.val_joint_loss, ".4f", " nats per character")),
            ("bits per character", number(metrics.bits_per_character, ".3f")),
            ("training loss", number(metrics.loss, ".4f", " nats per character")),
            ("steps", number(metrics.step, ",.0f")),
            ("epochs", number(metrics.epoch, ".2f")),
            ("characters seen", number(metrics.characters_seen, ",.0f")),
            ("time", duration(metrics.seconds)),
        ]),
        ("Recipe", [(key, _plain(value)) for key, value in metadata.training.items()]),
        ("Provenance", [
            ("corpus", _plain(corpus.name)),
            *(("file" if n == 0 else "", source) for n, source in enumerate(corpus.sources)),
            ("characters", number(corpus.characters, ",.0f")),
            *_records(corpus.records),
            ("sha256", _plain(corpus.sha256)),
            *((key, _plain(value)) for key, value in corpus.settings.items()),
            ("created", metadata.created),
            ("textgen", metadata.textgen),
            *((key, _plain(value)) for key, value in metadata.versions.items()),
        ]),
    ]  # fmt: skip
    return [(title, [(label, value) for label, value in pairs if value]) for title, pairs in sections]


def _records(records: RecordsDescription | None) -> list[tuple[str, str]]:
    """How many records there were, and their labels."""
    if records is None:
        return []
    training = number(records.training, ",.0f", " of them to train on")
    counts = ", ".join(filter(None, [number(records.count, ",.0f"), training]))
    return [("number of records", counts), ("labels", _names(records.labels))]


def _names(names: Sequence[str], limit: int = 12) -> str:
    return ", ".join(names[:limit]) + (f" and {len(names) - limit:,} more" if len(names) > limit else "")


def _history(history: Sequence[Validation]) -> list[tuple[str, ...]]:
    """The validations as rows of a table; of many, about twenty spread evenly."""
    head: tuple[str, ...] = ("step", "epoch", "time", "loss", "val loss", "rate")
    every = max(1, -(-len(history) // 20))
    shown = [row for n, row in enumerate(history) if (len(history) - 1 - n) % every == 0]
    return [head] + [
        (
            number(row.step, ",.0f"),
            number(row.epoch, ".2f"),
            duration(row.seconds),
            number(row.loss, ".4f"),
            number(row.val_loss, ".4f"),
            number(row.learning_rate, ".2e"),
        )
        for row in shown
    ]


def _plain(value: Any) -> str:
    """A setting's value in words; "" if it is not set."""
    if isinstance(value, bool):
        return "yes" if value else "no"
    if value is None:
        return ""
    return f"{value:g}" if isinstance(value, float) else str(value)


def _characters(characters: str, limit: int = 100) -> str:
    shown = "".join(c if c.isprintable() else ascii(c)[1:-1] for c in characters[:limit])
    return shown + (f" ... and {len(characters) - limit:,} more" if len(characters) > limit else "")

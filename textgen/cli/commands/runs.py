"""`textgen runs` and `textgen info`: what has been trained."""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import click

from textgen.cli.command import command, visible
from textgen.cli.options import checkpoints_option, json_option, run_names
from textgen.display.format import age, duration, number, size, table
from textgen.system import colours

_COLUMNS = ("run", "corpus", "size", "epochs", "val loss", "bits/char", "age")


@command(
    "runs",
    examples=("textgen runs", "textgen runs --json"),
)
@checkpoints_option
@json_option("One JSON object a line for each run.")
def runs(checkpoints: Path, as_json: bool) -> None:
    """List the runs, newest first.

    Corpus, size of the model, passes over the text, loss on the text held out (nats per character), the same in bits
    per character, and how long ago it was saved.
    """
    from textgen.runs.find import list_runs

    summaries = [run.summary() for run in list_runs(checkpoints)]
    if as_json:
        for summary in summaries:
            click.echo(json.dumps(summary, ensure_ascii=False))
        return
    if not summaries:
        click.echo(visible(f"There are no runs in {checkpoints} yet. Start one: textgen train TEXT"), err=True)
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
@json_option("One JSON object with everything.")
def info(name: str | None, checkpoints: Path, as_json: bool) -> None:
    """Show a run's model, vocabulary, settings and history.

    NAME is a run's name or folder, or a .keras file; without it, the newest run is told.
    """
    details = _details(name, checkpoints)
    if as_json:
        click.echo(json.dumps(details, ensure_ascii=False))
        return
    sections = _sections(details)
    width = max(len(label) for _, pairs in sections for label, _ in pairs)
    bold = bool(colours(sys.stdout))
    for n, (title, pairs) in enumerate(sections):
        click.echo(("\n" if n else "") + click.style(title, bold=True), color=bold)
        for label, value in pairs:
            click.echo(f"  {label:<{width}}  {visible(value)}")
    if details["history"]:
        click.echo("\n" + click.style("History", bold=True), color=bold)
        for line in table(_history(details["history"]), right=range(6)):
            click.echo(f"  {line}")


def _details(name: str | None, checkpoints: Path) -> dict[str, Any]:
    """A run's details, or those of a single file."""
    from textgen.model.checkpoint import describe
    from textgen.runs.find import find_run, resolve_checkpoint

    if name is not None and resolve_checkpoint(name, checkpoints=checkpoints) == Path(name):
        return describe(name)
    return find_run(name, checkpoints=checkpoints).details()


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


def _sections(details: Mapping[str, Any]) -> list[tuple[str, list[tuple[str, str]]]]:
    """What `textgen info` tells: titles, each with labels and values; empty values are left out."""
    corpus, metrics, model = details["corpus"], details["metrics"], details["model"]
    vocabulary, training = details["vocabulary"], details["training"]
    sections = [
        ("Run", [
            ("name", details.get("name", "")),
            ("checkpoint", details["checkpoint"]),
            ("state", "training now" if details.get("live") else ""),
        ]),
        ("Model", [
            ("shape", f"{size(model)}, embedding {model.get('embedding')}"),
            ("weights", number(details["weights"], ",.0f")),
            *((key, _plain(model[key])) for key in ("skip", "dropout", "input_dropout") if key in model),
        ]),
        ("Vocabulary", [
            ("size", f"{vocabulary['size']:,}" + ", one of them for rare characters" * vocabulary["has_unknown"]),
            ("characters", _characters(vocabulary["characters"])),
        ]),
        ("Result", [
            ("validation loss", number(metrics.get("val_loss"), ".4f", " nats per character")),
            ("bits per character", number(metrics.get("bits_per_character"), ".3f")),
            ("training loss", number(metrics.get("loss"), ".4f", " nats per character")),
            ("steps", number(metrics.get("step"), ",.0f")),
            ("epochs", number(metrics.get("epoch"), ".2f")),
            ("characters seen", number(metrics.get("characters_seen"), ",.0f")),
            ("time", duration(metrics.get("seconds"))),
        ]),
        ("Recipe", [(key, _plain(value)) for key, value in training.items()]),
        ("Provenance", [
            ("corpus", _plain(corpus.get("name"))),
            *(("file" if n == 0 else "", str(source)) for n, source in enumerate(corpus.get("sources") or [])),
            ("characters", number(corpus.get("characters"), ",.0f")),
            ("sha256", _plain(corpus.get("sha256"))),
            *((key, _plain(value)) for key, value in (corpus.get("settings") or {}).items()),
            ("created", details["created"]),
            ("textgen", details["textgen"]),
            *((key, _plain(value)) for key, value in details["versions"].items()),
        ]),
    ]  # fmt: skip
    return [(title, [(label, value) for label, value in pairs if value]) for title, pairs in sections]


def _history(history: list[dict[str, Any]]) -> list[tuple[str, ...]]:
    """The validations as rows of a table; of many, some twenty spread over all."""
    head: tuple[str, ...] = ("step", "epoch", "time", "loss", "val loss", "rate")
    every = max(1, -(-len(history) // 20))
    shown = [row for n, row in enumerate(history) if (len(history) - 1 - n) % every == 0]
    return [head] + [
        (
            number(row.get("step"), ",.0f"),
            number(row.get("epoch"), ".2f"),
            duration(row.get("seconds")),
            number(row.get("loss"), ".4f"),
            number(row.get("val_loss"), ".4f"),
            number(row.get("learning_rate"), ".2e"),
        )
        for row in shown
    ]


def _plain(value: Any) -> str:
    """A setting's value in words; nothing for one that is not set."""
    if isinstance(value, bool):
        return "yes" if value else "no"
    if value is None:
        return ""
    return f"{value:g}" if isinstance(value, float) else str(value)


def _characters(characters: str, limit: int = 100) -> str:
    shown = "".join(c if c.isprintable() else ascii(c)[1:-1] for c in characters[:limit])
    return shown + (f" ... and {len(characters) - limit:,} more" if len(characters) > limit else "")

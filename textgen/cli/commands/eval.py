"""`textgen eval`: measures how well a run predicts held-out text."""

from __future__ import annotations

import contextlib
import json
import string
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from textgen.cli.command import command, visible
from textgen.cli.options import (
    AnyPath,
    checkpoints_option,
    errors_option,
    json_option,
    label_field_option,
    optional,
    run_names,
    run_option,
    setting,
    text_field_option,
)
from textgen.config import CorpusConfig, EvaluationConfig
from textgen.config.corpus import DecodingErrors
from textgen.display.format import table
from textgen.errors import CheckpointError, RunError

if TYPE_CHECKING:
    from textgen.analysis.evaluation import Baseline, Classification, Evaluation, Interval, Tunes

_COLUMNS = 80
_MATRIX = 50
"""Columns that a confusion matrix may take, without the labels' names."""

_STAGES = {
    "reading": ("reading the text", "B"),
    "carried": ("state carried", " char"),
    "windows": ("windows", " char"),
    "statistics": ("measuring gradients", " char"),
    "dynamic": ("dynamic", " char"),
    "sides": ("both sides", " char"),
    "classifying": ("labels", " char"),
    "tunes": ("tunes", ""),
    "compressing": ("gzip, bz2 and xz", "B"),
}


@command(
    "eval",
    examples=(
        "textgen eval",
        "textgen eval marrow_haven",
        "textgen eval marrow_haven corpora/README.md --unknown skip",
        "textgen eval marrow_haven --windows 64 --json",
        "textgen eval short_texts",
        "textgen eval --run marrow_haven --run marrow_haven-2",
    ),
)
@click.argument("run", required=False, shell_complete=run_names)
@click.argument("file", required=False, type=AnyPath(allow_dash=True))
@run_option
@checkpoints_option
@click.option(
    "--corpus",
    multiple=True,
    type=AnyPath(),
    metavar="PATH",
    help="Path of the run's own text, if it has moved; can be given several times.",
)
@setting("--windows", metavar="N", config=EvaluationConfig)
@optional("--streams", config=EvaluationConfig)
@setting("--dynamic", config=EvaluationConfig)
@text_field_option
@label_field_option("Column or field of FILE with a record's labels.", otherwise="the run's, if FILE has it")
@setting("--encoding", config=CorpusConfig, help="FILE's encoding.")
@errors_option
@setting("--unknown", config=EvaluationConfig)
@setting("--seed", config=EvaluationConfig)
@optional(
    "--html",
    metavar="FILE",
    type=AnyPath(path_type=Path),
    help="Of a run on pairs: write a page that shows where the model looked in the listed sources.",
)
@json_option("Write everything as one JSON object.")
@click.pass_context
def eval(  # noqa: A001
    ctx: click.Context,
    /,
    run: str | None,
    file: str | None,
    runs: tuple[str, ...],
    checkpoints: Path,
    text_field: str | None,
    label_field: str | None,
    encoding: str,
    errors: DecodingErrors | None,
    html: Path | None,
    as_json: bool,
    **options: Any,
) -> None:
    """Measure how well a run predicts held-out text.

    RUN is a run's name or folder, or a .keras file; the default is the newest run. FILE is a text, or - for standard
    input; the default is the run's validation split.

    Reports nats and bits per character, perplexity and a 95 % confidence interval for two protocols: the whole text
    with the state carried over, and windows of N characters that each start without context. Also reports the best
    softmax temperature, and baselines: uniform, unigram, and xz, bz2 and gzip primed with the training text.

    Of a run of both sides (textgen train --sides both) it also reports the losses of its two other heads: of each
    character given the text after it, and given both sides.

    Of a run on records each record is scored by itself, its end included and given its labels. A run on a table reads
    a .csv, .tsv or .jsonl FILE row by row. Where records have labels, the report says how well the model tells them, as
    textgen classify does: accuracy, macro F1 and the confusion matrix of at most 2,000 records, beside the majority
    class and a multinomial naive Bayes on n-grams of 1 to 5 characters (by scikit-learn, if it is installed).

    Of a run on tunes the report adds how good 200 tunes are that it writes, beside those of the text: the shares that
    are read without a complaint, of bars that fill their metre, of tunes whose repeats close and that end on the
    tonic; their range, how many differ, and the longest copy from the training tunes.

    Of a run on pairs the report says how well it turns texts into others: character errors and texts that are not
    exactly right, as a beam search of width 5 writes them, of at most 2,000 sources; nats per character of the targets;
    and the worst, and the most certain wrong ones. FILE is read as the run's own pairs were.

    With --run in place of RUN several runs with one vocabulary are mixed, as in textgen sample. Without FILE they must
    have the same validation split.
    """
    from textgen.analysis.evaluation import evaluate
    from textgen.cli.bars import bars
    from textgen.cli.reading import load_writer, read_text
    from textgen.cli.tables import open_table, read_all

    if file is None and run is not None and (runs or _is_text(run, checkpoints)):
        run, file = None, run
    if runs and (run is not None or (file is not None and _is_run(file, checkpoints))):
        raise click.UsageError("RUN and --run cannot be given together. Name every run with --run.", ctx)
    if not runs and (path := _pairs_run(run, checkpoints)) is not None:
        _refuse(ctx, text_field=text_field, label_field=label_field)
        from textgen.cli.pair_report import eval_pairs

        kept = {each: options[each] for each in ("corpus", "unknown", "seed")}
        eval_pairs(path, file, encoding=encoding, errors=errors, html=html, as_json=as_json, **kept)
        return
    if html is not None:
        raise click.UsageError("--html needs a run on pairs.", ctx)
    writer, name = load_writer(runs or run, checkpoints)
    text: str | list[str] | None = None
    labels = None
    if file is not None:
        table = open_table(
            writer, file, encoding=encoding, errors=errors, text_field=text_field, label_field=label_field
        )
        if table is None:
            text = read_text(writer, file, encoding=encoding, errors=errors)
        else:
            text, labels = read_all(table)
            labels = labels if table.config.label_field else None
    elif text_field or label_field:
        raise click.UsageError("--text-field and --label-field need FILE.", ctx)
    with bars(_STAGES) as progress:
        title = "standard input" if file == "-" else file or ""
        found = evaluate(writer, text, labels=labels, name=title, progress=progress, **options)
    for warning in found.warnings:
        click.echo(f"Warning: {visible(warning)}", err=True)
    if as_json:
        click.echo(json.dumps(found.to_json(), ensure_ascii=False, allow_nan=False))
        return
    click.echo(visible("\n".join(_report(found, name))))


def _pairs_run(run: str | None, checkpoints: Path) -> Path | None:
    """The checkpoint of a run on pairs; None for a run on one text, or where there is none to read."""
    from textgen.model.read import read_metadata
    from textgen.runs.find import resolve_checkpoint

    with contextlib.suppress(RunError, CheckpointError):
        path = resolve_checkpoint(run, checkpoints=checkpoints)
        if read_metadata(path).model.has_encoder:
            return path
    return None


def _refuse(ctx: click.Context, **fields: str | None) -> None:
    """Refuses options that have no meaning for pairs."""
    given = click.core.ParameterSource.COMMANDLINE
    names = [each for each in ("windows", "streams", "dynamic") if ctx.get_parameter_source(each) is given]
    for name in (*names, *(each for each, value in fields.items() if value)):
        raise click.UsageError(f"--{name.replace('_', '-')} has no meaning for a run on pairs.", ctx)


def _is_text(argument: str, checkpoints: Path) -> bool:
    """Whether the only argument is FILE: it names no run, but a file other than a .keras one."""
    from textgen.errors import RunError
    from textgen.runs.find import find_run

    if argument == "-":
        return True
    try:
        find_run(argument, checkpoints=checkpoints)
    except RunError:
        with contextlib.suppress(OSError, ValueError):
            return Path(argument).is_file() and Path(argument).suffix != ".keras"
    return False


def _is_run(argument: str, checkpoints: Path) -> bool:
    """Whether an argument names a run and no text."""
    from textgen.runs.find import names_run

    return not _is_text(argument, checkpoints) and names_run(argument, checkpoints=checkpoints)


def _report(found: Evaluation, name: str) -> list[str]:
    """The report's lines, none wider than 80 columns but for a long name."""
    head = [
        f"run   {name}" + (f", {found.checkpoint}" if found.checkpoint not in (None, name) else ""),
        f"text  {'held out, ' if found.split == 'held-out' else ''}{found.source}",
        f"      {found.characters:,} characters scored, sha256 {found.sha256[:12]}",
    ]
    rows: list[tuple[str, ...]] = [("", "nats/char", "95 % interval", "bits/char", "perplexity")]
    for each in found.protocols:
        rows.append(_row(each.title, each.nats, each.interval))
        if each is found.carried:
            rows.append(_row(f"  at temperature {found.calibration.temperature:.2f}", found.calibration.nats))
    rows += [_row(_title(baseline), baseline.nats) for baseline in found.baselines]
    lines = [*head, "", *table(rows, right=(1, 2, 3, 4)), "", *_wrapped(found.verdict)]
    if found.classification is not None:
        lines += ["", *_labels(found.classification)]
    if found.tunes is not None:
        lines += ["", *_tunes(found.tunes)]
    return [*lines, "", *(line for note in found.notes for line in _wrapped(note))] if found.notes else lines


def _labels(found: Classification) -> list[str]:
    """How well labels are told: the scores, and the confusion matrix or, of many labels, the commonest confusions."""
    records = f"{found.records:,} of {found.of:,}" if found.records < found.of else f"{found.of:,}"
    rows = [(f"labels of {records} records", "accuracy", "macro F1")]
    for name, each in (("model, by Bayes' rule", found.model), *found.baselines.items()):
        rows.append((name, f"{100 * each.accuracy:.1f} %", f"{each.macro_f1:.3f}"))
    lines = [*table(rows, right=(1, 2)), ""]
    counts, letters = found.model.counts.tolist(), string.ascii_lowercase
    width = max(len(f"{count:,}") for row in counts for count in row)
    if len(counts) * (width + 2) <= _MATRIX:
        lines.append("".join(f"{letter:>{width}}  " for letter in letters[: len(counts)]) + "<- the model's answer")
        for letter, row, label in zip(letters, counts, found.model.labels, strict=False):
            lines.append("".join(f"{count:>{width},}  " for count in row) + f"{letter} = {label}")
    else:
        lines.append("The commonest confusions:")
        lines += [f"{count:>7,}  {true} taken for {answer}" for true, answer, count in found.model.commonest()]
    return [*lines, *(line for note in found.notes for line in ["", *_wrapped(note)])]


def _tunes(found: Tunes) -> list[str]:
    """How good tunes are: those that the model wrote, and the text's."""
    both = (found.samples, found.given)
    rows = [
        (f"tunes, at temperature {_temperature(found.temperature)}", "the model's", "the text's"),
        ("tunes", *(f"{each.tunes:,}" for each in both)),
        ("read without a complaint", *(_share(each.parsed) for each in both)),
        ("bars that fill their metre", *(_share(each.filled) for each in both)),
        ("repeats that close", *(_share(each.closed) for each in both)),
        ("end on the tonic", *(_share(each.on_tonic) for each in both)),
        ("range in semitones", *(f"{each.range:.1f}" for each in both)),
        ("distinct", *(_share(each.distinct) for each in both)),
        (
            "longest copy in characters",
            *("" if each.longest_copy is None else f"{each.longest_copy:,}" for each in both),
        ),
    ]
    return [*table(rows, right=(1, 2)), *(line for note in found.notes for line in ["", *_wrapped(note)])]


def _share(value: float | None) -> str:
    return "" if value is None else f"{100 * value:.1f} %"


def _temperature(value: float | tuple[float, ...]) -> str:
    return ", ".join(f"{each:g}" for each in (value if isinstance(value, tuple) else (value,)))


def _title(baseline: Baseline) -> str:
    if not baseline.is_compressor:
        return baseline.name
    return f"{baseline.name} after training text" if baseline.after_training else f"{baseline.name} alone"


def _row(title: str, nats: float, interval: Interval | None = None) -> tuple[str, ...]:
    from textgen.analysis.evaluation.evaluation import bits, perplexity

    between = "" if interval is None else f"{interval.low:.4f} to {interval.high:.4f}"
    return title, f"{nats:.4f}", between, f"{bits(nats):.4f}", _short(perplexity(nats))


def _short(value: float) -> str:
    """A perplexity in few columns.

    >>> _short(4.0183), _short(123456789.0)
    ('4.02', '1.2e+08')
    """
    return f"{value:,.2f}" if value < 1e5 else f"{value:.1e}"


def _wrapped(text: str) -> list[str]:
    import textwrap

    return textwrap.wrap(text, _COLUMNS, break_long_words=False, break_on_hyphens=False)

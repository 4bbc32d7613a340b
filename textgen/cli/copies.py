"""Finds spans copied from a training text for `sample --check`, and formats them, for `novelty`, too."""

from __future__ import annotations

import functools
import os
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

import click

from textgen.cli.command import visible
from textgen.errors import RunError

if TYPE_CHECKING:
    from textgen.analysis.memorisation import Span, TrainingText
    from textgen.sampling.sample import Sample
    from textgen.sampling.writer import Writer

STAGES = {"reading": ("reading the training text", "B"), "sorting": ("sorting the training text", " char")}
"""Stages of the search for copied spans, for `bars`."""

_HEAD, _TAIL = 500, 200
"""Characters shown of a longer span, at its start and end."""

_EXCERPT = 60

_COPIES = 3
"""Number of copied spans that `sample --check` shows."""


def read_training(writer: Writer, corpus: Sequence[str]) -> TrainingText:
    """The training text to search for copies, read first so that errors come before any sample."""
    from textgen.analysis.memorisation import check_installed, read_training_text
    from textgen.cli.bars import bars
    from textgen.sampling.mixing import common_source

    check_installed()
    try:
        source = common_source(writer.members)
    except RunError as error:
        raise RunError(f"{error} Use --check with one of them.") from error
    with bars(STAGES) as progress:
        report = None if progress is None else functools.partial(progress, "reading")
        return read_training_text(source.metadata.corpus, source.path, source.tokenizer, corpus=corpus, progress=report)


def copies_of(training: TrainingText, samples: Sequence[Sample]) -> list[list[dict[str, Any]]]:
    """For each sample, its copied spans as plain JSON values."""
    spans = _find(training, samples, each=True)
    return [[span.to_json() for span in spans if span.sample == n] for n in range(len(samples))]


def name_copies(training: TrainingText, samples: Sequence[Sample]) -> None:
    """Shows the longest copied spans of all samples on standard error."""
    for line in in_short(_find(training, samples, each=False)):
        click.echo(line, err=True)


def _find(training: TrainingText, samples: Sequence[Sample], *, each: bool) -> list[Span]:
    """The longest copied spans of all samples, or of each of them."""
    from textgen.analysis.memorisation import find_spans
    from textgen.cli.bars import bars

    with bars(STAGES) as progress:
        report = None if progress is None else functools.partial(progress, "sorting")
        return find_spans(training, [sample.text for sample in samples], count=_COPIES, each=each, progress=report)


def in_place(span: Span, *, colours: bool) -> Iterator[str]:
    """The lines that show a span in its context, marked by colour or by brackets."""
    yield f"{span.length:,} characters, {_source(span)}"
    before = ("..." if span.start > len(span.before) else "") + span.before
    copied = span.text
    if len(copied) > _HEAD + _TAIL:
        left_out = len(copied) - _HEAD - _TAIL
        copied = f"{copied[:_HEAD]} ... {left_out:,} characters ... {copied[-_TAIL:]}"
    copied = visible(copied)
    marked = _coloured(copied) if colours else f"[{copied}]"
    for line in f"{visible(before)}{marked}{visible(span.after)}".split("\n"):
        yield f"    {line}".rstrip()


def in_short(spans: Sequence[Span]) -> Iterator[str]:
    """One line for each span."""
    from textgen.analysis.memorisation.spans import SHORTEST

    if not spans:
        yield f"No span of {SHORTEST} characters or more is copied from the training text."
        return
    yield "The longest spans copied from the training text:"
    for span in spans:
        text = " ".join(span.text.split())
        text = text if len(text) <= _EXCERPT else f"{text[: _EXCERPT - 20]} ... {text[-15:]}"
        yield visible(f'  {span.length:,} characters, {_source(span)}: "{text}"')


def shown_file(file: str) -> str:
    """A file's path relative to the working folder if it is below it."""
    if file == "-":
        return "standard input"
    try:
        near = os.path.relpath(file)
    except (OSError, ValueError):
        return file
    return file if near.startswith(os.pardir) else near


def _source(span: Span) -> str:
    times = f", one of {span.occurrences:,} occurrences" if span.occurrences > 1 else ""
    file = visible(shown_file(span.file))
    where = f"line {span.line:,}" if span.record is None else f"record {span.record:,}"
    return f"{file} {where} (character {span.offset:,} of the text{times})"


def _coloured(text: str) -> str:
    return "\n".join(click.style(line, fg="red", bold=True) if line else "" for line in text.split("\n"))

"""Formats spans copied from a training text, for `novelty` and `sample --check`."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

import click

from textgen.cli.command import visible

if TYPE_CHECKING:
    from textgen.analysis.memorisation import Span

STAGES = {"reading": ("reading the training text", "B"), "sorting": ("sorting the training text", " char")}
"""Stages of the search for copied spans, for `bars`."""

_HEAD, _TAIL = 500, 200
"""Characters shown of a longer span, at its start and end."""

_EXCERPT = 60


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

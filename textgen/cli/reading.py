"""Loads the model and the texts of the commands that use a run, without TensorFlow."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import click

from textgen.cli.command import visible
from textgen.config import SamplingConfig, Unknown
from textgen.runs.find import checkpoint_name, resolve_checkpoint
from textgen.sampling.writer import load

if TYPE_CHECKING:
    from textgen.sampling.writer import Writer

_ADAPTING = {
    "reading": ("reading the training text", "B"),
    "statistics": ("measuring gradients", " char"),
    "adapting": ("learning", " char"),
}
"""Stages of adaptation, for `bars`."""

_SAID = f"{__name__}.replaced"
"""Key of the command's context under which it is noted that `say_once` has spoken."""

_PATIENCE = 2.0
"""Seconds without input from standard input until a hint is shown."""


def load_writer(run: str | None, checkpoints: Path) -> tuple[Writer, str]:
    """Loads the model of `--run`; returns it with its run's name or its file's path."""
    path = resolve_checkpoint(run, checkpoints=checkpoints)
    return load(path), checkpoint_name(path)


def read_text(writer: Writer, source: str, *, encoding: str) -> str:
    """Reads a file, or standard input for "-", with newlines and characters normalised as in training.

    Raises:
        CorpusError: it is missing, binary, or not valid in its encoding.
    """
    from textgen.corpus import open_corpus

    settings = writer.metadata.corpus.config.replace(encoding=encoding)
    with _hint_at_waiting(source):
        return "".join(open_corpus(source, config=settings).pieces())


def check_characters(writer: Writer, config: SamplingConfig) -> None:
    """Refuses a `ban` and an `allow` that the writer would refuse, before it reads anything.

    Raises:
        ConfigError: see `banned_ids`.
    """
    from textgen.sampling.banned import banned_ids

    limits = config.replace(ban=writer.as_trained(config.ban), allow=writer.as_trained(config.allow))
    banned_ids(writer.tokenizer, limits)


def note_replaced(writer: Writer, text: str, unknown: Unknown) -> None:
    """Says once for a command, on standard error, which characters the run's unknown id stands for.

    Args:
        writer: the model.
        text: what it is to read.
        unknown: what was asked for; only "auto" replaces characters unasked.
    """
    from textgen.corpus.tokenizer import replacement_note

    if _SAID not in click.get_current_context().meta:
        say_once(replacement_note(writer.tokenizer, text, unknown))


def say_once(note: str) -> None:
    """Shows what `replacement_note` says, if anything, unless the command has already shown such a note."""
    said = click.get_current_context().meta
    if note and _SAID not in said:
        said[_SAID] = True
        click.echo(f"Note: {visible(note)}", err=True)


def adapt(writer: Writer, source: str, *, encoding: str, unknown: Unknown, corpus: Sequence[str] = ()) -> Writer:
    """Adapts a writer to a file, or to standard input for "-", and reports on standard error.

    Raises:
        CorpusError: the file is missing, empty, binary, or not valid in its encoding.
        TextgenError: see `Writer.adapt`.
    """
    import sys

    from textgen.cli.bars import bars
    from textgen.errors import CorpusError
    from textgen.system import is_terminal

    text = read_text(writer, source, encoding=encoding)
    if not text:
        raise CorpusError("There is nothing to adapt to: the text is empty.")
    note_replaced(writer, text, unknown)
    with bars(_ADAPTING) as progress:
        adapted = writer.adapt(text, unknown=unknown, corpus=corpus, progress=progress)
    done = adapted.adaptation
    if done is None:
        return adapted
    if done.problem:
        click.echo(
            f"Note: {visible(done.problem)} The gradient statistics come from the text itself instead.", err=True
        )
    if is_terminal(sys.stderr):
        click.echo(
            f"(adapted to {done.characters:,} characters, {done.bits_per_character:.3f} bits per character)", err=True
        )
    return adapted


@contextlib.contextmanager
def _hint_at_waiting(source: str) -> Iterator[None]:
    """Shows a hint if nothing comes from standard input."""
    if source != "-":
        yield
        return
    import threading

    timer = threading.Timer(_PATIENCE, click.echo, ["Reading from standard input ..."], {"err": True})
    timer.daemon = True
    timer.start()
    try:
        yield
    finally:
        timer.cancel()

"""Loads the model and the texts of the commands that use a run, without TensorFlow."""

from __future__ import annotations

import codecs
import contextlib
import math
import os
import stat
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import click

from textgen.cli.command import visible
from textgen.config import SamplingConfig, Unknown
from textgen.config.corpus import DecodingErrors
from textgen.runs.find import checkpoint_name, names_run, resolve_checkpoint
from textgen.sampling.loading import load
from textgen.sampling.writer import Writer
from textgen.system import is_terminal

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


def load_writer(runs: str | Sequence[str] | None, checkpoints: Path) -> tuple[Writer, str]:
    """Loads the model of a run, or mixes those of several.

    Args:
        runs: one run's name; or the values of `--run`, of which none takes the newest run. None does so, too.
        checkpoints: the folder of the run folders.

    Returns:
        The writer, and its run's name, its file's path, or the mixture's name.

    Raises:
        UsageError: a weight is not a positive number.
        TextgenError: see `load` and `Writer.mix`.
    """
    if runs is None or isinstance(runs, str):
        named = [(runs, 1.0)]
    else:
        named = [_weighted(each, checkpoints) for each in runs] or [(None, 1.0)]
    paths = [resolve_checkpoint(run, checkpoints=checkpoints) for run, _ in named]
    loaded = {path: load(path) for path in dict.fromkeys(paths)}
    if len(paths) == 1:
        return loaded[paths[0]], checkpoint_name(paths[0])
    writer = Writer.mix([loaded[path] for path in paths], [weight for _, weight in named])
    return writer, writer.name


def mixed_runs(writer: Writer) -> dict[str, Any]:
    """The runs of a mixture with their weights, which have the sum 1, as a JSON object's field; {} for one run."""
    runs = [{"run": each.name, "weight": weight} for each, weight in writer.members]
    return {"runs": runs} if len(runs) > 1 else {}


def _weighted(given: str, checkpoints: Path) -> tuple[str | None, float]:
    """A value of `--run` as a run's name and its weight; a run whose name holds the colon comes first."""
    name, colon, text = given.rpartition(":")
    if not colon or names_run(given, checkpoints=checkpoints):
        return given, 1.0
    try:
        weight = float(text)
    except ValueError:
        if not names_run(name, checkpoints=checkpoints):
            return given, 1.0
        weight = math.nan
    if not 0.0 < weight < math.inf:
        example = repr(f"{name}:0.7")
        raise click.UsageError(
            f"--run {given!r}: the weight must be a positive number; got {text!r}. Write for instance {example}.",
            click.get_current_context(silent=True),
        )
    return name, weight


def read_text(writer: Writer, source: str, *, encoding: str, errors: DecodingErrors | None = None) -> str:
    """Reads a file, or standard input for "-", with newlines and characters normalised as in training.

    Args:
        writer: whose corpus.
        source: the file.
        encoding: its encoding.
        errors: what becomes of bytes that are not valid in it; None is as for the corpus.

    Raises:
        CorpusError: it is missing, binary, or not valid in its encoding.
    """
    from textgen.corpus import open_corpus

    settings = writer.reading.replace(encoding=encoding)
    if errors is not None:
        settings = settings.replace(errors=errors)
    with hint_at_waiting([source]):
        return "".join(open_corpus(source, config=settings).pieces())


def read_unchanged(
    writer: Writer, source: str, *, encoding: str, errors: DecodingErrors | None = None
) -> tuple[str, str]:
    """Reads a text as `read_text` does, but with its own newlines and characters, to write it again with changes.

    Where the run's own text was stripped or unwrapped, the text is read so, and normalised, as by `read_text`.

    Returns:
        The byte order mark that the file begins with, or "", and the text without it.

    Raises:
        CorpusError: as by `read_text`.
    """
    from textgen.corpus import open_corpus

    reading = writer.reading
    if reading.unwrap or reading.strip not in (None, "none"):
        return "", read_text(writer, source, encoding=encoding, errors=errors)
    settings = reading.replace(encoding=encoding, keep_newlines=True, normalize="none")
    heads: list[bytes] = []
    with hint_at_waiting([source]):
        corpus = open_corpus(source, config=settings if errors is None else settings.replace(errors=errors))
        text = "".join(corpus.pieces(on_read=lambda chunk: heads.append(chunk[:3])))
    return "\ufeff" * (heads[:1] == [codecs.BOM_UTF8]), text


def check_characters(writer: Writer, config: SamplingConfig) -> None:
    """Refuses a `ban`, an `allow` and constraints that the writer would refuse, before it reads anything.

    Raises:
        ConfigError: see `banned_ids` and `constraint_of`.
    """
    from textgen.sampling.banned import banned_ids
    from textgen.sampling.constraint import constraint_of

    limits = writer.controls_as_trained(config)
    constraint_of(writer.tokenizer, limits, banned_ids(writer.tokenizer, limits))


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


def adapt(
    writer: Writer,
    source: str,
    *,
    encoding: str,
    errors: DecodingErrors | None = None,
    unknown: Unknown,
    corpus: Sequence[str] = (),
) -> Writer:
    """Adapts a writer to a file, or to standard input for "-", and reports on standard error.

    Raises:
        CorpusError: the file is missing, empty, binary, or not valid in its encoding.
        TextgenError: see `Writer.adapt`.
    """
    from textgen.cli.bars import bars
    from textgen.errors import CorpusError

    text = read_text(writer, source, encoding=encoding, errors=errors)
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


def is_piped() -> bool:
    """Whether standard input has something that somebody put there: it is no terminal, no other device and not closed.

    A pipe, a file, or a socket, which is what Node.js hands over.
    """
    stream = sys.stdin
    if stream is None or stream.closed or is_terminal(stream):
        return False
    try:
        mode = os.fstat(stream.fileno()).st_mode
    except (OSError, ValueError):
        # A stream that is no descriptor is what a caller in this process has put there.
        return hasattr(stream, "buffer")
    return not (stat.S_ISCHR(mode) or stat.S_ISDIR(mode))


@contextlib.contextmanager
def hint_at_waiting(sources: Sequence[str]) -> Iterator[None]:
    """Says what is waited for: at once at a terminal, and where a stream brings nothing for a while."""
    if "-" in sources and is_terminal(sys.stdin):
        end = "Ctrl-Z and Enter" if sys.platform == "win32" else "Ctrl-D"
        click.echo(f"Write or paste the text here; {end} on a line of its own ends it.", err=True)
        yield
        return
    from textgen.corpus.finding import is_stream

    if not any(map(is_stream, sources)):
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

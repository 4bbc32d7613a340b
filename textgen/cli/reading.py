"""The model and the texts that `sample`, `complete` and `score` work on. No TensorFlow here."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import click

from textgen.config import CorpusConfig
from textgen.runs import BEST, LAST, resolve_checkpoint
from textgen.writer import load

if TYPE_CHECKING:
    from textgen.writer import Writer

_PATIENCE = 2.0
"""Seconds without a text from standard input until the user is told."""


def load_writer(run: str | None, checkpoints: Path) -> tuple[Writer, str]:
    """The writer that `--run` means, and what to call it: its run's name, or the file's path."""
    path = resolve_checkpoint(run, checkpoints=checkpoints)
    name = path.resolve().parent.name if path.name in (BEST, LAST) else str(path)
    return load(path), name


def read_text(writer: Writer, source: str, *, encoding: str) -> str:
    """A file's text, or standard input's for "-", with newlines and characters normalised as the corpus's were.

    Raises:
        CorpusError: it is missing, binary, or not valid in its encoding.
    """
    from textgen.corpus import open_corpus

    settings = _settings(writer).replace(encoding=encoding)
    with _hint_at_waiting(source):
        return "".join(open_corpus(source, config=settings).pieces())


def _settings(writer: Writer) -> CorpusConfig:
    return CorpusConfig.from_json(writer.metadata.get("corpus", {}).get("settings") or {})


@contextlib.contextmanager
def _hint_at_waiting(source: str) -> Iterator[None]:
    """Says what is waited for if standard input brings nothing."""
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

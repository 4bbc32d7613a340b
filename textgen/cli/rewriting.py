"""Loads the model of the commands that use a run on pairs, without TensorFlow."""

from __future__ import annotations

from pathlib import Path

import click

from textgen.config import Unknown
from textgen.runs.find import checkpoint_name, resolve_checkpoint
from textgen.sampling.rewriting.rewriter import Rewriter, load_rewriter


def load_pairs(run: str | None, checkpoints: Path) -> tuple[Rewriter, str]:
    """Loads the model of a run on pairs.

    Returns:
        The rewriter, and its run's name or its file's path.

    Raises:
        TextgenError: see `load_rewriter`.
    """
    path = resolve_checkpoint(run, checkpoints=checkpoints)
    return load_rewriter(path), checkpoint_name(path)


def note_replaced(rewriter: Rewriter, text: str, unknown: Unknown) -> None:
    """Says once for a command, on standard error, which characters the run's unknown id stands for."""
    from textgen.cli.reading import say_once
    from textgen.corpus.tokenizer import replacement_note

    if click.get_current_context().meta.get("textgen.cli.reading.replaced") is None:
        say_once(replacement_note(rewriter.source_tokenizer, rewriter.as_trained(text), unknown))

"""Converts the arguments that `train` and `resume` share into what a session takes."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from textgen.config import TrainingConfig
from textgen.corpus import EncodedCorpus
from textgen.corpus.batches import Streams
from textgen.runs.run import check_folder

Source = str | Path


def as_list(sources: Source | Sequence[Source]) -> list[Source]:
    """One source or several as a list."""
    return [sources] if isinstance(sources, (str, Path)) else list(sources)


def absolute(sources: Sequence[Source]) -> list[str]:
    """The paths of a text made absolute, so that `resume` finds them from another folder."""
    return [str(source) if str(source) == "-" else str(Path(source).resolve()) for source in sources]


def cache_folder(checkpoints: Source) -> Path:
    """The folder that caches large encoded texts; it is hidden, so it is not listed as a run."""
    return Path(checkpoints) / ".cache"


def events_folder(tensorboard: Source | bool) -> str | bool:
    """The event files' folder made absolute, so that `resume` finds it from another folder."""
    if isinstance(tensorboard, bool):
        return tensorboard
    check_folder(tensorboard)
    return str(Path(tensorboard).resolve())


def open_streams(encoded: EncodedCorpus, training: TrainingConfig) -> Streams:
    """The batches of a run's training text."""
    return Streams(
        encoded.training,
        batch_size=training.batch_size,
        sequence_length=training.sequence_length,
        seed=training.seed,
    )

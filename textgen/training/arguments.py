"""The arguments that `train` and `resume` share, as a session takes them."""

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
    """The places of a text so that a continuation finds them from another folder."""
    return [str(source) if str(source) == "-" else str(Path(source).resolve()) for source in sources]


def cache_folder(checkpoints: Source) -> Path:
    """Where large texts are kept encoded; a hidden folder is no run."""
    return Path(checkpoints) / ".cache"


def events_folder(tensorboard: Source | bool) -> str | bool:
    """Where event files go, so that a continuation finds them from another folder."""
    if isinstance(tensorboard, bool):
        return tensorboard
    check_folder(tensorboard)
    return str(Path(tensorboard).resolve())


def open_streams(encoded: EncodedCorpus, training: TrainingConfig) -> Streams:
    """The training text as the batches of a run."""
    return Streams(
        encoded.training,
        batch_size=training.batch_size,
        sequence_length=training.sequence_length,
        seed=training.seed,
    )

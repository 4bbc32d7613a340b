"""Loads the writer of a run or of a checkpoint file."""

from __future__ import annotations

from textgen.runs.find import resolve_checkpoint
from textgen.sampling.writer import Writer
from textgen.system import PathLike


def load(run: PathLike | None = None) -> Writer:
    """Loads the model of a run or of a checkpoint file.

    Args:
        run: a run's name, a run's folder, or a `.keras` file; None takes the newest run.

    Raises:
        RunError: there is no such run.
        CheckpointError: the checkpoint is missing, damaged or not one of textgen's.
    """
    from textgen.model.read import read_checkpoint

    checkpoint = read_checkpoint(resolve_checkpoint(run))
    return Writer(
        config=checkpoint.model,
        weights=checkpoint.weights,
        tokenizer=checkpoint.tokenizer,
        metadata=checkpoint.metadata,
        path=checkpoint.path,
    )

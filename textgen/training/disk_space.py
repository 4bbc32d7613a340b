"""Looks before training whether its checkpoints will fit on the disk."""

from __future__ import annotations

import shutil
import sys

from textgen.config import ModelConfig
from textgen.errors import RunError
from textgen.runs.run import Run

_RESERVE = 200_000
"""Bytes for the history in the checkpoints and beside them, and for what the file system adds."""


def checkpoint_sizes(model: ModelConfig, batch_size: int) -> tuple[int, int]:
    """About how many bytes `best.keras` and `last.keras` take, before any history.

    The one holds the weights, the other Adam's moments and the recurrent state as well; what the formats add grows with
    the layers and the vocabulary.

    Args:
        model: the network's shape.
        batch_size: streams in a batch.

    Example:
        >>> checkpoint_sizes(ModelConfig(vocab_size=65, layers=2, units=256, embedding=64), 32)
        (3544044, 10686164)
    """
    layers = model.layers * (2 if model.both else 1)
    state = 4 * model.layers * model.facts.states * model.units * batch_size
    vocabulary = 8 * model.vocab_size
    best = 4 * model.stored + vocabulary + 24_000 + 10_000 * layers
    last = 12 * model.stored + vocabulary + state + 28_000 + 14_000 * layers
    # The third head and what joins the stacks are described, too.
    return (best + 44_000, last + 46_000) if model.both else (best, last)


def check_disk_space(run: Run, model: ModelConfig, batch_size: int, *, workers: int = 1) -> None:
    """Refuses a run whose best model and last state would not both fit, or not beside what they replace.

    Args:
        run: the run, whose folder need not be there.
        model: the network's shape.
        batch_size: streams in a batch.
        workers: processes that train together, each with a state of its own in `last.keras`.

    Raises:
        RunError: the disk has too little space left, or no file may be that large here.
    """
    best, last = checkpoint_sizes(model, batch_size)
    last += (workers - 1) * (last - best)
    if workers > 1:
        # Each one's own weights, and the outer optimizer's velocity.
        last += 4 * (workers + 1) * model.stored
    there = sum(path.stat().st_size for path in (run.best, run.last) if path.is_file())
    needed = max(best + last - there, 0) + max(best, last) + _RESERVE
    folder = run.path
    while not folder.exists() and folder != folder.parent:
        folder = folder.parent
    free = shutil.disk_usage(folder).free
    if free < needed:
        raise RunError(
            f"The checkpoints of this run need {_megabytes(needed)} in {run.path.parent}, and {_megabytes(free)} are "
            "free there. Free some space, choose another --checkpoints, or fewer units or layers."
        )
    largest = _largest_file()
    if largest is not None and largest < last:
        raise RunError(
            f"The last state of this run takes {_megabytes(last)}, and files may have {_megabytes(largest)} here. "
            "Raise the limit (ulimit -f), or choose fewer units or layers."
        )


def _largest_file() -> int | None:
    """How many bytes this process may write to a file; None without a limit."""
    if sys.platform == "win32":
        return None
    import resource

    limit, _ = resource.getrlimit(resource.RLIMIT_FSIZE)
    return None if limit == resource.RLIM_INFINITY else limit


def _megabytes(size: int) -> str:
    return f"{size / 1e6:,.1f} MB"

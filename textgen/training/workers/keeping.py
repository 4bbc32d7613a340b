"""Where another worker saves a run whose worker 0 was lost."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import Path

from textgen.errors import TextgenError
from textgen.model.read import read_metadata
from textgen.runs.create import create_run
from textgen.runs.run import Run


@contextlib.contextmanager
def kept_run(name: str, checkpoints: str | Path, *, created: str, step: int) -> Iterator[tuple[Run, int]]:
    """The folder in which a worker saves a run whose worker 0 was lost, locked for the body.

    It is the run's own one where this worker sees it, as on a disk that the workers share, if no process trains it any
    more; otherwise a new one, whose name is numbered where it is taken. Nothing newer is replaced.

    Args:
        name: the run's name.
        checkpoints: this worker's folder of runs.
        created: when the run was started, by which it is known.
        step: the step of what is to be saved.

    Yields:
        The run, and the step that is saved in it already; 0 for a new folder.

    Raises:
        RunError: no folder can be made.
    """
    run = Run(Path(checkpoints) / name)
    there = _saved_step(run, created)
    if there >= step:
        yield run, there
        return
    with contextlib.ExitStack() as stack:
        if there and _taken(run):
            stack.callback(run.unlock)
        else:
            run, there = stack.enter_context(create_run(name, checkpoints=checkpoints, exact=False)), 0
        yield run, there


def _saved_step(run: Run, created: str) -> int:
    """The step of a run's last state; 0 where there is none, or that of another run."""
    with contextlib.suppress(TextgenError):
        metadata = read_metadata(run.last)
        if metadata.progress is not None and metadata.progress.created == created:
            return metadata.progress.step
    return 0


def _taken(run: Run) -> bool:
    with contextlib.suppress(OSError):
        return run.lock()
    return False

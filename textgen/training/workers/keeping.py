"""Where another worker saves a run whose worker 0 was lost, and how worker 0 gets it back."""

from __future__ import annotations

import contextlib
import dataclasses
import math
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from textgen.errors import TextgenError
from textgen.model.progress import SavedProgress
from textgen.model.read import Checkpoint, read_checkpoint, read_metadata, read_training_state
from textgen.runs.create import create_run
from textgen.runs.run import Run
from textgen.system import atomic_write
from textgen.training.workers.team import Team


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


class State(NamedTuple):
    """What training goes on from: a checkpoint, its training state's arrays, and its counters."""

    last: Checkpoint
    arrays: dict[str, np.ndarray]
    progress: SavedProgress


def newest(
    team: Team, checkpoints: str | Path, run: Run | None = None, tell: Callable[[str], None] = lambda _: None
) -> State | None:
    """Gives worker 0, which continues a run, the state that another worker has kept of it, where that is newer.

    The run's last state is not replaced by it before the next save; its best model is, where the other one is better.

    Args:
        team: the workers; all call this.
        checkpoints: this worker's folder of runs.
        run: on worker 0, the run that it continues, locked; None for a new one.
        tell: is told, on worker 0, who had it.

    Returns:
        The newer state on worker 0; None where there is none, and on the others.

    Raises:
        WorkerLostError: a worker was lost.
    """
    own = None if run is None else read_metadata(run.last).progress
    asked: dict[str, Any] | None = None
    if run is not None and own is not None:
        asked = {"name": run.name, "created": own.created, "step": own.step}
    asked = team.tell("continued", asked)[0]
    if asked is None:
        return None
    step, kept = (0, None) if team.leads else _kept(Path(checkpoints), **asked)
    steps = [each for each, _ in team.collect("kept", step)]
    giver = team.tell("giver", int(np.argmax(steps)) if max(steps, default=0) else None)[0]
    if giver is None:
        return None
    files = []
    for name in ("best", "last"):
        path = getattr(kept, name) if kept is not None and team.index == giver else None
        data = b""
        with contextlib.suppress(OSError):
            data = b"" if path is None else path.read_bytes()
        received = team.collect(name, None, data)
        files.append(received[giver][1] if received else b"")
    if run is None or own is None:
        return None
    # What cannot be read or written is left: the run goes on from its own last state.
    with contextlib.suppress(TextgenError, OSError):
        state = _taken_over(run, own, *files)
        tell(
            f"{team.cluster.name(giver)} has kept the run up to step {state.progress.step:,}, and step {own.step:,} "
            "is saved here: it goes on from there."
        )
        return state
    return None


def _kept(checkpoints: Path, *, name: str, created: str, step: int) -> tuple[int, Run | None]:
    """The newest state of a run in a worker's folder that is beyond a step, and its step; 0 and None where none is."""
    found: tuple[int, Run | None] = 0, None
    # A name that is taken is numbered.
    for path in [checkpoints / name, *sorted(checkpoints.glob("*"))]:
        if path.name != name and not path.name.startswith(f"{name}-"):
            continue
        there = _saved_step(Run(path), created)
        if there > max(step, found[0]) and not Run(path).live:
            found = there, Run(path)
    return found


def _taken_over(run: Run, own: SavedProgress, best: bytes, last: bytes) -> State:
    """The state in a file that another worker sent; its best model, if it is better, becomes the run's.

    Raises:
        CheckpointError: the file is damaged.
    """
    known = math.inf if own.best is None else own.best
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "received.keras"
        path.write_bytes(last)
        checkpoint, arrays = read_checkpoint(path), read_training_state(path)
        if best:
            path.write_bytes(best)
            value = read_checkpoint(path).metadata.metrics.best_val_loss
            if value is not None and value < known:
                known = value
                with atomic_write(run.best) as file:
                    file.write(best)
    assert checkpoint.metadata.progress is not None
    # Where the best model is on worker 0's disk alone, the other one did not count it.
    progress = dataclasses.replace(checkpoint.metadata.progress, best=known if math.isfinite(known) else None)
    return State(checkpoint, arrays, progress)


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

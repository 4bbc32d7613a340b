"""Creates the folders of new runs."""

from __future__ import annotations

from pathlib import Path

from textgen.errors import RunError
from textgen.runs.naming import check_name, safe_name
from textgen.runs.run import CHECKPOINTS, LOCK, Run, taken
from textgen.system import PathLike, explain


def create_run(name: str, *, checkpoints: PathLike = CHECKPOINTS, exact: bool = True) -> Run:
    """Creates the folder of a new run, without changing anything that exists.

    Args:
        name: the run's name; any text where `exact` is False.
        checkpoints: the folder of the run folders, created if missing.
        exact: use exactly this name; otherwise derive a valid name from it, with -2, -3, ... added until it is free.

    Raises:
        RunError: the name is taken or invalid, or the folder cannot be created.
    """
    if exact:
        check_name(name)
        run = Run(Path(checkpoints) / name)
        if not _claim(run):
            if run.live:
                raise RunError(taken(run))
            import shlex

            raise RunError(
                f"The run {name!r} exists already in {run.path}. "
                f"Continue it with --resume {shlex.quote(name)}, or choose another --name."
            )
        return run
    stem = safe_name(name)
    number = 1
    while not _claim(run := Run(Path(checkpoints) / (stem if number == 1 else f"{stem}-{number}"))):
        number += 1
    return run


def _claim(run: Run) -> bool:
    """Creates a run's folder or takes an empty one; False if it is not empty or a process trains in it."""
    try:
        run.path.parent.mkdir(parents=True, exist_ok=True)
        try:
            run.path.mkdir()
        except FileExistsError:
            if not run.path.is_dir():
                return False
            return not run.live and all(path.name == LOCK for path in run.path.iterdir())
    except OSError as error:
        raise RunError(f"The run's folder {run.path} cannot be made: {explain(error)}") from error
    except ValueError as error:
        raise RunError(f"{str(run.path.parent)!r} cannot be a folder's name. Check --checkpoints.") from error
    return True

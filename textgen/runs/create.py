"""Folders for new runs."""

from __future__ import annotations

import contextlib
import shutil
from collections.abc import Iterator
from pathlib import Path

from textgen.errors import RunError
from textgen.runs.naming import check_name, safe_name
from textgen.runs.run import CHECKPOINTS, LOCK, TENSORBOARD, Run, being_trained
from textgen.system import PathLike, explain

_ATTEMPTS = 20


@contextlib.contextmanager
def create_run(name: str, *, checkpoints: PathLike = CHECKPOINTS, exact: bool = True) -> Iterator[Run]:
    """Makes the folder of a new run and keeps it locked during the body; nothing that exists is touched.

    A name is free for the process that gets the lock of its folder, so that of several that start at once each gets a
    folder of its own. The folder goes again if the body fails before anything is in it.

    Args:
        name: the run's name; any text where `exact` is False.
        checkpoints: the folder of the run folders, made where it is missing.
        exact: take this very name; otherwise make a name from it and add -2, -3, ... until it is free.

    Yields:
        The run, locked.

    Raises:
        RunError: the name is taken or cannot be a folder's, or the folder cannot be made.

    Example:
        >>> with create_run("poems", checkpoints=getfixture("tmp_path")) as run:
        ...     run.live
        True
        >>> run.live
        False
    """
    run = _exactly(name, Path(checkpoints)) if exact else _next_free(name, Path(checkpoints))
    try:
        with run.locked():
            yield run
    except BaseException:
        _remove_unused(run)
        raise


def _exactly(name: str, checkpoints: Path) -> Run:
    check_name(name)
    run = Run(checkpoints / name)
    if not _claim(run):
        if run.live:
            raise RunError(f"{being_trained(run)} Wait for it, stop it, or choose another --name.")
        import shlex

        raise RunError(
            f"The run {name!r} exists already in {run.path}. "
            f"Continue it with --resume {shlex.quote(name)}, or choose another --name."
        )
    return run


def _next_free(name: str, checkpoints: Path) -> Run:
    stem = safe_name(name)
    number = 1
    while not _claim(run := Run(checkpoints / (stem if number == 1 else f"{stem}-{number}"))):
        number += 1
    return run


def _claim(run: Run) -> bool:
    """Makes a run's folder, or takes an empty one, and locks it; False where it holds something or another has it."""
    for attempt in range(_ATTEMPTS):
        try:
            run.path.mkdir(parents=True, exist_ok=True)
            if not _is_empty(run) or not run.lock():
                return False
            if _is_empty(run):
                return True
            run.unlock()
            return False
        except FileNotFoundError as error:
            # A process that failed before it wrote anything has just taken the folder away.
            if attempt == _ATTEMPTS - 1:
                raise RunError(f"The run's folder {run.path} cannot be made: {explain(error)}") from error
        except OSError as error:
            if isinstance(error, FileExistsError) and (run.path.exists() or run.path.is_symlink()):
                return False
            raise RunError(f"The run's folder {run.path} cannot be made: {explain(error)}") from error
        except ValueError as error:
            raise RunError(f"{str(run.path.parent)!r} cannot be a folder's name. Check --checkpoints.") from error
    return False


def _is_empty(run: Run) -> bool:
    return all(path.name == LOCK for path in run.path.iterdir())


def _remove_unused(run: Run) -> None:
    """Takes a run's folder away where it holds nothing but events, which tell of no run then."""
    with contextlib.suppress(OSError):
        if [path.name for path in run.path.iterdir()] == [TENSORBOARD]:
            shutil.rmtree(run.path / TENSORBOARD)
        run.path.rmdir()

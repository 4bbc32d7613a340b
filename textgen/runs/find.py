"""Finds runs and checkpoints by name, and lists all runs."""

from __future__ import annotations

import contextlib
import os
import shlex
from pathlib import Path

from textgen.errors import RunError
from textgen.runs.run import BEST, CHECKPOINTS, LAST, LOCK, METRICS, Run
from textgen.system import PathLike, explain


def list_runs(checkpoints: PathLike = CHECKPOINTS) -> list[Run]:
    """Lists the runs in a folder, newest first, including damaged ones, whose `problem` says what is wrong.

    Args:
        checkpoints: the folder of the run folders; if it is missing, there are no runs.

    Raises:
        RunError: the folder cannot be read.
    """
    try:
        folders = [path for path in Path(checkpoints).iterdir() if path.is_dir() and not path.name.startswith(".")]
        marks = (BEST, LAST, METRICS, LOCK)
        runs = [Run(path) for path in folders if any((path / mark).exists() for mark in marks)]
    except FileNotFoundError:
        return []
    except OSError as error:
        raise RunError(f"The runs in {checkpoints} cannot be listed: {explain(error)}") from error
    except ValueError as error:
        raise RunError(f"{str(checkpoints)!r} cannot be a folder's name. Check --checkpoints.") from error
    return sorted(runs, key=lambda run: (-run.saved, run.name))


def find_run(name: PathLike | None = None, *, checkpoints: PathLike = CHECKPOINTS, whole: bool = True) -> Run:
    """Finds a run by its name or folder, or the newest run.

    Args:
        name: a run's name or folder; None takes the newest run that has a checkpoint.
        checkpoints: the folder of the run folders.
        whole: whether a named run must have a checkpoint.

    Raises:
        RunError: there is no such run, or it has no checkpoint; the message suggests similar names.
    """
    if name is None:
        for run in list_runs(checkpoints):
            if run.best.is_file() or run.last.is_file():
                return run
        raise RunError(f"There are no runs in {checkpoints} yet. Start one: textgen train TEXT{elsewhere(checkpoints)}")
    plain = str(name) not in ("", ".", "..") and Path(name).name == str(name)
    for path in [Path(checkpoints) / name, Path(name)] if plain else [Path(name)]:
        with contextlib.suppress(OSError, ValueError):
            if str(name) and path.is_dir() and not _same(path, Path(checkpoints)):
                run = Run(path)
                if whole:
                    _ = run.checkpoint
                return run
    with contextlib.suppress(OSError, ValueError):
        if str(name) and Path(name).is_file():
            raise RunError(f"{name} is a file, not a run. Give the run's name or folder.")
    raise RunError(_no_such(str(name), checkpoints))


def resolve_checkpoint(name: PathLike | None = None, *, checkpoints: PathLike = CHECKPOINTS) -> Path:
    """Finds the checkpoint file by a run's name, a run's folder or the path of a file.

    Args:
        name: the run or the file, as the user gave it; None takes the newest run.
        checkpoints: the folder of the run folders.

    Returns:
        The file of the run's best model (its last state if there is no best one yet), or the given file.

    Raises:
        RunError: there is no such run or file.
    """
    if name is not None:
        with contextlib.suppress(OSError, ValueError):
            if Path(name).suffix == ".keras" or Path(name).is_file():
                return Path(name)
    return find_run(name, checkpoints=checkpoints).checkpoint


def names_run(name: str, *, checkpoints: PathLike = CHECKPOINTS) -> bool:
    """Whether `resolve_checkpoint` takes a name for a run's or a file's; the run may have no checkpoint."""
    with contextlib.suppress(OSError, ValueError):
        if Path(name).suffix == ".keras" or Path(name).is_file():
            return True
    try:
        find_run(name, checkpoints=checkpoints, whole=False)
    except RunError:
        return False
    return True


def checkpoint_name(path: Path) -> str:
    """A checkpoint's display name: its run's name, or the path of a file outside a run.

    >>> checkpoint_name(Path("checkpoints/poems/best.keras")), checkpoint_name(Path("poems.keras"))
    ('poems', 'poems.keras')
    """
    return path.resolve().parent.name if path.name in (BEST, LAST) else str(path)


def run_argument(run: Run, checkpoints: PathLike = CHECKPOINTS) -> str:
    """How a command line names a run, from the current folder: by its name, or by its folder if that finds another.

    Args:
        run: the run.
        checkpoints: the folder of the run folders.

    Returns:
        Arguments for a shell; with `--checkpoints` if the name is looked up in another folder than the default.
    """
    places = Path(checkpoints) / run.name, Path(run.name)
    with contextlib.suppress(OSError):
        found = next((path for path in places if path.is_dir()), places[0])
        if found == run.path or found.samefile(run.path):
            return shlex.quote(run.name) + elsewhere(checkpoints)
    return shlex.quote(os.fspath(run.path))


def checkpoint_argument(path: Path) -> str:
    """How a command line names a checkpoint file, from the current folder: as its run where it is a run's."""
    return run_argument(Run(path.parent)) if path.name in (BEST, LAST) else shlex.quote(os.fspath(path))


def elsewhere(checkpoints: PathLike) -> str:
    """The option that leads a command line to a folder of runs: nothing for the default.

    >>> elsewhere("checkpoints"), elsewhere("my runs")
    ('', " --checkpoints 'my runs'")
    """
    return "" if Path(checkpoints) == CHECKPOINTS else f" --checkpoints {shlex.quote(os.fspath(checkpoints))}"


def _same(path: Path, other: Path) -> bool:
    """Whether two paths lead to the same place. Neither is made absolute: the current folder may have been deleted."""
    try:
        return path.samefile(other)
    except OSError:
        return False


def _no_such(name: str, checkpoints: PathLike) -> str:
    import difflib

    names = [run.name for run in list_runs(checkpoints)]
    if not names:
        start = f"textgen train TEXT{elsewhere(checkpoints)}"
        return f"There is no run {name!r}: {checkpoints} holds none yet. Start one: {start}"
    close = difflib.get_close_matches(name, names, n=3, cutoff=0.5)
    if close:
        return f"There is no run {name!r} in {checkpoints}. Did you mean {' or '.join(map(repr, close))}?"
    more = f" and {len(names) - 5} more" if len(names) > 5 else ""
    return f"There is no run {name!r} in {checkpoints}. There are {', '.join(map(repr, names[:5]))}{more}."

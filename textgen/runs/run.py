"""A run's folder: reads its files and summarizes them, locks it, and writes its history.

    checkpoints/<name>/
      best.keras      the model with the lowest validation loss, for sampling
      last.keras      the newest state, with all that `--resume` needs
      metrics.csv     a row for each validation
      samples.txt     a sample of the model at each validation
      tensorboard/    event files, with `--tensorboard`
      run.lock        only while a process trains the run

`find` finds and lists runs, `create` creates their folders.
"""

from __future__ import annotations

import contextlib
import functools
import os
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from textgen.errors import CheckpointError, RunError
from textgen.model.results import Metrics, Validation
from textgen.runs.history import rows, samples, table
from textgen.system import FileLock, PathLike, atomic_write, explain, remove_leftovers

if TYPE_CHECKING:
    from textgen.model.metadata import Metadata

CHECKPOINTS = Path("checkpoints")
BEST, LAST, METRICS, SAMPLES, LOCK = "best.keras", "last.keras", "metrics.csv", "samples.txt", "run.lock"
TENSORBOARD = "tensorboard"


class Run:
    """A run's folder, which may be missing or incomplete.

    Args:
        path: the folder; its last part is the run's name.

    Attributes:
        path: the folder.
        name: the run's name.
        best: the file of the best model.
        last: the file of the last state.
        metrics: the file of the validations' metrics.
        samples: the file of the validations' samples.
    """

    def __init__(self, path: PathLike) -> None:
        self.path = Path(path)
        self.name = self.path.name or self.path.resolve().name
        self.best, self.last = self.path / BEST, self.path / LAST
        self.metrics, self.samples = self.path / METRICS, self.path / SAMPLES
        self._lock = FileLock(self.path / LOCK)

    def __repr__(self) -> str:
        return f"Run({str(self.path)!r})"

    @property
    def checkpoint(self) -> Path:
        """The file to sample from: the best model, or the last state if there is no best one yet.

        Raises:
            RunError: there is neither.
        """
        for path in (self.best, self.last):
            if path.is_file():
                return path
        if self.live:
            raise RunError(f"The run {self.name!r} has saved nothing yet. Wait for its first save.")
        raise RunError(
            f"The run {self.name!r} holds no checkpoint: there is no {BEST} or {LAST} in {self.path}. "
            "Train again under this name after removing the folder, or choose another run."
        )

    @property
    def live(self) -> bool:
        """Whether a process is training the run."""
        return self._lock.held

    @property
    def saved(self) -> float:
        """The time of the last save, in seconds since 1970; the folder's own time without a checkpoint."""
        times = [t for t in map(_modified, (self.best, self.last)) if t is not None]
        return max(times) if times else _modified(self.path) or 0.0

    @functools.cached_property
    def metadata(self) -> Metadata:
        """The metadata of `checkpoint`.

        Raises:
            RunError: there is no checkpoint.
            CheckpointError: it cannot be read.
        """
        # Imported here, so that runs are listed without NumPy.
        from textgen.model.read import read_metadata

        return read_metadata(self.checkpoint)

    @property
    def history(self) -> list[Validation]:
        """A row for each validation, oldest first, from the newest checkpoint; without one, from `metrics.csv`.

        Raises:
            RunError: there is neither.
            CheckpointError: no checkpoint can be read, and `metrics.csv` holds nothing.
        """
        try:
            return list(self._newest().history)
        except (RunError, CheckpointError):
            with contextlib.suppress(OSError):
                if self.metrics.is_file() and (found := rows(self.metrics.read_text("utf-8", "replace"))):
                    return found
            raise

    @property
    def problem(self) -> str | None:
        """Why the run cannot be sampled from, in one sentence; None if its metadata is valid."""
        try:
            _ = self.metadata
        except (RunError, CheckpointError) as error:
            return str(error)
        return None

    def summary(self) -> dict[str, Any]:
        """The run in one row, as JSON values; None where a value is unknown.

        Returns:
            name, path, corpus, characters, cell, layers, units, sides, pairs (whether the run is on pairs), task (which
            made them of a text), weights, epochs, steps, val_loss (nats per character, of the best model),
            bits_per_character, seconds (of training), created, age (seconds since the last save), live, problem.
        """
        from textgen.model.description import CorpusDescription

        problem = self.problem
        best = None if problem else self.metadata
        model = None if best is None else best.model
        corpus = CorpusDescription() if best is None else best.corpus
        metrics = Metrics() if best is None else best.metrics
        latest = Metrics() if best is None else self._newest().metrics
        return {
            "name": self.name,
            "path": str(self.path),
            "corpus": corpus.name,
            "characters": corpus.characters,
            "cell": model and model.cell,
            "layers": model and model.layers,
            "units": model and model.units,
            "sides": model and model.sides,
            "pairs": model and model.has_encoder,
            "task": corpus.task,
            "weights": model and model.weights,
            "epochs": latest.epoch,
            "steps": latest.step,
            "val_loss": metrics.reported_loss,
            "bits_per_character": metrics.bits_per_character,
            "seconds": latest.seconds,
            "created": best and best.created,
            "age": max(0.0, time.time() - self.saved),
            "live": self.live,
            "problem": problem,
        }

    def _repr_html_(self) -> str:
        """A table and the learning curve, for a notebook."""
        from textgen.display.notebook import run_html

        try:
            history = self.history
        except (RunError, CheckpointError):
            history = []
        return run_html(self.summary(), [row.to_json() for row in history])

    def details(self) -> dict[str, Any]:
        """Everything about the run: `summary`, `describe` of its checkpoint, its history and its files' sizes in bytes.

        Raises:
            RunError: there is no checkpoint.
            CheckpointError: it cannot be read.
        """
        from textgen.model.read import describe

        told = describe(self.checkpoint)
        files = {
            path.name: path.stat().st_size
            for path in (self.best, self.last, self.metrics, self.samples)
            if path.is_file()
        }
        return {**self.summary(), **told, "history": [row.to_json() for row in self.history], "files": files}

    def lock(self) -> bool:
        """Takes the lock if no other process trains the run, and tells whether this object holds it now.

        Raises:
            OSError: there is no folder, or it takes no lock.
        """
        return self._lock.acquire()

    def unlock(self) -> None:
        """Gives the lock up; does nothing if this object does not hold it."""
        self._lock.release()

    @contextlib.contextmanager
    def locked(self) -> Iterator[None]:
        """Locks the run against training by other processes, and removes temporary files of a killed one.

        Raises:
            RunError: another process is training it, the folder cannot be locked, or one of the files that training
                writes is a folder or a pipe.
        """
        try:
            free = self.lock()
        except OSError as error:
            raise RunError(f"The run {self.name!r} cannot be locked in {self.path}: {explain(error)}") from error
        if not free:
            raise RunError(f"{being_trained(self)} Wait for it or stop it.")
        try:
            self._check_files()
            remove_leftovers(self.path)
            yield
        finally:
            self.unlock()

    def events_folder(self, within: PathLike | Literal[True] = True) -> Path:
        """The folder of the run's event files for TensorBoard.

        Args:
            within: True for the run's own folder; in another one, a subfolder with the run's name, so that several runs
                can share it.
        """
        return self.path / TENSORBOARD if within is True else Path(within) / self.name

    def write_history(self, history: Sequence[Validation]) -> None:
        """Rewrites `metrics.csv` and `samples.txt`, each atomically.

        Args:
            history: a row for each validation, oldest first.

        Raises:
            CheckpointError: the disk is full or the folder not writable.
        """
        for path, text in ((self.metrics, table(history)), (self.samples, samples(history))):
            try:
                with atomic_write(path) as file:
                    file.write(text.encode("utf-8", "backslashreplace"))
            except OSError as error:
                raise CheckpointError(f"{path} cannot be written: {explain(error)}") from error

    def _check_files(self) -> None:
        """Refuses folders and pipes in the place of files that training writes; links are replaced."""
        for path in (self.best, self.last, self.metrics, self.samples):
            if path.exists() and not (path.is_file() or path.is_symlink()):
                raise RunError(f"The run {self.name!r} cannot be trained: {path} is a folder or a pipe. Remove it.")

    def _newest(self) -> Metadata:
        """The metadata of the last state if it can be read, else of the best model."""
        from textgen.model.read import read_metadata

        try:
            return read_metadata(self.last)
        except CheckpointError:
            return self.metadata


def being_trained(run: Run) -> str:
    """The sentence about a run that another process is training; what to do about it depends on what was asked for."""
    return f"The run {run.name!r} is being trained by {run._lock.holder or 'another process'}."


def check_folder(folder: PathLike) -> None:
    """Checks that event files can be written to a folder, which may not exist yet, without creating it.

    Raises:
        RunError: it is a file or inside one, or it is not writable.
    """
    there = Path(folder)
    try:
        while not there.exists() and there != there.parent:
            there = there.parent
        refused = "permission is denied" if there.is_dir() else f"{there} is no folder"
        if there.is_dir() and os.access(there, os.W_OK | os.X_OK) and "\0" not in str(folder):
            return
    except (OSError, ValueError):
        refused = "it cannot be a folder's name"
    raise RunError(f"Events for TensorBoard cannot go to {folder}: {refused}. Choose another folder.")


def _modified(path: Path) -> float | None:
    try:
        return path.stat().st_mtime
    except OSError:
        return None

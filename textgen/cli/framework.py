"""Imports TensorFlow without its log messages; only `textgen train` does, after checking its arguments."""

from __future__ import annotations

import contextlib
import gc
import os
import sys
from collections.abc import Iterator
from types import SimpleNamespace

from textgen.errors import TrainingError
from textgen.system import is_terminal

_NOTE = "Loading TensorFlow ..."


def load_training(device: str | None = None) -> SimpleNamespace:
    """Imports `train` and `resume`.

    TensorFlow's libraries log to the process's standard error before logging can be configured, so that stream is
    redirected during the import; if the import fails, its contents are shown.

    Args:
        device: "cpu" keeps TensorFlow from looking for GPUs, which takes time and may log.

    Raises:
        TrainingError: TensorFlow is not installed.
    """
    os.environ["KERAS_BACKEND"] = "tensorflow"
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    if device == "cpu":
        os.environ["CUDA_VISIBLE_DEVICES"] = "-1"
    try:
        with _note(_NOTE), _quiet_errors(), _objects_for_good():
            from textgen.training.resume import resume
            from textgen.training.start import train
    except ModuleNotFoundError as error:
        if (error.name or "").split(".")[0] not in ("tensorflow", "keras"):
            raise
        raise TrainingError("Training needs TensorFlow, which is not installed here: pip install tensorflow") from error
    return SimpleNamespace(train=train, resume=resume)


@contextlib.contextmanager
def _objects_for_good() -> Iterator[None]:
    """Excludes the million permanent objects of TensorFlow's import from garbage collection.

    That saves a second of the import, and another one when the interpreter exits.
    """
    if "tensorflow" in sys.modules:
        yield
        return
    gc.disable()
    try:
        yield
        gc.freeze()
    finally:
        gc.enable()


@contextlib.contextmanager
def _note(text: str) -> Iterator[None]:
    """Shows a text on a terminal while the body runs."""
    if not is_terminal(sys.stderr):
        yield
        return
    print(text, end="", file=sys.stderr, flush=True)  # noqa: T201
    try:
        yield
    finally:
        print("\r" + " " * len(text) + "\r", end="", file=sys.stderr, flush=True)  # noqa: T201


@contextlib.contextmanager
def _quiet_errors() -> Iterator[None]:
    """Redirects the process's standard error, at the file descriptor, into a file, and shows it if the body fails."""
    import tempfile

    try:
        kept = os.dup(2)
    except OSError:
        yield
        return
    if sys.stderr is not None:
        sys.stderr.flush()
    with tempfile.TemporaryFile() as aside:
        os.dup2(aside.fileno(), 2)
        try:
            yield
        except Exception:
            os.dup2(kept, 2)
            aside.seek(0)
            os.write(2, aside.read())
            raise
        finally:
            os.dup2(kept, 2)
            os.close(kept)

"""Imports TensorFlow without its log messages; only `textgen train` does, after checking its arguments."""

from __future__ import annotations

import contextlib
import gc
import os
import sys
from collections.abc import Iterable, Iterator
from types import SimpleNamespace

from textgen.system import is_terminal

_NOTE = "Loading TensorFlow ..."

_UNUSED = ("matplotlib", "sklearn", "pandas")
"""Packages that Keras and TensorFlow would import, where they are there, for wrappers and plots of their own."""


def load_training(device: str | None = None) -> SimpleNamespace:
    """Imports `train` and `resume`, and what they import later.

    Args:
        device: "cpu" keeps TensorFlow from looking for GPUs, which takes time and may log.

    Raises:
        TrainingError: TensorFlow is not installed.
    """
    if device == "cpu":
        os.environ["CUDA_VISIBLE_DEVICES"] = "-1"
    from textgen.training.framework import load_framework

    with _note(_NOTE), _objects_for_good():
        with _without(_UNUSED):
            load_framework()
        from textgen.training import session  # noqa: F401
        from textgen.training.resume import resume
        from textgen.training.start import train
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
def _without(packages: Iterable[str]) -> Iterator[None]:
    """Hides packages that have not been imported yet, which saves more than a second where all are there."""
    hidden = [name for name in packages if name not in sys.modules]
    sys.modules.update(dict.fromkeys(hidden))  # type: ignore[arg-type]
    try:
        yield
    finally:
        for name in hidden:
            del sys.modules[name]


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

"""The table of the formats that a checkpoint can be exported to, and the export itself."""

from __future__ import annotations

import errno
import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import cast

from textgen.config import require
from textgen.errors import ConfigError
from textgen.model.read import Checkpoint, PairCheckpoint, read_any_checkpoint
from textgen.runs.find import checkpoint_name, resolve_checkpoint
from textgen.system import PathLike, atomic_write

Make = Callable[[Checkpoint | PairCheckpoint, "Export"], bytes]
"""Makes a format's file from a checkpoint."""


@dataclass(frozen=True, kw_only=True)
class Format:
    """A format.

    Args:
        ending: of its files' names, with the dot.
        module: where its function is, in `textgen.exporting`.
        function: the function's name: a `Make`.
        weights: the types that weights can be stored in; the first is the default.
        what: what the file is, in a sentence such as "The page is in poems.html".
        next_step: what to do with it, for the same sentence.
    """

    ending: str
    module: str
    function: str
    weights: tuple[str, ...] = ("float32",)
    what: str
    next_step: str

    @property
    def make(self) -> Make:
        """The function, imported."""
        return cast(Make, getattr(import_module(f"textgen.exporting.{self.module}"), self.function))


FORMATS: Mapping[str, Format] = {
    "html": Format(
        ending=".html",
        module="html",
        function="writing_page",
        weights=("int8", "int6", "float16", "float32"),
        what="The page",
        next_step="open it in a browser",
    ),
    "onnx": Format(
        ending=".onnx",
        module="onnx_model",
        function="onnx_bytes",
        what="The ONNX model",
        next_step="run it with onnxruntime",
    ),
    "keras": Format(
        ending=".keras",
        module="keras_archive",
        function="keras_bytes",
        what="The Keras model",
        next_step="open it with keras.saving.load_model",
    ),
}
"""Each format by the name that `--to` and `export` know it by."""


@dataclass(frozen=True, kw_only=True)
class Export:
    """What is exported.

    Args:
        name: the run's name, or that of a checkpoint file outside a run, without its ending.
        weights: the type that weights are stored in: one of the format's.
    """

    name: str
    weights: str


def export(
    run: PathLike | None = None,
    *,
    to: str = "html",
    output: PathLike | None = None,
    weights: str | None = None,
    checkpoints: PathLike = "checkpoints",
) -> Path:
    """Writes a run's model to a file of another format.

    Args:
        run: a run's name, a run's folder, or a `.keras` file; None takes the newest run.
        to: the format: see `FORMATS`.
        output: the file to write, which is replaced; None takes the run's name with the format's ending, in the current
            folder.
        weights: the type that weights are stored in, one of the format's; None takes its first.
        checkpoints: the folder of the run folders.

    Returns:
        The file's path.

    Raises:
        ConfigError: there is no such format, or it does not store weights so.
        RunError: there is no such run.
        CheckpointError: the checkpoint is missing, damaged or not one of textgen's.
        OSError: the file cannot be written.
    """
    require(to in FORMATS, "to", "one of " + ", ".join(FORMATS), to)
    chosen = FORMATS[to]
    if weights is None:
        weights = chosen.weights[0]
    if weights not in chosen.weights:
        known = " or ".join(chosen.weights)
        raise ConfigError(f"weights must be {known} for {to}; got {weights!r}.", field="weights", others=("to",))
    found = resolve_checkpoint(run, checkpoints=checkpoints)
    name = checkpoint_name(found)
    name = Path(name).stem if name == str(found) else name
    path = Path(name + chosen.ending) if output is None else Path(output)
    if not path.parent.is_dir():
        raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT), os.fspath(path))
    if path.exists() and path.samefile(found):
        raise ConfigError(f"output must be another file than the checkpoint, {found}.", field="output")
    made = chosen.make(read_any_checkpoint(found), Export(name=name, weights=weights))
    with atomic_write(path, follow_link=True) as file:
        file.write(made)
    return path

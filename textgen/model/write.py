"""Writes a checkpoint: Keras's own members of the file and textgen's.

The only module of `textgen.model` that imports Keras, and only when it writes.
"""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from textgen.config import ModelConfig
from textgen.errors import CheckpointError, ConfigError
from textgen.model.archive import npz, read_archive
from textgen.model.keras_file import WEIGHTS, layer_arrays, weight_places
from textgen.model.metadata import Metadata, shortened
from textgen.model.pair_weights import PairWeights
from textgen.model.read import HASHES, RECORDS, TRAINING_STATE, read_any_checkpoint
from textgen.model.values import METADATA
from textgen.model.weights import ModelWeights
from textgen.system import PathLike, atomic_path, explain
from textgen.system.versions import VERSION, loaded_versions


def write_checkpoint(
    path: PathLike,
    keras_model: Any,
    *,
    metadata: Metadata,
    training_state: Mapping[str, NDArray[Any]] | None = None,
    record_hashes: NDArray[np.uint64] | None = None,
) -> None:
    """Writes a model to `path` atomically.

    The new file is written beside `path`, read back, flushed to disk and moved. Until then, `path` is unchanged
    whatever goes wrong.

    Args:
        path: the file to write; its name ends in `.keras` and its folder exists.
        keras_model: what `textgen.training.keras_model.build_model` or `pair_model.build_pair_model` returned.
        metadata: the contents of `textgen.json`; `versions`, `textgen`, `members` and `weights` are filled in here.
        training_state: arrays of numbers by names in printable ASCII; None writes none.
        record_hashes: `(records,)`, ascending, of the records of the training text, by which new ones are known; see
            `textgen.corpus.known_records`. None writes none.

    Raises:
        CheckpointError: the disk is full, the folder is not writable, or the weights are not finite or do not match
            `metadata`; the message says which, and what to do.
    """
    path = Path(path)
    if path.suffix != ".keras":
        raise CheckpointError(f"A checkpoint's name must end in .keras; got {path}. Rename it.")
    try:
        with atomic_path(path) as aside:
            _write(aside, keras_model, metadata, _members(training_state, record_hashes))
    except OSError as error:
        raise CheckpointError(f"{path} cannot be written: {explain(error)}{_kept(path)}") from error
    except MemoryError as error:
        raise CheckpointError(
            f"{path} cannot be written: there is not enough memory. Close other programs.{_kept(path)}"
        ) from error
    except _UnfitError as error:
        raise CheckpointError(f"{path} was not written: {error}{_kept(path)}") from error


class _UnfitError(Exception):
    """The new file could not be read back, or its weights are invalid."""


def _kept(path: Path) -> str:
    return " The checkpoint that was there is unharmed." if path.exists() else ""


def _members(
    training_state: Mapping[str, NDArray[Any]] | None, record_hashes: NDArray[np.uint64] | None
) -> dict[str, bytes]:
    """The members that are neither Keras's nor the metadata, by name."""
    members = {} if training_state is None else {TRAINING_STATE: npz(training_state)}
    return members if record_hashes is None else members | {RECORDS: npz({HASHES: record_hashes})}


def _named(arrays: Sequence[NDArray[Any]], config: ModelConfig) -> ModelWeights | PairWeights:
    if config.has_encoder:
        return PairWeights.from_arrays(arrays, config)
    return ModelWeights.from_arrays(arrays, labelled=config.labels > 0, both=config.both)


def _write(aside: Path, keras_model: Any, metadata: Metadata, members: Mapping[str, bytes]) -> None:
    import hashlib
    import zipfile

    import keras

    config = metadata.model
    try:
        arrays = layer_arrays(keras_model, config)
        weights = _named(arrays, config)
        weights.validate(config)
    except ConfigError as error:
        raise _UnfitError(str(error)) from error
    keras.saving.save_model(keras_model, aside)
    try:
        with read_archive(aside) as archive:
            digests = {name: archive.digest(name) for name in archive.members}
            places = weight_places(archive.read(WEIGHTS), metadata.model)
        digests |= {name: hashlib.sha256(data).hexdigest() for name, data in members.items()}
        whole = dataclasses.replace(
            metadata, versions=loaded_versions(), textgen=VERSION, members=digests, weights=places
        )
        with zipfile.ZipFile(aside, "a") as file:
            for name, data in members.items():
                file.writestr(zipfile.ZipInfo(name), data)
            file.writestr(zipfile.ZipInfo(METADATA), json.dumps(whole.to_json()))
        read_back = read_any_checkpoint(aside).weights
        if not all(map(np.array_equal, weights.arrays(), read_back.arrays())):
            raise CheckpointError("its weights are not those of the model")
    except (CheckpointError, ConfigError) as error:
        why = shortened(error).replace(f"{aside} cannot be read: ", "").partition(". ")[0]
        raise _UnfitError(f"it does not read back ({why}). Check the disk, or choose another place.") from error

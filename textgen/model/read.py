"""Reads a checkpoint with NumPy alone, and verifies the SHA-256 of every member.

Keras stores arrays contiguous and uncompressed, and `textgen.json` records their offsets. So the reader needs neither
HDF5 (a large attack surface for hostile files) nor a copy of the weights.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from textgen.config import ModelConfig
from textgen.corpus.tokenizer import CharTokenizer
from textgen.errors import CheckpointError, ConfigError
from textgen.model.archive import Archive, read_archive
from textgen.model.keras_file import WEIGHTS, refuse_code, shapes_of
from textgen.model.metadata import FORMAT, Metadata, shortened
from textgen.model.pair_weights import PairWeights
from textgen.model.values import METADATA
from textgen.model.weights import ModelWeights
from textgen.system import PathLike
from textgen.system.versions import VERSION

W = TypeVar("W", ModelWeights, PairWeights)

TRAINING_STATE = "training_state.npz"
RECORDS = "records.npz"
HASHES = "hashes"
"""The array in `RECORDS`."""


TEXT_TO_TEXT = "which textgen rewrite does. Choose a run on one text here."
"""What is said of a model that turns one text into another where that is of no use."""


@dataclass(frozen=True, eq=False)
class Checkpoint:
    """A model with its metadata, as sampling and fine-tuning need it.

    Args:
        path: the file it was read from.
        weights: the model's weights, read-only, in Keras's layout.
        metadata: the whole of `textgen.json`.
    """

    path: Path
    weights: ModelWeights
    metadata: Metadata

    @property
    def model(self) -> ModelConfig:
        """The network's architecture."""
        return self.metadata.model

    @property
    def tokenizer(self) -> CharTokenizer:
        """The network's vocabulary."""
        return self.metadata.tokenizer


@dataclass(frozen=True, eq=False)
class PairCheckpoint:
    """A model that turns one text into another, with its metadata.

    Args:
        path: the file it was read from.
        weights: the model's weights, read-only, in Keras's layout.
        metadata: the whole of `textgen.json`.
        source_tokenizer: the vocabulary of what it reads.
    """

    path: Path
    weights: PairWeights
    metadata: Metadata
    source_tokenizer: CharTokenizer

    @property
    def model(self) -> ModelConfig:
        """The network's architecture."""
        return self.metadata.model

    @property
    def tokenizer(self) -> CharTokenizer:
        """The vocabulary of what it writes."""
        return self.metadata.tokenizer


def read_checkpoint(path: PathLike) -> Checkpoint:
    """Reads a model of one text without Keras, and verifies the SHA-256 of every member.

    Args:
        path: a `.keras` file that `write_checkpoint` wrote.

    Raises:
        CheckpointError: the file is missing, damaged, not by textgen or of another format, or turns one text into
            another. Nothing in it is executed.
    """
    with read_archive(path) as archive:
        metadata = _metadata(archive)
        config = metadata.model
        if config.has_encoder:
            raise CheckpointError(f"{path} turns one text into another, {TEXT_TO_TEXT}")
        _check(archive, metadata)
        weights = ModelWeights.from_arrays(_arrays(archive, metadata), labelled=config.labels > 0, both=config.both)
        return Checkpoint(archive.path, _valid(weights, archive, metadata), metadata)


def read_pair_checkpoint(path: PathLike) -> PairCheckpoint:
    """Reads a model that turns one text into another without Keras, and verifies the SHA-256 of every member.

    Args:
        path: a `.keras` file that `write_checkpoint` wrote.

    Raises:
        CheckpointError: as for `read_checkpoint`, or it is a model of one text.
    """
    with read_archive(path) as archive:
        metadata = _metadata(archive)
        if metadata.source_tokenizer is None:
            raise CheckpointError(
                f"{path} does not turn one text into another: it was trained on one text. Choose a run on pairs."
            )
        _check(archive, metadata)
        weights = PairWeights.from_arrays(_arrays(archive, metadata), metadata.model)
        return PairCheckpoint(archive.path, _valid(weights, archive, metadata), metadata, metadata.source_tokenizer)


def read_any_checkpoint(path: PathLike) -> Checkpoint | PairCheckpoint:
    """Reads a model of either kind, as `read_checkpoint` and `read_pair_checkpoint` do.

    Raises:
        CheckpointError: as for `read_checkpoint`, except that a model of pairs is read, too.
    """
    return (read_pair_checkpoint if read_metadata(path).model.has_encoder else read_checkpoint)(path)


def _check(archive: Archive, metadata: Metadata) -> None:
    """Verifies the members that are neither metadata nor weights nor training state, and refuses code."""
    for name in archive.members:
        if name not in (METADATA, WEIGHTS, TRAINING_STATE):
            _check_digest(archive, name, metadata)
    refuse_code(archive)


def read_metadata(path: PathLike) -> Metadata:
    """Reads the file's `textgen.json` alone, without its weights, which is fast.

    Raises:
        CheckpointError: as for `read_checkpoint`, except that damage to other members is not noticed.
    """
    with read_archive(path) as archive:
        return _metadata(archive)


def read_training_state(path: PathLike) -> dict[str, NDArray[Any]]:
    """Reads the arrays from which training resumes exactly; they are read-only.

    Raises:
        CheckpointError: the file is missing, damaged or not by textgen, or holds no training state.
    """
    with read_archive(path) as archive:
        metadata = _metadata(archive)
        if TRAINING_STATE not in archive.members:
            raise CheckpointError(
                f"{path} holds a model but not the state of its training, so it cannot be continued exactly. "
                "Continue from the run's last.keras, or start a new run --from this file."
            )
        _check_digest(archive, TRAINING_STATE, metadata)
        return archive.arrays(TRAINING_STATE)


def read_record_hashes(path: PathLike) -> NDArray[np.uint64] | None:
    """The hashes of the records of the training text, ascending; None where the checkpoint holds none.

    Raises:
        CheckpointError: the file is missing, damaged or not by textgen.
    """
    with read_archive(path) as archive:
        metadata = _metadata(archive)
        if RECORDS not in archive.members:
            return None
        _check_digest(archive, RECORDS, metadata)
        hashes = archive.arrays(RECORDS).get(HASHES)
        if hashes is None or hashes.dtype != np.uint64 or hashes.ndim != 1 or (hashes[1:] < hashes[:-1]).any():
            raise archive.problem(f"{RECORDS} in it is not as textgen writes it")
        return hashes


def describe(path: PathLike) -> dict[str, Any]:
    """A checkpoint's metadata as `textgen info --json` prints it, without the weights.

    Returns:
        checkpoint (the path), vocabulary (size, characters, has_unknown, has_end), weights (their number), model,
        training, corpus, metrics, history, versions, created, textgen.

    Raises:
        CheckpointError: it cannot be read.
    """
    metadata = read_metadata(path)
    document, tokenizer = metadata.to_json(), metadata.tokenizer
    kept = ("model", "training", "corpus", "metrics", "history", "versions", "created", "textgen")
    vocabulary = {
        "size": tokenizer.vocab_size,
        "characters": tokenizer.characters,
        "has_unknown": tokenizer.has_unknown,
        "has_end": tokenizer.has_end,
    }
    return {"checkpoint": str(path), "vocabulary": vocabulary, "weights": metadata.model.weights} | {
        name: document[name] for name in kept
    }


def _metadata(archive: Archive) -> Metadata:
    """`textgen.json`, once its format version is checked."""
    if METADATA not in archive.members:
        raise archive.problem(f"textgen did not write it, it holds no {METADATA}")
    values = archive.json(METADATA)
    version = values.get("format") if isinstance(values, dict) else None
    if type(version) is not int:
        raise archive.problem(f"textgen did not write it, its {METADATA} names no format")
    if version != FORMAT:
        writer = values.get("textgen")
        by = f" (textgen {writer})" if isinstance(writer, str) and len(writer) < 30 and writer.isprintable() else ""
        raise CheckpointError(
            f"{archive.path} has checkpoint format {version if abs(version) < 10**9 else 'unknown'}{by}; "
            f"textgen {VERSION} reads format {FORMAT}. Use the textgen that wrote it, or a newer one."
        )
    try:
        metadata = Metadata.from_json(values)
    except ValueError as error:
        raise archive.problem(str(error)) from None
    if set(metadata.members) != set(archive.members) - {METADATA}:
        raise archive.problem("it is damaged, members are missing or were added")
    return metadata


def _check_digest(archive: Archive, name: str, metadata: Metadata) -> None:
    if archive.digest(name) != metadata.members[name]:
        raise archive.problem(f"it is damaged, {name} in it is not what was written")


def _arrays(archive: Archive, metadata: Metadata) -> list[NDArray[np.float32]]:
    """The arrays of the weights, as views of the member's bytes."""
    config, places = metadata.model, metadata.weights
    size = archive.members[WEIGHTS].size if WEIGHTS in archive.members else 0
    if 4 * config.stored > size:
        raise archive.problem(f"its model needs {4 * config.stored:,} bytes of weights, and it holds {size:,}")
    data = archive.read(WEIGHTS, sha256=str(metadata.members[WEIGHTS]))
    arrays = []
    for name, shape in shapes_of(config).items():
        count, place = int(np.prod(shape)), places.get(name)
        if type(place) is not int or not 0 <= place <= size - 4 * count or place % 4:
            raise archive.problem(f"its {METADATA} does not say where {name} lies")
        arrays.append(np.frombuffer(data, "<f4", count, place).reshape(shape))
    return arrays


def _valid(weights: W, archive: Archive, metadata: Metadata) -> W:
    """The weights, once they are known to match the model."""
    try:
        weights.validate(metadata.model)
    except ConfigError as error:
        raise archive.problem(f"its weights cannot be used: {shortened(error)}") from None
    return weights

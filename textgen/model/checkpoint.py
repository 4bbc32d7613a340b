"""The artefact: one `.keras` file that holds a model, its vocabulary and where both came from.

Keras writes its own members (`config.json`, `model.weights.h5`), and the file opens with `keras.saving.load_model`
where textgen is not installed (a peephole model's after `import textgen.peephole`). Two members of ours ride along:

    textgen.json         format, model, tokenizer, training, corpus, metrics, history, versions, created, textgen;
                         `members`: each other member's sha256; `weights`: where each array lies in model.weights.h5
    training_state.npz   what an exact continuation needs besides; only in `last.keras`

Reading needs NumPy alone. Keras stores arrays in one piece and unpacked, so noting their places when a file is
written spares the reader HDF5 (its library, and everything a hostile file could ask of it) and a copy of the weights.
"""

from __future__ import annotations

import datetime
import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from textgen.config import ModelConfig
from textgen.corpus.tokenizer import CharTokenizer
from textgen.errors import CheckpointError, ConfigError
from textgen.model.archive import Archive, npz, read_archive
from textgen.model.keras_file import WEIGHTS, refuse_code, weight_places
from textgen.model.weights import ModelWeights
from textgen.system import PathLike, atomic_path, explain
from textgen.system.versions import VERSION, loaded_versions

FORMAT = 1
METADATA = "textgen.json"
TRAINING_STATE = "training_state.npz"

_SECTIONS: Mapping[str, type] = {
    "model": dict,
    "tokenizer": dict,
    "training": dict,
    "corpus": dict,
    "metrics": dict,
    "history": list,
    "versions": dict,
    "created": str,
    "textgen": str,
    "members": dict,
    "weights": dict,
}


@dataclass(frozen=True, eq=False)
class Checkpoint:
    """What sampling and fine-tuning need.

    Args:
        path: the file it was read from.
        model: the network's shape.
        tokenizer: its vocabulary.
        weights: its numbers, read-only, in Keras's layouts.
        metadata: the whole of `textgen.json`.
    """

    path: Path
    model: ModelConfig
    tokenizer: CharTokenizer
    weights: ModelWeights
    metadata: dict[str, Any]


def read_checkpoint(path: PathLike) -> Checkpoint:
    """Reads a model, without Keras, and checks every byte it rests on.

    Args:
        path: a `.keras` file that `write_checkpoint` wrote.

    Raises:
        CheckpointError: the file is missing, damaged, foreign or of another version; nothing in it was executed.
    """
    with read_archive(path) as archive:
        return _load(archive)


def read_metadata(path: PathLike) -> dict[str, Any]:
    """The file's `textgen.json` alone, without its weights: quick.

    Raises:
        CheckpointError: as for `read_checkpoint`, except that damage to other members goes unseen.
    """
    with read_archive(path) as archive:
        return _metadata(archive)


def read_training_state(path: PathLike) -> dict[str, NDArray[Any]]:
    """The arrays that an exact continuation needs, read-only.

    Raises:
        CheckpointError: the file is missing, damaged or foreign, or was written without a training state.
    """
    with read_archive(path) as archive:
        metadata = _metadata(archive)
        if TRAINING_STATE not in archive.members:
            raise CheckpointError(
                f"{path} holds a model but not the state of its training, so it cannot be continued exactly. "
                "Continue from the run's last.keras, or start a new run --from this file."
            )
        if archive.digest(TRAINING_STATE) != metadata["members"][TRAINING_STATE]:
            raise archive.problem(f"it is damaged, {TRAINING_STATE} in it is not what was written")
        return archive.arrays(TRAINING_STATE)


def describe(path: PathLike) -> dict[str, Any]:
    """A checkpoint's metadata as `textgen info` tells it, without its weights.

    Returns:
        checkpoint (the path), vocabulary (size, characters, has_unknown), model, training, corpus, metrics, history,
        versions, created, textgen, weights (how many numbers).

    Raises:
        CheckpointError: it cannot be read.
    """
    with read_archive(path) as archive:
        values = _metadata(archive)
        config, tokenizer = _settings(archive, values)
    kept = ("model", "training", "corpus", "metrics", "history", "versions", "created", "textgen")
    vocabulary = {
        "size": tokenizer.vocab_size,
        "characters": tokenizer.characters,
        "has_unknown": tokenizer.has_unknown,
    }
    return {"checkpoint": str(path), "vocabulary": vocabulary, "weights": config.weights} | {k: values[k] for k in kept}


def write_checkpoint(
    path: PathLike,
    keras_model: Any,
    *,
    metadata: Mapping[str, Any],
    training_state: Mapping[str, NDArray[Any]] | None = None,
) -> None:
    """Writes a model in the place of `path`, whole or not at all.

    The new file is written beside `path`, read back, flushed to disk and moved. Whatever goes wrong before that
    leaves `path` as it was.

    Args:
        path: the file to write; its name ends in `.keras` and its folder exists.
        keras_model: what `textgen.training.keras_model.build_model` returned.
        metadata: JSON values for `textgen.json`: "model" and "tokenizer" must be there; "training", "corpus",
            "metrics", "history", "versions", "created" and more may be; the rest is added.
        training_state: arrays of numbers under names of printable ASCII; None writes none.

    Raises:
        CheckpointError: the disk is full, the folder is not writable, the weights are not finite or do not fit
            `metadata`; the message says which, and what to do.
    """
    path = Path(path)
    if path.suffix != ".keras":
        raise CheckpointError(f"A checkpoint's name must end in .keras; got {path}. Rename it.")
    try:
        with atomic_path(path) as aside:
            _write(aside, keras_model, metadata, training_state)
    except OSError as error:
        raise CheckpointError(f"{path} cannot be written: {explain(error)}{_kept(path)}") from error
    except MemoryError as error:
        raise CheckpointError(
            f"{path} cannot be written: there is not enough memory. Close other programs.{_kept(path)}"
        ) from error
    except _UnfitError as error:
        raise CheckpointError(f"{path} was not written: {error}{_kept(path)}") from error


class _UnfitError(Exception):
    """What was about to be written would not be readable."""


def _kept(path: Path) -> str:
    return " The checkpoint that was there is unharmed." if path.exists() else ""


def _write(
    aside: Path,
    keras_model: Any,
    metadata: Mapping[str, Any],
    training_state: Mapping[str, NDArray[Any]] | None,
) -> None:
    import zipfile

    import keras

    state = None if training_state is None else npz(training_state)
    config = ModelConfig.from_json(metadata["model"])
    weights = ModelWeights.from_arrays(keras_model.get_weights())
    try:
        weights.validate(config)
    except ConfigError as error:
        raise _UnfitError(str(error)) from error
    keras.saving.save_model(keras_model, aside)
    try:
        with read_archive(aside) as archive:
            digests = {name: archive.digest(name) for name in archive.members}
            places = weight_places(archive.read(WEIGHTS), config)
        if state is not None:
            import hashlib

            digests[TRAINING_STATE] = hashlib.sha256(state).hexdigest()
        document = {
            "format": FORMAT,
            "training": {},
            "corpus": {},
            "metrics": {},
            "history": [],
            "created": datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
            "versions": loaded_versions(),
            **metadata,
            "textgen": VERSION,
            "members": digests,
            "weights": places,
        }
        with zipfile.ZipFile(aside, "a") as file:
            if state is not None:
                file.writestr(zipfile.ZipInfo(TRAINING_STATE), state)
            file.writestr(zipfile.ZipInfo(METADATA), json.dumps(document, default=_plain))
        with read_archive(aside) as archive:
            read_back = _load(archive).weights
        if not all(map(np.array_equal, weights.arrays(), read_back.arrays())):
            raise CheckpointError("its weights are not those of the model")
    except (CheckpointError, ConfigError) as error:
        why = _short(error).replace(f"{aside} cannot be read: ", "").partition(". ")[0]
        raise _UnfitError(f"it does not read back ({why}). Check the disk, or choose another place.") from error


def _plain(value: Any) -> Any:
    """NumPy's numbers as Python's, for JSON."""
    if isinstance(value, np.generic):
        return value.item()
    raise TypeError(f"metadata must be made of JSON values; got {type(value).__name__}.")


def _metadata(archive: Archive) -> dict[str, Any]:
    """`textgen.json`, once its version and the kind of each section are known to be right."""
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
    for name, kind in _SECTIONS.items():
        if not isinstance(values.get(name), kind):
            raise archive.problem(f"its {METADATA} is not as textgen writes it at {name!r}")
    if not all(isinstance(row, dict) for row in values["history"]):
        raise archive.problem(f"its {METADATA} is not as textgen writes it at 'history'")
    corpus = values["corpus"]
    sources = corpus.get("sources", [])
    if not isinstance(corpus.get("settings", {}), dict) or not (
        isinstance(sources, list) and all(isinstance(source, str) for source in sources)
    ):
        raise archive.problem(f"its {METADATA} is not as textgen writes it at 'corpus'")
    if set(values["members"]) != set(archive.members) - {METADATA}:
        raise archive.problem("it is damaged, members are missing or were added")
    return dict(values)


def _load(archive: Archive) -> Checkpoint:
    metadata = _metadata(archive)
    config, tokenizer = _settings(archive, metadata)
    members = metadata["members"]
    for name in archive.members:
        if name not in (METADATA, WEIGHTS, TRAINING_STATE) and archive.digest(name) != members[name]:
            raise archive.problem(f"it is damaged, {name} in it is not what was written")
    refuse_code(archive)
    weights = _weights(archive, config, metadata["weights"], str(members.get(WEIGHTS)))
    return Checkpoint(archive.path, config, tokenizer, weights, metadata)


def _settings(archive: Archive, metadata: Mapping[str, Any]) -> tuple[ModelConfig, CharTokenizer]:
    """The model's shape and its vocabulary, which fit each other."""
    try:
        config = ModelConfig.from_json(metadata["model"])
    except (ConfigError, TypeError) as error:
        raise archive.problem(f"its model is not one that textgen knows ({_short(error)})") from None
    try:
        tokenizer = CharTokenizer.from_json(metadata["tokenizer"])
    except (ConfigError, AttributeError, KeyError, TypeError, ValueError) as error:
        raise archive.problem(f"its vocabulary is not one that textgen writes ({_short(error)})") from None
    if tokenizer.vocab_size != config.vocab_size:
        raise archive.problem(
            f"its vocabulary has {tokenizer.vocab_size:,} ids where its model has {config.vocab_size:,}"
        )
    return config, tokenizer


def _short(error: object) -> str:
    """An error's message without its full stop, at a length fit for a sentence: it may quote the file."""
    text = str(error).rstrip(".")
    return text if len(text) < 200 else text[:200] + " ..."


def _weights(archive: Archive, config: ModelConfig, places: Mapping[str, Any], sha256: str) -> ModelWeights:
    """The weights, as views on the member's bytes."""
    size = archive.members[WEIGHTS].size if WEIGHTS in archive.members else 0
    if 4 * config.stored > size:
        raise archive.problem(f"its model needs {4 * config.stored:,} bytes of weights, and it holds {size:,}")
    data = archive.read(WEIGHTS, sha256=sha256)
    arrays = []
    for name, shape in ModelWeights.shapes(config).items():
        count, place = int(np.prod(shape)), places.get(name)
        if type(place) is not int or not 0 <= place <= size - 4 * count or place % 4:
            raise archive.problem(f"its {METADATA} does not say where {name} lies")
        arrays.append(np.frombuffer(data, "<f4", count, place).reshape(shape))
    weights = ModelWeights.from_arrays(arrays)
    try:
        weights.validate(config)
    except ConfigError as error:
        raise archive.problem(f"its weights cannot be used: {_short(error)}") from None
    return weights

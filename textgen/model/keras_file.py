"""Reads Keras's own members of a `.keras` file without Keras."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

from textgen.config import ModelConfig
from textgen.config.cells import FACTS
from textgen.errors import ConfigError
from textgen.model.archive import Archive
from textgen.model.pair_weights import PairWeights
from textgen.model.weights import ModelWeights

WEIGHTS = "model.weights.h5"
KERAS_CONFIG = "config.json"
KERAS_MEMBERS = ("metadata.json", KERAS_CONFIG, WEIGHTS)
"""The members that Keras writes."""

_CODE = ("Lambda", "__lambda__", "function", "TFSMLayer", "TorchModuleWrapper", "JaxLayer", "FlaxLayer")
"""Keras's names for layers and functions that hold code or load it from elsewhere."""


def layer_arrays(keras_model: Any, config: ModelConfig) -> list[NDArray[Any]]:
    """The arrays of a Keras model, in the order of `shapes_of`.

    Raises:
        ConfigError: the model lacks an array of the configuration.
    """
    if not (config.both or config.has_encoder):
        return list(keras_model.get_weights())
    return [variable.numpy() for variable in layer_variables(keras_model, config)]


def layer_variables(keras_model: Any, config: ModelConfig) -> list[Any]:
    """The variables of a Keras model, in the order of `shapes_of`.

    Keras sorts layers by their distance from the outputs, so that those of two stacks, or of an encoder and a decoder,
    alternate in its own order.

    Raises:
        ConfigError: the model lacks one of the configuration.
    """
    if not (config.both or config.has_encoder):
        return list(keras_model.weights)
    layers = {layer.name: list(layer.weights) for layer in keras_model.layers}
    found = []
    for name in shapes_of(config):
        variables = layers.get(name.partition("/")[0])
        if not variables:
            raise ConfigError(f"The Keras model has no {name}.")
        found.append(variables.pop(0))
    return found


def weight_places(data: bytes, config: ModelConfig) -> dict[str, int]:
    """The offset of each array in Keras's weights file.

    Args:
        data: the file, as Keras has just written it; it must be trusted, since HDF5 reads it.
        config: the model's architecture.

    Returns:
        For each name of `shapes_of`, the offset of its first byte.

    Raises:
        ConfigError: the file holds other arrays, or one that is not contiguous and uncompressed.
    """
    import io

    import h5py

    places = {}
    with h5py.File(io.BytesIO(data), "r") as file:
        datasets = dict(_datasets(file))
        for name, shape in shapes_of(config).items():
            layer = name.split("/")[0]
            found = datasets.get(layer, [])
            dataset = found.pop(0) if found else None
            offset = None if dataset is None else dataset.id.get_offset()
            if dataset is None or dataset.shape != shape or dataset.dtype != np.dtype("<f4") or offset is None:
                raise ConfigError(f"Keras's file holds no plain float32 {name} of shape {shape}.")
            places[name] = offset
    return places


def _datasets(file: Any) -> Iterator[tuple[str, list[Any]]]:
    """Each layer's name with its arrays in Keras's order; for a recurrent layer, those of its cell or of both cells."""
    for group in file.get("layers", {}).values():
        cells = [cell for cell in ("cell", "forward_layer/cell", "backward_layer/cell") if cell in group]
        places = [group[f"{cell}/vars"] for cell in cells] or [group["vars"]]
        arrays = [variables[key] for variables in places for key in sorted(variables, key=int)]
        yield group["vars"].attrs["name"], arrays


def shapes_of(config: ModelConfig) -> dict[str, tuple[int, ...]]:
    """The name and shape of each array of a model of either kind: of one text, or with an encoder."""
    return PairWeights.shapes(config) if config.has_encoder else ModelWeights.shapes(config)


def refuse_code(archive: Archive) -> None:
    """Refuses a file that could run code when the user opens it in Keras; textgen itself never runs any of it.

    Raises:
        CheckpointError: the configuration names a layer or function that holds or loads code, or one from outside Keras
            other than textgen's cells.
    """
    admitted = [facts.layer.to_json() for facts in FACTS.values() if facts.layer.registered_name is not None]
    values = [archive.json(KERAS_CONFIG)]
    while values:
        value = values.pop()
        if isinstance(value, list):
            values.extend(value)
        elif isinstance(value, dict):
            values.extend(value.values())
            ours = {key: value.get(key) for key in ("module", "class_name", "registered_name")} in admitted
            if ("class_name" in value and not ours) and (
                value["class_name"] in _CODE or str(value.get("module", "keras")).partition(".")[0] != "keras"
            ):
                raise archive.problem(
                    f"{KERAS_CONFIG} in it names {str(value['class_name'])[:80]!r}, which can run code"
                )

"""Packs a model's weights for a page: as 8-bit or 6-bit integers with a scale for each row, as float16 or as float32.

A row holds the weights of one output: of a gate's unit, or of a character in the output layer; of an embedding, those
of one id. The gates that a cell ties to others are left out. Biases and peepholes stay float32.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Literal, get_args

import numpy as np
from numpy.typing import NDArray

from textgen.config import ModelConfig, require
from textgen.model.weights import LayerWeights, ModelWeights

Kind = Literal["int8", "int6", "float16", "float32"]
Array = NDArray[np.float32]

_MOST = {"int8": 127.0, "int6": 31.0, "float16": float(np.finfo(np.float16).max)}


@dataclass(frozen=True, eq=False)
class PackedMatrix:
    """A matrix as it is stored.

    Args:
        kind: the type of its values.
        values: `(rows, columns)`; of "int6" int8 in [-31, 31].
        scales: `(rows,)` float32, what the values of a row are multiplied by; None for 1.
    """

    kind: Kind
    values: NDArray[Any]
    scales: Array | None = None

    @classmethod
    def of(cls, matrix: Array, kind: Kind) -> PackedMatrix:
        """Packs a matrix, `(rows, columns)` or one row.

        >>> packed = PackedMatrix.of(np.array([[0.5, -1.0], [0.0, 0.0]], np.float32), "int8")
        >>> packed.values.tolist(), packed.restored().round(2).tolist()
        ([[64, -127], [0, 0]], [[0.5, -1.0], [0.0, 0.0]])
        """
        require(kind in get_args(Kind), "weights", "one of " + ", ".join(get_args(Kind)), kind)
        rows = np.atleast_2d(np.asarray(matrix, np.float32))
        if kind == "float32":
            return cls(kind, rows)
        if kind == "float16":
            return cls(kind, np.clip(rows, -_MOST[kind], _MOST[kind]).astype(np.float16))
        most = np.float32(_MOST[kind])
        scales = (np.abs(rows).max(axis=1) / most).astype(np.float32)
        divisors = np.where(scales > 0.0, scales, np.float32(1.0))
        return cls(kind, np.rint(rows / divisors[:, None]).clip(-most, most).astype(np.int8), scales)

    def restored(self) -> Array:
        """The matrix that a reader has, `(rows, columns)` float32."""
        values = self.values.astype(np.float32)
        return values if self.scales is None else values * self.scales[:, None]

    def to_bytes(self) -> bytes:
        """The scales, if there are any, then the values, little-endian, each padded to whole groups of four bytes.

        Four values of "int6", plus 32, make three bytes, the first value in the highest bits.
        """
        values = _sixes(self.values) if self.kind == "int6" else self.values
        parts = [values] if self.scales is None else [self.scales, values]
        whole = [np.ascontiguousarray(each, each.dtype.newbyteorder("<")).tobytes() for each in parts]
        return b"".join(each + bytes(-len(each) % 4) for each in whole)


def _sixes(values: NDArray[np.int8]) -> NDArray[np.uint8]:
    """Numbers in [-32, 31] as the bytes of six bits each.

    >>> _sixes(np.array([-32, -31, 0, 31], np.int8)).tolist()
    [0, 24, 63]
    """
    given = (values.astype(np.int16).ravel() + 32).astype(np.uint8)
    a, b, c, d = np.append(given, np.zeros(-len(given) % 4, np.uint8)).reshape(-1, 4).T
    return np.stack([a << 2 | b >> 4, (b & 15) << 4 | c >> 2, (c & 3) << 6 | d], axis=1).ravel()


@dataclass(frozen=True, eq=False)
class PackedWeights:
    """A model's weights as they are stored.

    Args:
        config: the network's shape.
        matrices: by name, in the order in which they are stored: "embedding"; with labels "label embedding"; of layer n
            "layer n inputs", "layer n recurrent", "layer n bias" and with peepholes "layer n peephole"; "head" and
            "head bias".
    """

    config: ModelConfig
    matrices: dict[str, PackedMatrix]

    @classmethod
    def of(cls, config: ModelConfig, weights: ModelWeights, kind: Kind) -> PackedWeights:
        """Packs the weights of a model."""
        exact: Kind = "float32"
        matrices = {"embedding": PackedMatrix.of(weights.embedding, kind)}
        if weights.label_embedding is not None:
            matrices["label embedding"] = PackedMatrix.of(weights.label_embedding, kind)
        for prefix, layer in _named(weights.layers):
            matrices[f"{prefix} inputs"] = PackedMatrix.of(_free(config, layer.kernel).T, kind)
            matrices[f"{prefix} recurrent"] = PackedMatrix.of(_free(config, layer.recurrent_kernel).T, kind)
            matrices[f"{prefix} bias"] = PackedMatrix.of(_free(config, layer.bias), exact)
            if layer.peephole is not None:
                matrices[f"{prefix} peephole"] = PackedMatrix.of(layer.peephole, exact)
        matrices["head"] = PackedMatrix.of(weights.head_kernel.T, kind)
        matrices["head bias"] = PackedMatrix.of(weights.head_bias, exact)
        return cls(config, matrices)

    def restored(self) -> ModelWeights:
        """The weights that a reader has, which the NumPy engine reads too: those of the model, rounded."""
        found = {name: matrix.restored() for name, matrix in self.matrices.items()}
        config = self.config
        layers = []
        for n in range(1, config.layers + 1):
            bias = _whole(config, found[f"layer {n} bias"])
            layers.append(
                LayerWeights(
                    kernel=_whole(config, found[f"layer {n} inputs"].T),
                    recurrent_kernel=_whole(config, found[f"layer {n} recurrent"].T),
                    bias=bias if config.facts.bias_rows > 1 else bias[0],
                    peephole=found.get(f"layer {n} peephole"),
                )
            )
        return ModelWeights(
            embedding=found["embedding"],
            layers=tuple(layers),
            head_kernel=np.ascontiguousarray(found["head"].T),
            head_bias=found["head bias"][0],
            label_embedding=found.get("label embedding"),
        )

    def described(self) -> list[dict[str, Any]]:
        """The name, kind and shape of each matrix, in order, as JSON values."""
        return [
            {"name": name, "kind": each.kind, "rows": each.values.shape[0], "columns": each.values.shape[1]}
            for name, each in self.matrices.items()
        ]

    def to_bytes(self) -> bytes:
        """All matrices, one after the other."""
        return b"".join(each.to_bytes() for each in self.matrices.values())


def _named(layers: tuple[LayerWeights, ...]) -> Iterator[tuple[str, LayerWeights]]:
    for n, layer in enumerate(layers, 1):
        yield f"layer {n}", layer


def _free(config: ModelConfig, array: Array) -> Array:
    """The columns of the gates that are not tied to others."""
    facts = config.facts
    blocks = dict(zip(facts.gates, np.split(array, len(facts.gates), axis=-1), strict=True))
    return np.concatenate([blocks[gate] for gate in facts.free], axis=-1)


def _whole(config: ModelConfig, array: Array) -> Array:
    """The way back from `_free`: the columns of all gates, in Keras's order."""
    facts = config.facts
    blocks = dict(zip(facts.free, np.split(array, len(facts.free), axis=-1), strict=True))
    blocks |= {gate: -blocks[other] for gate, other in facts.tied.items()}
    return np.concatenate([blocks[gate] for gate in facts.gates], axis=-1)

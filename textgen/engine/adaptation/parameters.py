"""A model's trainable weights as one flat array, of which each weight array is a view.

So an update rule is a few passes over one array. Columns of a recurrent layer are in the order of its cell's step
(`textgen.engine.columns`). A tied block, such as a coupled cell's forget gate, is left out: it follows from the other.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Self

import numpy as np
from numpy.typing import DTypeLike, NDArray

from textgen.config import ModelConfig
from textgen.engine.columns import Columns
from textgen.model.weights import ModelWeights

Array = NDArray[Any]


@dataclass(frozen=True, eq=False)
class LayerParameters:
    """One recurrent layer's arrays, views of the flat array.

    Args:
        kernel: `(inputs, columns)`.
        recurrent_kernel: `(units, columns)`.
        bias: `(columns,)`; for a GRU `(2, columns)`, the input bias and the recurrent bias.
        peephole: `(peepholes, units)`, from the cell state to the gates; None without peepholes.
    """

    kernel: Array
    recurrent_kernel: Array
    bias: Array
    peephole: Array | None = None


class Parameters:
    """The trainable weights of a model.

    Args:
        config: the model's shape.
        values: `(count,)`, in the order of `ModelWeights.shapes`; the arrays share its memory.

    Attributes:
        embedding: `(vocab, embedding)`.
        layers: from the bottom up.
        head_kernel: `(units, vocab)`.
        head_bias: `(vocab,)`.

    >>> config = ModelConfig(vocab_size=3, layers=1, units=2, embedding=2)
    >>> parameters = Parameters(config, np.zeros(Parameters.count(config)))
    >>> parameters.values[-3:] = 7.0
    >>> parameters.head_bias
    array([7., 7., 7.])
    """

    def __init__(self, config: ModelConfig, values: Array) -> None:
        self.config = config
        self.values = values
        arrays, start = [], 0
        for shape in _shapes(config):
            stop = start + int(np.prod(shape))
            arrays.append(values[start:stop].reshape(shape))
            start = stop
        self._arrays = arrays
        self.embedding, *between, self.head_kernel, self.head_bias = arrays
        each = len(between) // config.layers
        self.layers = tuple(LayerParameters(*between[n : n + each]) for n in range(0, len(between), each))

    @staticmethod
    def count(config: ModelConfig) -> int:
        """The number of trainable weights of a model of this shape."""
        return sum(int(np.prod(shape)) for shape in _shapes(config))

    @classmethod
    def from_weights(cls, config: ModelConfig, weights: ModelWeights, *, dtype: DTypeLike = np.float32) -> Self:
        """A copy of a model's weights.

        Args:
            config: the model's shape.
            weights: its weights.
            dtype: float32, or float64 for tests that need the precision.

        Raises:
            ConfigError: the weights do not fit the configuration.
        """
        weights.validate(config)
        parameters, columns = cls(config, np.empty(cls.count(config), dtype)), Columns.of(config)
        for mine, name, array in zip(parameters._arrays, ModelWeights.shapes(config), weights.arrays(), strict=True):
            mine[...] = columns.from_keras(array) if _in_columns(name) else array
        return parameters

    def like(self) -> Self:
        """Zeros of the same shape, for a gradient."""
        return type(self)(self.config, np.zeros_like(self.values))

    def to_weights(self) -> ModelWeights:
        """A copy as a model's weights, float32."""
        columns = Columns.of(self.config)
        named = zip(ModelWeights.shapes(self.config), self._arrays, strict=True)
        arrays = [columns.to_keras(array) if _in_columns(name) else array for name, array in named]
        return ModelWeights.from_arrays([array.astype(np.float32) for array in arrays])


def _shapes(config: ModelConfig) -> list[tuple[int, ...]]:
    """The shapes of the trainable arrays, in the order of `ModelWeights.shapes`."""
    count = Columns.of(config).count
    return [(*shape[:-1], count) if _in_columns(name) else shape for name, shape in ModelWeights.shapes(config).items()]


def _in_columns(name: str) -> bool:
    """Whether an array's last axis is a recurrent layer's columns."""
    return name.startswith("recurrent_") and not name.endswith("/peephole")

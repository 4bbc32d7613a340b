"""A model's weights as what can be learned: one row of numbers, of which each array is a view.

Goes in: weights in Keras's layouts. Comes out: the same numbers side by side, so that a learning rule is a few passes
over one row, and back again. The module knows no gradient and no text.

A coupled cell keeps its forget gate's columns as the negatives of its input gate's. Only the input gate's are free, so
only they are here, and the two stay tied whatever is learned.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Self

import numpy as np
from numpy.typing import DTypeLike, NDArray

from textgen.config import ModelConfig
from textgen.model.weights import ModelWeights

Array = NDArray[Any]


@dataclass(frozen=True, eq=False)
class LayerParameters:
    """One recurrent layer's arrays, views of the row.

    Args:
        kernel: `(inputs, gates * units)`.
        recurrent_kernel: `(units, gates * units)`.
        bias: `(gates * units,)`; for a GRU `(2, 3 * units)`, the inputs' and the recurrent bias.
        peephole: `(3, units)`, the input, forget and output gate's weights for the memory; only of such a cell.
    """

    kernel: Array
    recurrent_kernel: Array
    bias: Array
    peephole: Array | None = None


class Parameters:
    """All numbers of a model that can be learned.

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
        """How many numbers a model of this shape can learn."""
        return sum(int(np.prod(shape)) for shape in _shapes(config))

    @classmethod
    def from_weights(cls, config: ModelConfig, weights: ModelWeights, *, dtype: DTypeLike = np.float32) -> Self:
        """A copy of a model's weights.

        Args:
            config: the model's shape.
            weights: its weights.
            dtype: float32, or float64 where a test wants to see every digit.

        Raises:
            ConfigError: the weights do not fit the configuration.
        """
        weights.validate(config)
        parameters = cls(config, np.empty(cls.count(config), dtype))
        for mine, array in zip(parameters._arrays, weights.arrays(), strict=True):
            mine[...] = _free(config, array, mine.shape)
        return parameters

    def like(self) -> Self:
        """Zeros of the same shape, for a gradient."""
        return type(self)(self.config, np.zeros_like(self.values))

    def to_weights(self) -> ModelWeights:
        """A copy as a model's weights, float32."""
        shapes = ModelWeights.shapes(self.config).values()
        arrays = [_whole(self.config, array, shape) for array, shape in zip(self._arrays, shapes, strict=True)]
        return ModelWeights.from_arrays(arrays)


def _shapes(config: ModelConfig) -> list[tuple[int, ...]]:
    """The shapes of what is free to learn, in the order of `ModelWeights.shapes`."""
    shapes = ModelWeights.shapes(config)
    if config.cell != "coupled":
        return list(shapes.values())
    return [
        (*shape[:-1], 3 * config.units) if name.startswith("recurrent") else shape for name, shape in shapes.items()
    ]


def _free(config: ModelConfig, array: Array, shape: tuple[int, ...]) -> Array:
    """An array without what follows from the rest of it: a coupled cell's columns i, f, c, o become i, c, o."""
    if array.shape == shape:
        return array
    units = config.units
    return np.concatenate([array[..., :units], array[..., 2 * units :]], axis=-1)


def _whole(config: ModelConfig, array: Array, shape: tuple[int, ...]) -> NDArray[np.float32]:
    """The opposite of `_free`, as a copy."""
    if array.shape == shape:
        return array.astype(np.float32)
    i, rest = np.split(array.astype(np.float32), [config.units], axis=-1)
    return np.concatenate([i, -i, rest], axis=-1)

"""A layer's weights, laid out for the engine.

Goes in: weights in Keras's layouts and gate orders. Comes out: matrices with the gates' columns in the order and with
the factors that the cell wants, and a table that holds the whole input product of the first layer for each id.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from textgen.config import ModelConfig
from textgen.engine.cells import CELLS, Cell
from textgen.engine.matrix import Matrix
from textgen.model.weights import LayerWeights, ModelWeights

Array = NDArray[np.float32]

_HALF = np.float32(0.5)

_TABLE = 2**22
"""Numbers that a look-up table may have; a larger vocabulary is embedded and multiplied like any input."""


@dataclass(frozen=True, eq=False)
class Layer:
    """One recurrent layer.

    Args:
        cell: the arithmetic of its gates.
        units: the size of its output.
        inputs: `(inputs, columns)`.
        recurrent: `(units, columns)`.
        both: `(inputs + units, columns)`, the two one above the other, where one product serves for both.
        bias: `(gates * units,)`, all that is added to the input's product.
        recurrent_bias: `(units,)`, what a GRU adds to its candidate's recurrent product.
        peephole: `(3, units)`, what the gates i, f and o weigh the memory with, halved; `(0, units)` if they do not.
        table: `(vocab, gates * units)`, each id's input product plus the bias; only of a first layer.
    """

    cell: type[Cell]
    units: int
    inputs: Matrix
    recurrent: Matrix
    both: Matrix | None
    bias: Array
    recurrent_bias: Array
    peephole: Array
    table: Array | None

    @classmethod
    def from_weights(cls, config: ModelConfig, weights: LayerWeights, embedding: Array | None) -> Layer:
        """The layer for `weights`; `embedding`, `(vocab, embedding)`, makes it a first layer."""
        cell, units = CELLS[config.cell], config.units
        size = len(weights.kernel)
        columns = len(cell.gates) * units
        known = embedding if embedding is not None and len(embedding) * columns <= _TABLE else None
        if cell.sums and known is None:
            both = Matrix.zeros(size + units, columns)
            inputs, recurrent = both.part(0, size), both.part(size, size + units)
        else:
            both, inputs, recurrent = None, Matrix.zeros(size, columns), Matrix.zeros(units, columns)
        bias = np.empty(columns, np.float32)
        added = weights.bias if weights.bias.ndim == 1 else _input_bias(weights.bias, units)
        for place, (gate, factor) in enumerate(cell.gates):
            here, there = slice(place * units, (place + 1) * units), slice(gate * units, (gate + 1) * units)
            np.multiply(weights.kernel[:, there], np.float32(factor), inputs.values[:, here])
            np.multiply(weights.recurrent_kernel[:, there], np.float32(factor), recurrent.values[:, here])
            np.multiply(added[there], np.float32(factor), bias[here])
        peephole = np.empty((0, units), np.float32) if weights.peephole is None else weights.peephole * _HALF
        last = weights.bias[-1] if weights.bias.ndim == 2 else weights.bias
        table = None
        if known is not None:
            wide = np.empty((len(known), inputs.columns), np.float32)
            inputs.times(known, wide)
            table = wide[:, :columns] + bias
        return cls(cell, units, inputs, recurrent, both, bias, last[-units:].copy(), peephole, table)


def _input_bias(bias: Array, units: int) -> Array:
    """A GRU's two biases in one, but for the candidate's recurrent one, which its reset gate multiplies."""
    added: Array = bias[0].copy()
    added[: 2 * units] += bias[1, : 2 * units]
    return added


@dataclass(frozen=True, eq=False)
class Head:
    """What makes logits of the layers' outputs.

    Args:
        kernel: `(units, columns)`, `columns` the vocabulary's size, padded.
        bias: `(vocab,)`.
        skip: the head reads the sum of all layers' outputs, not the last layer's alone.
    """

    kernel: Matrix
    bias: Array
    skip: bool

    @classmethod
    def from_weights(cls, config: ModelConfig, weights: ModelWeights) -> Head:
        """The head for `weights`."""
        kernel = Matrix.zeros(config.units, config.vocab_size)
        kernel.values[:, : config.vocab_size] = weights.head_kernel
        return cls(kernel, weights.head_bias.copy(), config.skip and config.layers > 1)

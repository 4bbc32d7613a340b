"""Converts a layer's weights from Keras's layout to the engine's.

The gates' columns get the order and the factors of the cell's step. The first layer gets a look-up table with its
input product for each id, `(vocab, gates * units)`, so that it needs neither the embedding nor a product.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from textgen.config import ModelConfig
from textgen.config.cells import CellFacts
from textgen.engine.cells import CELLS, Cell
from textgen.engine.columns import Columns
from textgen.engine.matrix import Matrix
from textgen.model.weights import LayerWeights, ModelWeights

Array = NDArray[np.float32]

_TABLE = 2**22
"""The most numbers in a look-up table; a larger vocabulary is embedded and multiplied like any input."""


@dataclass(frozen=True, eq=False)
class Layer:
    """One recurrent layer.

    Args:
        facts: the cell's facts.
        cell: the cell's step.
        units: the size of its output.
        inputs: `(inputs, columns)`.
        recurrent: `(units, columns)`.
        both: `(inputs + units, columns)`, `inputs` above `recurrent`, where one product serves for both; else None.
        bias: `(gates * units,)`, added to the input's product.
        recurrent_bias: `(n,)`, added to the recurrent products of the `CellFacts.apart` gates.
        peephole: `(peepholes, units)`, the peephole weights times their factors; `(0, units)` without peepholes.
        table: `(vocab, gates * units)`, each id's input product plus the bias; only in a first layer.
    """

    facts: CellFacts
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
        columns, size, units = Columns.of(config), len(weights.kernel), config.units
        known = embedding if embedding is not None and len(embedding) * columns.count <= _TABLE else None
        if known is None and not config.facts.apart:
            both = Matrix.zeros(size + units, columns.count)
            inputs, recurrent = both.part(0, size), both.part(size, size + units)
        else:
            both, inputs, recurrent = None, Matrix.zeros(size, columns.count), Matrix.zeros(units, columns.count)
        factors = columns.factors
        for matrix, array in ((inputs, weights.kernel), (recurrent, weights.recurrent_kernel)):
            np.multiply(columns.from_keras(array), factors, matrix.values[:, : columns.count])
        bias, recurrent_bias = columns.biases(columns.from_keras(weights.bias))
        peephole = columns.peepholes(weights.peephole)
        table = None
        if known is not None:
            wide = np.empty((len(known), inputs.columns), np.float32)
            inputs.times(known, wide)
            table = wide[:, : columns.count] + bias
        cell = CELLS[config.cell]
        return cls(config.facts, cell, units, inputs, recurrent, both, bias, recurrent_bias, peephole, table)


@dataclass(frozen=True, eq=False)
class Head:
    """The output layer: a dense layer that gives the logits.

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

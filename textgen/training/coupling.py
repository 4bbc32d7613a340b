"""Tied blocks of weights, as they are learned and as Keras's layer holds them.

A coupled cell forgets as much as it takes in, `f = 1 - i`, and is a stock LSTM: with `1 - sigmoid(x) = sigmoid(-x)` the
block of the forget gate is minus the block of the input gate, in the kernel, the recurrent kernel and the bias. What is
learned is three blocks, i, g, o; what is stored is four, i, f, g, o. `CellFacts.tied` says so of any cell; the arrays
of a cell without tied blocks stay as they are. Sums, products with numbers, squares and roots treat a number and its
opposite alike to the last bit, and so do Adam, its decoupled decay and clipping, which are made of them: given opposite
gradients, the optimizer keeps the tie exactly.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import tensorflow as tf

from textgen.config import ModelConfig
from textgen.config.cells import CellFacts
from textgen.model.weights import ModelWeights

Tensor = Any


def free(facts: CellFacts, stored: Tensor) -> Tensor:
    """The blocks that are learned: `(..., gates * units)` to `(..., free * units)`."""
    if not facts.tied:
        return stored
    blocks = _blocks(facts.gates, stored)
    return tf.concat([blocks[gate] for gate in facts.free], -1)


def tied(facts: CellFacts, learned: Tensor) -> Tensor:
    """The blocks that are stored: `(..., free * units)` to `(..., gates * units)`; the opposite of `free`."""
    if not facts.tied:
        return learned
    blocks = _blocks(facts.free, learned)
    return tf.concat([-blocks[facts.tied[gate]] if gate in facts.tied else blocks[gate] for gate in facts.gates], -1)


def repeated(facts: CellFacts, learned: Tensor) -> Tensor:
    """As `tied`, with the learned block itself, not its opposite, in the tied block's place: for masks."""
    if not facts.tied:
        return learned
    blocks = _blocks(facts.free, learned)
    return tf.concat([blocks[facts.tied.get(gate, gate)] for gate in facts.gates], -1)


def free_gradients(config: ModelConfig, gradients: Sequence[Tensor]) -> list[Tensor]:
    """The gradients with respect to what is learned, from those with respect to what is stored.

    By the chain rule a weight's gradient is its own less that of its opposite.

    Args:
        config: the model's shape.
        gradients: one for each array of `ModelWeights.shapes`.
    """
    return _each(config, _gathered, gradients)


def tied_gradients(config: ModelConfig, gradients: Sequence[Tensor]) -> list[Tensor]:
    """Gradients with respect to what is learned as those of what is stored, with which an optimizer keeps the tie.

    Args:
        config: the model's shape.
        gradients: what `free_gradients` returned, scaled or not.
    """
    return _each(config, tied, gradients)


def _gathered(facts: CellFacts, gradient: Tensor) -> Tensor:
    blocks = _blocks(facts.gates, gradient)
    for gate, other in facts.tied.items():
        blocks[other] = blocks[other] - blocks[gate]
    return tf.concat([blocks[gate] for gate in facts.free], -1)


def _blocks(gates: Sequence[str], array: Tensor) -> dict[str, Tensor]:
    return dict(zip(gates, tf.split(array, len(gates), -1), strict=True))


def _each(
    config: ModelConfig, change: Callable[[CellFacts, Tensor], Tensor], gradients: Sequence[Tensor]
) -> list[Tensor]:
    facts = config.facts
    if not facts.tied:
        return list(gradients)
    names = ModelWeights.shapes(config)
    return [change(facts, g) if name.startswith("recurrent_") else g for name, g in zip(names, gradients, strict=True)]

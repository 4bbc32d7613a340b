"""Converts between the free and the stored weights of cells with tied gates.

A coupled cell has `f = 1 - i` and is stored as a stock LSTM: since `1 - sigmoid(x) = sigmoid(-x)`, the forget gate's
block is minus the input gate's, in the kernel, the recurrent kernel and the bias. Three blocks are learned, i, g, o;
four are stored, i, f, g, o. `CellFacts.tied` lists a cell's tied gates; the arrays of cells without any are not
changed. Sums, scaling, squares and roots treat a number and its negative alike to the last bit, and so do AdamW and
clipping, which consist of them: given negated gradients, the optimizer keeps the tie exactly.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import tensorflow as tf

from textgen.config import ModelConfig
from textgen.config.cells import CellFacts
from textgen.model.keras_file import shapes_of
from textgen.model.weights import is_recurrent

Tensor = Any


def free(facts: CellFacts, stored: Tensor) -> Tensor:
    """The free blocks: `(..., gates * units)` to `(..., free * units)`."""
    if not facts.tied:
        return stored
    blocks = _blocks(facts.gates, stored)
    return tf.concat([blocks[gate] for gate in facts.free], -1)


def tied(facts: CellFacts, learned: Tensor) -> Tensor:
    """The stored blocks: `(..., free * units)` to `(..., gates * units)`; the inverse of `free`."""
    if not facts.tied:
        return learned
    blocks = _blocks(facts.free, learned)
    return tf.concat([-blocks[facts.tied[gate]] if gate in facts.tied else blocks[gate] for gate in facts.gates], -1)


def repeated(facts: CellFacts, learned: Tensor) -> Tensor:
    """Like `tied`, but a tied block is a copy of the free one, not its negative: for dropout masks."""
    if not facts.tied:
        return learned
    blocks = _blocks(facts.free, learned)
    return tf.concat([blocks[facts.tied.get(gate, gate)] for gate in facts.gates], -1)


def free_gradients(config: ModelConfig, gradients: Sequence[Tensor]) -> list[Tensor]:
    """The gradients with respect to the free weights, from those with respect to the stored ones.

    By the chain rule, the gradient of a tied weight is subtracted from that of its free one.

    Args:
        config: the model's shape.
        gradients: one for each array of `ModelWeights.shapes`.
    """
    return _each(config, _gathered, gradients)


def tied_gradients(config: ModelConfig, gradients: Sequence[Tensor]) -> list[Tensor]:
    """The gradients of the free weights as gradients of the stored ones, with which an optimizer keeps the tie.

    Args:
        config: the model's shape.
        gradients: as `free_gradients` returns them, scaled or not.
    """
    return _each(config, tied, gradients)


def free_weights(config: ModelConfig, weights: Sequence[Tensor]) -> list[Tensor]:
    """The free weights of the stored ones, whose tie makes the others superfluous; `tied_gradients` is the inverse.

    Args:
        config: the model's shape.
        weights: one for each array of `ModelWeights.shapes`.
    """
    return _each(config, free, weights)


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
    names = shapes_of(config)
    return [change(facts, g) if is_recurrent(name) else g for name, g in zip(names, gradients, strict=True)]

"""A coupled cell's weights as it learns them, and as Keras's LSTM holds them.

The cell forgets as much as it takes in, `f = 1 - i`, and is a stock LSTM: with `1 - sigmoid(x) = sigmoid(-x)` the block
of the forget gate is minus the block of the input gate, in the kernel, the recurrent kernel and the bias. What is
learned is three blocks, i, g, o; what is stored is four, i, f, g, o. Sums, products with numbers, squares and roots
treat a number and its opposite alike to the last bit, and so do Adam, its decoupled decay and clipping, which are made
of them: given opposite gradients, the optimizer keeps the tie exactly.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import tensorflow as tf

from textgen.config import ModelConfig
from textgen.model.weights import ModelWeights

Tensor = Any


def free(stored: Tensor) -> Tensor:
    """The blocks that are learned: `(..., 4 * units)` to `(..., 3 * units)`."""
    i, _, g, o = tf.split(stored, 4, -1)
    return tf.concat([i, g, o], -1)


def tied(learned: Tensor) -> Tensor:
    """The blocks that are stored: `(..., 3 * units)` to `(..., 4 * units)`; the opposite of `free`."""
    i, g, o = tf.split(learned, 3, -1)
    return tf.concat([i, -i, g, o], -1)


def free_gradients(config: ModelConfig, gradients: Sequence[Tensor]) -> list[Tensor]:
    """The gradients of what is learned, from those of what is stored: of other cells' models the same.

    By the chain rule an input gate's weight has its own gradient less that of its opposite.

    Args:
        config: the model's shape.
        gradients: one for each array of `ModelWeights.shapes`.
    """

    def gather(gradient: Tensor) -> Tensor:
        i, f, g, o = tf.split(gradient, 4, -1)
        return tf.concat([i - f, g, o], -1)

    return _each(config, gather, gradients)


def tied_gradients(config: ModelConfig, gradients: Sequence[Tensor]) -> list[Tensor]:
    """Gradients of what is learned as those of what is stored, with which an optimizer keeps the tie.

    Args:
        config: the model's shape.
        gradients: what `free_gradients` returned, scaled or not.
    """
    return _each(config, tied, gradients)


def _each(config: ModelConfig, change: Any, gradients: Sequence[Tensor]) -> list[Tensor]:
    if config.cell != "coupled":
        return list(gradients)
    names = ModelWeights.shapes(config)
    return [change(g) if name.startswith("recurrent_") else g for name, g in zip(names, gradients, strict=True)]

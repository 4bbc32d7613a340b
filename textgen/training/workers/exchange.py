"""Rounds: each worker takes some steps by itself, then their changes are averaged and an outer step is made.

Local SGD (Stich 2019) with an outer Nesterov momentum (DiLoCo, Douillard et al. 2023):

    change   = mean over the workers of (weights - start)
    velocity = momentum * velocity + change
    start    = weights = start + rate * (change + momentum * velocity)
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import tensorflow as tf
from numpy.typing import NDArray

from textgen.config import ModelConfig
from textgen.training.coupling import free_weights, tied_gradients
from textgen.training.workers.collectives import Collectives

Vector = NDArray[np.float32]

VELOCITY = "workers/velocity"
"""The name of the velocity among the arrays of a checkpoint."""


class Rounds:
    """The outer optimizer, the same on each worker.

    Args:
        model: the Keras model whose weights are averaged.
        config: its shape; of tied weights only the free ones are sent.
        collectives: the sums over the workers.
        rate: factor on the mean change.
        momentum: of the changes.
    """

    def __init__(
        self, model: Any, config: ModelConfig, collectives: Collectives, *, rate: float, momentum: float
    ) -> None:
        self._model, self._config, self._collectives = model, config, collectives
        self._rate, self._momentum = np.float32(rate), np.float32(momentum)
        self._shapes = [tuple(each.shape) for each in self._free(model.get_weights())]
        self.start = self._flat()
        self.velocity: Vector = np.zeros_like(self.start)

    def exchange(self, *, last: bool = False) -> None:
        """Ends a round on all workers; after the `last` one of a run the weights are the mean, without momentum.

        Raises:
            tf.errors.OpError: another worker does not take part.
        """
        change: Any = self._collectives.total(self._flat() - self.start) / np.float32(self._collectives.workers)
        if last:
            self.start = self.start + change
        else:
            self.velocity = self._momentum * self.velocity + change
            self.start = self.start + self._rate * (change + self._momentum * self.velocity)
        self.go_back()

    def go_back(self) -> None:
        """Sets the weights to those at the start of this round."""
        parts = np.split(self.start, np.cumsum([int(np.prod(shape)) for shape in self._shapes])[:-1])
        free = [part.reshape(shape) for part, shape in zip(parts, self._shapes, strict=True)]
        self._model.set_weights([np.asarray(each) for each in tied_gradients(self._config, free)])

    def begin(self) -> None:
        """Starts a round from the weights as they are, without velocity."""
        self.start, self.velocity = self._flat(), np.zeros_like(self.start)

    def capture(self) -> dict[str, Vector]:
        """What an exact continuation needs besides the weights."""
        return {VELOCITY: self.velocity}

    def restore(self, arrays: Mapping[str, Any]) -> None:
        """Starts a round from the weights as they are, with the velocity of `capture` where it fits."""
        self.begin()
        velocity = arrays.get(VELOCITY)
        if velocity is not None and velocity.shape == self.velocity.shape:
            self.velocity = np.array(velocity, np.float32)

    def _free(self, weights: list[Any]) -> list[Any]:
        with tf.device("/CPU:0"):
            return [np.asarray(each) for each in free_weights(self._config, weights)]

    def _flat(self) -> Vector:
        return np.concatenate([np.ravel(each) for each in self._free(self._model.get_weights())])

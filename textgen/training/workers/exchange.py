"""Rounds: each worker takes some steps by itself, then their changes are averaged and an outer step is made.

Local SGD (Stich 2019) with an outer Nesterov momentum (DiLoCo, Douillard et al. 2023):

    change   = mean over the workers of (weights - start)
    velocity = momentum * velocity + change
    start    = weights = start + rate * (change + momentum * velocity)

The changes can be summed while the first steps of the next round are taken (as in streaming DiLoCo, Douillard et al.
2025). Then the outer step is made under what those steps have learned:

    weights = weights + (start - weights at the end of the round)
"""

from __future__ import annotations

import contextlib
import math
import threading
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import Future
from functools import partial
from typing import Any

import numpy as np
import tensorflow as tf
from numpy.typing import NDArray

from textgen.config import ModelConfig
from textgen.training.coupling import free_weights, tied_gradients
from textgen.training.workers.collectives import Collectives

Vector = NDArray[np.float32]
Tensor = Any

VELOCITY = "workers/velocity"
"""The name of the velocity among the arrays of a checkpoint."""

OWN = "workers/own"
"""The name of a worker's own weights at the end of a round whose changes are being summed."""


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
        self._shapes = [each.shape for each in self._free()]
        # Graphs: one pass over the weights each, where eager operations and Keras's own copies take several.
        self._read = tf.function(self._joined, autograph=False)
        self._write = tf.function(self._divided, autograph=False)
        self.start = self._flat()
        self.velocity: Vector = np.zeros_like(self.start)
        self._sent: Vector | None = None
        self._sum: Future[Vector] | None = None

    @property
    def pending(self) -> bool:
        """Whether a round has ended whose outer step is not in the weights yet."""
        return self._sent is not None

    def exchange(self, *, last: bool = False) -> None:
        """Ends a round on all workers; after the `last` one of a run the weights are the mean, without momentum.

        Raises:
            tf.errors.OpError: another worker does not take part.
        """
        self._step(self._collectives.total(self._flat() - self.start), last=last)
        self._assign(self.start)

    def launch(self) -> None:
        """Ends a round, and has the changes summed while this worker goes on, until `settle`."""
        self._sent = self._flat()
        self._sum = _in_background(partial(self._collectives.total, self._sent - self.start))

    def complete(self) -> None:
        """Waits for the sum that `launch` has started, and moves `start`; the weights stay until `settle`.

        Raises:
            tf.errors.OpError: another worker does not take part.
        """
        if self._sum is not None:
            self._step(self._sum.result())
            self._sum = None

    def settle(self) -> None:
        """Puts the outer step of the round that `launch` ended into the weights, under what they have learned since.

        Raises:
            tf.errors.OpError: another worker does not take part.
        """
        self.complete()
        if self._sent is not None:
            self._assign(self._flat() + (self.start - self._sent))
            self._sent = None

    def go_back(self) -> bool:
        """Sets the weights to those at the last outer step; whether the round that `launch` ended is in them."""
        arrived = self._sum is None or (self._sum.done() and self._sum.exception() is None)
        if arrived:
            self.complete()
        self._sum = self._sent = None
        self._assign(self.start)
        return arrived

    def begin(self) -> None:
        """Starts a round from the weights as they are, without velocity."""
        self._sum = self._sent = None
        self.start, self.velocity = self._flat(), np.zeros_like(self.start)

    @contextlib.contextmanager
    def common(self) -> Iterator[None]:
        """Has the model hold the weights of the last outer step, the same on all workers, for the body."""
        if not self.pending:
            yield
            return
        now = self._flat()
        self._assign(self.start)
        try:
            yield
        finally:
            self._assign(now)

    def capture(self) -> dict[str, Vector]:
        """What an exact continuation needs besides the weights of the last outer step, the same on all workers."""
        return {VELOCITY: self.velocity}

    def own(self) -> dict[str, Vector]:
        """What an exact continuation needs of this worker, at the end of a round."""
        return {} if self._sent is None else {OWN: self._sent}

    def restore(self, arrays: Mapping[str, Any]) -> None:
        """Starts a round from the weights as they are, with what of `capture` and `own` there is and fits."""
        self.begin()
        velocity, own = (arrays.get(name) for name in (VELOCITY, OWN))
        if velocity is not None and velocity.shape == self.velocity.shape:
            self.velocity = np.array(velocity, np.float32)
        if own is not None and own.shape == self.start.shape:
            self._sent = np.array(own, np.float32)
            self._assign(self._sent)

    def _step(self, total: Vector, *, last: bool = False) -> None:
        """The outer step, by the sum of all workers' changes, whose array is used up."""
        change = np.divide(total, np.float32(self._collectives.workers), out=total)
        if last:
            self.start = self.start + change
            return
        velocity = self._momentum * self.velocity
        velocity += change
        step = self._momentum * velocity
        step += change
        step *= self._rate
        step += self.start
        self.start, self.velocity = step, velocity

    def _flat(self) -> Vector:
        """The free weights, end to end."""
        vector: Vector = self._read().numpy()
        return vector

    def _assign(self, vector: Vector) -> None:
        """Sets the weights to those that `_flat` returned, or changed ones."""
        self._write(tf.constant(vector))

    def _free(self) -> list[Tensor]:
        return free_weights(self._config, [tf.convert_to_tensor(each) for each in self._model.weights])

    def _joined(self) -> Tensor:
        return tf.concat([tf.reshape(each, (-1,)) for each in self._free()], 0)

    def _divided(self, vector: Tensor) -> None:
        parts = tf.split(vector, [math.prod(shape) for shape in self._shapes])
        free = [tf.reshape(part, shape) for part, shape in zip(parts, self._shapes, strict=True)]
        for variable, each in zip(self._model.weights, tied_gradients(self._config, free), strict=True):
            variable.assign(each)


def _in_background(act: Callable[[], Vector]) -> Future[Vector]:
    """What a function returns or raises, from a thread of its own."""
    future: Future[Vector] = Future()

    def work() -> None:
        try:
            future.set_result(act())
        except BaseException as error:
            future.set_exception(error)

    threading.Thread(target=work, name="textgen exchange", daemon=True).start()
    return future

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
        self._shapes = [tuple(each.shape) for each in self._free(model.get_weights())]
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
        """The outer step, by the sum of all workers' changes."""
        change: Any = total / np.float32(self._collectives.workers)
        if last:
            self.start = self.start + change
        else:
            self.velocity = self._momentum * self.velocity + change
            self.start = self.start + self._rate * (change + self._momentum * self.velocity)

    def _assign(self, vector: Vector) -> None:
        parts = np.split(vector, np.cumsum([int(np.prod(shape)) for shape in self._shapes])[:-1])
        free = [part.reshape(shape) for part, shape in zip(parts, self._shapes, strict=True)]
        self._model.set_weights([np.asarray(each) for each in tied_gradients(self._config, free)])

    def _free(self, weights: list[Any]) -> list[Any]:
        with tf.device("/CPU:0"):
            return [np.asarray(each) for each in free_weights(self._config, weights)]

    def _flat(self) -> Vector:
        return np.concatenate([np.ravel(each) for each in self._free(self._model.get_weights())])


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

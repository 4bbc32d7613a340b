"""Gathers the mean squared gradient of each weight over a text, by which the update rule scales its steps.

The gradients are those of single segments, as long as those that will be learned from; several places of the text are
read in parallel.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from textgen.config import AdaptationConfig, ModelConfig, require
from textgen.engine.adaptation.gradient import Ids, Network
from textgen.engine.adaptation.parameters import Array, Parameters
from textgen.engine.blas import ALONE
from textgen.engine.threads import in_chunks
from textgen.model.weights import ModelWeights

Progress = Callable[[int, int], None]

STREAMS = 32
"""The most places of a text that are read in parallel."""

_SEGMENTS = 8
"""The fewest segments that are read from a place, where the text is long enough for several places."""


@dataclass(eq=False)
class GradientStatistics:
    """The mean squared gradient of each weight.

    Args:
        total: `(weights,)` float32, the sum of the squared gradients.
        segments: the number of gradients in the sum.
    """

    total: Array
    segments: int = 0

    @classmethod
    def empty(cls, parameters: Parameters) -> GradientStatistics:
        """Statistics without any gradient yet."""
        return cls(np.zeros_like(parameters.values))

    def add(self, gradient: Array) -> None:
        """Adds the gradient of one segment."""

        def count(part: slice) -> None:
            total = self.total[part]
            np.add(total, np.square(gradient[part]), total)

        in_chunks(len(gradient), count)
        self.segments += 1

    @property
    def root_mean_square(self) -> Array:
        """`(weights,)`: the root of the mean squared gradient."""
        root: Array = np.sqrt(self.total / max(1, self.segments))
        return root


def gather_statistics(
    config: ModelConfig,
    weights: ModelWeights,
    ids: Ids,
    settings: AdaptationConfig,
    *,
    progress: Progress | None = None,
) -> GradientStatistics:
    """The statistics of a text, or of places spread evenly over a long one.

    Args:
        config: the model's shape.
        weights: its weights.
        ids: `(n,)`, the text, at least two.
        settings: `segment` and `sample` are used.
        progress: called now and then with the characters done and the total.

    Raises:
        ConfigError: the text is too short.
    """
    require(len(ids) >= 2, "text", "at least two characters that the model knows", len(ids))
    length = min(settings.segment, len(ids) - 1)
    streams = max(1, min(STREAMS, (len(ids) - 1) // (_SEGMENTS * length)))
    apart = (len(ids) - 1) // streams
    count = max(1, min(apart, -(-settings.sample // streams)) // length)
    places = np.arange(streams) * apart
    steps = np.arange(length + 1)[:, None]
    network = Network(Parameters.from_weights(config, weights))
    gradient = network.parameters.like()
    statistics = GradientStatistics.empty(gradient)
    state = network.initial_state(streams)
    # A segment without context is unlike those that will be learned from.
    skipped = 1 if count > _SEGMENTS // 2 else 0
    for n in range(count):
        with ALONE:
            block = ids[places + n * length + steps]
            segment = network.read(block[:-1], block[1:], state)
            state = segment.state
            if n >= skipped:
                deltas = network.backward(segment)
                for text in range(streams):
                    network.gradient(segment, deltas, gradient, text=text)
                    gradient.values *= np.float32(1.0 / settings.segment)
                    statistics.add(gradient.values)
        if progress is not None:
            progress((n + 1) * length * streams, count * length * streams)
    return statistics

"""How large each weight's gradient usually is: what the learning rule measures its steps by.

Ids go in, and one mean squared gradient for each weight comes out, over segments as long as those that will be learned
from. A text is read in several places side by side, but each gradient is that of one segment alone, as the rule will
see it. The module knows no file.
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
"""Places of a text that are read side by side, at most."""

_STRETCH = 8
"""Segments that a place is read for, at least, where the text is long enough for several."""


@dataclass(eq=False)
class GradientStatistics:
    """The mean squared gradient of each weight.

    Args:
        total: `(weights,)` float32, the sum of the squared gradients.
        segments: how many gradients it is the sum of.
    """

    total: Array
    segments: int = 0

    @classmethod
    def empty(cls, parameters: Parameters) -> GradientStatistics:
        """Statistics of nothing yet."""
        return cls(np.zeros_like(parameters.values))

    def add(self, gradient: Array) -> None:
        """Counts a gradient in."""

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
        settings: `segment` and `sample` count.
        progress: called with the characters done and all, now and then.

    Raises:
        ConfigError: the text is too short.
    """
    require(len(ids) >= 2, "text", "at least two characters that the model knows", len(ids))
    segment = min(settings.segment, len(ids) - 1)
    streams = max(1, min(STREAMS, (len(ids) - 1) // (_STRETCH * segment)))
    apart = (len(ids) - 1) // streams
    count = max(1, min(apart, -(-settings.sample // streams)) // segment)
    places = np.arange(streams) * apart
    steps = np.arange(segment + 1)[:, None]
    network = Network(Parameters.from_weights(config, weights))
    gradient = network.parameters.like()
    statistics = GradientStatistics.empty(gradient)
    state = network.initial_state(streams)
    # A segment without anything before it is unlike those that will be learned from.
    skipped = 1 if count > _STRETCH // 2 else 0
    for n in range(count):
        with ALONE:
            block = ids[places + n * segment + steps]
            stretch = network.read(block[:-1], block[1:], state)
            state = stretch.state
            if n >= skipped:
                deltas = network.backward(stretch)
                for text in range(streams):
                    network.gradient(stretch, deltas, gradient, text=text)
                    gradient.values *= np.float32(1.0 / settings.segment)
                    statistics.add(gradient.values)
        if progress is not None:
            progress((n + 1) * segment * streams, count * segment * streams)
    return statistics

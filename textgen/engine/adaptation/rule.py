"""The update rule of dynamic evaluation: changes the weights after each segment of text."""

from __future__ import annotations

import numpy as np

from textgen.config import AdaptationConfig
from textgen.engine.adaptation.parameters import Array
from textgen.engine.adaptation.statistics import GradientStatistics
from textgen.engine.threads import in_chunks


class Rule:
    """The RMS rule with decay towards the trained weights (Krause, Kahembwe, Murray and Renals 2018).

    With `r` the root of a weight's mean squared gradient, and `R` the mean of all `r`,

        w <- w - learning_rate * g / (r + epsilon * R) + min(1, decay * r / R) * (trained - w).

    So each weight's step is relative to its usual gradient, and the weights with the largest gradients decay the most
    towards their trained values. `epsilon` is relative to `R`, where the paper has a constant, so that it suits
    gradients of any scale: it limits the steps of weights that rarely had a gradient, such as a rare character's.

    Args:
        trained: `(weights,)`, what the weights decay towards; copied.
        statistics: the mean squared gradients.
        settings: `learning_rate`, `decay` and `epsilon` are used.

    >>> statistics = GradientStatistics(np.array([4.0, 4.0], np.float32), 1)
    >>> settings = AdaptationConfig(learning_rate=0.5, decay=0.25, epsilon=0.0)
    >>> weights = np.array([1.0, 1.0], np.float32)
    >>> rule = Rule(np.zeros(2, np.float32), statistics, settings)
    >>> rule.apply(weights, np.array([2.0, 0.0], np.float32))
    >>> weights
    array([0.25, 0.75], dtype=float32)
    """

    def __init__(self, trained: Array, statistics: GradientStatistics, settings: AdaptationConfig) -> None:
        root = statistics.root_mean_square
        mean = root.mean(dtype=np.float64)
        floor = np.finfo(root.dtype).tiny
        self._trained = trained.copy()
        self._rates = (settings.learning_rate / np.maximum(root + settings.epsilon * mean, floor)).astype(root.dtype)
        self._decays = np.minimum(root * (settings.decay / max(mean, floor)), 1.0).astype(root.dtype)

    def apply(self, weights: Array, gradient: Array) -> None:
        """Updates `weights`, `(weights,)`, in place with the gradient of one segment."""

        def move(part: slice) -> None:
            w = weights[part]
            step = np.subtract(self._trained[part], w)
            np.multiply(step, self._decays[part], step)
            np.add(w, step, w)
            np.multiply(gradient[part], self._rates[part], step)
            np.subtract(w, step, w)

        in_chunks(len(weights), move)

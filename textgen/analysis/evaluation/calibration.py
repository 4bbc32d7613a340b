"""Calibration of a model on a text: the softmax temperature that minimises the negative log-likelihood.

Above 1 the model is overconfident, below 1 underconfident (Guo et al. 2017, "On Calibration of Modern Neural
Networks").

With `b = 1 / T` the negative log-likelihood of an id is `log(sum(exp(b * z))) - b * z[id]`. It is convex in `b`: its
first derivative is the mean of `z` under `softmax(b * z)` less `z[id]`, and its second the variance of `z`. All three
are summed at a grid of temperatures, in one pass and constant memory; the minimum is interpolated between two of them.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.polynomial import Polynomial
from numpy.typing import NDArray

TEMPERATURES = (4.0, 3.2, 2.5, 2.0, 1.6, 1.25, 1.0, 0.8, 0.64, 0.5, 0.4, 0.32, 0.25)
"""The grid of temperatures; the best one is searched between the first and the last."""

_NOTHING = 1e-12
"""Nats per character below which a gain counts as none: uniform probabilities are so at any temperature."""


@dataclass(frozen=True, kw_only=True)
class Calibration:
    """The best temperature for a text.

    Args:
        temperature: the temperature, in [0.25, 4].
        nats: nats per character at that temperature.
        inside: whether the minimum lies within the range; otherwise it lies beyond this end of it.
    """

    temperature: float
    nats: float
    inside: bool


class TemperatureScaling:
    """Fits a text's temperature from its logits; an `Observe` of `textgen.engine.scoring`.

    >>> logits = np.log(np.array([[0.9, 0.1]], np.float32)).repeat(4, axis=0)
    >>> scaling = TemperatureScaling()
    >>> scaling(logits, np.array([0, 0, 0, 1]))
    >>> round(scaling.best().temperature, 2)  # 90 % to 75 %: log(9) / log(3)
    2.0
    """

    def __init__(self) -> None:
        self._values = np.zeros(len(TEMPERATURES))
        self._slopes = np.zeros(len(TEMPERATURES))
        self._curvatures = np.zeros(len(TEMPERATURES))
        self._count = 0

    def __call__(self, logits: NDArray[np.float32], ids: NDArray[np.integer]) -> None:
        """Adds some logits, `(n, vocab)`, and their target ids, `(n,)`."""
        if not len(ids):
            return
        shifted = logits - logits.max(axis=1, keepdims=True)
        chosen = float(np.take_along_axis(shifted, ids[:, None].astype(np.intp), axis=1).sum(dtype=np.float64))
        squares, exponentials = shifted * shifted, np.empty_like(shifted)
        for n, temperature in enumerate(TEMPERATURES):
            inverse = 1.0 / temperature
            np.exp(np.multiply(shifted, np.float32(inverse), out=exponentials), out=exponentials)
            total = exponentials.sum(axis=1, dtype=np.float64)
            mean = np.einsum("ij,ij->i", exponentials, shifted) / total
            self._values[n] += np.log(total).sum() - inverse * chosen
            self._slopes[n] += mean.sum() - chosen
            self._curvatures[n] += (np.einsum("ij,ij->i", exponentials, squares) / total - mean * mean).sum()
        self._count += len(ids)

    def best(self) -> Calibration:
        """The temperature of the lowest negative log-likelihood; needs at least one id added."""
        values, slopes, curvatures = (sums / self._count for sums in (self._values, self._slopes, self._curvatures))
        rising = np.flatnonzero(slopes >= 0.0)
        right = int(rising[0]) if len(rising) else len(slopes)
        if right in (0, len(slopes)):
            end = 0 if right == 0 else len(slopes) - 1
            plain = TEMPERATURES.index(1.0)
            if values[plain] - values[end] < _NOTHING:
                end = plain
            return Calibration(temperature=TEMPERATURES[end], nats=float(values[end]), inside=end == plain)
        left = right - 1
        low, high = 1.0 / TEMPERATURES[left], 1.0 / TEMPERATURES[right]
        slope = _cubic(slopes[left], slopes[right], curvatures[left] * (high - low), curvatures[right] * (high - low))
        place = _root(slope)
        nats = float(values[left] + (high - low) * slope.integ()(place))
        return Calibration(temperature=1.0 / (low + place * (high - low)), nats=nats, inside=True)


def _cubic(start: float, end: float, slope: float, last: float) -> Polynomial:
    """The cubic with these values and slopes at 0 and 1."""
    rise = end - start
    return Polynomial([start, slope, 3.0 * rise - 2.0 * slope - last, slope + last - 2.0 * rise])


def _root(function: Polynomial) -> float:
    """The root in [0, 1], by bisection, of a function that is negative at 0 and not at 1."""
    low, high = 0.0, 1.0
    for _ in range(50):
        middle = (low + high) / 2.0
        low, high = (middle, high) if function(middle) < 0.0 else (low, middle)
    return high

"""The softmax temperature at which a model would have scored best: whether it is as sure as it may be.

Logits and the ids that came go in as they pass by, and one temperature comes out. Above 1 the model is too sure of
itself, below 1 not sure enough (Guo et al. 2017, "On Calibration of Modern Neural Networks").

With `b = 1 / T` the negative log-likelihood of an id is `log(sum(exp(b * z))) - b * z[id]`. It is convex in `b`: its
slope is the mean of `z` under `softmax(b * z)` less `z[id]`, and its curvature the variance of `z` there. All three at
some temperatures, in one pass and in memory that does not grow with the text, tell where between two of them it is
least.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.polynomial import Polynomial
from numpy.typing import NDArray

TEMPERATURES = (4.0, 3.2, 2.5, 2.0, 1.6, 1.25, 1.0, 0.8, 0.64, 0.5, 0.4, 0.32, 0.25)
"""Where the likelihood is measured; the best temperature is looked for between the first and the last."""

_NOTHING = 1e-12
"""Nats per character that are no gain: odds that are all the same stay so at any temperature."""


@dataclass(frozen=True, kw_only=True)
class Calibration:
    """The best temperature of a text.

    Args:
        temperature: which; in [0.25, 4].
        nats: nats per character with it.
        inside: whether it is the best of all; otherwise the best lies beyond that end of the range.
    """

    temperature: float
    nats: float
    inside: bool


class Thermometer:
    """Measures a text's likelihood at several temperatures; an `Observe` of `textgen.engine.scoring`.

    >>> logits = np.log(np.array([[0.9, 0.1]], np.float32)).repeat(4, axis=0)
    >>> thermometer = Thermometer()
    >>> thermometer(logits, np.array([0, 0, 0, 1]))
    >>> round(thermometer.best().temperature, 2)  # as sure as 3 in 4: log(9) / log(3)
    2.0
    """

    def __init__(self) -> None:
        self._values = np.zeros(len(TEMPERATURES))
        self._slopes = np.zeros(len(TEMPERATURES))
        self._curvatures = np.zeros(len(TEMPERATURES))
        self._count = 0

    def __call__(self, logits: NDArray[np.float32], ids: NDArray[np.integer]) -> None:
        """Takes in some logits, `(n, vocab)`, and the ids that came, `(n,)`."""
        if not len(ids):
            return
        shifted = logits - logits.max(axis=1, keepdims=True)
        chosen = float(np.take_along_axis(shifted, ids[:, None].astype(np.intp), axis=1).sum(dtype=np.float64))
        squares, odds = shifted * shifted, np.empty_like(shifted)
        for n, temperature in enumerate(TEMPERATURES):
            inverse = 1.0 / temperature
            np.exp(np.multiply(shifted, np.float32(inverse), out=odds), out=odds)
            total = odds.sum(axis=1, dtype=np.float64)
            mean = np.einsum("ij,ij->i", odds, shifted) / total
            self._values[n] += np.log(total).sum() - inverse * chosen
            self._slopes[n] += mean.sum() - chosen
            self._curvatures[n] += (np.einsum("ij,ij->i", odds, squares) / total - mean * mean).sum()
        self._count += len(ids)

    def best(self) -> Calibration:
        """The temperature of the least negative log-likelihood; at least one id has been taken in."""
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
    """Where in [0, 1] a function that is below 0 at 0, and not at 1, is 0."""
    low, high = 0.0, 1.0
    for _ in range(50):
        middle = (low + high) / 2.0
        low, high = (middle, high) if function(middle) < 0.0 else (low, middle)
    return high

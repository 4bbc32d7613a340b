"""Calibration: the factor on a head's logits with the lowest validation loss (Guo et al. 2017, temperature scaling).

The loss is a smooth function of the factor. It is measured at a few factors, in one pass over the text; a polynomial
through these gives it at all others.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import NamedTuple

import numpy as np
from numpy.polynomial import Polynomial
from numpy.typing import NDArray

LOWEST, HIGHEST = 0.7, 1.24
"""The factors between which the best one is looked for."""

_MEASURED, _STEP = 7, 0.001

SCALES = tuple(
    0.5 * (LOWEST + HIGHEST - (HIGHEST - LOWEST) * math.cos((n + 0.5) * math.pi / _MEASURED)) for n in range(_MEASURED)
)
"""The factors at which the loss is measured, ascending: Chebyshev's points, between which a polynomial errs least."""


class Calibrated(NamedTuple):
    """What a calibration has found.

    Attributes:
        scales: the factor on each head's logits at which its loss is lowest, by the head's name.
        losses: these losses in nats per character, by their names.
    """

    scales: Mapping[str, float]
    losses: Mapping[str, float]


Calibrate = Callable[[], Calibrated]
"""Finds the best factors on the logits of the model as it is."""


def best_scale(losses: NDArray[np.float64]) -> tuple[float, float]:
    """The factor with the lowest loss, in steps of 0.001, and that loss, both as the polynomial has them.

    Args:
        losses: `(len(SCALES),)`, the loss at each of `SCALES`.

    >>> scale, loss = best_scale(np.array([2.0 + (each - 0.88) ** 2 for each in SCALES]))
    >>> scale, round(loss, 9)
    (0.88, 2.0)
    """
    if not np.isfinite(losses).all():
        return 1.0, math.nan
    fitted = Polynomial.fit(SCALES, losses, _MEASURED - 1)
    scales = np.arange(LOWEST, HIGHEST + 0.5 * _STEP, _STEP)
    everywhere = fitted(scales)
    best = int(np.argmin(everywhere))
    return round(float(scales[best]), 3), float(everywhere[best])

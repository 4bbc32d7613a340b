"""Makes a sample's text independent of how many others are drawn beside it.

A product for one row and the same row of a product for many add the same numbers in another order, so their last bits
differ. Where a draw falls close to a border, such a difference could change the character, and everything after it.
`settled` tells which draws no such difference could change; for the others, about one in ten thousand, a `Referee`
computes the logits as if their sample were alone, and starts the sample's state anew from there.

Goes in: logits and the draws from them. Comes out: which draws stand, and logits for those that do not.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from textgen.config import SamplingConfig
from textgen.engine import Engine, State
from textgen.sampling import logits as controls

Array = NDArray[np.float64]
Ids = NDArray[np.integer]

TOLERANCE = 1e-6
"""By how much a logit may differ between a sample drawn alone and one drawn with others, as a share of the largest.

Measured over trained and random networks of every cell: at most 4e-7.
"""


def settled(
    logits: Array,
    config: SamplingConfig,
    *,
    temperature: float,
    recent: Ids | None,
    noise: Array,
    tolerance: float,
) -> NDArray[np.bool_]:
    """For each row, whether the draw stays the same if every logit moves by up to `tolerance`.

    A True is certain, up to rounding; a False is careful.

    Args:
        logits: `(batch, vocab)`.
        config: the controls.
        temperature: the one whose turn it was.
        recent: `(batch, characters)`, what the repetition penalty looked back at; None for none.
        noise: `(batch, vocab)`, what the draws followed from.
        tolerance: in nats.
    """
    if recent is not None:
        logits = controls.penalize_repetition(logits, recent, config.repetition_penalty)
    if temperature == 0.0:
        return _gap(logits, controls.temper(logits, 0.0)) > 2 * tolerance
    spread = 2 * tolerance / temperature
    tempered = controls.temper(logits, temperature)
    left = controls.keep_top_k(tempered, config.top_k)
    stands = np.ones(len(left), np.bool_)
    if left is not tempered:
        stands &= _gap(tempered, left) > spread
    if config.top_p < 1.0:
        kept = controls.keep_top_p(left, config.top_p)
        stands &= (_gap(left, kept) > spread) & _mass_stands(left, kept, left, config.top_p, spread)[0]
        left = kept
    if config.min_p > 0.0:
        borders = left - left.max(axis=-1, keepdims=True) - np.log(config.min_p)
        stands &= (np.abs(borders) > spread).all(axis=-1)
        left = controls.keep_min_p(left, config.min_p)
    if config.typical_p < 1.0:
        kept = controls.keep_typical(left, config.typical_p)
        nearness = -controls.distance_from_expected(left)
        far = 2 * spread * (1.0 + np.log(left.shape[-1]))
        stands &= _gap(nearness, np.where(np.isfinite(kept), nearness, -np.inf)) > far
        masses, distinct = _mass_stands(left, kept, nearness, config.typical_p, spread)
        stands &= masses & (distinct > far)
        left = kept
    sums = left + noise
    if sums.shape[-1] > 1:
        sums.partition(-2, axis=-1)
        stands &= sums[:, -1] - sums[:, -2] > spread
    return stands


def _gap(before: Array, after: Array) -> Array:
    """How far the lowest value that was kept lies above the highest that was dropped."""
    kept = np.isfinite(after)
    lowest = np.where(kept, before, np.inf).min(axis=-1)
    highest = np.where(kept, -np.inf, before).max(axis=-1)
    gap: Array = lowest - highest
    return gap


def _mass_stands(before: Array, kept: Array, key: Array, mass: float, spread: float) -> tuple[NDArray[np.bool_], Array]:
    """Whether what was kept holds `mass` and would not without its last by `key`; how far that is from the next.

    Where `key` is the logit itself, the last and the next may change places: they are about equally likely.
    """
    weights = controls.likelihoods(before)
    inside = np.isfinite(kept)
    keys = np.where(inside, key, np.inf)
    last = keys.argmin(axis=-1)
    held = np.where(inside, weights, 0.0).sum(axis=-1)
    total, least = weights.sum(axis=-1), weights[np.arange(len(weights)), last]
    stands = (_moved(held / total, -spread) > mass) & (_moved((held - least) / total, spread) < mass)
    ends = np.partition(np.pad(keys, ((0, 0), (0, 1)), constant_values=np.inf), 1, axis=-1)
    return stands, ends[:, 1] - ends[:, 0]


def _moved(probability: Array, by: float) -> Array:
    """A probability whose odds become `exp(by)` times as high."""
    with np.errstate(over="ignore", invalid="ignore"):
        moved: Array = probability / (probability + (1.0 - probability) * np.exp(-by))
    return moved


class Referee:
    """Computes a sample's logits as if it were alone.

    Args:
        engine: the network.
        state: of one text, after the prompt; it is left as it is.
        samples: how many there are.
    """

    def __init__(self, engine: Engine, state: State, samples: int) -> None:
        self._engine = engine
        self._known = [(state, 0)] * samples

    def logits(self, sample: int, ids: Sequence[int]) -> tuple[NDArray[np.float32], State]:
        """The logits, `(1, vocab)`, and the state of a sample after `ids`, all that was drawn for it; at least one.

        What was computed for the sample before is where this goes on.
        """
        state, start = self._known[sample]
        state = state.copy()
        for each in ids[start:]:
            logits, state = self._engine.step([each], state)
        self._known[sample] = (state, len(ids))
        return logits, state

"""Sampling controls: pure functions from logits to logits, and the draw of an id.

Each control takes `(batch, vocab)` float64 logits and returns a new array of the same shape, in which a dropped id has
the logit `-inf`. Each has a value that switches it off, and then returns its argument; none drops every id. Given a
`Margin`, a control records there how close its decision was. The random numbers of a draw are an argument.

`controlled` applies them in the order of the fields of `SamplingConfig`, each to the output of the one before:

    repetition_penalty -> presence_penalty, frequency_penalty -> temperature
        -> top_k -> top_p -> min_p -> typical_p -> draw

So `top_p` and the later ones use the probabilities after the temperature, among the remaining ids. `logit_bias` is
added before all of them. What `ban` and `allow` drop has the logit `-inf` before: it is dropped whatever the logits
are, which is no decision for a `Margin`.
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from textgen.config import SamplingConfig
from textgen.sampling.margin import Margin

Array = NDArray[np.float64]
Ids = NDArray[np.integer]


def controlled(
    logits: Array,
    config: SamplingConfig,
    temperature: float,
    recent: Ids | None = None,
    margin: Margin | None = None,
    *,
    counts: Array | None = None,
) -> Array:
    """Applies all controls in their order.

    Args:
        logits: `(batch, vocab)`.
        config: the controls; its temperatures, `ban`, `allow` and `logit_bias` are not read here.
        temperature: that of this character.
        recent: `(batch, characters)`, recent ids for the repetition penalty; None for none.
        margin: records how close the decisions were; None records nothing.
        counts: `(batch, vocab)`, how often each id was drawn, for the presence and frequency penalties; None for none.
    """
    if recent is not None:
        logits = penalize_repetition(logits, recent, config.repetition_penalty)
    if counts is not None:
        logits = penalize_occurrences(logits, counts, config.presence_penalty, config.frequency_penalty)
    logits = temper(logits, temperature, margin)
    logits = keep_top_k(logits, config.top_k, margin)
    logits = keep_top_p(logits, config.top_p, margin)
    logits = keep_min_p(logits, config.min_p, margin)
    return keep_typical(logits, config.typical_p, margin)


def penalize_repetition(logits: Array, recent: Ids, penalty: float) -> Array:
    """Divides the odds of the ids in `recent` by `penalty`, once however often they occur there; 1 is off.

    Keskar et al. 2019 scale the logits, so that the effect depends on their arbitrary zero; odds do not.

    >>> penalize_repetition(np.zeros((1, 3)), np.array([[2, 2]]), math.e)
    array([[ 0.,  0., -1.]])
    """
    if penalty == 1.0 or not recent.size:
        return logits
    penalized = logits.copy()
    rows = np.arange(len(logits))[:, None]
    penalized[rows, recent] = logits[rows, recent] - math.log(penalty)
    return penalized


def penalize_occurrences(logits: Array, counts: Array, presence: float, frequency: float) -> Array:
    """Subtracts `presence` once, and `frequency` for each time, from the logits of ids that were drawn; 0 is off.

    >>> penalize_occurrences(np.zeros((1, 3)), np.array([[0.0, 1.0, 2.0]]), 0.5, 0.25)
    array([[ 0.  , -0.75, -1.  ]])
    """
    if presence == 0.0 == frequency:
        return logits
    return logits - (frequency * counts + presence * (counts > 0.0))


def temper(logits: Array, temperature: float, margin: Margin | None = None) -> Array:
    """Divides the logits, less the largest, by `temperature`; 0 keeps only the likeliest id, the first of ties.

    >>> temper(np.array([[1.0, 3.0, 3.0]]), 0.5)
    array([[-4.,  0.,  0.]])
    >>> temper(np.array([[1.0, 3.0, 3.0]]), 0.0)
    array([[-inf,   0., -inf]])
    """
    if temperature == 0.0:
        kept = np.full_like(logits, -np.inf)
        kept[np.arange(len(logits)), logits.argmax(axis=-1)] = 0.0
        if margin is not None:
            margin.order(logits, np.isfinite(kept))
        return kept
    if margin is not None:
        margin.scale = temperature
    tempered = logits - np.maximum.reduce(logits, axis=-1, keepdims=True)
    return np.divide(tempered, temperature, out=tempered)


def keep_top_k(logits: Array, k: int, margin: Margin | None = None) -> Array:
    """Keeps the `k` likeliest ids; of ties, those with the lower ids. 0 and k >= vocab are off.

    >>> keep_top_k(np.array([[1.0, 2.0, 2.0, 2.0]]), 2)
    array([[-inf,   2.,   2., -inf]])
    """
    if k == 0 or k >= logits.shape[-1]:
        return logits
    left = _keep_highest(logits, np.partition(logits, -k, axis=-1)[:, -k], np.full(len(logits), k))
    if margin is not None:
        margin.order(logits, np.isfinite(left))
    return left


def keep_top_p(logits: Array, p: float, margin: Margin | None = None) -> Array:
    """Keeps the smallest set of likeliest ids with total probability `p` (nucleus, Holtzman et al. 2020); 1 is off.

    >>> keep_top_p(np.log([[0.2, 0.5, 0.3]]), 0.6).round(2)
    array([[ -inf, -0.69, -1.2 ]])
    """
    if p == 1.0:
        return logits
    rising = np.sort(logits, axis=-1)
    sums = np.add.accumulate(likelihoods(rising)[:, ::-1], axis=-1)
    kept = 1 + _reached(sums, p * sums[:, -1])
    left = _keep_highest(logits, rising[np.arange(len(rising)), -kept], kept)
    if margin is not None:
        margin.mass(likelihoods(logits), logits, np.isfinite(left), p)
    return left


def keep_min_p(logits: Array, share: float, margin: Margin | None = None) -> Array:
    """Keeps ids at least `share` times as likely as the likeliest (Nguyen et al. 2024); 0 is off.

    >>> keep_min_p(np.log([[0.2, 0.5, 0.3]]), 0.5).round(2)
    array([[ -inf, -0.69, -1.2 ]])
    """
    if share == 0.0:
        return logits
    threshold = np.maximum.reduce(logits, axis=-1, keepdims=True) + math.log(share)
    if margin is not None:
        margin.narrow(np.abs(logits - threshold).min(axis=-1))
    return np.where(logits >= threshold, logits, -np.inf)


def keep_typical(logits: Array, p: float, margin: Margin | None = None) -> Array:
    """Keeps the ids whose surprisal is closest to the entropy (locally typical sampling); 1 is off.

    Meister et al. 2023: the smallest such set with total probability `p`; surprisal is the negative log-probability.

    >>> keep_typical(np.log([[0.6, 0.3, 0.1]]), 0.2).round(2)
    array([[-inf, -1.2, -inf]])
    """
    if p == 1.0:
        return logits
    distance = _distance_from_expected(logits)
    order = distance.argsort(axis=-1, kind="stable")
    rows = np.arange(len(logits))[:, None]
    likely = likelihoods(logits)
    sums = np.add.accumulate(likely[rows, order], axis=-1)
    kept = np.arange(sums.shape[-1]) <= _reached(sums, p * sums[:, -1])[:, None]
    result = np.empty_like(logits)
    result[rows, order] = np.where(kept, logits[rows, order], -np.inf)
    if margin is not None:
        # Where each logit moves by one, the logarithm of a probability moves by up to 2 and the entropy by up to twice
        # itself, so that a distance moves by the sum.
        slope = 4.0 * (1.0 + math.log(logits.shape[-1]))
        margin.mass(likely, -distance, np.isfinite(result), p, slope=slope)
    return result


def _distance_from_expected(logits: Array) -> Array:
    """The distance of each id's surprisal from the entropy, in nats; `inf` for dropped ids."""
    logs = log_softmax(logits)
    likely = np.where(np.isfinite(logs), logs, 0.0)
    negative_entropy = np.add.reduce(np.exp(logs) * likely, axis=-1, keepdims=True)
    return np.abs(logs - negative_entropy)


def log_softmax(logits: Array) -> Array:
    """The log-probabilities in nats."""
    shifted = logits - np.maximum.reduce(logits, axis=-1, keepdims=True)
    return np.subtract(shifted, np.log(np.add.reduce(np.exp(shifted), axis=-1, keepdims=True)), out=shifted)


def likelihoods(logits: Array) -> Array:
    """The probabilities, scaled so that the likeliest is 1."""
    shifted = logits - np.maximum.reduce(logits, axis=-1, keepdims=True)
    return np.exp(shifted, out=shifted)


def likeliest_first(logits: Array) -> NDArray[np.intp]:
    """The ids of each row by descending logit, ties by ascending id."""
    return np.negative(logits).argsort(axis=-1, kind="stable")


def draw(logits: Array, noise: Array, margin: Margin | None = None) -> NDArray[np.intp]:
    """Draws an id for each row by the Gumbel-max trick: where the logit plus the noise is largest (Gumbel 1954).

    Unlike with the inverse of the cumulative distribution, rounding errors of the logits change a draw only where the
    two largest sums are about equal, whatever the number of ids.

    Args:
        logits: `(batch, vocab)`.
        noise: `(batch, vocab)`, finite, from the standard Gumbel distribution.
        margin: records how close the draws were; None records nothing.

    Returns:
        `(batch,)`; never an id whose logit is `-inf`.

    >>> draw(np.log([[0.5, 0.5], [0.9, 0.1]]), np.array([[0.3, 0.2], [0.3, 0.2]]))
    array([0, 0])
    """
    sums = np.add(logits, noise)
    ids = np.asarray(sums.argmax(axis=-1))
    if margin is not None and sums.shape[-1] > 1:
        sums.partition(-2, axis=-1)
        margin.narrow(sums[:, -1] - sums[:, -2])
    return ids


def _reached(sums: Array, targets: Array) -> NDArray[np.intp]:
    """The first index at which the sums of each row reach its target."""
    if len(sums) == 1:
        return np.asarray(sums[0].searchsorted(targets))
    return np.asarray(np.add.reduce(sums < targets[:, None], axis=-1, dtype=np.intp))


def _keep_highest(logits: Array, lowest: Array, kept: NDArray[np.intp]) -> Array:
    """Keeps the `kept` highest logits of each row, the first of ties; `lowest` is the last of them, `(batch,)`."""
    borders = lowest[:, None]
    high = logits >= borders
    if np.count_nonzero(high) != kept.sum():
        equal = logits == borders
        surplus = np.add.accumulate(equal, axis=-1) > (kept - np.add.reduce(logits > borders, axis=-1))[:, None]
        high &= ~(equal & surplus)
    return np.where(high, logits, -np.inf)

"""The edits that are worth scoring: what a network finds likelier, near what it finds surprising."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from textgen.analysis.proofreading.edits import Edits
from textgen.analysis.proofreading.text import PlacedText
from textgen.config import ProofConfig

Ids = NDArray[Any]
Array = NDArray[np.float64]

_FLOOR = -1.5
"""The logarithm of the odds below which an edit is not scored."""

_WINDOW = 3
"""Characters whose surprisal tells how much an edit before them may gain."""

_USUAL = -1.2
"""Log-probability of each of them after an edit that is right, in nats."""


@dataclass(frozen=True, eq=False)
class Likeliest:
    """What a network expects in each place of a text, `(n, candidates)`.

    Args:
        ids: the likeliest ids.
        logprobs: their log-probabilities.
    """

    ids: NDArray[np.intp]
    logprobs: Array


def log_priors(config: ProofConfig, vocab: int) -> Array:
    """The logarithm of how much more probable an error of each kind is than none, before the text is read, `(4,)`.

    Each kind is as probable. A wrong character, or one too many, is any of the vocabulary; what is missing or exchanged
    shows no character that chance would have to choose.
    """
    each = np.log(config.noise / 4.0 / (1.0 - config.noise))
    return np.array([each - np.log(vocab), each - np.log(vocab), each, each])


def propose(text: PlacedText, own: Array, likeliest: Likeliest, priors: Array, allowed: NDArray[np.bool_]) -> Edits:
    """The edits whose odds may be more than a few percent.

    Args:
        text: the text.
        own: `(n + b,)`, the log-probability of each id and of those behind the text.
        likeliest: for the same places.
        priors: `log_priors`.
        allowed: `(vocab,)`, the ids that a text may have.
    """
    size = len(text.ids)
    ids = text.ids.astype(np.intp)
    total = np.append(0.0, np.cumsum(own))

    def behind(places: NDArray[np.intp], width: int) -> Array:
        found: Array = total[np.minimum(places + width, len(own))] - total[places]
        return found

    def worth(kind: int, places: NDArray[np.intp], known: Array, left: int) -> NDArray[np.bool_]:
        """Which edits may be worth it: `known` is what is known, `left` how many fewer characters remain to be read."""
        potential = priors[kind] + (_WINDOW - left) * _USUAL - behind(places, _WINDOW)
        odds: Array = known + (potential if known.ndim == 1 else potential[:, None])
        return odds > _FLOOR

    places = np.arange(size)
    free = ~text.fixed
    previous = np.append(-1, ids[:-1])
    parts = []
    for kind in (0, 2):
        here = np.flatnonzero(free) if kind == 0 else np.arange(size + 1)
        found, logs = likeliest.ids[here], likeliest.logprobs[here]
        chosen = worth(kind, here, logs, 1 if kind == 0 else 0) & allowed[found]
        if kind == 0:
            chosen &= found != ids[here, None]
        else:
            # One more of the same is put before a run of them.
            chosen &= found != np.append(previous, ids[-1])[here, None]
        rows, columns = np.nonzero(chosen)
        parts.append(Edits.of_kind(kind, here[rows], found[rows, columns][:, None]))
    nothing = np.zeros(size)
    dropped = free & (ids != np.append(ids[1:], -1)) & worth(1, places, nothing, 1)
    parts.append(Edits.of_kind(1, places[dropped], np.empty((int(dropped.sum()), 0), np.intp)))
    following = np.append(ids[1:], -1)
    swapped = free & np.append(free[1:], False) & (ids != following) & worth(3, places, nothing, 0)
    parts.append(Edits.of_kind(3, places[swapped], np.column_stack([following, ids])[swapped]))
    return Edits.join(parts).distinct()

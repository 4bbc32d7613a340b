"""The loss of a training step over a sample of a large vocabulary, instead of all of it.

The denominator of the softmax is a sum over the vocabulary. Here it is estimated from the target and other characters,
drawn without replacement by the Gumbel-top-k trick, each weighted by the inverse of its probability of being drawn
(Kool et al. 2020). Frequent characters are nearly always drawn and count as they are; rare ones stand for others like
them. The estimate of the sum is unbiased. The model that is learned is an ordinary softmax: validation and sampling
compute all of it.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
import tensorflow as tf
from numpy.typing import NDArray

Tensor = Any

_POWER = 0.75
"""Of the frequencies, to which drawing is proportional, as in word2vec (Mikolov et al. 2013)."""


class Negatives(NamedTuple):
    """Drawn characters.

    Args:
        ids: `(negatives,)` int32, each once.
        log_chances: `(negatives,)` float32, the logarithm of each one's probability of being drawn.
    """

    ids: Tensor
    log_chances: Tensor


class SampledSoftmax:
    """Draws characters, and computes the loss of a batch over them.

    Args:
        frequencies: `(vocab,)`, how often each id occurs in the training text.
        negatives: number of characters drawn for each update, below the vocabulary's size.
    """

    def __init__(self, frequencies: NDArray[Any], negatives: int) -> None:
        # A character of the vocabulary may lack in the training part of the text.
        weights = np.power(np.maximum(np.asarray(frequencies, np.float64), 0.5), _POWER)
        self._log_weights = np.log(weights / weights.sum()).astype(np.float32)
        self._negatives = negatives

    def draw(self, seed: Tensor) -> Negatives:
        """The characters of an update.

        Args:
            seed: `(2,)` int32, of stateless random numbers.
        """
        uniform = tf.random.stateless_uniform(self._log_weights.shape, seed, minval=1e-7)
        keys, ids = tf.math.top_k(self._log_weights - tf.math.log(-tf.math.log(uniform)), self._negatives + 1)
        # Given the first key that was left out, each id is drawn on its own, where its own key exceeds that.
        rates = tf.exp(tf.gather(self._log_weights, ids[:-1]) - keys[-1])
        return Negatives(ids[:-1], tf.math.log(-tf.math.expm1(-rates)))

    def loss(
        self,
        columns: Tensor,
        kernel: Tensor,
        bias: Tensor,
        targets: Tensor,
        negatives: Negatives,
        scale: float,
        weights: Tensor | None = None,
    ) -> tuple[Tensor, Tensor]:
        """The summed loss in nats, and that with logits multiplied by `scale`.

        Args:
            columns: `(units, positions)`, the head's input, in the type of the products' factors.
            kernel: `(units, vocab)` float32, of the head.
            bias: `(vocab,)`, of the head.
            targets: `(positions,)` integers.
            negatives: as drawn.
            scale: of the logits.
            weights: `(positions,)` float32, of the losses; None for 1.
        """
        rows = tf.transpose(kernel)
        drawn = tf.cast(tf.gather(rows, negatives.ids), columns.dtype)
        others = tf.cast(tf.matmul(columns, drawn, transpose_a=True, transpose_b=True), tf.float32)
        others += tf.gather(bias, negatives.ids)
        own = tf.reduce_sum(tf.cast(columns, tf.float32) * tf.transpose(tf.gather(rows, targets)), 0)
        own += tf.gather(bias, targets)
        hit = tf.equal(tf.cast(targets, tf.int32)[:, None], negatives.ids[None])
        corrections = tf.where(hit, tf.constant(-np.inf, tf.float32), -negatives.log_chances)

        def total(own: Tensor, others: Tensor) -> Tensor:
            terms = tf.concat([own[:, None], others + corrections], 1)
            losses = tf.reduce_logsumexp(terms, 1) - own
            return tf.reduce_sum(losses if weights is None else losses * weights)

        plain = total(own, others)
        return plain, plain if scale == 1.0 else total(scale * own, scale * others)

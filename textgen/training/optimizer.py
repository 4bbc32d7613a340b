"""AdamW that steps only where its momentum and the gradient agree. It knows no model, no data and no schedule."""

from __future__ import annotations

from typing import Any

import keras
import tensorflow as tf

Tensor = Any

_LEAST_SHARE = 0.1
"""The share of agreeing weights below which the others' steps no longer grow: in small arrays few may be left."""


@keras.saving.register_keras_serializable("textgen")
class CautiousAdamW(keras.optimizers.AdamW):
    """AdamW (Loshchilov and Hutter 2019) with the mask of Liang et al. 2024, "Cautious Optimizers".

    Where a weight's momentum points against its newest gradient, the weight only decays in this step; the others step
    further, by the inverse of their share and up to ten times. Unlike the paper's, that is the share among the weights
    that have a gradient at all: an embedding's rows of characters that are not in the batch would otherwise drive those
    that are. Moments, weight decay and arguments are AdamW's, and so is what has to be saved.

    Example:
        >>> optimizer = CautiousAdamW(learning_rate=0.5, weight_decay=0.1)
        >>> float(optimizer.learning_rate)
        0.5
    """

    def update_step(self, gradient: Tensor, variable: Any, learning_rate: Tensor) -> None:
        """One array's step.

        Args:
            gradient: the loss's gradient by the array.
            variable: the array.
            learning_rate: a scalar.
        """
        index = self._get_variable_index(variable)
        momentum, velocity = self._momentums[index], self._velocities[index]
        step = tf.cast(self.iterations + 1, tf.float32)
        rate = tf.cast(learning_rate, tf.float32) * tf.sqrt(1.0 - self.beta_2**step) / (1.0 - self.beta_1**step)
        mean = momentum + (1.0 - self.beta_1) * (gradient - momentum)
        square = velocity + (1.0 - self.beta_2) * (tf.square(gradient) - velocity)
        agree = tf.cast(mean * gradient > 0.0, tf.float32)
        seen = tf.math.count_nonzero(gradient, dtype=tf.float32)
        share = tf.reduce_sum(agree) / tf.maximum(seen, 1.0)
        rate = rate / tf.maximum(share, _LEAST_SHARE)
        self.assign(momentum, mean)
        self.assign(velocity, square)
        self.assign_sub(variable, mean * agree * rate / (tf.sqrt(square) + self.epsilon))

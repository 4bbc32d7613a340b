"""AdamW that updates only the weights whose momentum and gradient agree in sign."""

from __future__ import annotations

from typing import Any

import keras
import tensorflow as tf

Tensor = Any

_LEAST_SHARE = 0.1
"""The smallest share of agreeing weights by which steps are divided: in small arrays few weights may agree."""


@keras.saving.register_keras_serializable("textgen")
class CautiousAdamW(keras.optimizers.AdamW):
    """AdamW (Loshchilov and Hutter 2019) with the mask of Liang et al. 2024, "Cautious Optimizers".

    Where the signs of a weight's momentum and gradient differ, the weight only decays in this step; the steps of the
    others are divided by their share, which is taken to be at least a tenth. Unlike in the paper, that is the share
    among the weights with a nonzero gradient: otherwise the embeddings of characters that are not in the batch would
    enlarge the steps of those that are. Moments, weight decay, arguments and saved variables are those of AdamW.

    Example:
        >>> optimizer = CautiousAdamW(learning_rate=0.5, weight_decay=0.1)
        >>> float(optimizer.learning_rate)
        0.5
    """

    def update_step(self, gradient: Tensor, variable: Any, learning_rate: Tensor) -> None:
        """Updates one array.

        Args:
            gradient: of the loss with respect to the array.
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

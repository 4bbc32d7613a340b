"""AdamW with larger steps for some arrays, and its cautious variant.

The outputs of a recurrent layer are small beside embeddings, so that the kernels that read them need larger weights,
and get there later at one rate for all. `reads_outputs` says which kernels these are.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import keras
import tensorflow as tf

from textgen.model.weights import BACKWARD

Tensor = Any

_LEAST_SHARE = 0.1
"""The smallest share of agreeing weights by which steps are divided: in small arrays few weights may agree."""


def reads_outputs(path: str) -> bool:
    """Whether a variable, named by its path, is a kernel that reads a recurrent layer's outputs.

    Those of attention and of the joint head do, too, and are left out: with a higher rate they learned no faster.

    >>> cell = "recurrent_1/lstm_cell"
    >>> [reads_outputs(path) for path in (f"{cell}/recurrent_kernel", "recurrent_2/lstm_cell/kernel", "head/kernel")]
    [True, True, True]
    >>> [reads_outputs(path) for path in (f"{cell}/kernel", f"{cell}/bias", "head/bias", "embedding/embeddings")]
    [False, False, False, False]
    """
    layer, *_, name = path.removeprefix(BACKWARD).split("/")
    stack, _, number = layer.partition("_")
    if stack in ("recurrent", "encoder"):
        return name == "recurrent_kernel" or (name == "kernel" and number != "1")
    return (layer, name) == ("head", "kernel")


@keras.saving.register_keras_serializable("textgen")
class ScaledAdamW(keras.optimizers.AdamW):
    """AdamW (Loshchilov and Hutter 2019) with a factor on the learning rate of some arrays.

    Weight decay has the learning rate itself. Arguments and saved variables are those of AdamW.

    Example:
        >>> optimizer = ScaledAdamW(learning_rate=0.5)
        >>> variable = keras.Variable([1.0])
        >>> optimizer.build([variable])
        >>> optimizer.scale_rates([variable], 3.0)
    """

    _scaled: tuple[int, ...] = ()
    _factor = 1.0

    def scale_rates(self, variables: Sequence[Any], factor: float) -> None:
        """Multiplies the learning rate of some of the variables that the optimizer was built with."""
        self._scaled = tuple(self._get_variable_index(variable) for variable in variables)
        self._factor = factor

    def rate_of(self, variable: Any, learning_rate: Tensor) -> Tensor:
        """The learning rate of a variable."""
        if self._factor != 1.0 and self._get_variable_index(variable) in self._scaled:
            return learning_rate * self._factor
        return learning_rate

    def update_step(self, gradient: Tensor, variable: Any, learning_rate: Tensor) -> None:
        """Updates one array.

        Args:
            gradient: of the loss with respect to the array.
            variable: the array.
            learning_rate: a scalar.
        """
        super().update_step(gradient, variable, self.rate_of(variable, learning_rate))


@keras.saving.register_keras_serializable("textgen")
class CautiousAdamW(ScaledAdamW):
    """`ScaledAdamW` with the mask of Liang et al. 2024, "Cautious Optimizers".

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
        rate = (
            tf.cast(self.rate_of(variable, learning_rate), tf.float32)
            * tf.sqrt(1.0 - self.beta_2**step)
            / (1.0 - self.beta_1**step)
        )
        mean = momentum + (1.0 - self.beta_1) * (gradient - momentum)
        square = velocity + (1.0 - self.beta_2) * (tf.square(gradient) - velocity)
        agree = tf.cast(mean * gradient > 0.0, tf.float32)
        seen = tf.math.count_nonzero(gradient, dtype=tf.float32)
        share = tf.reduce_sum(agree) / tf.maximum(seen, 1.0)
        rate = rate / tf.maximum(share, _LEAST_SHARE)
        self.assign(momentum, mean)
        self.assign(velocity, square)
        self.assign_sub(variable, mean * agree * rate / (tf.sqrt(square) + self.epsilon))

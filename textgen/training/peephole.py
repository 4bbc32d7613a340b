"""The peephole LSTM as a Keras layer: the one cell of `textgen` that Keras does not have.

Importing the module registers the layer, so that `keras.saving.load_model` opens a peephole model. Training on a CPU
uses `textgen.training.kernels` instead, which computes the same.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import keras
from keras import ops

Tensor = Any


class _Cell(keras.layers.Layer):
    """One step of `PeepholeLSTM`."""

    def __init__(self, units: int, kernel_initializer: Any, recurrent_initializer: Any, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.units = units
        self.kernel_initializer = keras.initializers.get(kernel_initializer)
        self.recurrent_initializer = keras.initializers.get(recurrent_initializer)
        self.state_size = [units, units]
        self.output_size = units

    def build(self, input_shape: Sequence[int | None]) -> None:
        units = self.units
        self.kernel = self.add_weight(
            shape=(input_shape[-1], 4 * units), name="kernel", initializer=self.kernel_initializer
        )
        self.recurrent_kernel = self.add_weight(
            shape=(units, 4 * units), name="recurrent_kernel", initializer=self.recurrent_initializer
        )
        self.bias = self.add_weight(shape=(4 * units,), name="bias", initializer=_forget_one)
        self.peephole = self.add_weight(shape=(3, units), name="peephole", initializer="zeros")
        super().build(input_shape)

    def call(self, inputs: Tensor, states: Sequence[Tensor]) -> tuple[Tensor, list[Tensor]]:
        h, c = states
        z = ops.matmul(inputs, self.kernel) + ops.matmul(h, self.recurrent_kernel) + self.bias
        i, f, g, o = ops.split(z, 4, axis=-1)
        p_i, p_f, p_o = ops.unstack(self.peephole, axis=0)
        i, f = ops.sigmoid(i + p_i * c), ops.sigmoid(f + p_f * c)
        c = f * c + i * ops.tanh(g)
        h = ops.sigmoid(o + p_o * c) * ops.tanh(c)
        return h, [h, c]

    def get_config(self) -> dict[str, Any]:
        return {
            "units": self.units,
            "kernel_initializer": keras.initializers.serialize(self.kernel_initializer),
            "recurrent_initializer": keras.initializers.serialize(self.recurrent_initializer),
        }


def _forget_one(shape: Sequence[int], dtype: Any = None) -> Tensor:
    """Zeros, but for ones at the forget gate (Jozefowicz et al. 2015), as in Keras's LSTM."""
    units = shape[0] // 4
    return ops.concatenate([ops.zeros(units, dtype), ops.ones(units, dtype), ops.zeros(2 * units, dtype)])


@keras.saving.register_keras_serializable(package="textgen")
class PeepholeLSTM(keras.layers.RNN):
    """LSTM whose gates see the cell state through diagonal weights (Gers and Schmidhuber 2000).

    The input and the forget gate see the cell state before the step, the output gate the one after it:

        i = sigmoid(x @ W_i + h @ U_i + p_i * c + b_i)      f = sigmoid(x @ W_f + h @ U_f + p_f * c + b_f)
        c' = f * c + i * tanh(x @ W_g + h @ U_g + b_g)
        o = sigmoid(x @ W_o + h @ U_o + p_o * c' + b_o)     h' = o * tanh(c')

    Its variables are kernel `(inputs, 4 * units)`, recurrent_kernel `(units, 4 * units)` and bias `(4 * units,)`, with
    Keras's gates i, f, g, o, and peephole `(3, units)` with the rows i, f, o. The peepholes start at zero, where the
    layer is an LSTM.

    Args:
        units: size of the output and of the cell state.
        kernel_initializer: for the kernel.
        recurrent_initializer: for the recurrent kernel.
        kwargs: as for `keras.layers.RNN`: return_sequences, return_state, stateful, name ...

    Example:
        import keras, textgen.peephole
        model = keras.saving.load_model("checkpoints/haven/best.keras")
    """

    def __init__(
        self,
        units: int,
        *,
        kernel_initializer: Any = "glorot_uniform",
        recurrent_initializer: Any = "orthogonal",
        **kwargs: Any,
    ) -> None:
        cell = _Cell(units, kernel_initializer, recurrent_initializer, dtype=kwargs.get("dtype"), name="cell")
        super().__init__(cell, **kwargs)

    def get_config(self) -> dict[str, Any]:
        """The arguments of an equal layer, for `from_config`."""
        config = super().get_config()
        del config["cell"]
        return {**config, **self.cell.get_config()}

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> PeepholeLSTM:
        """The layer that `get_config` describes."""
        return cls(**config)


PeepholeLSTM.__module__ = "textgen.peephole"
"""The public name, which saved models contain: it must not change if this module moves."""

"""One step of each recurrent cell as its paper writes it, in float64: gate by gate, a product each, no tricks.

An input `(..., features)`, Keras's arrays and the state go in; the state after the step comes out, `h` first. A loss
over time is `slow_loss`, and its gradients by central differences are `slow_gradients`.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

Array = np.ndarray
Step = Callable[[Array, Sequence[Array], Sequence[Array]], list[Array]]


def sigmoid(x: Array) -> Array:
    return 1.0 / (1.0 + np.exp(-x))


def blocks(array: Array, units: int) -> list[Array]:
    """The columns of each of Keras's gates."""
    return [array[..., start : start + units] for start in range(0, array.shape[-1], units)]


def lstm(x: Array, weights: Sequence[Array], state: Sequence[Array]) -> list[Array]:
    h, c = state
    (W_i, W_f, W_g, W_o), (U_i, U_f, U_g, U_o), (b_i, b_f, b_g, b_o) = (blocks(w, h.shape[-1]) for w in weights)
    i = sigmoid(x @ W_i + h @ U_i + b_i)
    f = sigmoid(x @ W_f + h @ U_f + b_f)
    g = np.tanh(x @ W_g + h @ U_g + b_g)
    o = sigmoid(x @ W_o + h @ U_o + b_o)
    c = f * c + i * g
    return [o * np.tanh(c), c]


def gru(x: Array, weights: Sequence[Array], state: Sequence[Array]) -> list[Array]:
    (h,) = state
    kernel, recurrent, (bias, inner_bias) = weights
    (W_z, W_r, W_n), (U_z, U_r, U_n) = blocks(kernel, h.shape[-1]), blocks(recurrent, h.shape[-1])
    (b_z, b_r, b_n), (d_z, d_r, d_n) = blocks(bias, h.shape[-1]), blocks(inner_bias, h.shape[-1])
    z = sigmoid(x @ W_z + b_z + h @ U_z + d_z)
    r = sigmoid(x @ W_r + b_r + h @ U_r + d_r)
    n = np.tanh(x @ W_n + b_n + r * (h @ U_n + d_n))
    return [z * h + (1.0 - z) * n]


def rnn(x: Array, weights: Sequence[Array], state: Sequence[Array]) -> list[Array]:
    (h,) = state
    W, U, b = weights
    return [np.tanh(x @ W + h @ U + b)]


def peephole(x: Array, weights: Sequence[Array], state: Sequence[Array]) -> list[Array]:
    h, before = state
    *matrices, (p_i, p_f, p_o) = weights
    (W_i, W_f, W_g, W_o), (U_i, U_f, U_g, U_o), (b_i, b_f, b_g, b_o) = (blocks(w, h.shape[-1]) for w in matrices)
    i = sigmoid(x @ W_i + h @ U_i + p_i * before + b_i)
    f = sigmoid(x @ W_f + h @ U_f + p_f * before + b_f)
    g = np.tanh(x @ W_g + h @ U_g + b_g)
    after = f * before + i * g
    o = sigmoid(x @ W_o + h @ U_o + p_o * after + b_o)
    return [o * np.tanh(after), after]


def coupled(x: Array, weights: Sequence[Array], state: Sequence[Array]) -> list[Array]:
    """Keras's block of the forget gate is not read: the gate is what the input gate leaves."""
    h, c = state
    (W_i, _, W_g, W_o), (U_i, _, U_g, U_o), (b_i, _, b_g, b_o) = (blocks(w, h.shape[-1]) for w in weights)
    i = sigmoid(x @ W_i + h @ U_i + b_i)
    g = np.tanh(x @ W_g + h @ U_g + b_g)
    o = sigmoid(x @ W_o + h @ U_o + b_o)
    c = (1.0 - i) * c + i * g
    return [o * np.tanh(c), c]


STEPS: dict[str, Step] = {"lstm": lstm, "gru": gru, "rnn": rnn, "peephole": peephole, "coupled": coupled}
"""The step of each `ModelConfig.cell`."""

STATES = {"lstm": 2, "gru": 1, "rnn": 1, "peephole": 2, "coupled": 2}
"""How many arrays each cell's state is made of."""

FORGETTING = ("lstm", "peephole", "coupled")
"""Cells of four blocks in Keras's layout: i, f, g, o."""


def tie(array: Array) -> Array:
    """An LSTM's array with a coupled cell's forget gate: minus the input gate."""
    i, _, g, o = np.split(np.asarray(array), 4, axis=-1)
    return np.concatenate([i, -i, g, o], axis=-1)


def slow_outputs(
    cell: str, x: Array, weights: Sequence[Array], state: Sequence[Array], keep: Array | None = None
) -> tuple[Array, list[Array]]:
    """The outputs `(batch, time, units)` over `x`, `(batch, time, features)`, and the state after the last step.

    Where `keep`, `(batch, time)`, is False, the state is zero before the step.
    """
    outputs, state = [], list(state)
    for t in range(x.shape[1]):
        if keep is not None:
            state = [np.where(keep[:, t, None], tensor, 0.0) for tensor in state]
        state = STEPS[cell](x[:, t], weights, state)
        outputs.append(state[0])
    return np.stack(outputs, axis=1), state


def slow_loss(
    cell: str, x: Array, weights: Sequence[Array], state: Sequence[Array], keep: Array | None = None
) -> float:
    """The sum of the sines of all outputs and of the last state: a loss that gives each its own gradient."""
    outputs, last = slow_outputs(cell, x, weights, state, keep)
    return float(np.sin(outputs).sum() + sum(np.sin(tensor).sum() for tensor in last))


def slow_gradients(
    cell: str, x: Array, weights: Sequence[Array], state: Sequence[Array], keep: Array | None = None
) -> list[Array]:
    """`slow_loss`'s gradients by the weights, the inputs and the state, by central differences."""
    values = [np.array(value, np.float64) for value in [*weights, x, *state]]
    last = len(weights)

    def loss() -> float:
        return slow_loss(cell, values[last], values[:last], values[last + 1 :], keep)

    gradients = [np.zeros_like(value) for value in values]
    for value, gradient in zip(values, gradients, strict=True):
        for place in np.ndindex(value.shape):
            kept = value[place]
            value[place] = kept + 1e-6
            above = loss()
            value[place] = kept - 1e-6
            gradient[place] = (above - loss()) / 2e-6
            value[place] = kept
    return gradients

"""The kernels against Keras's own layers and against a slow, obvious loop in float64."""

import keras
import numpy as np
import pytest
import tensorflow as tf
from hypothesis import given, settings
from hypothesis import strategies as st

from textgen.config import CELLS
from textgen.kernels import recurrence

LAYERS = {"lstm": keras.layers.LSTM, "gru": keras.layers.GRU, "rnn": keras.layers.SimpleRNN}


def random(*shape: int, seed: int = 0) -> tf.Tensor:
    return tf.constant(np.random.default_rng(seed).normal(size=shape), tf.float32)


def sines(tensors: list[tf.Tensor]) -> tf.Tensor:
    """A loss that gives every output its own gradient."""
    return tf.add_n([tf.reduce_sum(tf.sin(tensor)) for tensor in tensors])


def by_keras(cell: str, layer: keras.Layer, x: tf.Tensor, state: list[tf.Tensor], mask: tf.Tensor | None = None):
    variables = [variable.value for variable in layer.trainable_variables]
    with tf.GradientTape() as tape:
        tape.watch([x, *state])
        outputs, *last = layer(x, initial_state=state if cell == "lstm" else state[0])
        masked = outputs if mask is None else outputs * mask
        loss = sines([masked, *last])
    return outputs, last, tape.gradient(loss, [*variables, x, *state])


def by_kernel(cell: str, weights: list[tf.Tensor], x: tf.Tensor, state: list[tf.Tensor], mask: tf.Tensor | None = None):
    with tf.GradientTape() as tape:
        tape.watch([*weights, x, *state])
        flow, last = recurrence(cell, tf.transpose(x, (2, 1, 0)), weights, [tf.transpose(tensor) for tensor in state])
        outputs, last = tf.transpose(flow, (2, 1, 0)), [tf.transpose(tensor) for tensor in last]
        masked = outputs if mask is None else outputs * mask
        loss = sines([masked, *last])
    return outputs, last, tape.gradient(loss, [*weights, x, *state])


def layer_and_inputs(cell: str, batch: int, time: int, features: int, units: int, seed: int = 0):
    layer = LAYERS[cell](
        units,
        return_sequences=True,
        return_state=True,
        kernel_initializer=keras.initializers.RandomNormal(stddev=0.5, seed=seed),
        recurrent_initializer=keras.initializers.RandomNormal(stddev=0.5, seed=seed + 1),
        bias_initializer=keras.initializers.RandomNormal(stddev=0.5, seed=seed + 2),
    )
    x = random(batch, time, features, seed=seed)
    layer(x)
    state = [random(batch, units, seed=seed + 3 + n) for n in range(2 if cell == "lstm" else 1)]
    return layer, x, state


@pytest.mark.parametrize("cell", CELLS)
@pytest.mark.parametrize("dropped", [False, True])
def test_outputs_states_and_every_gradient_equal_keras(cell: str, dropped: bool) -> None:
    layer, x, state = layer_and_inputs(cell, batch=3, time=7, features=5, units=4)
    mask = tf.cast(random(3, 1, 4, seed=9) > 0, tf.float32) * 2.0 if dropped else None
    expected = by_keras(cell, layer, x, state, mask)
    got = by_kernel(cell, [variable.value for variable in layer.trainable_variables], x, state, mask)
    np.testing.assert_allclose(got[0], expected[0], atol=1e-5)
    for one, other in zip([*got[1], *got[2]], [*expected[1], *expected[2]], strict=True):
        np.testing.assert_allclose(one, other, atol=2e-5)


@settings(max_examples=12, deadline=None)
@given(
    cell=st.sampled_from(CELLS),
    batch=st.integers(1, 4),
    time=st.integers(1, 5),
    features=st.integers(1, 6),
    units=st.integers(1, 6),
    seed=st.integers(0, 99),
)
def test_every_shape_equals_keras(cell: str, batch: int, time: int, features: int, units: int, seed: int) -> None:
    layer, x, state = layer_and_inputs(cell, batch, time, features, units, seed)
    expected = by_keras(cell, layer, x, state)
    got = by_kernel(cell, [variable.value for variable in layer.trainable_variables], x, state)
    for one, other in zip([got[0], *got[1], *got[2]], [expected[0], *expected[1], *expected[2]], strict=True):
        np.testing.assert_allclose(one, other, atol=5e-5)


def sigmoid(x: np.ndarray) -> np.ndarray:
    return 1.0 / (1.0 + np.exp(-x))


def slow_step(cell: str, x: np.ndarray, weights: list[np.ndarray], state: list[np.ndarray]) -> list[np.ndarray]:
    """One step as the papers write it, in float64."""
    kernel, recurrent, bias = weights
    h = state[0]
    if cell == "rnn":
        return [np.tanh(x @ kernel + h @ recurrent + bias)]
    if cell == "lstm":
        i, f, g, o = np.split(x @ kernel + h @ recurrent + bias, 4, axis=-1)
        c = sigmoid(f) * state[1] + sigmoid(i) * np.tanh(g)
        return [sigmoid(o) * np.tanh(c), c]
    x_z, x_r, x_n = np.split(x @ kernel + bias[0], 3, axis=-1)
    h_z, h_r, h_n = np.split(h @ recurrent + bias[1], 3, axis=-1)
    z, r = sigmoid(x_z + h_z), sigmoid(x_r + h_r)
    return [z * h + (1 - z) * np.tanh(x_n + r * h_n)]


def slow_loss(cell: str, x: np.ndarray, weights: list[np.ndarray], state: list[np.ndarray]) -> float:
    total = 0.0
    for t in range(x.shape[1]):
        state = slow_step(cell, x[:, t], weights, state)
        total += float(np.sin(state[0]).sum())
    return total + sum(float(np.sin(tensor).sum()) for tensor in state)


@pytest.mark.parametrize("cell", CELLS)
def test_gradients_equal_finite_differences_of_a_slow_float64_version(cell: str) -> None:
    layer, x, state = layer_and_inputs(cell, batch=2, time=3, features=2, units=3, seed=4)
    weights = [variable.value for variable in layer.trainable_variables]
    gradients = by_kernel(cell, weights, x, state)[2]
    values = [np.asarray(tensor, np.float64) for tensor in [*weights, x, *state]]

    def loss() -> float:
        return slow_loss(cell, values[3], values[:3], values[4:])

    for value, gradient in zip(values, gradients, strict=True):
        expected = np.zeros_like(value)
        for place in np.ndindex(value.shape):
            kept = value[place]
            value[place] = kept + 1e-6
            above = loss()
            value[place] = kept - 1e-6
            expected[place] = (above - loss()) / 2e-6
            value[place] = kept
        np.testing.assert_allclose(gradient, expected, atol=1e-4)


@pytest.mark.parametrize("cell", CELLS)
def test_bfloat16_products_stay_near_float32(cell: str) -> None:
    layer, x, state = layer_and_inputs(cell, batch=4, time=6, features=8, units=16)
    weights = [variable.value * 0.3 for variable in layer.trainable_variables]
    arguments = (cell, tf.transpose(x, (2, 1, 0)), weights, [tf.transpose(tensor) for tensor in state])
    exact, _ = recurrence(*arguments)
    rounded, _ = recurrence(*arguments, compute_dtype=tf.bfloat16)
    assert rounded.dtype == tf.float32
    assert 0.0 < np.abs(exact - rounded).max() < 0.05

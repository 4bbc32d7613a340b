"""The kernels against Keras's own layers and against a slow, obvious loop in float64."""

from collections.abc import Callable
from typing import Any

import keras
import numpy as np
import pytest
import tensorflow as tf
from hypothesis import given, settings
from hypothesis import strategies as st
from slow_cells import STATES, slow_gradients, slow_outputs, tie

from textgen.config import CELLS
from textgen.training.keras_model import layer_class
from textgen.training.kernels import recurrence


def random(*shape: int, seed: int = 0) -> tf.Tensor:
    return tf.constant(np.random.default_rng(seed).normal(size=shape), tf.float32)


def sines(tensors: list[tf.Tensor]) -> tf.Tensor:
    """A loss that gives every output its own gradient."""
    return tf.add_n([tf.reduce_sum(tf.sin(tensor)) for tensor in tensors])


def by_keras(cell: str, layer: keras.Layer, x: tf.Tensor, state: list[tf.Tensor], mask: tf.Tensor | None = None):
    variables = [variable.value for variable in layer.trainable_variables]
    with tf.GradientTape() as tape:
        tape.watch([x, *state])
        outputs, *last = layer(x, initial_state=state if len(state) > 1 else state[0])
        masked = outputs if mask is None else outputs * mask
        loss = sines([masked, *last])
    return outputs, last, learned(cell, tape.gradient(loss, [*variables, x, *state]))


def by_kernel(
    cell: str,
    weights: list[tf.Tensor],
    x: tf.Tensor,
    state: list[tf.Tensor],
    mask: tf.Tensor | None = None,
    compute_dtype: tf.DType = tf.float32,
    keep: np.ndarray | None = None,
):
    factor = None if keep is None else tf.constant(keep.T[:, None, :], tf.float32)
    with tf.GradientTape() as tape:
        tape.watch([*weights, x, *state])
        before = [tf.transpose(tensor) for tensor in state]
        flow, last = recurrence(
            cell, tf.transpose(x, (2, 1, 0)), weights, before, keep=factor, compute_dtype=compute_dtype
        )
        outputs, last = tf.transpose(flow, (2, 1, 0)), [tf.transpose(tensor) for tensor in last]
        masked = outputs if mask is None else outputs * mask
        loss = sines([masked, *last])
    return outputs, last, learned(cell, tape.gradient(loss, [*weights, x, *state]))


def learned(cell: str, gradients: list[tf.Tensor]) -> list[np.ndarray]:
    """Gradients with respect to the free weights: a coupled cell's forget gate is minus its input gate."""
    arrays = [np.asarray(gradient) for gradient in gradients]
    if cell == "coupled":
        for n, array in enumerate(arrays[:3]):
            i, f, g, o = np.split(array, 4, axis=-1)
            arrays[n] = np.concatenate([i - f, g, o], axis=-1)
    return arrays


def layer_and_inputs(cell: str, batch: int, time: int, features: int, units: int, seed: int = 0):
    layer = layer_class(cell)(units, return_sequences=True, return_state=True)
    x = random(batch, time, features, seed=seed)
    layer(x)
    for n, variable in enumerate(layer.trainable_variables):
        value = 0.5 * random(*variable.shape, seed=seed + 10 + n)
        variable.assign(tie(value) if cell == "coupled" else value)
    state = [random(batch, units, seed=seed + 3 + n) for n in range(STATES[cell])]
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


@settings(max_examples=12)
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


@pytest.mark.parametrize("way", [by_kernel, by_keras])
@pytest.mark.parametrize("cell", CELLS)
def test_outputs_and_gradients_are_those_of_a_slow_float64_version(cell: str, way: Callable[..., Any]) -> None:
    layer, x, state = layer_and_inputs(cell, batch=2, time=3, features=2, units=3, seed=4)
    weights = [variable.value for variable in layer.trainable_variables]
    slow = [np.asarray(x, np.float64), [np.asarray(w, np.float64) for w in weights], [np.asarray(s) for s in state]]
    outputs, last = slow_outputs(cell, *slow)
    expected = [outputs, *last, *learned(cell, slow_gradients(cell, *slow))]
    got = way(cell, weights if way is by_kernel else layer, x, state)
    for one, other in zip([got[0], *got[1], *got[2]], expected, strict=True):
        np.testing.assert_allclose(one, other, atol=1e-4)


@pytest.mark.parametrize("cell", CELLS)
def test_where_a_sequence_starts_anew_nothing_comes_from_before_it(cell: str) -> None:
    layer, x, state = layer_and_inputs(cell, batch=3, time=5, features=2, units=3, seed=4)
    keep = np.array([[1, 0, 1, 0, 0], [0, 1, 1, 1, 1], [1, 1, 1, 1, 0]], bool)
    weights = [variable.value for variable in layer.trainable_variables]
    slow = [np.asarray(x, np.float64), [np.asarray(w, np.float64) for w in weights], [np.asarray(s) for s in state]]
    outputs, last = slow_outputs(cell, *slow, keep)
    gradients = learned(cell, slow_gradients(cell, *slow, keep))
    got = by_kernel(cell, weights, x, state, keep=keep)
    for one, other in zip([got[0], *got[1], *got[2]], [outputs, *last, *gradients], strict=True):
        np.testing.assert_allclose(one, other, atol=1e-4)
    for gradient in got[2][-STATES[cell] :]:
        assert (gradient[1] == 0.0).all()
        assert (gradient[0] != 0.0).any()
    everywhere = by_kernel(cell, weights, x, state, keep=np.ones_like(keep))
    usual = by_kernel(cell, weights, x, state)
    for one, other in zip([everywhere[0], *everywhere[2]], [usual[0], *usual[2]], strict=True):
        np.testing.assert_array_equal(one, other)


@pytest.mark.parametrize("cell", CELLS)
def test_bfloat16_products_stay_near_float32(cell: str) -> None:
    layer, x, state = layer_and_inputs(cell, batch=4, time=6, features=8, units=16)
    weights = [variable.value * 0.3 for variable in layer.trainable_variables]
    arguments = (cell, tf.transpose(x, (2, 1, 0)), weights, [tf.transpose(tensor) for tensor in state])
    exact, _ = recurrence(*arguments)
    rounded, _ = recurrence(*arguments, compute_dtype=tf.bfloat16)
    assert rounded.dtype == tf.float32
    assert 0.0 < np.abs(exact - rounded).max() < 0.05


@pytest.mark.parametrize("cell", CELLS)
def test_bfloat16_gradients_stay_near_float32(cell: str) -> None:
    layer, x, state = layer_and_inputs(cell, batch=4, time=6, features=8, units=16)
    weights = [variable.value * 0.3 for variable in layer.trainable_variables]
    exact = by_kernel(cell, weights, x, state)[2]
    rounded = by_kernel(cell, weights, x, state, compute_dtype=tf.bfloat16)[2]
    for one, other in zip(exact, rounded, strict=True):
        assert np.abs(one - other).max() < 0.05 * max(1.0, np.abs(one).max())

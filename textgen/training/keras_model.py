"""Builds the plain Keras model of a configuration.

It consists of stock layers, so a saved model opens with `keras.saving.load_model` where textgen is not installed; only
the peephole cell, which Keras does not have, needs `import textgen.peephole` first.
"""

from __future__ import annotations

import importlib
from collections.abc import Sequence
from typing import Any

import keras
import numpy as np
from numpy.typing import NDArray

from textgen.config import ModelConfig
from textgen.config.cells import FACTS, CellFacts
from textgen.model.keras_file import layer_variables
from textgen.model.weights import BACKWARD
from textgen.training.coupling import tied

HEAD = "head"
"""The name of the layer that predicts the next character."""


def layer_class(cell: str) -> type[keras.layers.RNN]:
    """The Keras layer class of a cell."""
    layer = FACTS[cell].layer
    found: type[keras.layers.RNN] = getattr(importlib.import_module(layer.module), layer.class_name)
    return found


def build_model(config: ModelConfig, *, seed: int = 0, frequencies: NDArray[np.integer] | None = None) -> keras.Model:
    """Builds and initialises the network.

    Embedding, `config.layers` recurrent layers with one dropout mask per sequence on each output
    (Gal and Ghahramani 2016), the layers' outputs summed where `config.skip` (Graves 2013), and a dense softmax head.

    Args:
        config: the shape.
        seed: of the initial weights.
        frequencies: `(vocab,)`, how often each id occurs in the training text. The head's bias starts at their
            logarithms, so that a model need not learn them first; None for a bias of zero.

    With `config.labels` the model has a second input, the weights of the labels at every position, whose embedding is
    added to the characters'. Training computes that from `(label_sets, embedding)` instead.

    A model of both sides has a second stack of the same shape, with initial weights of its own, which reads the ids
    from the last to the first; and a head on both stacks' outputs, with a product and a hidden layer between. The
    forward half is the model that `config.forwards` describes, to the last bit.

    Returns:
        A model from ids `(batch, time)` int32, with labels also `(batch, time, labels)` float32, to probabilities
        `(batch, time, vocab_size)` float32. Its layers are named ids, embedding, labels, label_embedding, labelled,
        input_dropout, recurrent_1 .., dropout_1 .., skip and head.

        A model of both sides has three such outputs in a dictionary. At position t, "forwards" is the character at
        t + 1, given those up to t; "backwards" is the one at t - 1, given those from t on; and "joint", which is two
        positions shorter, the one at t + 1 given all but itself. The names of the backward stack's layers begin with
        backward_; joint_before, joint_after, joint_hidden and joint are the third head.

    Example:
        model = build_model(ModelConfig(vocab_size=65, layers=2, units=128))
        model(np.zeros((1, 10), "int32")).shape     # (1, 10, 65)
    """
    ids = keras.Input((None,), dtype="int32", name="ids")
    inputs = [ids]
    if config.labels:
        inputs.append(keras.Input((None, config.labels), dtype="float32", name="labels"))
    forward, head = _stack(config, inputs, seed=seed)
    biases, outputs = [head], head.output
    if config.both:
        ahead = [keras.ops.flip(each, axis=1) for each in inputs]
        flipped, backward_head = _stack(config, ahead, seed=[seed, 1], prefix=BACKWARD)
        backward = keras.ops.flip(flipped, axis=1)
        joint = _joint(config, forward, backward, seed=[seed, 2])
        biases += [backward_head, joint]
        outputs = {
            "forwards": head.output,
            "backwards": keras.ops.flip(backward_head.output, axis=1),
            "joint": joint.output,
        }
    model = keras.Model(inputs if config.labels else ids, outputs, name="textgen")
    if frequencies is not None:
        for each in biases:
            start_bias(each, frequencies)
    return model


def start_bias(head: keras.layers.Dense, frequencies: NDArray[np.integer]) -> None:
    """Starts the bias of a head at the logarithms of how often each id occurs."""
    # An id of the vocabulary may lack in the training part of the text.
    counts = np.maximum(np.asarray(frequencies, np.float64), 0.5)
    head.bias.assign(np.log(counts / counts.sum()).astype(np.float32))


def _stack(
    config: ModelConfig, inputs: Sequence[Any], *, seed: int | Sequence[int], prefix: str = ""
) -> tuple[Any, keras.layers.Dense]:
    """A stack of recurrent layers with its head on it; returns the head's input and the head."""
    *state, last = np.random.SeedSequence(seed).generate_state(2 + 2 * config.layers + 2).tolist()
    seeds = iter(state)

    def glorot() -> keras.initializers.Initializer:
        return keras.initializers.GlorotUniform(seed=next(seeds))

    flow = keras.layers.Embedding(
        config.vocab_size,
        config.embedding,
        embeddings_initializer=keras.initializers.RandomNormal(stddev=config.embedding**-0.5, seed=next(seeds)),
        name=f"{prefix}embedding",
    )(inputs[0])
    if config.labels:
        embedded = keras.layers.Dense(
            config.embedding,
            use_bias=False,
            kernel_initializer=keras.initializers.RandomNormal(stddev=config.embedding**-0.5, seed=last),
            name=f"{prefix}label_embedding",
        )(inputs[1])
        flow = keras.layers.Add(name=f"{prefix}labelled")([flow, embedded])
    flow = keras.layers.SpatialDropout1D(config.input_dropout, name=f"{prefix}input_dropout")(flow)
    outputs = []
    for n in range(1, config.layers + 1):
        layer = layer_class(config.cell)(
            config.units,
            return_sequences=True,
            kernel_initializer=glorot(),
            recurrent_initializer=keras.initializers.Orthogonal(seed=next(seeds)),
            name=f"{prefix}recurrent_{n}",
        )
        flow = keras.layers.SpatialDropout1D(config.dropout, name=f"{prefix}dropout_{n}")(layer(flow))
        tie(layer, config.facts)
        outputs.append(flow)
    if config.skip and config.layers > 1:
        flow = keras.layers.Add(name=f"{prefix}skip")(outputs)
    head = keras.layers.Dense(
        config.vocab_size, activation="softmax", dtype="float32", kernel_initializer=glorot(), name=f"{prefix}{HEAD}"
    )
    head(flow)
    return flow, head


def _joint(config: ModelConfig, forward: Any, backward: Any, *, seed: Sequence[int]) -> keras.layers.Dense:
    """The head on the outputs of both stacks, `(batch, time, units)` in the order of the text."""
    seeds = iter(np.random.SeedSequence(seed).generate_state(4).tolist())

    def dense(name: str, units: int, activation: str, **options: Any) -> keras.layers.Dense:
        initializer = keras.initializers.GlorotUniform(seed=next(seeds))
        return keras.layers.Dense(units, activation=activation, kernel_initializer=initializer, name=name, **options)

    # What has been read before each character, and what after it.
    before = keras.layers.Cropping1D((0, 2), name="joint_left")(forward)
    after = keras.layers.Cropping1D((2, 0), name="joint_right")(backward)
    factors = dense("joint_before", config.units, "tanh")(before), dense("joint_after", config.units, "tanh")(after)
    product = keras.layers.Multiply(name="joint_product")(factors)
    sides = keras.layers.Concatenate(name="joint_sides")([before, after, product])
    hidden = dense("joint_hidden", config.units, "relu")(sides)
    head = dense("joint", config.vocab_size, "softmax", dtype="float32")
    head(keras.layers.Concatenate(name="joint_input")([sides, hidden]))
    return head


def assign_arrays(model: keras.Model, config: ModelConfig, arrays: Sequence[NDArray[np.float32]]) -> None:
    """Sets a model's weights; the inverse of `textgen.model.keras_file.layer_arrays`."""
    for variable, array in zip(layer_variables(model, config), arrays, strict=True):
        variable.assign(array)


def tie(layer: keras.layers.RNN, facts: CellFacts) -> None:
    """Initialises a layer's free blocks, and its tied blocks from them, where the cell has any.

    A tied gate keeps its initial bias: the 1 of an LSTM's forget gate (Jozefowicz et al. 2015) gives a coupled input
    gate the bias -1.
    """
    if not facts.tied:
        return
    cell = layer.cell
    inputs, units, free = cell.kernel.shape[0], cell.units, len(facts.free)
    cell.kernel.assign(tied(facts, cell.kernel_initializer((inputs, free * units))))
    cell.recurrent_kernel.assign(tied(facts, cell.recurrent_initializer((units, free * units))))
    blocks = dict(zip(facts.gates, np.split(cell.bias.numpy(), len(facts.gates), axis=-1), strict=True))
    blocks |= {other: -blocks[gate] for gate, other in facts.tied.items()}
    cell.bias.assign(tied(facts, np.concatenate([blocks[gate] for gate in facts.free], axis=-1)))

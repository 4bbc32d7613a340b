"""Builds the plain Keras model of a configuration.

It consists of stock layers, so a saved model opens with `keras.saving.load_model` where textgen is not installed; only
the peephole cell, which Keras does not have, needs `import textgen.peephole` first.
"""

from __future__ import annotations

import importlib

import keras
import numpy as np
from numpy.typing import NDArray

from textgen.config import ModelConfig
from textgen.config.cells import FACTS, CellFacts
from textgen.training.coupling import tied


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

    Returns:
        A model from ids `(batch, time)` int32, with labels also `(batch, time, labels)` float32, to probabilities
        `(batch, time, vocab_size)` float32. Its layers are named ids, embedding, labels, label_embedding, labelled,
        input_dropout, recurrent_1 .., dropout_1 .., skip and head.

    Example:
        model = build_model(ModelConfig(vocab_size=65, layers=2, units=128))
        model(np.zeros((1, 10), "int32")).shape     # (1, 10, 65)
    """
    *state, last = np.random.SeedSequence(seed).generate_state(2 + 2 * config.layers + 2).tolist()
    seeds = iter(state)

    def glorot() -> keras.initializers.Initializer:
        return keras.initializers.GlorotUniform(seed=next(seeds))

    ids = keras.Input((None,), dtype="int32", name="ids")
    flow = keras.layers.Embedding(
        config.vocab_size,
        config.embedding,
        embeddings_initializer=keras.initializers.RandomNormal(stddev=config.embedding**-0.5, seed=next(seeds)),
        name="embedding",
    )(ids)
    inputs = ids
    if config.labels:
        labels = keras.Input((None, config.labels), dtype="float32", name="labels")
        embedded = keras.layers.Dense(
            config.embedding,
            use_bias=False,
            kernel_initializer=keras.initializers.RandomNormal(stddev=config.embedding**-0.5, seed=last),
            name="label_embedding",
        )(labels)
        flow, inputs = keras.layers.Add(name="labelled")([flow, embedded]), [ids, labels]
    flow = keras.layers.SpatialDropout1D(config.input_dropout, name="input_dropout")(flow)
    outputs = []
    for n in range(1, config.layers + 1):
        layer = layer_class(config.cell)(
            config.units,
            return_sequences=True,
            kernel_initializer=glorot(),
            recurrent_initializer=keras.initializers.Orthogonal(seed=next(seeds)),
            name=f"recurrent_{n}",
        )
        flow = keras.layers.SpatialDropout1D(config.dropout, name=f"dropout_{n}")(layer(flow))
        if config.facts.tied:
            _tie(layer, config.facts)
        outputs.append(flow)
    if config.skip and config.layers > 1:
        flow = keras.layers.Add(name="skip")(outputs)
    head = keras.layers.Dense(
        config.vocab_size, activation="softmax", dtype="float32", kernel_initializer=glorot(), name="head"
    )
    model = keras.Model(inputs, head(flow), name="textgen")
    if frequencies is not None:
        # An id of the vocabulary may lack in the training part of the text.
        counts = np.maximum(np.asarray(frequencies, np.float64), 0.5)
        head.bias.assign(np.log(counts / counts.sum()).astype(np.float32))
    return model


def _tie(layer: keras.layers.RNN, facts: CellFacts) -> None:
    """Initialises a layer's free blocks, and its tied blocks from them.

    A tied gate keeps its initial bias: the 1 of an LSTM's forget gate (Jozefowicz et al. 2015) gives a coupled input
    gate the bias -1.
    """
    cell = layer.cell
    inputs, units, free = cell.kernel.shape[0], cell.units, len(facts.free)
    cell.kernel.assign(tied(facts, cell.kernel_initializer((inputs, free * units))))
    cell.recurrent_kernel.assign(tied(facts, cell.recurrent_initializer((units, free * units))))
    blocks = dict(zip(facts.gates, np.split(cell.bias.numpy(), len(facts.gates), axis=-1), strict=True))
    blocks |= {other: -blocks[gate] for gate, other in facts.tied.items()}
    cell.bias.assign(tied(facts, np.concatenate([blocks[gate] for gate in facts.free], axis=-1)))

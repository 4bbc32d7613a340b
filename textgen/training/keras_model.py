"""From a configuration to a plain Keras model.

Only stock layers are used, so that a saved model opens with `keras.saving.load_model` where textgen is not installed;
the peephole cell alone, which Keras does not have, needs `import textgen.peephole` first. It knows nothing of training:
ids go in, probabilities come out.
"""

from __future__ import annotations

import importlib

import keras
import numpy as np

from textgen.config import ModelConfig
from textgen.config.cells import FACTS, CellFacts
from textgen.training.coupling import tied


def layer_class(cell: str) -> type[keras.layers.RNN]:
    """The Keras layer that holds a cell's weights."""
    layer = FACTS[cell].layer
    found: type[keras.layers.RNN] = getattr(importlib.import_module(layer.module), layer.class_name)
    return found


def build_model(config: ModelConfig, *, seed: int = 0) -> keras.Model:
    """Builds the network, freshly initialised.

    Embedding, `config.layers` recurrent layers with one dropout mask a sequence on each output
    (Gal and Ghahramani 2016), the layers' outputs summed where `config.skip` (Graves 2013), and a dense softmax head.

    Args:
        config: the shape.
        seed: the initial weights follow from it.

    Returns:
        A model from ids `(batch, time)` int32 to probabilities `(batch, time, vocab_size)` float32. Its layers are
        named ids, embedding, input_dropout, recurrent_1 .., dropout_1 .., skip and head.

    Example:
        model = build_model(ModelConfig(vocab_size=65, layers=2, units=128))
        model(np.zeros((1, 10), "int32")).shape     # (1, 10, 65)
    """
    seeds = iter(np.random.SeedSequence(seed).generate_state(2 + 2 * config.layers + 1).tolist())

    def glorot() -> keras.initializers.Initializer:
        return keras.initializers.GlorotUniform(seed=next(seeds))

    ids = keras.Input((None,), dtype="int32", name="ids")
    flow = keras.layers.Embedding(
        config.vocab_size,
        config.embedding,
        embeddings_initializer=keras.initializers.RandomNormal(stddev=config.embedding**-0.5, seed=next(seeds)),
        name="embedding",
    )(ids)
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
    return keras.Model(ids, head(flow), name="textgen")


def _tie(layer: keras.layers.RNN, facts: CellFacts) -> None:
    """Initialises a layer's weights afresh with the free blocks alone, and what follows from them.

    A tied gate keeps the bias it starts with: an LSTM's forget gate's 1 (Jozefowicz et al. 2015) makes the input gate's
    one of -1 where the two are coupled.
    """
    cell = layer.cell
    inputs, units, free = cell.kernel.shape[0], cell.units, len(facts.free)
    cell.kernel.assign(tied(facts, cell.kernel_initializer((inputs, free * units))))
    cell.recurrent_kernel.assign(tied(facts, cell.recurrent_initializer((units, free * units))))
    blocks = dict(zip(facts.gates, np.split(cell.bias.numpy(), len(facts.gates), axis=-1), strict=True))
    blocks |= {other: -blocks[gate] for gate, other in facts.tied.items()}
    cell.bias.assign(tied(facts, np.concatenate([blocks[gate] for gate in facts.free], axis=-1)))

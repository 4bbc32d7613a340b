"""Builds the plain Keras model that turns one text into another: a bidirectional encoder, a decoder, attention.

It consists of stock layers, so a saved model opens with `keras.saving.load_model` where textgen is not installed.
"""

from __future__ import annotations

from typing import Any

import keras
import numpy as np
from numpy.typing import NDArray

from textgen.config import ModelConfig
from textgen.training.keras_model import layer_class, start_bias, tie

Tensor = Any


def build_pair_model(
    config: ModelConfig, *, seed: int = 0, frequencies: NDArray[np.integer] | None = None
) -> keras.Model:
    """Builds and initialises the network.

    The encoder: an embedding and `config.encoder_layers` layers that read in both directions, each direction with half
    of the units. The decoder: an embedding and `config.layers` layers, of which the n-th starts from the end of the
    n-th of the encoder, or of its last. Both sum the outputs of their layers where `config.skip`. Attention with the
    general score over the encoder's outputs follows the decoder's stack (Luong et al. 2015), then a dense softmax head.

    Args:
        config: the shape, with an encoder.
        seed: of the initial weights.
        frequencies: `(vocab,)`, how often each id occurs in the training targets, from which the head's bias starts;
            None for a bias of zero.

    Returns:
        A model from ids of sources plus 1, `(batch, source_time)` int32 with 0 for padding, and the decoder's inputs,
        `(batch, time)` int32, to probabilities `(batch, time, vocab_size)` float32.

    Example:
        model = build_pair_model(ModelConfig(vocab_size=65, source_vocab_size=40, encoder_layers=1, units=128))
        model([np.ones((1, 7), "int32"), np.zeros((1, 10), "int32")]).shape     # (1, 10, 65)
    """
    weights = 6 + 4 * config.encoder_layers + 2 * config.layers
    seeds = iter(np.random.SeedSequence(seed).generate_state(weights).tolist())
    source = keras.Input((None,), dtype="int32", name="source")
    ids = keras.Input((None,), dtype="int32", name="ids")
    flow = _embedding(config, config.source_vocab_size + 1, "source_embedding", next(seeds), mask_zero=True)(source)
    flow = keras.layers.SpatialDropout1D(config.input_dropout, name="source_dropout")(flow)
    outputs, ends = [], []
    for n in range(1, config.encoder_layers + 1):
        forwards = _recurrent(config, config.units // 2, seeds, return_state=True)
        backwards = _recurrent(config, config.units // 2, seeds, return_state=True, go_backwards=True)
        layer = keras.layers.Bidirectional(forwards, backward_layer=backwards, name=f"encoder_{n}")
        flow, *states = layer(flow)
        flow = keras.layers.SpatialDropout1D(config.dropout, name=f"encoder_dropout_{n}")(flow)
        tie(layer.forward_layer, config.facts)
        tie(layer.backward_layer, config.facts)
        outputs.append(flow)
        kinds = len(states) // 2
        ends.append([_joined([states[k], states[kinds + k]], f"end_{n}_{k + 1}") for k in range(kinds)])
    read = _summed(config, outputs, "encoder_skip")
    flow = _embedding(config, config.vocab_size, "embedding", next(seeds))(ids)
    flow = keras.layers.SpatialDropout1D(config.input_dropout, name="input_dropout")(flow)
    outputs = []
    for n in range(1, config.layers + 1):
        layer = _recurrent(config, config.units, seeds, name=f"recurrent_{n}")
        start = ends[min(n, config.encoder_layers) - 1]
        flow = layer(flow, initial_state=start if len(start) > 1 else start[0])
        flow = keras.layers.SpatialDropout1D(config.dropout, name=f"dropout_{n}")(flow)
        tie(layer, config.facts)
        outputs.append(flow)
    written = _summed(config, outputs, "skip")
    keys = _dense(config.units, "attention_keys", next(seeds))(read)
    context = keras.layers.Attention(name="attention")([written, read, keys])
    attended = _dense(config.units, "attended", next(seeds), activation="tanh")(_joined([context, written], "joined"))
    head = keras.layers.Dense(
        config.vocab_size,
        activation="softmax",
        dtype="float32",
        kernel_initializer=keras.initializers.GlorotUniform(seed=next(seeds)),
        name="head",
    )
    model = keras.Model([source, ids], head(attended), name="textgen")
    if frequencies is not None:
        start_bias(head, frequencies)
    return model


def _embedding(config: ModelConfig, rows: int, name: str, seed: int, *, mask_zero: bool = False) -> Any:
    normal = keras.initializers.RandomNormal(stddev=config.embedding**-0.5, seed=seed)
    return keras.layers.Embedding(rows, config.embedding, embeddings_initializer=normal, mask_zero=mask_zero, name=name)


def _recurrent(config: ModelConfig, units: int, seeds: Any, **options: Any) -> Any:
    return layer_class(config.cell)(
        units,
        return_sequences=True,
        kernel_initializer=keras.initializers.GlorotUniform(seed=next(seeds)),
        recurrent_initializer=keras.initializers.Orthogonal(seed=next(seeds)),
        **options,
    )


def _dense(units: int, name: str, seed: int, **options: Any) -> Any:
    glorot = keras.initializers.GlorotUniform(seed=seed)
    return keras.layers.Dense(units, use_bias=False, kernel_initializer=glorot, name=name, **options)


def _joined(parts: list[Tensor], name: str) -> Tensor:
    return keras.layers.Concatenate(name=name)(parts)


def _summed(config: ModelConfig, outputs: list[Tensor], name: str) -> Tensor:
    return keras.layers.Add(name=name)(outputs) if config.skip and len(outputs) > 1 else outputs[-1]

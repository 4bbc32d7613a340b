"""The weights of a model that turns one text into another, as named NumPy arrays in Keras's layout and gate order."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Self

import numpy as np
from numpy.typing import NDArray

from textgen.config import ModelConfig
from textgen.errors import ConfigError
from textgen.model.weights import LayerWeights, is_recurrent, require_tied

Array = NDArray[np.float32]


@dataclass(frozen=True, eq=False)
class PairWeights:
    """All weights of a model with an encoder and a decoder, float32.

    Args:
        source_embedding: `(source_vocab_size + 1, embedding)`; row 0 is padding, the id n of a source is row n + 1.
        encoder: for each layer from the bottom up that which reads forwards and that which reads backwards, each of
            `units / 2` units.
        embedding: `(vocab, embedding)`, of the decoder's inputs.
        layers: the decoder's recurrent layers from the bottom up.
        keys_kernel: `(units, units)`, from the encoder's outputs to what the decoder's are compared with.
        attended_kernel: `(2 * units, units)`, from the context and the decoder's output to the head's input.
        head_kernel: `(units, vocab)`.
        head_bias: `(vocab,)`.
    """

    source_embedding: Array
    encoder: tuple[tuple[LayerWeights, LayerWeights], ...]
    embedding: Array
    layers: tuple[LayerWeights, ...]
    keys_kernel: Array
    attended_kernel: Array
    head_kernel: Array
    head_bias: Array

    @staticmethod
    def shapes(config: ModelConfig) -> dict[str, tuple[int, ...]]:
        """The name and shape of each array, in the order of `arrays`.

        >>> config = ModelConfig(
        ...     vocab_size=65, source_vocab_size=40, encoder_layers=1, layers=1, units=8, embedding=4, cell="lstm"
        ... )
        >>> for name, shape in PairWeights.shapes(config).items():
        ...     print(name, shape)
        source_embedding/embeddings (41, 4)
        encoder_1/forward/kernel (4, 16)
        encoder_1/forward/recurrent_kernel (4, 16)
        encoder_1/forward/bias (16,)
        encoder_1/backward/kernel (4, 16)
        encoder_1/backward/recurrent_kernel (4, 16)
        encoder_1/backward/bias (16,)
        embedding/embeddings (65, 4)
        recurrent_1/kernel (4, 32)
        recurrent_1/recurrent_kernel (8, 32)
        recurrent_1/bias (32,)
        attention_keys/kernel (8, 8)
        attended/kernel (16, 8)
        head/kernel (8, 65)
        head/bias (65,)
        """
        units, embedding = config.units, config.embedding
        shapes: dict[str, tuple[int, ...]] = {"source_embedding/embeddings": (config.source_vocab_size + 1, embedding)}
        width = embedding
        for n in range(1, config.encoder_layers + 1):
            for direction in ("forward", "backward"):
                shapes |= _layer(f"encoder_{n}/{direction}", config, width, units // 2)
            width = units
        shapes["embedding/embeddings"] = (config.vocab_size, embedding)
        width = embedding
        for n in range(1, config.layers + 1):
            shapes |= _layer(f"recurrent_{n}", config, width, units)
            width = units
        return shapes | {
            "attention_keys/kernel": (units, units),
            "attended/kernel": (2 * units, units),
            "head/kernel": (units, config.vocab_size),
            "head/bias": (config.vocab_size,),
        }

    @classmethod
    def from_arrays(cls, arrays: Sequence[Array], config: ModelConfig) -> Self:
        """The weights from arrays in the order of `shapes`; the inverse of `arrays`.

        Raises:
            ConfigError: their number is wrong.
        """
        wanted = len(cls.shapes(config))
        if len(arrays) != wanted:
            raise ConfigError(f"The model must have {wanted} arrays; got {len(arrays)}.")
        rest = iter(arrays)

        def layer() -> LayerWeights:
            return LayerWeights(next(rest), next(rest), next(rest))

        source_embedding = next(rest)
        encoder = tuple((layer(), layer()) for _ in range(config.encoder_layers))
        embedding = next(rest)
        return cls(source_embedding, encoder, embedding, tuple(layer() for _ in range(config.layers)), *rest)

    def arrays(self) -> list[Array]:
        """The arrays in the order of `shapes`."""
        return list(self._arrays())

    def _arrays(self) -> Iterator[Array]:
        yield self.source_embedding
        for directions in self.encoder:
            for layer in directions:
                yield from layer.arrays()
        yield self.embedding
        for layer in self.layers:
            yield from layer.arrays()
        yield from (self.keys_kernel, self.attended_kernel, self.head_kernel, self.head_bias)

    def validate(self, config: ModelConfig) -> None:
        """Checks that the weights match a configuration and are finite.

        Raises:
            ConfigError: an array has another shape or type than `config` requires, or holds NaN or infinity, or a
                coupled cell's forget gate is not minus its input gate; the message names it.
        """
        for (name, shape), array in zip(self.shapes(config).items(), self._arrays(), strict=True):
            if array.shape != shape or array.dtype != np.float32:
                raise ConfigError(f"{name} must be float32 of shape {shape}; got {array.dtype} of {array.shape}.")
            if not np.isfinite(array).all():
                raise ConfigError(f"{name} must hold finite numbers; got NaN or infinity.")
            if config.facts.tied and is_recurrent(name):
                require_tied(name, array, config)


def _layer(name: str, config: ModelConfig, width: int, units: int) -> dict[str, tuple[int, ...]]:
    columns, rows = config.gates * units, config.facts.bias_rows
    return {
        f"{name}/kernel": (width, columns),
        f"{name}/recurrent_kernel": (units, columns),
        f"{name}/bias": (columns,) if rows == 1 else (rows, columns),
    }

"""A trained model that turns one text into another, as a network: encodes sources, and steps or reads targets."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from textgen.config import ModelConfig, require
from textgen.engine.pairs.decoder import Decoder, DecoderWeights
from textgen.engine.pairs.encoder import EncodedSources, Encoder
from textgen.model.pair_weights import PairWeights

Array = NDArray[np.float32]
Ids = NDArray[np.integer]


@dataclass(frozen=True, eq=False)
class ReadTarget:
    """What a model makes of a target, given its source.

    Args:
        logprobs: `(ids,)`, the log-probability of each of its ids given those before, in nats.
        attention: `(ids, source ids)`, the weight of each id of the source as each of the target's is predicted.
    """

    logprobs: NDArray[np.float64]
    attention: Array


class PairEngine:
    """An encoder and a decoder with attention (Luong et al. 2015, general score), in float32.

    An engine is immutable, so several threads may use one, each with decoders of its own.

    Args:
        config: the model's shape, with an encoder.
        weights: its weights.

    Raises:
        ConfigError: the weights do not fit the configuration, or it has no encoder.

    >>> config = ModelConfig(vocab_size=5, source_vocab_size=4, encoder_layers=1, layers=1, units=8, embedding=4)
    >>> rng = np.random.default_rng(0)
    >>> arrays = [np.zeros(shape, np.float32) for shape in PairWeights.shapes(config).values()]
    >>> engine = PairEngine(config, PairWeights.from_arrays(arrays, config))
    >>> decoder = engine.decoder(engine.encode([np.array([0, 1, 3]), np.array([3])]), width=2)
    >>> logits, attention = decoder.step([4, 4, 4, 4])
    >>> logits.shape, attention[1].tolist()
    ((2, 2, 5), [[1.0, 0.0, 0.0], [1.0, 0.0, 0.0]])
    """

    def __init__(self, config: ModelConfig, weights: PairWeights) -> None:
        require(config.has_encoder, "encoder_layers", "at least 1", config.encoder_layers)
        weights.validate(config)
        self.config = config
        self._encoder, self._decoder = Encoder(config, weights), DecoderWeights(config, weights)

    def encode(self, sources: Sequence[Ids]) -> EncodedSources:
        """Reads sources, each `(ids,)` with its end last; those of like lengths are read fastest together."""
        return self._encoder(sources)

    def decoder(self, sources: EncodedSources, *, width: int = 1) -> Decoder:
        """A decoder that is about to begin `width` targets of each source; the first id is that of an end."""
        return Decoder(self._decoder, sources, width)

    def read(self, sources: Sequence[Ids], targets: Sequence[Ids], *, end_id: int) -> list[ReadTarget]:
        """Reads targets, each given its source.

        Args:
            sources: each `(ids,)` with its end last.
            targets: likewise, as many.
            end_id: the id of a target's end.
        """
        lengths = [len(each) for each in targets]
        inputs = np.full((len(targets), max(lengths)), end_id, np.intp)
        for row, each in zip(inputs, targets, strict=True):
            row[1 : len(each)] = each[:-1]
        decoder = self.decoder(self.encode(sources))
        logprobs: list[Any] = []
        attention = []
        for n, ids in enumerate(inputs.T):
            logits, weights = decoder.step(ids)
            chosen = [int(each[min(n, len(each) - 1)]) for each in targets]
            logprobs.append(log_softmax(logits[:, 0])[np.arange(len(targets)), chosen])
            attention.append(weights[:, 0])
        every, looks = np.stack(logprobs, axis=1), np.stack(attention, axis=1)
        return [
            ReadTarget(every[n, :length], looks[n, :length, : len(source)])
            for n, (length, source) in enumerate(zip(lengths, sources, strict=True))
        ]


def log_softmax(logits: NDArray[Any]) -> NDArray[np.float64]:
    """The log-probabilities, `(..., vocab)`, of logits."""
    shifted = logits.astype(np.float64)
    shifted -= shifted.max(axis=-1, keepdims=True)
    shifted -= np.log(np.exp(shifted).sum(axis=-1, keepdims=True))
    return shifted

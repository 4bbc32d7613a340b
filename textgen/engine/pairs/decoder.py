"""Steps several targets of each source at once: the recurrent layers, and the attention after them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from textgen.config import ModelConfig
from textgen.engine.lane import Lane
from textgen.engine.layer import Head, Layer
from textgen.engine.matrix import Matrix
from textgen.engine.pairs.encoder import EncodedSources
from textgen.model.pair_weights import PairWeights

Array = NDArray[np.float32]
Ids = NDArray[np.integer]


class DecoderWeights:
    """A decoder's weights, as its steps need them.

    The score of the decoder's output s and the encoder's output m, `s . (m @ keys)`, is `(s @ keys.T) . m`: that spares
    the keys, and one product gives the query and the output's part of what is read out.

    Args:
        config: the model's shape.
        weights: its weights.
    """

    def __init__(self, config: ModelConfig, weights: PairWeights) -> None:
        units, size = config.units, config.vocab_size
        embedded = [weights.embedding, *[None] * (config.layers - 1)]
        self.layers = [Layer.from_weights(config, *each) for each in zip(weights.layers, embedded, strict=True)]
        self.embedding = None if self.layers[0].table is not None else weights.embedding.copy()
        kernel = Matrix.zeros(units, 2 * units)
        kernel.values[:, :units] = weights.keys_kernel.T
        kernel.values[:, units : 2 * units] = weights.attended_kernel[units:]
        self.head = Head(kernel, np.zeros(2 * units, np.float32), config.skip and config.layers > 1)
        self.context = np.ascontiguousarray(weights.attended_kernel[:units])
        self.kernel, self.bias = weights.head_kernel.copy(), weights.head_bias.copy()
        self.units, self.vocab_size = units, size


class Decoder:
    """The state of `width` targets of each source, which its steps update.

    Args:
        weights: the decoder's weights.
        sources: the sources.
        width: the number of targets of each.
        state: their hidden and cell states, `(lines * width, ...)`; None for those of the sources' ends.
    """

    def __init__(
        self,
        weights: DecoderWeights,
        sources: EncodedSources,
        width: int,
        state: tuple[Array, Array] | None = None,
    ) -> None:
        self._weights, self._sources, self._width = weights, sources, width
        place = 0 if weights.embedding is None else weights.embedding.shape[1]
        if state is None:
            hidden = np.zeros((len(sources) * width, place + sources.hidden.shape[1]), np.float32)
            hidden[:, place:] = np.repeat(sources.hidden, width, axis=0)
            state = hidden, np.repeat(sources.cell_state, width, axis=0)
        self._hidden, self._cell_state = state
        self._lane = Lane(weights.layers, weights.head, weights.embedding, *state, quiet=False)

    def step(self, ids: Sequence[int] | Ids) -> tuple[Array, Array]:
        """Advances each target by one id.

        Args:
            ids: `(lines * width,)`, those of a line side by side.

        Returns:
            The next logits, `(lines, width, vocab)`, and the attention: the weight of each id of the source,
            `(lines, width, time)`.
        """
        weights, sources, units = self._weights, self._sources, self._weights.units
        both = self._lane.step(ids).reshape(len(sources), self._width, 2 * units)
        scores = both[..., :units] @ sources.outputs.transpose(0, 2, 1)
        scores += sources.mask
        scores -= scores.max(axis=-1, keepdims=True)
        np.exp(scores, scores)
        scores /= scores.sum(axis=-1, keepdims=True)
        context = (scores @ sources.outputs).reshape(-1, units)
        attended: Any = context @ weights.context
        attended += both[..., units:].reshape(-1, units)
        np.tanh(attended, attended)
        logits = attended @ weights.kernel
        logits += weights.bias
        return logits.reshape(len(sources), self._width, weights.vocab_size), scores

    def reorder(self, parents: Ids) -> None:
        """Replaces the targets of each source by those that `parents`, `(lines, width)`, names among them."""
        rows = (np.arange(len(self._sources))[:, None] * self._width + parents).ravel()
        self._hidden[...], self._cell_state[...] = self._hidden[rows], self._cell_state[rows]

    def keep(self, lines: Ids) -> Decoder:
        """A decoder of the sources `lines` alone, each with its targets."""
        rows = (lines[:, None] * self._width + np.arange(self._width)).ravel()
        state = self._hidden[rows], self._cell_state[rows]
        return Decoder(self._weights, self._sources.take(lines), self._width, state)

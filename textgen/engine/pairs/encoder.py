"""Reads sources of any lengths together, in both directions."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from textgen.config import ModelConfig
from textgen.engine.cells import Workspace
from textgen.engine.layer import Layer
from textgen.model.pair_weights import PairWeights

Array = NDArray[np.float32]
Ids = NDArray[np.integer]


@dataclass(frozen=True, eq=False)
class EncodedSources:
    """Sources as a decoder needs them, float32.

    Args:
        outputs: `(lines, time, units)`, the encoder's output at each id of the sources, zero in padding.
        mask: `(lines, 1, time)`, what is added to a score: 0 at an id, `-inf` in padding.
        hidden: `(lines, layers * units)`, the first hidden states of the decoder's layers, concatenated.
        cell_state: `(lines, layers * units)`, their first cell states; of width 0 for cells without one.
    """

    outputs: Array
    mask: Array
    hidden: Array
    cell_state: Array

    def __len__(self) -> int:
        return len(self.outputs)

    def take(self, lines: Ids) -> EncodedSources:
        """A copy of the sources `lines`, in that order, as wide as the longest of them."""
        mask = self.mask[lines]
        width = int((mask[:, 0] == 0.0).sum(axis=1).max(initial=1))
        outputs = self.outputs[lines, :width]
        return EncodedSources(outputs, mask[..., :width], self.hidden[lines], self.cell_state[lines])


class Encoder:
    """The bidirectional layers.

    A direction's rows are aligned at their ends, so that all end at once, and a row's state is set to zero where its
    source begins.

    Args:
        config: the model's shape.
        weights: its weights.
    """

    def __init__(self, config: ModelConfig, weights: PairWeights) -> None:
        half = config.replace(units=config.units // 2, encoder_layers=0, source_vocab_size=0)
        embedded = [weights.source_embedding, *[None] * (config.encoder_layers - 1)]
        self._layers = [
            (Layer.from_weights(half, forward, table), Layer.from_weights(half, backward, table))
            for (forward, backward), table in zip(weights.encoder, embedded, strict=True)
        ]
        self._embedding = weights.source_embedding
        self._depth, self._skip = config.layers, config.skip

    def __call__(self, sources: Sequence[Ids]) -> EncodedSources:
        """Reads sources, each `(ids,)` with its end last.

        Raises:
            ValueError: there are none, or one is empty.
        """
        lengths = np.array([len(each) for each in sources], np.intp)
        if not lengths.all() or not len(lengths):
            raise ValueError("sources must be at least one, and each must have at least the id of its end.")
        batch, longest = len(lengths), int(lengths.max())
        rows, places = np.arange(batch), np.arange(longest)
        known = places < lengths[:, None]
        ids = np.zeros((batch, longest), np.intp)
        # Row 0 of the embedding is padding.
        ids[known] = np.concatenate(sources).astype(np.intp) + 1
        starts = longest - lengths
        # For each time and row: which place each direction reads.
        read = (
            np.maximum(places[:, None] - starts, 0),
            np.minimum(longest - 1 - places[:, None], lengths - 1),
        )
        # For each row and place: when it is read.
        times = np.minimum(places + starts[:, None], longest - 1), np.broadcast_to(places[::-1], (batch, longest))
        below: Array | None = None
        total: Array | None = None
        ends: list[tuple[Array, Array]] = []
        for directions in self._layers:
            found = []
            for layer, order in zip(directions, read, strict=True):
                addends = self._first(layer, ids[rows, order]) if below is None else _times(layer, below[rows, order])
                found.append(_run(layer, addends, starts))
            outputs = [each[0][when, rows[:, None]] for each, when in zip(found, times, strict=True)]
            below = np.concatenate(outputs, axis=-1)
            below[~known] = 0.0
            total = below if total is None or not self._skip else total + below
            ends.append(tuple(np.concatenate(both, axis=-1) for both in zip(found[0][1:], found[1][1:], strict=True)))  # type: ignore[arg-type]
        assert total is not None
        chosen = [ends[min(n, len(ends) - 1)] for n in range(self._depth)]
        hidden, cell_state = (np.concatenate(each, axis=-1) for each in zip(*chosen, strict=True))
        mask = np.where(known, np.float32(0.0), np.float32(-np.inf))[:, None]
        return EncodedSources(total, mask, hidden, cell_state)

    def _first(self, layer: Layer, ids: Ids) -> Array:
        return layer.table[ids] if layer.table is not None else _times(layer, self._embedding[ids])


def _times(layer: Layer, x: Array) -> Array:
    """A layer's input products plus the bias, `(time, batch, columns)`."""
    columns = len(layer.bias)
    product: Array = x.reshape(-1, x.shape[-1]) @ layer.inputs.values[:, :columns]
    product += layer.bias
    return product.reshape(*x.shape[:-1], columns)


def _run(layer: Layer, addends: Array, starts: NDArray[Any]) -> tuple[Array, Array, Array]:
    """Runs one layer over time.

    Args:
        layer: the layer.
        addends: `(time, batch, columns)`, its input products plus the bias.
        starts: `(batch,)`, the time from which on each row counts.

    Returns:
        The outputs, `(time, batch, units)`, and the last hidden and cell states, `(batch, units)`.
    """
    time, batch, _ = addends.shape
    output, outputs = np.zeros((batch, layer.units), np.float32), np.empty((time, batch, layer.units), np.float32)
    cell_state = np.zeros((batch, layer.units if layer.facts.states == 2 else 0), np.float32)
    product = np.empty((batch, layer.recurrent.columns), np.float32)
    cell = layer.cell(layer.facts, Workspace(product, output, cell_state, layer.recurrent_bias, layer.peephole))
    multiply, advance = layer.recurrent.bind(output, product), cell.advance
    begins = {int(start): np.flatnonzero(starts == start) for start in set(starts.tolist()) if start}
    for n, addend in enumerate(addends):
        if n in begins:
            output[begins[n]], cell_state[begins[n]] = 0.0, 0.0
        multiply()
        advance(addend)
        outputs[n] = output
    return outputs, output, cell_state

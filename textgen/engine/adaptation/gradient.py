"""Computes a network's log-probabilities over a segment of text, and their gradient with respect to every weight.

`Network.read` is the forward pass, `backward` and `gradient` are the backward pass; each weight array's gradient is one
matrix product over all steps of the segment.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

from textgen.engine.adaptation.parameters import Array, LayerParameters, Parameters
from textgen.engine.cells import CELLS, History, Workspace
from textgen.engine.columns import Columns
from textgen.engine.threads import side_by_side

Ids = NDArray[np.integer[Any]]
State = list[tuple[Array, Array]]

_SHARED = 2**23
"""Multiplications for a gradient from which on several threads make its products."""


@dataclass(frozen=True, eq=False)
class Segment:
    """The activations of a segment of text that the gradient needs; made by `Network.read`.

    Args:
        inputs: `(time, batch)`, the ids that were read.
        logprobs: `(time, batch)` float64, the log-probability of each id that followed.
        d_logits: `(time, batch, vocab)`, the gradient of the summed negative log-probability with respect to the
            logits.
        head_input: `(time, batch, units)`.
        layer_inputs: for each layer `(time, batch, width)`.
        histories: for each layer its states and gates over time.
    """

    inputs: Ids
    logprobs: NDArray[np.float64]
    d_logits: Array
    head_input: Array
    layer_inputs: list[Array]
    histories: list[History]

    @property
    def state(self) -> State:
        """The state after the segment."""
        return [(history.output[-1], history.cell_state[-1]) for history in self.histories]


@dataclass(frozen=True, eq=False)
class Deltas:
    """The gradient of a segment's loss with respect to the embedded ids and to each layer's products.

    Args:
        embedded: `(time, batch, embedding)`.
        layers: for each layer, with respect to the input's and to the recurrent product, each
            `(time, batch, gates, units)`.
    """

    embedded: Array
    layers: list[tuple[Array, Array]]


class Network:
    """A network whose weights may be changed between two segments of text.

    `textgen.engine.Engine` takes the same steps and is faster, but its weights are fixed.

    Args:
        parameters: its weights; each call uses their current values.

    >>> from textgen.config import ModelConfig
    >>> config = ModelConfig(vocab_size=5, layers=2, units=8, embedding=4)
    >>> values = np.random.default_rng(0).normal(size=Parameters.count(config))
    >>> network = Network(Parameters(config, values))
    >>> ids = np.array([3, 1, 4, 1, 0])
    >>> segment = network.read(ids[:-1, None], ids[1:, None], network.initial_state(1))
    >>> segment.logprobs.shape
    (4, 1)
    >>> gradient = network.parameters.like()
    >>> network.gradient(segment, network.backward(segment), gradient)
    >>> gradient.head_bias.shape
    (5,)
    """

    def __init__(self, parameters: Parameters) -> None:
        config = parameters.config
        self.parameters = parameters
        self._facts = config.facts
        self._cell = CELLS[config.cell]
        self._units = config.units
        self._columns = Columns.of(config)
        self._factors = self._columns.factors
        self._skip = config.skip and config.layers > 1

    def initial_state(self, batch: int) -> State:
        """The state of `batch` texts before their first character: zeros."""
        dtype = self.parameters.values.dtype
        width = self._units if self._facts.states == 2 else 0
        return [
            (np.zeros((batch, self._units), dtype), np.zeros((batch, width), dtype)) for _ in self.parameters.layers
        ]

    def read(self, inputs: Ids, targets: Ids, state: State) -> Segment:
        """Advances texts by a segment of characters.

        Args:
            inputs: `(time, batch)`, each below the vocabulary's size.
            targets: `(time, batch)`, the id that follows each.
            state: before the segment; it is not changed.
        """
        parameters = self.parameters
        flow = parameters.embedding[inputs]
        layer_inputs, histories = [], []
        total: Array | None = None
        for layer, (h, c) in zip(parameters.layers, state, strict=True):
            history = self._run(layer, flow, h, c)
            layer_inputs.append(flow)
            histories.append(history)
            flow = history.output[1:]
            total = flow if total is None or not self._skip else total + flow
        head_input = flow if total is None else total
        logits = _product(head_input, parameters.head_kernel)
        logits += parameters.head_bias
        logits -= logits.max(axis=-1, keepdims=True)
        places = targets[..., None].astype(np.intp)
        chosen = np.take_along_axis(logits, places, axis=-1)
        np.exp(logits, logits)
        sums = logits.sum(axis=-1, keepdims=True, dtype=np.float64)
        logprobs = (chosen - np.log(sums))[..., 0]
        logits /= sums.astype(logits.dtype)
        np.put_along_axis(logits, places, np.take_along_axis(logits, places, axis=-1) - 1, axis=-1)
        return Segment(inputs, logprobs, logits, head_input, layer_inputs, histories)

    def backward(self, segment: Segment) -> Deltas:
        """Backpropagates the summed negative log-probability of a segment.

        The gradient does not flow into the state before the segment (truncated backpropagation through time). The
        weights must be those that `read` used.
        """
        parameters = self.parameters
        d_head = _product(segment.d_logits, parameters.head_kernel.T)
        deltas: list[tuple[Array, Array]] = []
        d_flow = d_head
        for n in reversed(range(len(parameters.layers))):
            layer = parameters.layers[n]
            peephole = layer.kernel[:0] if layer.peephole is None else layer.peephole
            d_projected, d_inner = self._cell.backward(segment.histories[n], layer.recurrent_kernel, peephole, d_flow)
            deltas.append((d_projected, d_inner))
            d_flow = _product(_flat(d_projected), layer.kernel.T)
            if self._skip and n > 0:
                d_flow += d_head
        return Deltas(d_flow, deltas[::-1])

    def gradient(self, segment: Segment, deltas: Deltas, out: Parameters, *, text: int = 0) -> None:
        """Writes the gradient of one text's summed negative log-probability with respect to every weight.

        Args:
            segment: what `read` returned.
            deltas: what `backward` returned for it.
            out: where to write it.
            text: the index of the text in the batch.
        """
        out.embedding[...] = 0
        np.add.at(out.embedding, segment.inputs[:, text], deltas.embedded[:, text])
        products: list[Callable[[], Array]] = []
        for n, layer in enumerate(out.layers):
            d_projected, d_inner = (_flat(delta)[:, text] for delta in deltas.layers[n])
            history = segment.histories[n]
            products.append(partial(np.matmul, segment.layer_inputs[n][:, text].T, d_projected, layer.kernel))
            products.append(partial(np.matmul, history.output[:-1, text].T, d_inner, layer.recurrent_kernel))
            if layer.bias.ndim == 2:
                np.sum(d_projected, 0, out=layer.bias[0])
                np.sum(d_inner, 0, out=layer.bias[1])
            else:
                np.sum(d_projected, 0, out=layer.bias)
            if layer.peephole is not None:
                d_products = deltas.layers[n][0][:, text]
                layer.peephole[...] = self._cell.peephole_gradient(d_products, history.cell_state[:, text])
        d_logits = segment.d_logits[:, text]
        products.append(partial(np.matmul, segment.head_input[:, text].T, d_logits, out.head_kernel))
        np.sum(d_logits, 0, out=out.head_bias)
        if len(d_logits) * out.values.size < _SHARED:
            for product in products:
                product()
        else:
            side_by_side(products)

    def _run(self, layer: LayerParameters, inputs: Array, h: Array, c: Array) -> History:
        """Runs one layer over a segment, from the state `(h, c)`."""
        bias, recurrent_bias = self._columns.biases(layer.bias)
        peephole = self._columns.peepholes(layer.peephole)
        addends = _product(inputs, layer.kernel)
        addends *= self._factors
        addends += bias
        time = len(addends)
        gates, kept = np.empty_like(addends), np.empty((time, *h.shape), h.dtype)
        output, cell_state = np.empty((time + 1, *h.shape), h.dtype), np.empty((time + 1, *c.shape), c.dtype)
        output[0], cell_state[0] = h, c
        for t, (product, addend) in enumerate(zip(gates, addends, strict=True)):
            np.matmul(output[t], layer.recurrent_kernel, product)
            np.multiply(product, self._factors, product)
            workspace = Workspace(
                product, output[t], cell_state[t], recurrent_bias, peephole, output[t + 1], cell_state[t + 1], kept[t]
            )
            self._cell(self._facts, workspace).advance(addend)
        return History(gates, output, cell_state, kept)


def _product(x: Array, weights: Array) -> Array:
    """`x @ weights` for `(time, batch, width)`, as one matrix product."""
    product: Array = np.matmul(x.reshape(-1, x.shape[-1]), weights)
    return product.reshape(*x.shape[:-1], weights.shape[1])


def _flat(delta: Array) -> Array:
    """`(time, batch, gates, units)` as `(time, batch, gates * units)`."""
    return delta.reshape(*delta.shape[:2], -1)

"""The whole network's log-probabilities over a stretch of text, and their gradient by every weight, in NumPy.

Goes in: parameters, ids, a state. Comes out: log-probabilities and the next state; then, asked for it, gradients. Each
weight's gradient is one product over all steps of the stretch. The module knows no rule by which to learn.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from textgen.engine.adaptation.cells import CELLS, Trace
from textgen.engine.adaptation.parameters import Array, Parameters

Ids = NDArray[np.integer[Any]]
State = list[tuple[Array, Array]]


@dataclass(frozen=True, eq=False)
class Stretch:
    """What `Network.read` keeps of a stretch of text for the gradient.

    Args:
        inputs: `(time, batch)`, the ids that were read.
        logprobs: `(time, batch)` float64, the log-probability of each id that followed.
        d_logits: `(time, batch, vocab)`, the gradient of the summed negative log-probability by the logits.
        head_input: `(time, batch, units)`.
        layer_inputs: for each layer `(time, batch, width)`.
        traces: for each layer its states and gates.
    """

    inputs: Ids
    logprobs: NDArray[np.float64]
    d_logits: Array
    head_input: Array
    layer_inputs: list[Array]
    traces: list[Trace]

    @property
    def state(self) -> State:
        """The state after the stretch."""
        return [(trace.hidden[-1], trace.memory[-1]) for trace in self.traces]


@dataclass(frozen=True, eq=False)
class Deltas:
    """The gradient of a stretch's loss by what each product of weights came to.

    Args:
        embedded: `(time, batch, embedding)`.
        layers: for each layer, by the input's and by the state's product, each `(time, batch, gates, units)`.
    """

    embedded: Array
    layers: list[tuple[Array, Array]]


class Network:
    """A network whose weights may be changed between two stretches of text.

    The same mathematics as `textgen.engine.Engine`, which is quicker where weights never change.

    Args:
        parameters: its weights; what they hold at the time of a call counts.

    >>> from textgen.config import ModelConfig
    >>> config = ModelConfig(vocab_size=5, layers=2, units=8, embedding=4)
    >>> values = np.random.default_rng(0).normal(size=Parameters.count(config))
    >>> network = Network(Parameters(config, values))
    >>> ids = np.array([3, 1, 4, 1, 0])
    >>> stretch = network.read(ids[:-1, None], ids[1:, None], network.initial_state(1))
    >>> stretch.logprobs.shape
    (4, 1)
    >>> gradient = network.parameters.like()
    >>> network.gradient(stretch, network.backward(stretch), gradient)
    >>> gradient.head_bias.shape
    (5,)
    """

    def __init__(self, parameters: Parameters) -> None:
        config = parameters.config
        self.parameters = parameters
        self._cell = CELLS[config.cell]
        self._units = config.units
        self._skip = config.skip and config.layers > 1

    def initial_state(self, batch: int) -> State:
        """The state of `batch` texts before their first character: zeros."""
        dtype = self.parameters.values.dtype
        width = self._units if self._cell.remembers else 0
        return [
            (np.zeros((batch, self._units), dtype), np.zeros((batch, width), dtype)) for _ in self.parameters.layers
        ]

    def read(self, inputs: Ids, targets: Ids, state: State) -> Stretch:
        """Moves texts on by a stretch of characters.

        Args:
            inputs: `(time, batch)`, each below the vocabulary's size.
            targets: `(time, batch)`, the id that follows each.
            state: before the stretch; it is left as it is.
        """
        parameters = self.parameters
        flow = parameters.embedding[inputs]
        layer_inputs, traces = [], []
        total: Array | None = None
        for layer, (h, c) in zip(parameters.layers, state, strict=True):
            projected = _product(flow, layer.kernel)
            projected += layer.bias[0] if self._cell.resets else layer.bias
            trace = self._trace(projected, h, c)
            self._cell.forward(layer, trace)
            layer_inputs.append(flow)
            traces.append(trace)
            flow = trace.hidden[1:]
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
        return Stretch(inputs, logprobs, logits, head_input, layer_inputs, traces)

    def backward(self, stretch: Stretch) -> Deltas:
        """The way back through a stretch, for its summed negative log-probability.

        The state before the stretch is taken as given: the gradient reaches no further back (truncated
        backpropagation through time). The weights must be those that `read` saw.
        """
        parameters = self.parameters
        d_head = _product(stretch.d_logits, parameters.head_kernel.T)
        deltas: list[tuple[Array, Array]] = []
        d_flow = d_head
        for n in reversed(range(len(parameters.layers))):
            layer = parameters.layers[n]
            d_projected, d_inner = self._cell.backward(layer, stretch.traces[n], d_flow)
            deltas.append((d_projected, d_inner))
            d_flow = _product(_flat(d_projected), layer.kernel.T)
            if self._skip and n > 0:
                d_flow += d_head
        return Deltas(d_flow, deltas[::-1])

    def gradient(self, stretch: Stretch, deltas: Deltas, out: Parameters, *, text: int = 0) -> None:
        """Writes the gradient of one text's summed negative log-probability by every weight.

        Args:
            stretch: what `read` returned.
            deltas: what `backward` returned for it.
            out: where to write.
            text: which text of the batch.
        """
        out.embedding[...] = 0
        np.add.at(out.embedding, stretch.inputs[:, text], deltas.embedded[:, text])
        for n, layer in enumerate(out.layers):
            d_projected, d_inner = (_flat(delta)[:, text] for delta in deltas.layers[n])
            trace = stretch.traces[n]
            np.matmul(stretch.layer_inputs[n][:, text].T, d_projected, layer.kernel)
            np.matmul(trace.hidden[:-1, text].T, d_inner, layer.recurrent_kernel)
            if self._cell.resets:
                np.sum(d_projected, 0, out=layer.bias[0])
                np.sum(d_inner, 0, out=layer.bias[1])
            else:
                np.sum(d_projected, 0, out=layer.bias)
            if layer.peephole is not None:
                d = deltas.layers[n][0][:, text]
                memory = trace.memory[:, text]
                np.einsum("tgu,tu->gu", d[:, :2], memory[:-1], out=layer.peephole[:2])
                np.einsum("tu,tu->u", d[:, 3], memory[1:], out=layer.peephole[2])
        d_logits = stretch.d_logits[:, text]
        np.matmul(stretch.head_input[:, text].T, d_logits, out.head_kernel)
        np.sum(d_logits, 0, out=out.head_bias)

    def _trace(self, projected: Array, h: Array, c: Array) -> Trace:
        time, batch, _ = projected.shape
        hidden = np.empty((time + 1, *h.shape), projected.dtype)
        memory = np.empty((time + 1, *c.shape), projected.dtype)
        hidden[0], memory[0] = h, c
        inner = np.empty((time, batch, self._units if self._cell.resets else 0), projected.dtype)
        return Trace(projected.reshape(time, batch, self._cell.gates, self._units), hidden, memory, inner)


def _product(x: Array, weights: Array) -> Array:
    """`x @ weights` for `(time, batch, width)`, as one product of matrices."""
    product: Array = np.matmul(x.reshape(-1, x.shape[-1]), weights)
    return product.reshape(*x.shape[:-1], weights.shape[1])


def _flat(delta: Array) -> Array:
    """`(time, batch, gates, units)` as `(time, batch, gates * units)`."""
    return delta.reshape(*delta.shape[:2], -1)

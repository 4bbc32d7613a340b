"""Writes a model as ONNX, for onnxruntime, on servers and in browsers, and the other runtimes that read it.

The graph takes ids and states, and gives logits and states:

    ids              (batch, time) int64: a character of each text for a step, or whole segments
    labels           (batch, labels) float32: the weight of each label; only of a model with labels
    h, c             (layers, batch, units) float32: hidden states and, of an LSTM, cell states; zeros at first
    logits           (batch, time, vocab) float32
    next_h, next_c   as h and c, after the last character

It is written node by node, without a converter. A tied gate has rows of its own: several runtimes ignore ONNX's
attribute `input_forget`, and then compute something else.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from textgen.config import ModelConfig, cell_name
from textgen.config.cells import CellFacts
from textgen.corpus.context import context_ids
from textgen.errors import ConfigError, TextgenError
from textgen.model.read import Checkpoint
from textgen.model.weights import LayerWeights, ModelWeights
from textgen.system.versions import VERSION

if TYPE_CHECKING:
    from onnx import NodeProto, TensorProto, ValueInfoProto

    from textgen.exporting.formats import Export

Array = NDArray[np.float32]
Shape = tuple[int | str, ...]
"""Sizes; those that are not fixed have names."""

FORMAT = 1
"""The version of the inputs, outputs and metadata."""

OPSET, IR_VERSION = 17, 8
"""Those of 2022: new enough for every operator here, old enough for the runtimes in use."""

_LARGEST = 2**31 - 2**20
"""Bytes of weights that a file of Protocol Buffers, which ends at 2 GiB, has room for."""


@dataclass(frozen=True)
class _Operator:
    """One of ONNX's recurrent operators.

    Args:
        name: its name.
        order: its gates in the order of its rows.
        attributes: those that it needs beside its size.
    """

    name: str
    order: tuple[str, ...]
    attributes: Mapping[str, int]

    @classmethod
    def of(cls, facts: CellFacts) -> _Operator:
        """The operator that computes a cell.

        Raises:
            ConfigError: ONNX has none.
        """
        for each in _OPERATORS:
            # `apart` is what ONNX calls linear_before_reset.
            if set(each.order) == set(facts.gates) and bool(facts.apart) == ("linear_before_reset" in each.attributes):
                return each
        raise ConfigError(f"ONNX has no operator for the {facts.label}. Export this run as keras instead.")


_OPERATORS = (
    _Operator("LSTM", ("input", "output", "forget", "candidate"), {}),
    _Operator("GRU", ("update", "reset", "candidate"), {"linear_before_reset": 1}),
    _Operator("RNN", ("candidate",), {}),
)


def onnx_bytes(checkpoint: Checkpoint, export: Export) -> bytes:
    """The model as the bytes of an `.onnx` file.

    Args:
        checkpoint: the model.
        export: the run's name.

    Raises:
        TextgenError: onnx is not installed.
        ConfigError: ONNX has no operator for the cell, or the weights are too many for one file.
    """
    try:
        from onnx import TensorProto, helper
    except ModuleNotFoundError as error:
        if (error.name or "").split(".")[0] != "onnx":
            raise
        raise TextgenError("ONNX needs onnx, which is not installed here: pip install 'textgen-chars[onnx]'") from error
    # Of a model of both sides the forward stack, which writes.
    config = checkpoint.model.forwards
    operator = _Operator.of(config.facts)
    if 4 * config.stored > _LARGEST:
        raise ConfigError(
            f"One .onnx file holds at most 2 GB, and this model has {4 * config.stored / 1e9:.1f} GB of weights. "
            "Export it as keras instead."
        )
    names = _states(config)
    state: dict[str, Shape] = dict.fromkeys(names, (config.layers, "batch", config.units))
    labels: dict[str, Shape] = {"labels": ("batch", config.labels)} if config.labels else {}
    ids, logits = ("batch", "time"), ("batch", "time", config.vocab_size)
    network = _network(config, checkpoint.weights.forwards, operator, checkpoint.tokenizer.end_id)
    graph = helper.make_graph(
        network.nodes,
        "textgen",
        _values({"ids": ids, **labels, **state}, ids=TensorProto.INT64),
        _values({"logits": logits, **{f"next_{name}": shape for name, shape in state.items()}}),
        network.constants,
    )
    model = helper.make_model(
        graph,
        producer_name="textgen",
        producer_version=VERSION,
        opset_imports=[helper.make_opsetid("", OPSET)],
        ir_version=IR_VERSION,
        doc_string=f"A character-level language model ({cell_name(config.cell)}).",
    )
    helper.set_model_props(model, {key: json.dumps(value) for key, value in description(checkpoint, export).items()})
    return bytes(model.SerializeToString())


def description(checkpoint: Checkpoint, export: Export) -> dict[str, Any]:
    """The model's metadata, as JSON values; see docs/export.md."""
    tokenizer, config, corpus = checkpoint.tokenizer, checkpoint.model, checkpoint.metadata.corpus
    reading = corpus.config
    (start,) = context_ids(tokenizer, np.empty(0, tokenizer.dtype)).tolist()
    return {
        "format": FORMAT,
        "textgen": VERSION,
        "run": export.name,
        "characters": list(tokenizer.characters),
        "unknown_id": tokenizer.unknown_id,
        "end_id": tokenizer.end_id,
        "start_id": start,
        "normalize": reading.normalize,
        "keep_newlines": reading.keep_newlines,
        "labels": list(corpus.labels),
        "most_labels": None if corpus.records is None or not corpus.labels else corpus.records.most_labels or 1,
        "cell": config.cell,
        "layers": config.layers,
        "units": config.units,
        "states": _states(config),
        "val_loss": checkpoint.metadata.metrics.reported_loss,
    }


def _states(config: ModelConfig) -> list[str]:
    return ["h", "c"][: config.facts.states]


class _Nodes:
    """The nodes and constants of a graph, in the order in which they are written."""

    def __init__(self) -> None:
        self.nodes: list[NodeProto] = []
        self.constants: list[TensorProto] = []

    def node(self, operator: str, inputs: Sequence[str], *outputs: str, **attributes: Any) -> str:
        """Adds a node, and returns the name of its first output, which is the node's, too."""
        from onnx import helper

        self.nodes.append(helper.make_node(operator, inputs, outputs, name=outputs[0], **attributes))
        return outputs[0]

    def constant(self, name: str, value: Any, dtype: type = np.float32) -> str:
        """Adds an array, and returns its name."""
        from onnx import numpy_helper

        self.constants.append(
            numpy_helper.from_array(np.ascontiguousarray(value, dtype).reshape(np.shape(value)), name)
        )
        return name


def _network(config: ModelConfig, weights: ModelWeights, operator: _Operator, end_id: int | None) -> _Nodes:
    """The nodes from the ids to the logits."""
    graph, names = _Nodes(), _states(config)
    states = [_of_layers(graph, config, each) for each in _kept(graph, names, end_id)]
    graph.constant("direction", [1], np.int64)
    x, outputs, after = _embedded(graph, weights), [], []
    for n, layer in enumerate(weights.layers, 1):
        arrays = {name: graph.constant(f"{name}_{n}", value) for name, value in _rows(config, layer, operator).items()}
        given = [x, arrays["W"], arrays["R"], arrays["B"], "", *(each[n - 1] for each in states)]
        given += [arrays["P"]] if "P" in arrays else []
        left = [f"{name}_{n}_after" for name in names]
        over_time = graph.node(operator.name, given, f"Y_{n}", *left, hidden_size=config.units, **operator.attributes)
        x = graph.node("Squeeze", [over_time, "direction"], f"output_{n}")
        outputs.append(x)
        after.append(left)
    for name, parts in zip(names, zip(*after, strict=True), strict=True):
        graph.node("Concat", parts, f"next_{name}", axis=0)
    if config.skip:
        x = graph.node("Sum", outputs, "summed")
    by_text = graph.node("Transpose", [x], "by_text", perm=[1, 0, 2])
    scores = graph.node("MatMul", [by_text, graph.constant("head_kernel", weights.head_kernel)], "scores")
    graph.node("Add", [scores, graph.constant("head_bias", weights.head_bias)], "logits")
    return graph


def _kept(graph: _Nodes, names: Sequence[str], end_id: int | None) -> list[str]:
    """The states before the first character: those given, but zero in texts that begin with a record's end."""
    if end_id is None:
        return list(names)
    first = graph.node("Gather", ["ids", graph.constant("start", 0, np.int64)], "first_ids", axis=1)
    ends = graph.node("Equal", [first, graph.constant("end_id", end_id, np.int64)], "is_end")
    anew = graph.node("Unsqueeze", [ends, graph.constant("state_axes", [0, 2], np.int64)], "begins_anew")
    zero = graph.constant("zero", 0.0)
    return [graph.node("Where", [anew, zero, name], f"{name}_before") for name in names]


def _of_layers(graph: _Nodes, config: ModelConfig, state: str) -> list[str]:
    """The parts of a state, one for each layer, `(1, batch, units)`."""
    parts = [f"{state}_{n}" for n in range(1, config.layers + 1)]
    graph.node("Split", [state], *parts, axis=0)
    return parts


def _embedded(graph: _Nodes, weights: ModelWeights) -> str:
    """The embedding of each id, plus that of its text's labels, `(time, batch, embedding)`."""
    x = graph.node("Gather", [graph.constant("embedding", weights.embedding), "ids"], "embedded")
    if weights.label_embedding is not None:
        table = graph.constant("label_embedding", weights.label_embedding)
        label = graph.node("MatMul", ["labels", table], "label")
        always = graph.node("Unsqueeze", [label, graph.constant("time_axis", [1], np.int64)], "label_at_each_time")
        x = graph.node("Add", [x, always], "conditioned")
    return graph.node("Transpose", [x], "by_time", perm=[1, 0, 2])


def _rows(config: ModelConfig, weights: LayerWeights, operator: _Operator) -> dict[str, Array]:
    """A layer's weights by ONNX's names: W, R, B and, with peepholes, P, their gates in the operator's order."""
    facts = config.facts

    def ordered(array: Array) -> Array:
        blocks = dict(zip(facts.gates, np.split(array, len(facts.gates), axis=-1), strict=True))
        return np.concatenate([blocks[gate] for gate in operator.order], axis=-1)

    # ONNX has a second bias, of the recurrent product, which only a cell with `apart` gates needs.
    biases = weights.bias if weights.bias.ndim == 2 else np.stack([weights.bias, np.zeros_like(weights.bias)])
    arrays = {
        "W": ordered(weights.kernel).T[None],
        "R": ordered(weights.recurrent_kernel).T[None],
        "B": ordered(biases).reshape(1, -1),
    }
    if weights.peephole is not None:
        by_gate = dict(zip(facts.peepholes, weights.peephole, strict=True))
        arrays["P"] = np.concatenate([by_gate[gate] for gate in operator.order if gate in by_gate])[None]
    return arrays


def _values(shapes: Mapping[str, Shape], **types: int) -> list[ValueInfoProto]:
    """The descriptions of inputs or outputs, float32 unless told."""
    from onnx import TensorProto, helper

    return [
        helper.make_tensor_value_info(name, types.get(name, TensorProto.FLOAT), shape) for name, shape in shapes.items()
    ]

"""Writes a model as ONNX, for onnxruntime, on servers and in browsers, and the other runtimes that read it.

The graph takes ids and states, and gives logits and states:

    ids              (batch, time) int64: a character of each text for a step, or whole segments
    labels           (batch, labels) float32: the weight of each label; only of a model with labels
    h, c             (layers, batch, units) float32: hidden states and, of an LSTM, cell states; zeros at first
    logits           (batch, time, vocab) float32
    next_h, next_c   as h and c, after the last character

`onnx_pairs` writes the models that turn one text into another.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from textgen.config import ModelConfig, cell_name
from textgen.corpus.context import context_ids
from textgen.exporting.onnx_graph import (
    FORMAT,
    Nodes,
    Operator,
    Shape,
    check_onnx,
    model_bytes,
    rows,
    state_names,
    values,
)
from textgen.exporting.onnx_pairs import pair_bytes
from textgen.model.read import Checkpoint, PairCheckpoint
from textgen.model.weights import ModelWeights
from textgen.system.versions import VERSION

if TYPE_CHECKING:
    from textgen.exporting.formats import Export


def onnx_bytes(checkpoint: Checkpoint | PairCheckpoint, export: Export) -> bytes:
    """The model as the bytes of an `.onnx` file.

    Args:
        checkpoint: the model.
        export: the run's name.

    Raises:
        TextgenError: onnx is not installed.
        ConfigError: ONNX has no operator for the cell, or the weights are too many for one file.
    """
    if isinstance(checkpoint, PairCheckpoint):
        return pair_bytes(checkpoint, export)
    # Of a model of both sides the forward stack, which writes.
    config = checkpoint.model.forwards
    check_onnx(config)
    from onnx import TensorProto

    operator = Operator.of(config.facts)
    names = state_names(config)
    state: dict[str, Shape] = dict.fromkeys(names, (config.layers, "batch", config.units))
    labels: dict[str, Shape] = {"labels": ("batch", config.labels)} if config.labels else {}
    ids, logits = ("batch", "time"), ("batch", "time", config.vocab_size)
    network = _network(config, checkpoint.weights.forwards, operator, checkpoint.tokenizer.end_id)
    return model_bytes(
        network,
        values({"ids": ids, **labels, **state}, ids=TensorProto.INT64),
        values({"logits": logits, **{f"next_{name}": shape for name, shape in state.items()}}),
        what=f"A character-level language model ({cell_name(config.cell)}).",
        description=description(checkpoint, export),
    )


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
        "states": state_names(config),
        "val_loss": checkpoint.metadata.metrics.reported_loss,
    }


def _network(config: ModelConfig, weights: ModelWeights, operator: Operator, end_id: int | None) -> Nodes:
    """The nodes from the ids to the logits."""
    graph, names = Nodes(), state_names(config)
    states = [_of_layers(graph, config, each) for each in _kept(graph, names, end_id)]
    graph.constant("direction", [1], np.int64)
    x, outputs, after = _embedded(graph, weights), [], []
    for n, layer in enumerate(weights.layers, 1):
        arrays = {name: graph.constant(f"{name}_{n}", value) for name, value in rows(config, layer, operator).items()}
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


def _kept(graph: Nodes, names: Sequence[str], end_id: int | None) -> list[str]:
    """The states before the first character: those given, but zero in texts that begin with a record's end."""
    if end_id is None:
        return list(names)
    first = graph.node("Gather", ["ids", graph.constant("start", 0, np.int64)], "first_ids", axis=1)
    ends = graph.node("Equal", [first, graph.constant("end_id", end_id, np.int64)], "is_end")
    anew = graph.node("Unsqueeze", [ends, graph.constant("state_axes", [0, 2], np.int64)], "begins_anew")
    zero = graph.constant("zero", 0.0)
    return [graph.node("Where", [anew, zero, name], f"{name}_before") for name in names]


def _of_layers(graph: Nodes, config: ModelConfig, state: str) -> list[str]:
    """The parts of a state, one for each layer, `(1, batch, units)`."""
    parts = [f"{state}_{n}" for n in range(1, config.layers + 1)]
    graph.node("Split", [state], *parts, axis=0)
    return parts


def _embedded(graph: Nodes, weights: ModelWeights) -> str:
    """The embedding of each id, plus that of its text's labels, `(time, batch, embedding)`."""
    x = graph.node("Gather", [graph.constant("embedding", weights.embedding), "ids"], "embedded")
    if weights.label_embedding is not None:
        table = graph.constant("label_embedding", weights.label_embedding)
        label = graph.node("MatMul", ["labels", table], "label")
        always = graph.node("Unsqueeze", [label, graph.constant("time_axis", [1], np.int64)], "label_at_each_time")
        x = graph.node("Add", [x, always], "conditioned")
    return graph.node("Transpose", [x], "by_time", perm=[1, 0, 2])

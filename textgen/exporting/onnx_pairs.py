"""Writes a model that turns one text into another as ONNX: its encoder, and steps of its decoder with attention.

One graph does both, so that one file and one session are all there is:

    source             (batch, source_time) int64: ids of the source plus 1, its end's last, then 0 for padding
    ids                (batch, time) int64: what the decoder reads: the end of a target first, then what was written
    begin              () bool: true in the first call, which reads the source; false where it is known what it gave
    encoded            (batch, source_time, units) float32: what the call before gave; anything in the first call
    h, c               (layers, batch, units) float32: likewise
    logits             (batch, time, vocab) float32
    attention          (batch, time, source_time) float32: the weight of each id of the source
    next_encoded, next_h, next_c   for the next call
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from textgen.config import ModelConfig, cell_name
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
from textgen.model.pair_weights import PairWeights
from textgen.model.read import PairCheckpoint
from textgen.model.weights import LayerWeights
from textgen.system.versions import VERSION

if TYPE_CHECKING:
    from textgen.exporting.formats import Export

_FAR = -1e9
"""Added to the score of padding, so that its weight is 0."""


def pair_bytes(checkpoint: PairCheckpoint, export: Export) -> bytes:
    """The model as the bytes of an `.onnx` file.

    Args:
        checkpoint: the model.
        export: the run's name.

    Raises:
        TextgenError: onnx is not installed.
        ConfigError: the weights are too many for one file.
    """
    config = checkpoint.model
    check_onnx(config)
    from onnx import TensorProto

    names = state_names(config)
    state: dict[str, Shape] = dict.fromkeys(names, (config.layers, "batch", config.units))
    source, ids = ("batch", "source_time"), ("batch", "time")
    encoded: Shape = (*source, config.units)
    inputs: dict[str, Shape] = {
        "source": source,
        "ids": ids,
        "begin": (),
        # Of any length in the first call.
        "encoded": ("batch", "encoded_time", config.units),
        **state,
    }
    outputs: dict[str, Shape] = {
        "logits": (*ids, config.vocab_size),
        "attention": (*ids, "source_time"),
        "next_encoded": encoded,
        **{f"next_{name}": shape for name, shape in state.items()},
    }
    integers = {"source": TensorProto.INT64, "ids": TensorProto.INT64, "begin": TensorProto.BOOL}
    return model_bytes(
        _network(config, checkpoint.weights),
        values(inputs, **integers),
        values(outputs),
        what=f"A character-level model that turns one text into another ({cell_name(config.cell)}).",
        description=_description(checkpoint, export),
    )


def _description(checkpoint: PairCheckpoint, export: Export) -> dict[str, Any]:
    """The model's metadata, as JSON values; see docs/export.md."""
    config, reading = checkpoint.model, checkpoint.metadata.corpus.config
    source, target = checkpoint.source_tokenizer, checkpoint.tokenizer
    return {
        "format": FORMAT,
        "textgen": VERSION,
        "run": export.name,
        "source_characters": list(source.characters),
        "source_unknown_id": source.unknown_id,
        "source_end_id": source.end_id,
        "characters": list(target.characters),
        "unknown_id": target.unknown_id,
        "end_id": target.end_id,
        "normalize": reading.normalize,
        "keep_newlines": reading.keep_newlines,
        "task": reading.task,
        "cell": config.cell,
        "encoder_layers": config.encoder_layers,
        "layers": config.layers,
        "units": config.units,
        "states": state_names(config),
        "val_loss": checkpoint.metadata.metrics.reported_loss,
    }


def _network(config: ModelConfig, weights: PairWeights) -> Nodes:
    """The nodes from the ids of both sides to the logits."""
    graph, names, operator = Nodes(), state_names(config), Operator.of(config.facts)
    graph.constant("direction", [1], np.int64)
    graph.constant("time_axis", [1], np.int64)
    padding = graph.node("Equal", ["source", graph.constant("padding", 0, np.int64)], "is_padding")
    known = ["read", *(f"{name}_before" for name in names)]
    graph.node(
        "If",
        ["begin"],
        *known,
        then_branch=_encoder(graph, config, weights, operator),
        else_branch=_given(["encoded", *names]),
    )
    embedded = graph.node("Gather", [graph.constant("embedding", weights.embedding), "ids"], "embedded")
    x, outputs, after = graph.node("Transpose", [embedded], "by_time", perm=[1, 0, 2]), [], []
    states = [[f"{name}_before_{n}" for n in range(1, config.layers + 1)] for name in names]
    for name, parts in zip(names, states, strict=True):
        graph.node("Split", [f"{name}_before"], *parts, axis=0)
    for n, layer in enumerate(weights.layers, 1):
        given = [x, *_constants(graph, f"decoder_{n}", config, layer, operator), "", *(each[n - 1] for each in states)]
        left = [f"{name}_{n}_after" for name in names]
        over_time = graph.node(operator.name, given, f"Y_{n}", *left, hidden_size=config.units, **operator.attributes)
        x = graph.node("Squeeze", [over_time, "direction"], f"output_{n}")
        outputs.append(x)
        after.append(left)
    for name, kept in zip(names, zip(*after, strict=True), strict=True):
        graph.node("Concat", kept, f"next_{name}", axis=0)
    written = graph.node("Transpose", [_summed(graph, config, outputs, "written_by_time")], "written", perm=[1, 0, 2])
    _attend(graph, weights, written, padding)
    graph.node("Identity", ["read"], "next_encoded")
    return graph


def _attend(graph: Nodes, weights: PairWeights, written: str, padding: str) -> None:
    """The attention over what was read, and the logits; (s K^T) m spares the keys m K."""
    queries = graph.node("MatMul", [written, graph.constant("keys", weights.keys_kernel.T)], "queries")
    over = graph.node("Transpose", ["read"], "read_by_unit", perm=[0, 2, 1])
    scores = graph.node("MatMul", [queries, over], "all_scores")
    far = graph.node("Where", [padding, graph.constant("far", _FAR), graph.constant("zero", 0.0)], "far_in_padding")
    far = graph.node("Unsqueeze", [far, "time_axis"], "far_at_each_time")
    attention = graph.node("Softmax", [graph.node("Add", [scores, far], "scores")], "attention", axis=-1)
    context = graph.node("MatMul", [attention, "read"], "context")
    joined = graph.node("Concat", [context, written], "joined", axis=-1)
    attended = graph.node("MatMul", [joined, graph.constant("attended_kernel", weights.attended_kernel)], "product")
    attended = graph.node("Tanh", [attended], "attended")
    scores = graph.node("MatMul", [attended, graph.constant("head_kernel", weights.head_kernel)], "head")
    graph.node("Add", [scores, graph.constant("head_bias", weights.head_bias)], "logits")


def _encoder(outer: Nodes, config: ModelConfig, weights: PairWeights, operator: Operator) -> Any:
    """The branch that reads the source. Its constants are the outer graph's, as not all runtimes read others."""
    from onnx import TensorProto, helper

    graph, names = Nodes(), state_names(config)
    there = graph.node("Not", ["is_padding"], "is_there")
    there = graph.node("Cast", [there], "counted", to=TensorProto.INT64)
    lengths = graph.node("ReduceSum", [there, "time_axis"], "lengths", keepdims=0)
    short = graph.node("Cast", [lengths], "lengths_32", to=TensorProto.INT32)
    table = outer.constant("source_embedding", weights.source_embedding)
    embedded = graph.node("Gather", [table, "source"], "source_embedded")
    x, outputs, ends = graph.node("Transpose", [embedded], "source_by_time", perm=[1, 0, 2]), [], []
    for n, directions in enumerate(weights.encoder, 1):
        found, end = [], []
        for layer, direction in zip(directions, ("forwards", "backwards"), strict=True):
            name, back = f"encoder_{n}_{direction}", direction == "backwards"
            read = graph.node("ReverseSequence", [x, lengths], f"{name}_input") if back else x
            left = [f"{name}_{state}" for state in names]
            given = [read, *_constants(outer, name, config, layer, operator), short]
            over_time = graph.node(
                operator.name, given, f"{name}_Y", *left, hidden_size=config.units // 2, **operator.attributes
            )
            y = graph.node("Squeeze", [over_time, "direction"], f"{name}_output")
            found.append(graph.node("ReverseSequence", [y, lengths], f"{name}_in_order") if back else y)
            end.append(left)
        x = graph.node("Concat", found, f"encoder_{n}_output", axis=-1)
        outputs.append(x)
        both = zip(*end, strict=True)
        ends.append([graph.node("Concat", each, f"end_{n}_{s}", axis=-1) for s, each in zip(names, both, strict=True)])
    summed = _summed(graph, config, outputs, "read_by_time")
    made = [graph.node("Transpose", [summed], "read_now", perm=[1, 0, 2])]
    chosen = [ends[min(n, len(ends) - 1)] for n in range(config.layers)]
    for name, parts in zip(names, zip(*chosen, strict=True), strict=True):
        made.append(graph.node("Concat", parts, f"{name}_of_source", axis=0))
    return helper.make_graph(graph.nodes, "reads", [], values(dict.fromkeys(made)))


def _given(names: Sequence[str]) -> Any:
    """The branch that goes on with what a call before has read."""
    from onnx import helper

    graph = Nodes()
    made = [graph.node("Identity", [name], f"{name}_given") for name in names]
    return helper.make_graph(graph.nodes, "goes_on", [], values(dict.fromkeys(made)))


def _constants(graph: Nodes, name: str, config: ModelConfig, layer: LayerWeights, operator: Operator) -> list[str]:
    """A layer's weights as inputs of its operator."""
    return [graph.constant(f"{name}_{key}", value) for key, value in rows(config, layer, operator).items()]


def _summed(graph: Nodes, config: ModelConfig, outputs: Sequence[str], name: str) -> str:
    return graph.node("Sum", outputs, name) if config.skip and len(outputs) > 1 else outputs[-1]

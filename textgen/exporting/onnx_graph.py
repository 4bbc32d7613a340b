"""What the ONNX models of all kinds are written with: nodes and constants, recurrent operators, the file around them.

A graph is written node by node, without a converter. A tied gate has rows of its own: several runtimes ignore ONNX's
attribute `input_forget`, and then compute something else.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from textgen.config import ModelConfig
from textgen.config.cells import CellFacts
from textgen.errors import ConfigError, TextgenError
from textgen.model.weights import LayerWeights
from textgen.system.versions import VERSION

if TYPE_CHECKING:
    from onnx import NodeProto, TensorProto, ValueInfoProto

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
class Operator:
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
    def of(cls, facts: CellFacts) -> Operator:
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
    Operator("LSTM", ("input", "output", "forget", "candidate"), {}),
    Operator("GRU", ("update", "reset", "candidate"), {"linear_before_reset": 1}),
    Operator("RNN", ("candidate",), {}),
)


def check_onnx(config: ModelConfig) -> None:
    """Checks that a model can be written.

    Raises:
        TextgenError: onnx is not installed.
        ConfigError: the weights are too many for one file.
    """
    try:
        import onnx  # noqa: F401
    except ModuleNotFoundError as error:
        if (error.name or "").split(".")[0] != "onnx":
            raise
        raise TextgenError("ONNX needs onnx, which is not installed here: pip install 'textgen-chars[onnx]'") from error
    if 4 * config.stored > _LARGEST:
        raise ConfigError(
            f"One .onnx file holds at most 2 GB, and this model has {4 * config.stored / 1e9:.1f} GB of weights. "
            "Export it as keras instead."
        )


class Nodes:
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


def state_names(config: ModelConfig) -> list[str]:
    """The states of a layer: h, and of an LSTM c."""
    return ["h", "c"][: config.facts.states]


def rows(config: ModelConfig, weights: LayerWeights, operator: Operator) -> dict[str, Array]:
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


def values(shapes: Mapping[str, Shape] | Mapping[str, None], **types: int) -> list[ValueInfoProto]:
    """The descriptions of inputs or outputs, float32 unless told; a shape that follows from the nodes may be None."""
    from onnx import TensorProto, helper

    return [
        helper.make_tensor_value_info(name, types.get(name, TensorProto.FLOAT), shape) for name, shape in shapes.items()
    ]


def model_bytes(
    network: Nodes,
    inputs: Sequence[ValueInfoProto],
    outputs: Sequence[ValueInfoProto],
    *,
    what: str,
    description: Mapping[str, Any],
) -> bytes:
    """The bytes of an `.onnx` file.

    Args:
        network: its nodes and constants.
        inputs: their descriptions.
        outputs: likewise.
        what: what the model is, in a phrase.
        description: its metadata, as JSON values.
    """
    from onnx import helper

    graph = helper.make_graph(network.nodes, "textgen", inputs, outputs, network.constants)
    model = helper.make_model(
        graph,
        producer_name="textgen",
        producer_version=VERSION,
        opset_imports=[helper.make_opsetid("", OPSET)],
        ir_version=IR_VERSION,
        doc_string=what,
    )
    helper.set_model_props(model, {key: json.dumps(value) for key, value in description.items()})
    return bytes(model.SerializeToString())

"""A model's weights as named NumPy arrays, in Keras's layout and gate order."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Self

import numpy as np
from numpy.typing import NDArray

from textgen.config import ModelConfig
from textgen.config.cells import FACTS
from textgen.errors import ConfigError

Array = NDArray[np.float32]

BACKWARD = "backward_"
"""What the names of the backward stack's layers begin with."""

_JOINT = 8
"""Arrays of the joint head."""


def is_recurrent(name: str) -> bool:
    """Whether an array is one of a recurrent layer, by its name in `ModelWeights.shapes` or `PairWeights.shapes`.

    >>> [is_recurrent(name) for name in ("recurrent_1/bias", "backward_recurrent_2/kernel", "head/kernel")]
    [True, True, False]
    >>> is_recurrent("encoder_1/forward/bias")
    True
    """
    return name.removeprefix(BACKWARD).startswith(("recurrent_", "encoder_"))


@dataclass(frozen=True, eq=False)
class LayerWeights:
    """One recurrent layer's weights, float32.

    Args:
        kernel: `(inputs, gates * units)`, from the layer below.
        recurrent_kernel: `(units, gates * units)`, from the layer's own previous output.
        bias: `(gates * units,)`; for a GRU `(2, 3 * units)`, the input bias and the recurrent bias.
        peephole: `(peepholes, units)`, from the cell state to the gates; None without peepholes.
    """

    kernel: Array
    recurrent_kernel: Array
    bias: Array
    peephole: Array | None = None

    def arrays(self) -> list[Array]:
        """The arrays in the order of `ModelWeights.shapes`."""
        peephole = [] if self.peephole is None else [self.peephole]
        return [self.kernel, self.recurrent_kernel, self.bias, *peephole]


@dataclass(frozen=True, eq=False)
class JointWeights:
    """The head that sees both sides of a character, float32.

    Args:
        before_kernel: `(units, units)`, from the forward stack's output to one factor of the product.
        before_bias: `(units,)`.
        after_kernel: `(units, units)`, from the backward stack's output to the other factor.
        after_bias: `(units,)`.
        hidden_kernel: `(3 * units, units)`, from the forward output, the backward one and the product.
        hidden_bias: `(units,)`.
        kernel: `(4 * units, vocab)`, from these three and the hidden layer.
        bias: `(vocab,)`.
    """

    before_kernel: Array
    before_bias: Array
    after_kernel: Array
    after_bias: Array
    hidden_kernel: Array
    hidden_bias: Array
    kernel: Array
    bias: Array

    def arrays(self) -> list[Array]:
        """The arrays in the order of `ModelWeights.shapes`."""
        factors = [self.before_kernel, self.before_bias, self.after_kernel, self.after_bias]
        return [*factors, self.hidden_kernel, self.hidden_bias, self.kernel, self.bias]


@dataclass(frozen=True, eq=False)
class ModelWeights:
    """All weights of a model, float32.

    Args:
        embedding: `(vocab, embedding)`, a row for each id.
        layers: the recurrent layers from the bottom up.
        head_kernel: `(units, vocab)`.
        head_bias: `(vocab,)`.
        label_embedding: `(labels, embedding)`, a row for each label; None without labels.
        backward: the stack that reads from right to left, with its head; None for a model of one side.
        joint: the head on both stacks; None for a model of one side.
    """

    embedding: Array
    layers: tuple[LayerWeights, ...]
    head_kernel: Array
    head_bias: Array
    label_embedding: Array | None = None
    backward: ModelWeights | None = None
    joint: JointWeights | None = None

    @staticmethod
    def shapes(config: ModelConfig) -> dict[str, tuple[int, ...]]:
        """The name and shape of each array: a layer's name in the Keras model and an array's in it.

        Those of a model of one side are in the order of Keras's `get_weights` and `set_weights`.

        >>> for name, shape in ModelWeights.shapes(ModelConfig(vocab_size=65, layers=1, units=8, embedding=4)).items():
        ...     print(name, shape)
        embedding/embeddings (65, 4)
        recurrent_1/kernel (4, 32)
        recurrent_1/recurrent_kernel (8, 32)
        recurrent_1/bias (32,)
        head/kernel (8, 65)
        head/bias (65,)
        """
        facts, columns = config.facts, config.gates * config.units
        shapes: dict[str, tuple[int, ...]] = {"embedding/embeddings": (config.vocab_size, config.embedding)}
        if config.labels:
            shapes["label_embedding/kernel"] = (config.labels, config.embedding)
        width = config.embedding
        for n in range(1, config.layers + 1):
            shapes[f"recurrent_{n}/kernel"] = (width, columns)
            shapes[f"recurrent_{n}/recurrent_kernel"] = (config.units, columns)
            shapes[f"recurrent_{n}/bias"] = (columns,) if facts.bias_rows == 1 else (facts.bias_rows, columns)
            if facts.peepholes:
                shapes[f"recurrent_{n}/peephole"] = (len(facts.peepholes), config.units)
            width = config.units
        shapes |= {"head/kernel": (config.units, config.vocab_size), "head/bias": (config.vocab_size,)}
        if not config.both:
            return shapes
        backward = {f"{BACKWARD}{name}": shape for name, shape in shapes.items()}
        kernels = {
            "joint_before": (config.units, config.units),
            "joint_after": (config.units, config.units),
            "joint_hidden": (3 * config.units, config.units),
            "joint": (4 * config.units, config.vocab_size),
        }
        joint: dict[str, tuple[int, ...]] = {}
        for name, shape in kernels.items():
            joint |= {f"{name}/kernel": shape, f"{name}/bias": shape[1:]}
        return shapes | backward | joint

    @classmethod
    def from_arrays(cls, arrays: Sequence[Array], *, labelled: bool = False, both: bool = False) -> Self:
        """The weights from arrays in the order of `shapes`; the inverse of `arrays`.

        Args:
            arrays: the arrays.
            labelled: whether the second is a label embedding.
            both: whether there are a backward stack and a joint head.

        Raises:
            ConfigError: no model has this number of arrays.
        """
        if both:
            half = (len(arrays) - _JOINT) // 2
            if len(arrays) != 2 * half + _JOINT or half < 1:
                raise ConfigError(f"A model of both sides must have two equal stacks; got {len(arrays)} arrays.")
            forward, backward = (
                cls.from_arrays(part, labelled=labelled) for part in (arrays[:half], arrays[half:-_JOINT])
            )
            return replace(forward, backward=backward, joint=JointWeights(*arrays[-_JOINT:]))
        between = arrays[1 + labelled : -2]
        each = 4 if len(between) > 3 and _has_peephole(between[1], between[3]) else 3
        if not between or len(between) % each:
            others = 3 + labelled
            raise ConfigError(f"A model must have {others} arrays and {each} for each layer; got {len(arrays)}.")
        layers = tuple(LayerWeights(*between[i : i + each]) for i in range(0, len(between), each))
        return cls(arrays[0], layers, arrays[-2], arrays[-1], arrays[1] if labelled else None)

    def arrays(self) -> list[Array]:
        """The arrays in the order of `shapes`, for a Keras model's `set_weights`."""
        return list(self._arrays())

    def _arrays(self) -> Iterator[Array]:
        yield self.embedding
        if self.label_embedding is not None:
            yield self.label_embedding
        for layer in self.layers:
            yield from layer.arrays()
        yield from (self.head_kernel, self.head_bias)
        if self.backward is not None:
            yield from self.backward.arrays()
        if self.joint is not None:
            yield from self.joint.arrays()

    @property
    def forwards(self) -> Self:
        """The weights of the forward stack and its head alone."""
        return replace(self, backward=None, joint=None)

    def validate(self, config: ModelConfig) -> None:
        """Checks that the weights match a configuration and are finite.

        Raises:
            ConfigError: an array is missing, has another shape or type than `config` requires, or holds NaN or
                infinity, or a coupled cell's forget gate is not minus its input gate; the message names it.
        """
        if {self.backward is not None, self.joint is not None} != {config.both}:
            raise ConfigError(f"The weights must be those of {config.sides}, as the configuration says.")
        if self.backward is not None:
            self.backward.validate(config.forwards)
        if len(self.layers) != config.layers:
            raise ConfigError(f"The weights must have {config.layers} recurrent layers; got {len(self.layers)}.")
        facts = config.facts
        wanted = bool(facts.peepholes)
        if any((layer.peephole is not None) != wanted for layer in self.layers):
            raise ConfigError(f"The weights must hold {'' if wanted else 'no '}peepholes for cell {config.cell}.")
        if (self.label_embedding is not None) != (config.labels > 0):
            raise ConfigError(f"The weights must hold {'a' if config.labels else 'no'} label embedding.")
        for (name, shape), array in zip(self.shapes(config).items(), self._arrays(), strict=True):
            if array.shape != shape or array.dtype != np.float32:
                raise ConfigError(f"{name} must be float32 of shape {shape}; got {array.dtype} of {array.shape}.")
            if not np.isfinite(array).all():
                raise ConfigError(f"{name} must hold finite numbers; got NaN or infinity.")
            if facts.tied and is_recurrent(name):
                require_tied(name, array, config)


def require_tied(name: str, array: Array, config: ModelConfig) -> None:
    """Checks that the tied gates of one array of a recurrent layer are minus the others.

    Raises:
        ConfigError: they are not.
    """
    facts = config.facts
    blocks = dict(zip(facts.gates, np.split(array, len(facts.gates), axis=-1), strict=True))
    for gate, other in facts.tied.items():
        if not np.array_equal(blocks[gate], -blocks[other]):
            raise ConfigError(f"{name} of a {config.cell} cell must hold a {gate} gate that is minus its {other} gate.")


def _has_peephole(recurrent_kernel: Array, after: Array) -> bool:
    """Whether the array after a layer's bias is its peephole weights rather than the kernel of the next layer."""
    units = recurrent_kernel.shape[0] if recurrent_kernel.ndim else 0
    return any(
        recurrent_kernel.shape == (units, len(facts.gates) * units) and after.shape == (len(facts.peepholes), units)
        for facts in FACTS.values()
        if facts.peepholes
    )

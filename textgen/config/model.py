"""The settings of a model: the network's architecture, and the size presets."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal, TypedDict

from textgen.config.base import Config
from textgen.config.cells import FACTS, Cell, CellFacts
from textgen.config.fields import require, setting

Size = Literal["tiny", "small", "medium", "large", "huge"]
Sides = Literal["forwards", "both"]


class ModelConfig(Config):
    """The network's architecture."""

    vocab_size: int = setting(ge=1, le=1_114_113, help="Ids in the vocabulary.")
    cell: Cell = setting(
        default="coupled",
        choices=FACTS,
        help="The recurrent cell; coupled and gru reach the lowest loss.",
        details=(
            '"peephole" is an LSTM with connections from the cell state to the gates; "coupled" is an LSTM whose '
            "forget gate is 1 minus its input gate."
        ),
    )
    layers: int = setting(default=2, ge=1, le=16, otherwise="by size", help="Recurrent layers, stacked.")
    units: int = setting(
        default=384, ge=1, le=8192, otherwise="by size", help="Units of each recurrent layer: the size of its state."
    )
    embedding: int = setting(default=64, ge=1, le=8192, otherwise="by size", help="Size of the character embedding.")
    skip: bool = setting(
        default=True,
        help="Feed the sum of all layers' outputs to the output layer.",
        details="Skip connections after Graves (2013); otherwise the output layer sees the last layer only.",
    )
    dropout: float = setting(
        default=0.2,
        ge=0,
        lt=1,
        off=0,
        otherwise="by passes over the text",
        help="Dropout of the layers' outputs.",
        details="One mask per sequence.",
    )
    input_dropout: float = setting(
        default=0.05,
        ge=0,
        lt=1,
        off=0,
        otherwise="by passes over the text",
        help="Dropout of the embedding's output.",
        details="One mask per sequence.",
    )

    sides: Sides = setting(
        default="forwards",
        help="Which sides of a character it is predicted from; both trains a second stack from right to left, too.",
        details=(
            'With "both" the model has three heads, which predict a character from the text before it, from the text '
            "after it, and from both."
        ),
    )
    labels: int = setting(
        default=0,
        ge=0,
        le=10**6,
        help="Labels that records may have: each has an embedding, added to that of every character.",
    )

    encoder_layers: int = setting(
        default=0,
        ge=0,
        le=16,
        otherwise="by size, for pairs only",
        help="Bidirectional layers that read the source of a pair; 0 for a model of one text.",
        details="Each direction has half of `units`.",
    )
    source_vocab_size: int = setting(
        default=0, ge=0, le=1_114_113, help="Ids in the vocabulary of the sources of pairs; 0 for a model of one text."
    )

    def __post_init__(self) -> None:
        super().__post_init__()
        require(
            self.has_encoder == (self.source_vocab_size > 0),
            "source_vocab_size",
            "more than 0 if, and only if, encoder_layers is",
            self.source_vocab_size,
        )
        require(not self.has_encoder or self.units % 2 == 0, "units", "even where there is an encoder", self.units)
        if self.has_encoder:
            cells = [name for name, facts in FACTS.items() if not facts.peepholes]
            require(not self.facts.peepholes, "cell", f"one of {', '.join(cells)} where there is an encoder", self.cell)
            require(not self.labels, "labels", "0 where there is an encoder", self.labels)
            require(not self.both, "sides", "forwards where there is an encoder", self.sides)

    @property
    def has_encoder(self) -> bool:
        """Whether the model turns one text into another."""
        return self.encoder_layers > 0

    def to_json(self) -> dict[str, Any]:
        """The fields as plain JSON values; those that earlier versions do not know only where they are set."""
        later = (("labels", 0), ("sides", "forwards"), ("encoder_layers", 0), ("source_vocab_size", 0))
        return {name: value for name, value in super().to_json().items() if (name, value) not in later}

    @property
    def both(self) -> bool:
        """Whether there are a backward stack and a joint head, too."""
        return self.sides == "both"

    @property
    def forwards(self) -> ModelConfig:
        """The shape of one stack with its head; that of the backward one is the same."""
        return self.replace(sides="forwards") if self.both else self

    @property
    def facts(self) -> CellFacts:
        """The cell's facts."""
        return FACTS[self.cell]

    @property
    def gates(self) -> int:
        """Columns of a layer's kernels for each unit: 4 for an LSTM, 3 for a GRU, 1 for a simple RNN."""
        return len(self.facts.gates)

    @property
    def free_gates(self) -> int:
        """The `gates` that are computed and learned: a coupled cell's forget gate follows from its input gate.

        >>> [ModelConfig(vocab_size=65, cell=cell).free_gates for cell in ("lstm", "coupled")]
        [4, 3]
        """
        return len(self.facts.free)

    @property
    def weights(self) -> int:
        """The number of trainable weights.

        >>> ModelConfig(vocab_size=65, cell="lstm", layers=2, units=256, embedding=64).weights
        874881
        """
        return self._numbers(self.free_gates)

    @property
    def stored(self) -> int:
        """The number of stored weights, including a coupled cell's forget gates, which are tied to its input gates.

        >>> ModelConfig(vocab_size=65, layers=1, units=2, embedding=1, cell="coupled").stored
        292
        >>> ModelConfig(vocab_size=65, layers=1, units=2, embedding=1, cell="coupled").weights
        284
        """
        return self._numbers(self.gates)

    def _numbers(self, gates: int) -> int:
        width, total = self.embedding, (self.vocab_size + self.labels) * self.embedding
        facts = self.facts
        for _ in range(self.layers):
            total += self.units * (gates * (width + self.units + facts.bias_rows) + len(facts.peepholes))
            width = self.units
        total += self._of_encoder(gates) + (self.units + 1) * self.vocab_size
        if not self.both:
            return total
        return 2 * total + (5 * self.units + 3) * self.units + (4 * self.units + 1) * self.vocab_size

    def _of_encoder(self, gates: int) -> int:
        """The weights of the encoder and of the attention over its outputs."""
        if not self.has_encoder:
            return 0
        half, facts = self.units // 2, self.facts
        total, width = (self.source_vocab_size + 1) * self.embedding + 3 * self.units**2, self.embedding
        for _ in range(self.encoder_layers):
            total += 2 * half * gates * (width + half + facts.bias_rows)
            width = self.units
        return total


class ModelSettings(TypedDict, total=False):
    """The fields of `ModelConfig` that a user may choose, as keywords; None leaves the choice to training."""

    cell: Cell | None
    layers: int | None
    units: int | None
    embedding: int | None
    skip: bool | None
    sides: Sides | None
    dropout: float | None
    input_dropout: float | None
    encoder_layers: int | None


SIZES: Mapping[Size, Mapping[str, int]] = {
    "tiny": {"layers": 1, "units": 128, "embedding": 32},
    "small": {"layers": 2, "units": 256, "embedding": 64},
    "medium": {"layers": 2, "units": 384, "embedding": 64},
    "large": {"layers": 2, "units": 512, "embedding": 64},
    "huge": {"layers": 2, "units": 768, "embedding": 64},
}
"""The size presets. `textgen train` chooses one, and the other settings, by the corpus and the time budget."""

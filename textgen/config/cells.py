"""What is known of each recurrent cell: one row of facts a cell, which every other module reads.

The arithmetic is elsewhere: `training.kernels.cells` has it in TensorFlow, `engine.cells` in NumPy.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal, get_args

Cell = Literal["lstm", "gru", "rnn", "peephole", "coupled"]

CELLS: tuple[Cell, ...] = get_args(Cell)


@dataclass(frozen=True, kw_only=True)
class KerasLayer:
    """A Keras layer, by the names that an archive's `config.json` has for it.

    Args:
        class_name: the class.
        module: where it is imported from.
        registered_name: the name it is registered by; None for Keras's own.
    """

    class_name: str
    module: str = "keras.layers"
    registered_name: str | None = None

    def to_json(self) -> dict[str, str | None]:
        """The names by Keras's keys."""
        return {"module": self.module, "class_name": self.class_name, "registered_name": self.registered_name}


@dataclass(frozen=True, kw_only=True)
class CellFacts:
    """One cell. A gate is a block of `units` columns in the kernels, candidates included.

    Args:
        label: what people call it.
        layer: the Keras layer that holds its weights.
        gates: the gates in the order of Keras's columns.
        sigmoid: those that are sigmoids; the others are tanhs.
        states: arrays in the state: 1, the output h, or 2, the output and the cell state c.
        apart: gates in which the input's and the recurrent product do not meet in a plain sum; each of the two products
            then has a bias of its own.
        tied: sigmoid gates whose block of weights is minus another's, which makes them 1 minus the other:
            `{gate: other}`.
        peepholes: gates that see the cell state through a weight a unit, in the order of Keras's rows.
    """

    label: str
    layer: KerasLayer
    gates: tuple[str, ...]
    sigmoid: frozenset[str]
    states: int
    apart: tuple[str, ...] = ()
    tied: Mapping[str, str] = field(default_factory=dict)
    peepholes: tuple[str, ...] = ()

    @property
    def free(self) -> tuple[str, ...]:
        """The gates that are computed and learned, in Keras's order: all but the tied ones."""
        return tuple(gate for gate in self.gates if gate not in self.tied)

    @property
    def bias_rows(self) -> int:
        """Rows of Keras's bias: the input's, and the recurrent product's where the two stay apart."""
        return 2 if self.apart else 1


_LSTM = KerasLayer(class_name="LSTM")
_LSTM_GATES = ("input", "forget", "candidate", "output")
_LSTM_SIGMOID = frozenset({"input", "forget", "output"})

FACTS: dict[str, CellFacts] = {
    "lstm": CellFacts(label="LSTM", layer=_LSTM, gates=_LSTM_GATES, sigmoid=_LSTM_SIGMOID, states=2),
    "gru": CellFacts(
        label="GRU",
        layer=KerasLayer(class_name="GRU"),
        gates=("update", "reset", "candidate"),
        sigmoid=frozenset({"update", "reset"}),
        states=1,
        apart=("candidate",),
    ),
    "rnn": CellFacts(
        label="RNN",
        layer=KerasLayer(class_name="SimpleRNN"),
        gates=("candidate",),
        sigmoid=frozenset(),
        states=1,
    ),
    "peephole": CellFacts(
        label="peephole LSTM",
        layer=KerasLayer(class_name="PeepholeLSTM", module="textgen.peephole", registered_name="textgen>PeepholeLSTM"),
        gates=_LSTM_GATES,
        sigmoid=_LSTM_SIGMOID,
        states=2,
        peepholes=("input", "forget", "output"),
    ),
    "coupled": CellFacts(
        label="coupled LSTM",
        layer=_LSTM,
        gates=_LSTM_GATES,
        sigmoid=_LSTM_SIGMOID,
        states=2,
        tied={"forget": "input"},
    ),
}
"""The facts of each `ModelConfig.cell`."""


def cell_name(cell: object) -> str:
    """A cell as people call it; it may come from a file.

    >>> cell_name("gru"), cell_name("coupled")
    ('GRU', 'coupled LSTM')
    """
    name = str(cell)
    return FACTS[name].label if name in FACTS else name.upper()

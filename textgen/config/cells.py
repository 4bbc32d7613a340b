"""The table of the recurrent cells: gates, state and Keras layer of each.

Their steps are in `training.kernels.cells` (TensorFlow) and `engine.cells` (NumPy).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal, get_args

Cell = Literal["lstm", "gru", "rnn", "peephole", "coupled"]

CELLS: tuple[Cell, ...] = get_args(Cell)


@dataclass(frozen=True, kw_only=True)
class KerasLayer:
    """A Keras layer, by its names in `config.json`.

    Args:
        class_name: the class.
        module: where it is imported from.
        registered_name: the name it is registered under; None for Keras's own layers.
    """

    class_name: str
    module: str = "keras.layers"
    registered_name: str | None = None

    def to_json(self) -> dict[str, str | None]:
        """The names under Keras's keys."""
        return {"module": self.module, "class_name": self.class_name, "registered_name": self.registered_name}


@dataclass(frozen=True, kw_only=True)
class CellFacts:
    """The facts of one cell. A gate is a block of `units` columns in the kernels; the candidate counts as one.

    Args:
        label: its usual name.
        layer: the Keras layer that holds its weights.
        gates: the gates in the order of Keras's columns.
        sigmoid: the gates with a sigmoid; the others have a tanh.
        states: arrays in the state: 1, the hidden state h, or 2, the hidden state and the cell state c.
        apart: gates in which the input product and the recurrent product are not simply added, so that each has a bias
            of its own (Keras's `reset_after`).
        tied: `{gate: other}` for sigmoid gates whose weights are minus the other's, so that they are 1 minus the other.
        peepholes: gates with a peephole connection from the cell state, one weight per unit, in the order of Keras's
            rows.
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
        """Rows of Keras's bias: one, or with `apart` gates one for the input and one for the recurrent product."""
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
    """A cell's usual name; `cell` may come from an untrusted file.

    >>> cell_name("gru"), cell_name("coupled")
    ('GRU', 'coupled LSTM')
    """
    name = str(cell)
    return FACTS[name].label if name in FACTS else name.upper()

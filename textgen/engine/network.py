"""What sampling and scoring ask of a network: `Engine` is one, and `Mixture` another."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Protocol, Self

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float32]
Ids = NDArray[np.integer]


class NetworkState(Protocol):
    """The recurrent state of several texts; only the network that made it knows what is in it."""

    @property
    def batch(self) -> int:
        """The number of texts."""

    def copy(self) -> Self:
        """An independent copy."""

    def take(self, rows: Sequence[int] | NDArray[np.integer]) -> Self:
        """A copy of the state of the texts `rows`, in that order; a row may occur several times."""

    def join(self, others: Sequence[Any]) -> Self:
        """A copy of this state with the texts of `others`, in their order, after its own."""

    def put(self, row: int, other: Any) -> None:
        """Replaces the state of the text `row` by `other`, the state of one text."""


class Network(Protocol):
    """Ids and a state to logits and a state.

    Logits are float32, and determined up to a number added to all of a row. A network is immutable; a state is one that
    `initial_state` of the same network made.
    """

    @property
    def vocab_size(self) -> int:
        """The number of ids."""

    def initial_state(self, batch: int, *, quiet: bool = False, labels: Array | None = None) -> NetworkState:
        """The state of `batch` texts before the first character; see `Engine.initial_state`."""

    def step(self, ids: Sequence[int] | Ids, state: Any) -> tuple[Array, NetworkState]:
        """Advances each text by one of `ids`, `(batch,)`; returns the next logits, `(batch, vocab)`, and `state`."""

    def read(self, ids: Ids, state: Any, *, last: bool = False) -> tuple[Array, NetworkState]:
        """Advances each text by `ids`, `(batch, time)`.

        Returns:
            The logits after each character, `(batch, time, vocab)`, or `(batch, vocab)` if `last`; and `state`.
        """

    def magnitude(self, logits: Array, state: Any) -> float:
        """What the rounding errors of the last step's `logits` are in proportion to, in nats; see `Referee`."""

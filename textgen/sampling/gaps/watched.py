"""A network that calls a function before each of its steps, which may raise an exception to end a search."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from textgen.engine.network import Network, NetworkState

Array = NDArray[np.float32]
Ids = NDArray[np.integer]
Watch = Callable[[], object]

_PIECE = 64
"""Characters that are read at once."""


def watched(network: Network, watch: Watch | None) -> Network:
    """The network with `watch` called before each step; the network itself where that is None."""
    return network if watch is None else Watched(network, watch)


class Watched:
    """See `textgen.engine.network.Network`, which this is.

    Args:
        network: computes the steps.
        watch: called before each step, and before each 64 characters that are read for their last logits.
    """

    def __init__(self, network: Network, watch: Watch) -> None:
        self._network, self._watch = network, watch

    @property
    def vocab_size(self) -> int:
        """The number of ids."""
        return self._network.vocab_size

    def initial_state(self, batch: int, *, quiet: bool = False, labels: Array | None = None) -> NetworkState:
        """See `Network.initial_state`."""
        more = {} if labels is None else {"labels": labels}
        return self._network.initial_state(batch, quiet=quiet, **more)

    def step(self, ids: Sequence[int] | Ids, state: Any) -> tuple[Array, NetworkState]:
        """See `Network.step`."""
        self._watch()
        return self._network.step(ids, state)

    def read(self, ids: Ids, state: Any, *, last: bool = False) -> tuple[Array, NetworkState]:
        """See `Network.read`."""
        while last and ids.shape[1] > _PIECE:
            self._watch()
            _, state = self._network.read(ids[:, :_PIECE], state, last=True)
            ids = ids[:, _PIECE:]
        self._watch()
        return self._network.read(ids, state, last=last)

    def magnitude(self, logits: Array, state: Any) -> float:
        """See `Network.magnitude`."""
        return self._network.magnitude(logits, state)

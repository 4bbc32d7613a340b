"""The states after the prompts that were read last: a prompt that is asked for again is not read again."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Hashable

import numpy as np
from numpy.typing import NDArray

from textgen.engine.network import NetworkState

Logits = NDArray[np.float32]


class PromptStates:
    """Logits and states by what was read; the oldest are dropped.

    Args:
        most: how many are kept.

    >>> states = PromptStates(2)
    >>> for each in ("one", "two", "three"):
    ...     states.put(each, np.zeros((1, 3), np.float32), None)
    >>> [states.get(each) is None for each in ("one", "two", "three")]
    [True, False, False]
    """

    def __init__(self, most: int = 64) -> None:
        self._most = most
        self._found: OrderedDict[Hashable, tuple[Logits, NetworkState]] = OrderedDict()

    def get(self, read: Hashable) -> tuple[Logits, NetworkState] | None:
        """The logits, `(1, vocab)`, and the state after what was read, which must not be changed; None if unknown."""
        if read in self._found:
            self._found.move_to_end(read)
        return self._found.get(read)

    def put(self, read: Hashable, logits: Logits, state: NetworkState) -> None:
        """Keeps logits and state."""
        self._found[read] = logits, state
        if len(self._found) > self._most:
            self._found.popitem(last=False)

"""How much edits add to the log-probability of a text, by how a network goes on behind each of them.

The text is read once, in parts side by side. Before each place the state is kept for the edits there; each edit is read
from it, with some of the text behind it, many in one batch. Edits that look bad after a few characters are dropped.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from textgen.analysis.proofreading.edits import Edits
from textgen.engine import Network
from textgen.engine.network import NetworkState

Ids = NDArray[Any]
Array = NDArray[np.float64]
Progress = Callable[[int, int], None]

_PARTS = 32
"""The most parts in which a text is read."""

_SHORTEST = 128
"""The fewest characters of a part."""

_WARM = 64
"""Characters that are read before a part, so that its state has come in."""

_ROWS = 256
"""Edits that are read at once."""

_LOGITS = 2**22
"""Logits computed at once."""

SHORT = 4
"""Characters behind an edit after which those that look bad are dropped."""


class TextReader:
    """Reads a text with a network, from left to right, in parts side by side.

    Args:
        engine: the network.
        ids: `(n,)`, at least one: the text.
        before: `(a,)`, at least one: what stands before it.
        after: `(b,)`, what stands behind it; edits are scored by it, too.
        labels: `(labels,)`, the weights of the text's labels; None for none.
    """

    def __init__(
        self, engine: Network, ids: Ids, *, before: Ids, after: Ids, labels: NDArray[np.float32] | None = None
    ) -> None:
        self._engine, self._labels, self._before = engine, labels, before
        self._ids = np.concatenate([ids, after]).astype(np.intp)
        self._parts = max(1, min(_PARTS, len(self._ids) // _SHORTEST))
        self._length = -(-len(self._ids) // self._parts)

    def logprobs(self, observe: Callable[[int, Array], None] | None = None) -> Array:
        """The log-probability of each id of the text and of what stands behind it, `(n + b,)`.

        Args:
            observe: called with a position in the parts and the log-probabilities there, `(parts, vocab)`, of what
                comes next in each.
        """
        found = np.empty(self._parts * self._length)
        targets = self._columns()

        def note(place: int, logprobs: Array, _: NetworkState) -> None:
            found.reshape(self._parts, -1)[:, place] = logprobs[np.arange(self._parts), targets[place]]
            if observe is not None:
                observe(place, logprobs)

        self._walk(note)
        return found[: len(self._ids)]

    def gains(self, edits: Edits, own: Array, *, reach: int, floor: Array, progress: Progress | None = None) -> Array:
        """How much each edit adds to the log-probability of the text, `(edits,)`, in nats.

        Args:
            edits: none of them behind the text.
            own: `(n + b,)`, what `logprobs` returned.
            reach: how many characters behind an edit count.
            floor: `(edits,)`: an edit whose gain is less after `SHORT` characters is dropped; its gain is -inf.
            progress: called with the characters done and the total.
        """
        result = np.full(len(edits), -np.inf)
        total = np.append(0.0, np.cumsum(own))
        order = np.argsort(edits.places % self._length, kind="stable")
        starts = np.searchsorted(edits.places[order] % self._length, np.arange(self._length + 1))
        rows = max(1, min(_ROWS, _LOGITS // (self._engine.vocab_size * (max(reach, SHORT) + 2))))
        waiting: list[tuple[NDArray[np.intp], NetworkState, Array]] = []

        def flush() -> None:
            which = np.concatenate([each for each, _, _ in waiting])
            state = waiting[0][1].join([each for _, each, _ in waiting[1:]])
            logprobs = np.concatenate([each for _, _, each in waiting])
            for start in range(0, len(which), rows):
                part = np.arange(start, min(start + rows, len(which)))
                chosen = which[part]
                result[chosen] = self._gains(
                    edits.take(chosen), state.take(part), logprobs[part], total, reach=reach, floor=floor[chosen]
                )
            waiting.clear()

        def collect(place: int, logprobs: Array, state: NetworkState) -> None:
            which = order[starts[place] : starts[place + 1]]
            if len(which):
                parts = edits.places[which] // self._length
                waiting.append((which, state.take(parts), logprobs[parts]))
                if sum(len(each) for each, _, _ in waiting) >= rows:
                    flush()
            if progress is not None and place % 64 == 0:
                progress(place * self._parts, len(self._ids))

        self._walk(collect)
        if waiting:
            flush()
        return result

    def _gains(
        self, edits: Edits, state: NetworkState, logprobs: Array, total: Array, *, reach: int, floor: Array
    ) -> Array:
        """The gains of edits, each read from its own row of `state`, whose next character has `logprobs`."""
        gains = np.full(len(edits), -np.inf)
        for count in np.unique(edits.count).tolist():
            rows = np.flatnonzero(edits.count == count)
            own, behind = edits.take(rows), (edits.places + edits.taken)[rows]
            found, after, last = self._read(
                own.put[:, :count], behind, min(SHORT, reach), state.take(rows), logprobs[rows]
            )
            found -= self._own(total, own.places, behind, min(SHORT, reach))
            kept = np.flatnonzero(found >= floor[rows])
            if len(kept) and reach > SHORT:
                rest, _, _ = self._read(
                    own.put[kept, :0], behind[kept] + SHORT, reach - SHORT, after.take(kept), last[kept]
                )
                rest -= self._own(total, behind[kept] + SHORT, behind[kept] + SHORT, reach - SHORT)
                found[kept] += rest
            gains[rows[kept]] = found[kept]
        return gains

    def _read(
        self, put: NDArray[np.intp], behind: NDArray[np.intp], length: int, state: NetworkState, logprobs: Array
    ) -> tuple[Array, NetworkState, Array]:
        """The log-probability of `put`, `(rows, n)`, and of `length` ids of the text from `behind`, `(rows,)`, on.

        Returns:
            It, `(rows,)`, and the state and the log-probabilities after that.
        """
        places = behind[:, None] + np.arange(length)
        real = np.concatenate([np.ones(put.shape, np.bool_), places < len(self._ids)], axis=1)
        ids = np.concatenate([put, self._ids[np.minimum(places, len(self._ids) - 1)]], axis=1)
        logits, state = self._engine.read(ids, state)
        after = _log_softmax(logits)
        rows = np.arange(len(ids))
        found = np.where(real[:, 0], logprobs[rows, ids[:, 0]], 0.0)
        steps = np.take_along_axis(after[:, :-1], ids[:, 1:, None], axis=2)[..., 0]
        return found + np.where(real[:, 1:], steps, 0.0).sum(axis=1), state, after[:, -1]

    def _own(self, total: Array, places: NDArray[np.intp], behind: NDArray[np.intp], length: int) -> Array:
        """The log-probability of the text itself from `places` to `length` ids from `behind` on."""
        size = len(total) - 1
        found: Array = total[np.minimum(behind + length, size)] - total[np.minimum(places, size)]
        return found

    def _walk(self, visit: Callable[[int, Array, NetworkState], None]) -> None:
        """Calls `visit` with each position in the parts, what comes next in each, and the state before it."""
        columns = self._columns()
        state, logprobs = self._begin()
        for place, ids in enumerate(columns):
            visit(place, logprobs, state)
            logits, state = self._engine.step(ids, state)
            logprobs = _log_softmax(logits)

    def _columns(self) -> NDArray[np.intp]:
        """The ids of the parts, `(length, parts)`; behind the text its last id is repeated."""
        places = np.arange(self._parts * self._length)
        return self._ids[np.minimum(places, len(self._ids) - 1)].reshape(self._parts, -1).T

    def _begin(self) -> tuple[NetworkState, Array]:
        """The states before the parts, and what comes first in each."""
        states, found = [], []
        whole = np.concatenate([self._before, self._ids])
        for part in range(self._parts):
            stop = min(len(self._before) + part * self._length, len(whole))
            start = max(0, stop - max(_WARM, len(self._before) * (part == 0)))
            fresh = (
                self._engine.initial_state(1)
                if self._labels is None
                else self._engine.initial_state(1, labels=self._labels)
            )
            logits, state = self._engine.read(whole[None, start:stop], fresh, last=True)
            states.append(state)
            found.append(_log_softmax(logits))
        return states[0].join(states[1:]), np.concatenate(found)


def _log_softmax(logits: NDArray[np.float32]) -> Array:
    """The log-probabilities in nats, `(..., vocab)`."""
    shifted: Array = logits - logits.max(axis=-1, keepdims=True).astype(np.float64)
    shifted -= np.log(np.exp(shifted).sum(axis=-1, keepdims=True))
    return shifted

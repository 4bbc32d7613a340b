"""What the joint head of a run of both sides expects between two parts of a text."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from textgen.analysis.proofreading.text import PlacedText
from textgen.engine import Engine
from textgen.engine.sides import JointHead

Ids = NDArray[Any]
Array = NDArray[np.float64]

_WINDOW = 512
"""Characters of a text that are read at a time."""

_WARM = 64
"""Further characters that are read on each side of them, so that the states have come in."""

_ROWS = 16
"""Windows that are read at once."""

_LOGITS = 2**22
"""Logits computed at once."""


class JointReader:
    """Reads a text from both sides, a few windows at a time.

    Args:
        forward: the network that reads forwards.
        backward: the one that reads backwards.
        joint: the head on both.
        text: the text.
        labels: `(labels,)`, the weights of the text's labels; None for none.
    """

    def __init__(
        self,
        forward: Engine,
        backward: Engine,
        joint: JointHead,
        text: PlacedText,
        *,
        labels: NDArray[np.float32] | None = None,
    ) -> None:
        self._engines, self._joint, self._labels = (forward, backward), joint, labels
        self._whole = np.concatenate([text.before, text.ids, text.after]).astype(np.intp)
        self._first = len(text.before)

    def logprobs(self, places: NDArray[np.intp], behind: NDArray[np.intp], ids: NDArray[np.intp]) -> Array:
        """The log-probability of single ids in the text, `(n,)`, in nats.

        Args:
            places: `(n,)`, the positions before which the text on the left of each id ends.
            behind: `(n,)`, the positions where the text on its right begins: the same, for an id between two, or the
                next, for one that stands in place of another.
            ids: `(n,)`.
        """
        found = np.empty(len(places))
        whole = self._whole
        length = min(len(whole), _WINDOW + 2 + 2 * _WARM)
        windows, rows = np.unique(places // _WINDOW, return_inverse=True)
        starts = np.clip(windows * _WINDOW + self._first - 1 - _WARM, 0, len(whole) - length)
        for begin in range(0, len(windows), _ROWS):
            chosen = np.flatnonzero((rows >= begin) & (rows < begin + _ROWS))
            part = starts[begin : begin + _ROWS]
            read = whole[part[:, None] + np.arange(length)]
            left, right = (
                engine.outputs(each, engine.initial_state(len(part), labels=self._labels))[0]
                for engine, each in zip(self._engines, (read, read[:, ::-1]), strict=True)
            )
            row = rows[chosen] - begin
            before = left[row, places[chosen] + self._first - 1 - part[row]]
            after = right[row, length - 1 - (behind[chosen] + self._first - part[row])]
            size = max(1, _LOGITS // self._engines[0].vocab_size)
            for start in range(0, len(chosen), size):
                cut = slice(start, start + size)
                logprobs = self._joint(before[cut], after[cut])
                found[chosen[cut]] = logprobs[np.arange(len(logprobs)), ids[chosen[cut]]]
        return found

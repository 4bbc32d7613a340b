"""Judges fillings from both sides, by a run with a network for each and a head on both."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from textgen.engine import Engine
from textgen.engine.sides import JointHead
from textgen.sampling.gaps.drafts import Drafts, begun
from textgen.sampling.gaps.markers import Gap
from textgen.sampling.gaps.search import reached, search
from textgen.sampling.gaps.watched import Watch, watched

Array = NDArray[np.float64]
Outputs = NDArray[np.float32]
Ids = NDArray[Any]
Mask = NDArray[np.bool_]

JOINT = 0.4
"""The weight of what the joint head says where a single character is missing; each side has half of the rest."""

NEAR = 5
"""Characters on each side of the fillings that the joint head is asked about, too."""

NEIGHBOURS = 0.5
"""What counts of the log-probability that the joint head gives each of these."""


@dataclass(frozen=True, eq=False)
class Judged:
    """The log-probabilities of fillings, each `(fillings,)`.

    Args:
        forwards: of the fillings and of what stands behind them, read from the left.
        backwards: of the fillings and of what stands before them, read from the right.
        joint: the sum, over all characters of the fillings, of that of each given all others, and `NEIGHBOURS` times
            that of the `NEAR` characters on each side.
        missing: how many characters are missing, at most.
    """

    forwards: Array
    backwards: Array
    joint: Array
    missing: int

    @property
    def scores(self) -> Array:
        """What fillings are ranked by."""
        # The joint head takes all other characters for certain, which is the less true the more are missing.
        weight = JOINT / math.sqrt(max(self.missing, 1))
        return (1.0 - weight) / 2.0 * (self.forwards + self.backwards) + weight * self.joint


class Sides:
    """Both sides of a text, between which fillings stand.

    Args:
        forward: the network that reads forwards.
        backward: the one that reads backwards.
        joint: the head on both.
        before: `(a,)`, at least one: what stands before the fillings.
        after: `(b,)`, at least one: what stands behind them.
        reach: how many characters of both count, up to the end of a record.
        labels: `(labels,)`, the weights of the text's labels; None for none.
        watch: see `watched`.

    Attributes:
        state: of `forward`, before it reads the last of `before`; not to be changed.
    """

    def __init__(
        self,
        forward: Engine,
        backward: Engine,
        joint: JointHead,
        *,
        before: Ids,
        after: Ids,
        reach: int,
        labels: NDArray[np.float32] | None = None,
        watch: Watch | None = None,
    ) -> None:
        self._reach, self._watch = reach, watch
        self._forward, self._backward, self._joint = forward, backward, joint
        self._before, self._after = before.astype(np.intp), after.astype(np.intp)
        self.state, self._left = _read_up_to(forward, self._before, labels, watch)
        self._end, self._right = _read_up_to(backward, self._after[::-1], labels, watch)

    def fill_backwards(self, gap: Gap, middle: Ids, *, allowed: Mask, width: int) -> list[tuple[int, ...]]:
        """The best fillings of a gap, by beam search from the right.

        Args:
            gap: the gap, behind which `after` stands.
            middle: `(n,)`, what stands between `before` and the gap.
            allowed: `(vocab,)`, which ids may stand in the gap.
            width: of the beam.
        """
        network = watched(self._backward, self._watch)
        drafts = Drafts.after(network, self._after[:1], self._end.copy())
        ahead = reached(np.concatenate([self._before, middle])[::-1], self._reach, self._backward.end_id)
        found = search(network, drafts, gap, ahead, allowed=allowed, width=width)
        return [fills[-1][::-1] for fills in found.fills]

    def judge(self, texts: Sequence[Ids], *, missing: int) -> Judged:
        """The log-probabilities of texts between the sides.

        Args:
            texts: the ids of each, `(characters,)`: fillings, and what stands between them.
            missing: how many characters are missing, at most.
        """
        found = np.empty((3, len(texts)))
        lengths = np.array([len(each) for each in texts])
        for length in np.unique(lengths).tolist():
            if self._watch is not None:
                self._watch()
            rows = np.flatnonzero(lengths == length)
            found[:, rows] = self._judge(np.stack([texts[row] for row in rows.tolist()]).astype(np.intp))
        return Judged(found[0], found[1], found[2], missing)

    def _judge(self, ids: NDArray[np.intp]) -> tuple[Array, Array, Array]:
        """The three log-probabilities of texts of one length, `(texts, characters)`."""
        before, after, end = self._before, self._after, self._forward.end_id
        size, length = ids.shape
        ahead, back = reached(after, self._reach, end), reached(before[::-1], self._reach, end)
        outputs, logprobs = [], []
        for engine, state, first, own, rest in (
            (self._forward, self.state, before[-1], ids, ahead),
            (self._backward, self._end, after[0], ids[:, ::-1], back),
        ):
            read = np.concatenate([np.full((size, 1), first), own, np.broadcast_to(rest, (size, len(rest)))], axis=1)
            found, _ = engine.outputs(read[:, :-1], state.take([0] * size))
            logits = engine.read_out(found).astype(np.float64)
            logits -= logits.max(axis=-1, keepdims=True)
            chosen = np.take_along_axis(logits, read[:, 1:, None], axis=-1)[..., 0]
            chosen -= np.log(np.exp(logits).sum(axis=-1))
            logprobs.append(chosen.sum(axis=1))
            outputs.append(found)
        # The joint head does not predict the end of a record.
        left, right = (
            min(len(known), int(np.count_nonzero(near[:NEAR] != end)))
            for known, near in ((self._left, back), (self._right, ahead))
        )
        around = [np.broadcast_to(each, (size, len(each))) for each in (before[len(before) - left :], after[:right])]
        ids = np.concatenate([around[0], ids, around[1]], axis=1)
        if not ids.size:
            return logprobs[0], logprobs[1], np.zeros(size)
        sides = (
            _joined(self._left, left, outputs[0][:, : length + right]),
            _joined(self._right, right, outputs[1][:, : length + left])[:, ::-1],
        )
        joint = np.take_along_axis(self._joint(*sides), ids[..., None], axis=-1)[..., 0].astype(np.float64)
        weights = np.repeat([NEIGHBOURS, 1.0, NEIGHBOURS], [left, length, right])
        return logprobs[0], logprobs[1], joint @ weights


def _read_up_to(
    engine: Engine, ids: NDArray[np.intp], labels: NDArray[np.float32] | None, watch: Watch | None
) -> tuple[Any, Outputs]:
    """The state before the last of `ids` is read, and what the head reads for the last `NEAR`, or all but the first."""
    cut = max(len(ids) - NEAR, 1)
    state: Any = begun(watched(engine, watch), ids[:cut], labels)
    if cut == len(ids):
        return state, np.empty((0, engine.config.units), np.float32)
    outputs, state = engine.outputs(ids[None, cut - 1 : -1], state)
    return state, outputs[0]


def _joined(known: Outputs, count: int, outputs: Outputs) -> Outputs:
    """The last `count` of `known`, `(n, units)`, before `outputs`, `(texts, m, units)`, of each text."""
    last = known[len(known) - count :]
    return np.concatenate([np.broadcast_to(last, (len(outputs), *last.shape)), outputs], axis=1)

"""Predicts the characters of a text from both sides: a forward engine, a backward one and the head on both.

The backward engine is an `Engine` like the other, which is given a text from right to left. The joint head's prediction
of a character takes what the forward engine made of the text before it and the backward one of the text after it.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from textgen.config import require
from textgen.engine.engine import Engine
from textgen.engine.scoring import Ids, Progress
from textgen.engine.state import State
from textgen.model.weights import JointWeights

Array = NDArray[np.float32]

_BLOCK = 2**15
"""Characters, of all streams together, whose outputs are held at once."""


class JointHead:
    """The product of what each stack's output says, a hidden layer on all three, and a dense layer on all four.

    Args:
        weights: its weights.

    >>> rng = np.random.default_rng(0)
    >>> kernels = (4, 4), (4, 4), (12, 4), (16, 5)
    >>> arrays = [rng.standard_normal(s).astype(np.float32) for shape in kernels for s in (shape, shape[1:])]
    >>> joint = JointHead(JointWeights(*arrays))
    >>> logprobs = joint(np.zeros((3, 4), np.float32), np.ones((3, 4), np.float32))
    >>> logprobs.shape, np.exp(logprobs).sum(axis=-1).round(5).tolist()
    ((3, 5), [1.0, 1.0, 1.0])
    """

    def __init__(self, weights: JointWeights) -> None:
        self._weights = weights
        self._hidden = np.split(weights.hidden_kernel, 3)
        self._kernels = np.split(weights.kernel, 4)

    def __call__(self, forward_outputs: Array, backward_outputs: Array) -> Array:
        """The log-probabilities of the character between two sides, in nats.

        Args:
            forward_outputs: `(..., units)`, of `Engine.outputs` after the character before it.
            backward_outputs: `(..., units)`, of the backward engine after the character behind it. The leading axes of
                both are broadcast.

        Returns:
            `(..., vocab)` float32.
        """
        weights = self._weights
        # Products of each side by itself are taken before both are broadcast.
        product = np.tanh(forward_outputs @ weights.before_kernel + weights.before_bias)
        product = product * np.tanh(backward_outputs @ weights.after_kernel + weights.after_bias)
        before, after, between = self._hidden
        hidden = forward_outputs @ before + backward_outputs @ after + product @ between + weights.hidden_bias
        np.maximum(hidden, 0.0, out=hidden)
        before, after, between, last = self._kernels
        logits: Array = forward_outputs @ before + backward_outputs @ after + product @ between + hidden @ last
        return log_softmax(logits + weights.bias)


@dataclass(frozen=True, eq=False)
class SidesLogprobs:
    """The log-probabilities of every character at each place of a text, in nats, `(characters, vocab)` float32.

    Args:
        forwards: given the text before the place.
        backwards: given the text after it.
        joint: given both.
    """

    forwards: Array
    backwards: Array
    joint: Array


def read_sides(
    forward: Engine,
    backward: Engine,
    joint: JointHead,
    ids: Ids,
    *,
    before: Ids,
    after: Ids,
    labels: Array | None = None,
) -> SidesLogprobs:
    """Predicts each id of a text from its left, from its right and from both sides.

    Args:
        forward: the engine that reads forwards.
        backward: the one that reads backwards.
        joint: the head on both.
        ids: `(n,)`, at least one. All of the result is held at once.
        before: `(a,)`, at least one: what precedes them. For a text by itself that of `context_ids`.
        after: `(b,)`, at least one: what follows them, in the order of the text; likewise.
        labels: `(labels,)`, the weight of each label; None for none.

    Raises:
        ConfigError: one of them is empty.
    """
    for name, part in (("ids", ids), ("before", before), ("after", after)):
        require(len(part) > 0, name, "at least one id", len(part))
    left, _ = forward.outputs(np.concatenate([before, ids[:-1]])[None], _state(forward, 1, labels))
    right, _ = backward.outputs(np.concatenate([ids[1:], after])[None, ::-1], _state(backward, 1, labels))
    left, right = left[0, len(before) - 1 :], right[0, ::-1][: len(ids)]
    return SidesLogprobs(log_softmax(forward.read_out(left)), log_softmax(backward.read_out(right)), joint(left, right))


def score_sides(
    forward: Engine,
    backward: Engine,
    joint: JointHead,
    ids: Ids,
    *,
    before: Ids,
    after: Ids,
    labels: Array | None = None,
    streams: int = 1,
    progress: Progress | None = None,
) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float64]]:
    """The log-probability of each id of a text of any length given its left, its right and both sides.

    The text is read twice from the right: the first time to keep the backward state at some places, from which the
    outputs between them are computed when they are needed.

    Args:
        forward: the engine that reads forwards.
        backward: the one that reads backwards.
        joint: the head on both.
        ids: `(n,)`, at least one.
        before: `(a,)`, at least one: what precedes them.
        after: `(b,)`, at least one: what follows them, in the order of the text.
        labels: `(labels,)`, the weight of each label; None for none.
        streams: the number of parts of the same length to read the text in; the context of each is one id.
        progress: called now and then with the ids done and the total.

    Returns:
        Three arrays `(n,)`, in nats.

    Raises:
        ConfigError: one of them is empty, or `streams` is less than 1.
    """
    for name, part in (("ids", ids), ("before", before), ("after", after)):
        require(len(part) > 0, name, "at least one id", len(part))
    require(streams >= 1, "streams", "at least 1", streams)
    count, one = len(ids), len(ids) == 1 or streams == 1
    length = count if one else -(-count // min(streams, count))
    # All parts have the same length, so the last one begins within the one before.
    firsts = np.minimum(np.arange(-(-count // length)) * length, count - length)
    whole = np.concatenate([before[-1:], ids, after[:1]])
    places = firsts[:, None] + np.arange(length)
    inputs, targets, following = whole[places], whole[places + 1], whole[places + 2]
    ahead, behind = _state(forward, len(firsts), labels), _state(backward, len(firsts), labels)
    if one and len(before) > 1:
        forward.outputs(before[None, :-1], ahead)
    if one and len(after) > 1:
        backward.outputs(after[None, :0:-1], behind)
    size = max(1, _BLOCK // len(firsts))
    blocks = [slice(start, start + size) for start in range(0, length, size)]
    states: list[State] = []
    for block in reversed(blocks):
        states.append(behind.copy())
        backward.outputs(following[:, block][:, ::-1], behind)
    found = np.empty((3, len(firsts), length))
    for number, block in enumerate(blocks):
        left, _ = forward.outputs(inputs[:, block], ahead)
        right, _ = backward.outputs(following[:, block][:, ::-1], states.pop())
        right = right[:, ::-1]
        each = (log_softmax(forward.read_out(left)), log_softmax(backward.read_out(right)), joint(left, right))
        chosen = targets[:, block][..., None].astype(np.intp)
        for side, logprobs in zip(found, each, strict=True):
            side[:, block] = np.take_along_axis(logprobs, chosen, axis=-1)[..., 0]
        if progress is not None:
            progress(count * (number + 1) // len(blocks), count)
    result = np.empty((3, count))
    for number, part in enumerate(places):
        result[:, part] = found[:, number]
    return result[0], result[1], result[2]


def log_softmax(logits: Array) -> Array:
    """The log-probabilities, `(..., vocab)` float32, of logits."""
    shifted = logits - logits.max(axis=-1, keepdims=True)
    total = np.log(np.exp(shifted).sum(axis=-1, keepdims=True, dtype=np.float64))
    found: Array = (shifted - total).astype(np.float32)
    return found


def _state(engine: Engine, batch: int, labels: Array | None) -> State:
    return engine.initial_state(batch, labels=labels)

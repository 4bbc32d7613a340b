"""A mixture of networks of one vocabulary: each character's probability is the weighted mean of theirs.

The mean is that of probabilities, not of logits, and exact: a character is one id for every member. So the mixture is
itself a distribution over characters, and by Jensen's inequality its loss on any text is at most the weighted mean of
the members' losses.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from numbers import Real

import numpy as np
from numpy.typing import NDArray

from textgen.config import require
from textgen.engine.network import Network, NetworkState
from textgen.errors import ConfigError

Array = NDArray[np.float32]
Doubles = NDArray[np.float64]
Ids = NDArray[np.integer]

_BLOCK = 2**16
"""Logits that are mixed at once, so that the intermediate results stay in the processor's cache."""

_LARGE = 1e290
"""Weights above this are divided by the largest first, since their sum may overflow."""

_MOST = float(np.finfo(np.float64).max)

_LEAST = float(np.finfo(np.float64).tiny)
"""The smallest share of a member: no float64 is changed by less, and its logarithm is finite."""


class MixtureState:
    """The state of a mixture: one state for each member; made by `Mixture.initial_state`.

    A step updates it in place; take a `copy` to keep the state before it.

    Args:
        members: the members' states, of the same texts.
        magnitude: the largest of `Network.magnitude` of the members at the last step, in nats.
    """

    def __init__(self, members: Sequence[NetworkState], magnitude: float = 0.0) -> None:
        self.members = list(members)
        self.magnitude = magnitude

    @property
    def batch(self) -> int:
        """The number of texts."""
        return self.members[0].batch

    def copy(self) -> MixtureState:
        """An independent copy."""
        return MixtureState([each.copy() for each in self.members], self.magnitude)

    def take(self, rows: Sequence[int] | NDArray[np.integer]) -> MixtureState:
        """A copy of the state of the texts `rows`, in that order; a row may occur several times."""
        return MixtureState([each.take(rows) for each in self.members], self.magnitude)

    def join(self, others: Sequence[MixtureState]) -> MixtureState:
        """A copy of this state with the texts of `others`, in their order, after its own."""
        joined = [own.join([each.members[n] for each in others]) for n, own in enumerate(self.members)]
        return MixtureState(joined, max(self.magnitude, *(each.magnitude for each in others)))

    def put(self, row: int, other: MixtureState) -> None:
        """Replaces the state of the text `row` by `other`, the state of one text."""
        for each, new in zip(self.members, other.members, strict=True):
            each.put(row, new)


class Mixture:
    """A mixture of networks, which is a `Network` itself.

    Its logits are the logarithms of the mixed probabilities, computed in float64; those of a single member are the
    member's own. Members may differ in everything but the vocabulary.

    Args:
        members: at least one.
        weights: positive numbers, one for each member, in proportion; None weighs all equally.

    Raises:
        ConfigError: the members' vocabularies differ in size, or a weight is missing or not a positive number.

    >>> from textgen.config import ModelConfig
    >>> from textgen.engine import Engine
    >>> from textgen.model.weights import ModelWeights
    >>> members = []
    >>> for units in (4, 8):
    ...     config = ModelConfig(vocab_size=5, cell="gru", layers=1, units=units, embedding=4)
    ...     rng = np.random.default_rng(units)
    ...     arrays = [rng.random(shape, np.float32) for shape in ModelWeights.shapes(config).values()]
    ...     members.append(Engine(config, ModelWeights.from_arrays(arrays)))
    >>> mixture = Mixture(members, [0.7, 0.3])
    >>> logits, state = mixture.step([3], mixture.initial_state(1))
    >>> logits.shape, round(float(np.exp(logits).sum()), 6)
    ((1, 5), 1.0)
    """

    def __init__(self, members: Sequence[Network], weights: Sequence[float] | None = None) -> None:
        self.members = tuple(members)
        self._logs = np.log(shares(len(self.members), weights))
        sizes = [each.vocab_size for each in self.members]
        if len(set(sizes)) > 1:
            raise ConfigError(
                f"Members of a mixture must have one vocabulary; got some of {' and '.join(map(str, sizes))} ids. "
                "Mix models of the same characters."
            )

    @property
    def vocab_size(self) -> int:
        """The number of ids."""
        return self.members[0].vocab_size

    def initial_state(self, batch: int, *, quiet: bool = False, labels: Array | None = None) -> MixtureState:
        """The state of `batch` texts before the first character; for `quiet` see `Engine.initial_state`."""
        return MixtureState([each.initial_state(batch, quiet=quiet, labels=labels) for each in self.members])

    def step(self, ids: Sequence[int] | Ids, state: MixtureState) -> tuple[Array, MixtureState]:
        """Advances each text by one character.

        Args:
            ids: `(batch,)`, each below the vocabulary's size.
            state: before the step; it is updated in place.

        Returns:
            The logits of the next character, `(batch, vocab)` float32, and `state`.

        Raises:
            ValueError: `ids` and `state` differ in their number of texts.
        """
        found, magnitude = [], 0.0
        for member, own in zip(self.members, state.members, strict=True):
            logits, _ = member.step(ids, own)
            magnitude = max(magnitude, member.magnitude(logits, own))
            found.append(logits)
        state.magnitude = magnitude
        return self._mixed(found), state

    def read(self, ids: Ids, state: MixtureState, *, last: bool = False) -> tuple[Array, MixtureState]:
        """Advances each text by a segment of characters.

        Args:
            ids: `(batch, time)`, at least one character, each below the vocabulary's size.
            state: before the segment; it is updated in place.
            last: return only the logits after the last character.

        Returns:
            The logits after each character, `(batch, time, vocab)` float32, or `(batch, vocab)` if `last`; and `state`.

        Raises:
            ValueError: `ids` is empty, or not of the state's number of texts.
        """
        parts = zip(self.members, state.members, strict=True)
        return self._mixed([member.read(ids, own, last=last)[0] for member, own in parts]), state

    def magnitude(self, logits: Array, state: MixtureState) -> float:
        """What the rounding errors of the last step's `logits` are in proportion to, in nats.

        Where every logit of a member moves by at most `d`, its log-probabilities move by at most `2 * d`, and so do the
        mixture's; rounding them to float32 adds an error in proportion to themselves.
        """
        if len(self.members) == 1:
            return state.magnitude
        return 2.0 * state.magnitude + float(np.abs(logits).max())

    def _mixed(self, found: Sequence[Array]) -> Array:
        """The logarithms of the mixed probabilities, from the logits of each member, `(..., vocab)`."""
        if len(found) == 1:
            return found[0]
        rows = [each.reshape(-1, each.shape[-1]) for each in found]
        mixed = np.empty_like(rows[0])
        block = max(1, _BLOCK // mixed.shape[-1])
        for start in range(0, len(mixed), block):
            part = slice(start, start + block)
            mixed[part] = mix_logprobs([_log_softmax(each[part]) for each in rows], self._logs)
        return mixed.reshape(found[0].shape)


def shares(count: int, weights: Sequence[float] | None = None) -> Doubles:
    """The weights of the members of a mixture, with a sum of 1.

    Args:
        count: the number of members, at least one.
        weights: positive numbers, one for each, in proportion; None weighs all equally.

    Raises:
        ConfigError: there is no member, or a weight is missing or not a positive number.

    >>> shares(2, [3, 1]).tolist(), shares(4).tolist()
    ([0.75, 0.25], [0.25, 0.25, 0.25, 0.25])
    """
    require(count >= 1, "writers", "at least one", count)
    given = [1.0] * count if weights is None else list(weights)
    require(len(given) == count, "weights", f"one for each of {count}", given)
    positive = all(isinstance(each, Real) and 0.0 < each <= _MOST for each in given)
    require(positive, "weights", "positive numbers", given, "Leave out what is to have no weight.")
    values: Doubles = np.array(given, np.float64)
    if values.max() > _LARGE:
        values /= values.max()
    return np.maximum(values / math.fsum(values), _LEAST, out=values)


def mix_logprobs(logprobs: Sequence[Doubles], logs: Doubles) -> Doubles:
    """The logarithm of a weighted mean of probabilities, by log-sum-exp: exact however small they are.

    Args:
        logprobs: for each member an array of log-probabilities, all of one shape.
        logs: `(members,)`, the logarithms of the members' shares.

    >>> np.exp(mix_logprobs([np.log([0.5]), np.log([0.1])], np.log([0.75, 0.25]))).round(3).tolist()
    [0.4]
    """
    weighted: list[Doubles] = [each + log for each, log in zip(logprobs, logs, strict=True)]
    if len(weighted) == 1:
        return weighted[0]
    most: Doubles = np.maximum.reduce(weighted)
    total = np.zeros_like(most)
    for each in weighted:
        each -= most
        total += np.exp(each, out=each)
    np.log(total, out=total)
    total += most
    return total


def _log_softmax(logits: Array) -> Doubles:
    """The log-probabilities in nats, `(rows, vocab)`."""
    shifted: Doubles = logits - logits.max(axis=-1, keepdims=True).astype(np.float64)
    shifted -= np.log(np.exp(shifted).sum(axis=-1, keepdims=True))
    return shifted

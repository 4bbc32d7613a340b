"""The odds of edits by what each side of a text says, and both together where a run has a head for that."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from textgen.analysis.proofreading.candidates import Likeliest, log_priors, propose
from textgen.analysis.proofreading.edits import Edits
from textgen.analysis.proofreading.joint import JointReader
from textgen.analysis.proofreading.page import Verdict
from textgen.analysis.proofreading.scoring import Progress, TextReader
from textgen.analysis.proofreading.text import PlacedText
from textgen.config import ProofConfig, SamplingConfig
from textgen.engine import Engine
from textgen.sampling.banned import banned_ids
from textgen.sampling.writer import Writer

Array = NDArray[np.float64]

_FLOOR = -3.0
"""The logarithm of the odds below which an edit is dropped after a few characters."""

JOINT = 0.2
"""The weight of the gain that the joint head finds; each side has half of the rest."""


class _Side:
    """A text read from one side.

    Args:
        engine: the network.
        text: as it reads it.
        labels: as of `Sides`.
        candidates: how many of the likeliest characters are noted in each place.
    """

    def __init__(self, engine: Any, text: PlacedText, labels: NDArray[np.float32] | None, candidates: int) -> None:
        self.text = text
        self.reader = TextReader(engine, text.ids, before=text.before, after=text.after, labels=labels)
        self.own, self.likeliest = _likeliest(self.reader, len(text.ids), candidates)

    def verdict(self, title: str, length: int, *, behind: bool) -> Verdict:
        """What the side says about the characters of the text itself, which has `length` of them."""
        # What stands behind the text has a position in it where that is its last line break.
        text, own = self.text, self.own
        origins = np.append(text.origins, [text.end] * (behind and text.end < length)).astype(np.intp)
        size = len(origins)
        found = self.likeliest.logprobs[:size]
        order = np.argsort(-found, axis=1, kind="stable")
        logprobs, ids, logs = np.zeros(length), *np.zeros((2, length, order.shape[1]))
        logprobs[origins] = own[:size]
        ids[origins] = np.take_along_axis(self.likeliest.ids[:size], order, axis=1)
        logs[origins] = np.take_along_axis(found, order, axis=1)
        return Verdict(title, logprobs, ids.astype(np.intp), logs)


class Sides:
    """Reads a text from the left and, with a run of both sides, from the right and from both.

    Args:
        writer: the run.
        config: the settings.
        labels: `(labels,)`, the weights of the text's labels; None for none.
    """

    def __init__(self, writer: Writer, config: ProofConfig, labels: NDArray[np.float32] | None) -> None:
        self._writer, self._config, self._labels = writer, config, labels
        tokenizer = writer.tokenizer
        self._allowed = np.ones(tokenizer.vocab_size, np.bool_)
        self._allowed[banned_ids(tokenizer, SamplingConfig())] = False
        if tokenizer.end_id is not None:
            self._allowed[tokenizer.end_id] = False
        self._priors = log_priors(config, len(tokenizer.characters))

    def read(self, text: PlacedText) -> None:
        """Reads a text, which the other methods are about."""
        backward, most = self._writer.backward, self._config.candidates
        self._text = text
        self._left = _Side(self._writer.engine, text, self._labels, most)
        self._right = None if backward is None else _Side(backward, text.mirrored(), self._labels, most)

    def verdicts(self, length: int) -> tuple[Verdict, ...]:
        """What each side says about the characters of the text, which has `length` of them."""
        left = self._left.verdict("most likely after what stands before", length, behind=True)
        if self._right is None:
            return (left,)
        return left, self._right.verdict("most likely before what stands behind", length, behind=False)

    def odds(self, progress: Progress | None = None) -> tuple[Edits, Array]:
        """The edits that are worth it, and the logarithms of their odds against none, `(edits,)`."""
        text, left, right = self._text, self._left, self._right
        edits = propose(text, left.own, left.likeliest, self._priors, self._allowed)
        if right is not None:
            proposed = propose(right.text, right.own, right.likeliest, self._priors, self._allowed)
            edits = Edits.join([edits, proposed.reversed(len(text.ids)).settled(text.ids)]).distinct()
        priors = self._priors[edits.kinds]
        if not len(edits):
            return edits, priors
        reach = self._config.reach
        gains = left.reader.gains(edits, left.own, reach=reach, floor=_FLOOR - priors, progress=progress)
        if right is None:
            return edits, gains + priors
        kept = gains > -np.inf
        edits, priors, gains = edits.take(kept), priors[kept], gains[kept]
        mirrored = edits.reversed(len(text.ids))
        gains = 0.5 * (gains + right.reader.gains(mirrored, right.own, reach=reach, floor=_FLOOR - priors))
        kept = gains > -np.inf
        edits, priors, gains = edits.take(kept), priors[kept], gains[kept]
        return edits, self._with_joint(edits, gains) + priors

    def _with_joint(self, edits: Edits, gains: Array) -> Array:
        """The gains of edits with those that the joint head finds, where it says how much that is.

        It says what a single character should be, not how many there should be. Of what may be missing in a place it
        tells the one from the other, and the two sides whether anything is.
        """
        forward, backward, joint = self._writer.engine, self._writer.backward, self._writer.joint
        if backward is None or joint is None or not isinstance(forward, Engine):
            return gains
        reader = JointReader(forward, backward, joint, self._text, labels=self._labels)
        found = gains.copy()
        other, missing = edits.kinds == 0, edits.kinds == 2
        if other.any():
            places = edits.places[other]
            put, stands = (
                reader.logprobs(places, places + 1, each)
                for each in (edits.put[other, 0], self._text.ids[places].astype(np.intp))
            )
            found[other] = put - stands
        if missing.any():
            places = edits.places[missing]
            logs = reader.logprobs(places, places, edits.put[missing, 0])
            found[missing] = logs + _log_sums(gains[missing], places) - _log_sums(logs, places)
        mixed: Array = gains + JOINT * (found - gains)
        return mixed


def _log_sums(logs: Array, places: NDArray[np.intp]) -> Array:
    """For each the logarithm of the sum of the exponentials of all with its place, `(n,)`.

    >>> _log_sums(np.log([1.0, 2.0, 3.0]), np.array([4, 5, 4])).round(4).tolist() == np.log([4, 2, 4]).round(4).tolist()
    True
    """
    _, group = np.unique(places, return_inverse=True)
    most = np.full(int(group.max()) + 1, -np.inf)
    np.maximum.at(most, group, logs)
    sums = np.zeros(len(most))
    np.add.at(sums, group, np.exp(logs - most[group]))
    found: Array = (most + np.log(sums))[group]
    return found


def _likeliest(reader: TextReader, size: int, count: int) -> tuple[Array, Likeliest]:
    """The log-probability of each id of the text and behind it, and what is likeliest in each of these places."""
    ids: list[NDArray[np.intp]] = []
    logs: list[Array] = []

    def observe(_: int, logprobs: Array) -> None:
        most = min(count, logprobs.shape[1])
        found = np.argpartition(-logprobs, most - 1, axis=1)[:, :most]
        found.sort(axis=1)
        ids.append(found)
        logs.append(np.take_along_axis(logprobs, found, axis=1))

    own = reader.logprobs(observe)

    def joined(parts: Sequence[NDArray[Any]]) -> NDArray[Any]:
        # (length, parts, candidates), part after part.
        stacked = np.stack(parts).swapaxes(0, 1)
        return stacked.reshape(-1, stacked.shape[2])[: size + 1]

    return own, Likeliest(joined(ids), joined(logs))

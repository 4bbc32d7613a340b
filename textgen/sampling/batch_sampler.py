"""Draws the ids of one or several samples of a prompt, one character of each at a time.

Takes a network, the prompt's ids, the controls and a random generator for each sample; `ending` decides when a text
ends.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from textgen.config import SamplingConfig
from textgen.engine import Network
from textgen.sampling.constraint import Walk, biases_of
from textgen.sampling.ending import OVERRUN
from textgen.sampling.logits import controlled, draw, log_softmax
from textgen.sampling.margin import Margin
from textgen.sampling.referee import TOLERANCE, Referee

Array = NDArray[np.float64]
Ids = NDArray[np.integer]

_TINY = 1e-300
"""Replaces an exponential random number of 0, which has no logarithm; smaller than any other."""

_AHEAD = 4096
"""Random numbers drawn at once for each sample, but at least those for one character."""

_FEW = 8
"""Characters that the first random numbers are drawn for."""


class BatchSampler:
    """Draws the ids of several samples in one batch.

    A sample depends on its own generator alone, not on the others in the batch; see `referee`.

    Args:
        engine: the network.
        context: `(characters,)`, at least one id, from which the network's state follows.
        prompt: `(characters,)`, the ids that the repetition penalty counts besides the drawn ones.
        config: the controls.
        generators: a random generator for each sample.
        banned: the ids that are never drawn, not all of them; None for none.
        not_first: an id that is not drawn first; None for none.
        labels: `(labels,)`, the weights of the samples' labels; None for none.
        bias: `(vocab,)`, what is added to the logits before the controls; None for nothing.
        walks: for each sample its way through a constraint, which tells the ids that may come next; the caller reports
            to it what was drawn. None for no constraint.

    Attributes:
        samples: the indices of the unfinished samples, in the order of the rows that `draw` returns.
    """

    def __init__(
        self,
        engine: Network,
        context: Ids,
        prompt: Ids,
        config: SamplingConfig,
        generators: Sequence[np.random.Generator],
        *,
        banned: Ids | None = None,
        not_first: int | None = None,
        labels: NDArray[np.float32] | None = None,
        bias: Array | None = None,
        walks: Sequence[Walk] | None = None,
    ) -> None:
        count = len(generators)
        labelled = {} if labels is None else {"labels": labels}
        logits, state = engine.read(context[None], engine.initial_state(1, quiet=count > 1, **labelled), last=True)
        self.samples = list(range(count))
        self._engine, self._config, self._generators = engine, config, generators
        self._logits = logits.repeat(count, axis=0)
        self._state = state if count == 1 else state.take([0] * count)
        self._referee = Referee(engine, state, count) if count > 1 else None
        self._drawn: list[list[int]] = [[] for _ in generators]
        self._last: Ids = np.empty(count, np.intp)
        self._position = 0
        self._most = max(1, min(_AHEAD // logits.shape[1], config.longest + OVERRUN[config.until]))
        self._noise = np.empty((count, 0, logits.shape[1]))
        self._place = 0
        self._temperatures = config.temperatures
        self._window = Window(prompt, count, config.repetition_window) if config.repetition_penalty > 1.0 else None
        penalized = config.presence_penalty != 0.0 or config.frequency_penalty != 0.0
        self._counts = np.zeros((count, logits.shape[1])) if penalized else None
        self._bias = bias
        self._banned = _columns(banned) if walks is None else None
        self._walks = walks
        self._not_first = not_first

    @property
    def logprobs(self) -> Array:
        """`(samples, vocab)`: the log-probabilities of the last draw in nats, before the controls."""
        return log_softmax(self._logits.astype(np.float64))

    def draw(self) -> Ids:
        """Draws the next id of each unfinished sample, `(samples,)`."""
        if self._place == self._noise.shape[1]:
            self._draw_ahead()
        if self._position:
            self._logits, self._state = self._engine.step(self._last, self._state)
        noise = self._noise[:, self._place]
        recent = None if self._window is None else self._window.ids
        counts = self._counts
        biases = None if self._walks is None else biases_of([self._walks[sample] for sample in self.samples])
        if self._referee is None or not self._position:
            ids = self._choose(self._logits, noise, recent, counts, biases)
        else:
            margin = Margin(len(self._logits))
            ids = self._choose(self._logits, noise, recent, counts, biases, margin)
            tolerance = TOLERANCE * self._engine.magnitude(self._logits, self._state)
            for row in np.flatnonzero(margin.nats <= tolerance).tolist():
                self._compute_alone(row, self._referee)
                own = None if recent is None else recent[[row]]
                count = None if counts is None else counts[[row]]
                bias = None if biases is None else biases[[row]]
                ids[row] = self._choose(self._logits[[row]], noise[[row]], own, count, bias)[0]
        if self._referee is not None:
            for sample, each in zip(self.samples, ids.tolist(), strict=True):
                self._drawn[sample].append(each)
        if self._window is not None:
            self._window.add(ids)
        if counts is not None:
            counts[np.arange(len(ids)), ids] += 1.0
        self._last = ids
        self._position += 1
        self._place += 1
        return ids

    def keep(self, rows: Sequence[int]) -> None:
        """Keeps the samples in these rows only; at least one."""
        index = np.asarray(rows, np.intp)
        self.samples = [self.samples[row] for row in rows]
        self._state, self._logits = self._state.take(index), self._logits[index]
        self._last, self._noise, self._place = self._last[index], self._noise[index, self._place :], 0
        if self._window is not None:
            self._window.keep(index)
        if self._counts is not None:
            self._counts = self._counts[index]

    def _draw_ahead(self) -> None:
        """Draws Gumbel noise for the next characters.

        Few at first, since a text may be short. The numbers are the same however many are drawn at once.
        """
        size = min(max(_FEW, self._position), self._most)
        self._noise = np.empty((len(self.samples), size, self._noise.shape[2]))
        self._place = 0
        for row, sample in enumerate(self.samples):
            draw_noise(self._generators[sample], self._noise[row])

    def _choose(
        self,
        logits: NDArray[np.float32],
        noise: Array,
        recent: Ids | None,
        counts: Array | None,
        biases: Array | None,
        margin: Margin | None = None,
    ) -> Ids:
        """The ids drawn from logits, `(rows, vocab)`, after the controls."""
        temperature = self._temperatures[self._position % len(self._temperatures)]
        possible = logits.astype(np.float64)
        if self._banned is not None:
            possible[:, self._banned] = -np.inf
        if not self._position and self._not_first is not None:
            possible[:, self._not_first] = -np.inf
        if self._bias is not None:
            possible += self._bias
        if biases is not None:
            possible += biases
        left = controlled(possible, self._config, temperature, recent, margin, counts=counts)
        return draw(left, noise, margin)

    def _compute_alone(self, row: int, referee: Referee) -> None:
        """Recomputes the logits and the state of the sample in `row` in a batch of one."""
        sample = self.samples[row]
        self._logits[[row]], state = referee.logits(sample, self._drawn[sample])
        self._state.put(row, state)


def draw_noise(generator: np.random.Generator, noise: Array) -> None:
    """Fills an array with Gumbel noise: minus the logarithm of exponential random numbers."""
    generator.standard_exponential(out=noise)
    np.maximum(noise, _TINY, out=noise)
    np.negative(np.log(noise, out=noise), out=noise)


def _columns(banned: Ids | None) -> Ids | int | None:
    """The banned ids as an index that NumPy is fast with: one column is set faster than a list of one or none."""
    if banned is None or not len(banned):
        return None
    return banned if len(banned) > 1 else int(banned[0])


class Window:
    """The most recent ids of each text, of the prompt and drawn.

    Args:
        prompt: `(characters,)`, the beginning of all texts.
        texts: number of texts.
        size: ids kept of each.

    >>> window = Window(np.array([1, 2, 3]), 2, 4)
    >>> for ids in ([4, 5], [6, 7]):
    ...     window.add(np.array(ids))
    >>> np.sort(window.ids).tolist()
    [[2, 3, 4, 6], [2, 3, 5, 7]]
    """

    def __init__(self, prompt: Ids, texts: int, size: int) -> None:
        tail = prompt[-size:]
        self._ring = np.empty((texts, size), np.int32)
        self._ring[:, : len(tail)] = tail
        self._size, self._seen = size, len(tail)

    @property
    def ids(self) -> Ids:
        """`(texts, characters)`, in no particular order."""
        return self._ring[:, : self._seen]

    def add(self, ids: Ids) -> None:
        """Appends an id to each text, `(texts,)`; the oldest is dropped."""
        self._ring[:, self._seen % self._size] = ids
        self._seen += 1

    def keep(self, rows: Ids) -> None:
        """Keeps the texts `rows` only."""
        self._ring = self._ring[rows]

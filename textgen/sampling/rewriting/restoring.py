"""What may be written where a task took something away: only a text of which the task would make the source again.

A model of diacritics then changes no letter, one of case nothing but case, and one of spaces adds white space alone.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from textgen.config.corpus import PairTask
from textgen.corpus.pair_tasks import damage
from textgen.corpus.tokenizer import CharTokenizer
from textgen.sampling.rewriting.writable import Bias


class Restoring:
    """For each place of a source the ids that may be written there.

    They are those of the characters that the task turns into what stands there, and of those of which it leaves
    nothing, such as combining marks or spaces, as long as there is room for the rest of the source. Where no character
    of the vocabulary is turned into what stands there, any may be written in its stead. A text ends where all of its
    source is written.

    Args:
        tokenizer: the vocabulary of what is written, with an id for a text's end.
        task: one that takes something away, not noise.
        plain: `(vocab,)`, what to add to log-probabilities anywhere: `-inf` for ids that are never written.

    >>> tokenizer = CharTokenizer("aeé", has_end=True)
    >>> batch = Restoring(tokenizer, "diacritics", np.zeros(4)).batch(["ea"], [9])
    >>> batch.bias(batch.first, 0).tolist(), batch.bias(batch.after(batch.first, [2], 0), 1).tolist()
    ([[-inf, 0.0, 0.0, -inf]], [[0.0, -inf, -inf, -inf]])
    """

    def __init__(self, tokenizer: CharTokenizer, task: PairTask, plain: Bias) -> None:
        assert tokenizer.end_id is not None
        self._task, self._plain, self._end = task, plain, tokenizer.end_id
        made = [_compared(damage(each, task), task) for each in tokenizer.characters]
        # For each id how many of the source's characters it stands for.
        self._taken = np.ones(tokenizer.vocab_size, np.int64)
        self._taken[: len(made)] = [len(each) for each in made]
        self._taken[self._end] = 0
        self._longest = max(1, *self._taken)
        added = (self._taken == 0) & (np.arange(tokenizer.vocab_size) != self._end)
        self._full = np.where(added, -np.inf, 0.0)
        self._ids: dict[str, list[int]] = {}
        for n, each in enumerate(made):
            self._ids.setdefault(each, []).append(n)
        self._known: dict[str, NDArray[Any]] = {}

    def batch(self, sources: Sequence[str], limits: Sequence[int]) -> Restored:
        """What may be written for some sources at once, of each a text of at most so many characters.

        Args:
            sources: texts that lack what the task takes away.
            limits: the most characters for each.
        """
        firsts, rows, most = [], list[int](), list[int]()
        rests: dict[str, int] = {}
        for source, limit in zip(sources, limits, strict=True):
            left = _compared(source, self._task)
            firsts.append(len(rows))
            rows += [rests.setdefault(left[n : n + self._longest], len(rests)) for n in range(len(left) + 1)]
            most += range(limit - len(left), limit + 1)
        biases = np.full((len(rests), len(self._plain)), -np.inf)
        for bias, rest in zip(biases, rests, strict=True):
            allowed = self._allowed(rest)
            bias[allowed] = self._plain[allowed]
        return Restored(firsts, np.array(rows), np.array(most), biases=biases, full=self._full, taken=self._taken)

    def _allowed(self, rest: str) -> NDArray[Any]:
        """The ids that may be written where the source goes on with `rest`; at its end that is nothing."""
        if rest not in self._known:
            ids = [n for size in range(1, len(rest) + 1) for n in self._ids.get(rest[:size], [])]
            if rest and not np.isfinite(self._plain[ids]).any():
                ids = np.flatnonzero(self._taken == 1).tolist()
            ids += [*self._ids.get("", []), *([] if rest else [self._end])]
            self._known[rest] = np.array(ids, np.intp)
        return self._known[rest]


class Restored:
    """Texts of which a task would make their sources; a text's state is the place of its source that comes next.

    Args:
        first: for each text the place where its source begins.
        rows: for the places of all sources and their ends the rows of `biases`.
        most: for the same places how long a text may be there, so that the rest of its source has room.
        biases: what to add to log-probabilities, `(rows, vocab)`.
        full: `(vocab,)`, what to add where a text may not become longer first.
        taken: `(vocab,)`, for each id how many of the source's characters it stands for.
    """

    def __init__(
        self,
        first: list[int],
        rows: NDArray[Any],
        most: NDArray[Any],
        *,
        biases: Bias,
        full: Bias,
        taken: NDArray[Any],
    ) -> None:
        self.first, self._rows, self._most = first, rows, most
        self._biases, self._full, self._taken = biases, full, taken

    @property
    def has_states(self) -> bool:
        """As `Writable.has_states`."""
        return True

    def bias(self, states: Sequence[int], length: int) -> Bias:
        """As `Writable.bias`."""
        biases: Bias = self._biases[self._rows[states]]
        biases[length + 1 >= self._most[states]] += self._full
        return biases

    def after(self, states: Sequence[int], ids: Sequence[int], length: int) -> list[int]:
        """As `Writable.after`."""
        del length
        after: list[int] = np.minimum(np.array(states) + self._taken[ids], len(self._rows) - 1).tolist()
        return after


def _compared(text: str, task: PairTask) -> str:
    """A text as it is compared: of case both sigmas are one, since where it stands says which a capital becomes."""
    return text.replace("ς", "σ") if task == "case" else text

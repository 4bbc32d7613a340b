"""A batch of texts of different prompts and controls, which join and leave it between characters.

A text is the one that its prompt, controls, seed and index give alone, whatever else is in the batch: where a draw is
close, its logits are recomputed by itself, as `textgen.sampling.referee` describes. Until that is done, in pieces, the
text waits beside the batch.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import numpy as np
from numpy.typing import NDArray

from textgen.engine import Network
from textgen.engine.network import NetworkState
from textgen.sampling.constraint import biases_of
from textgen.sampling.logits import controlled, draw, log_softmax, penalize_repetition
from textgen.sampling.margin import Margin
from textgen.sampling.prompt import Text
from textgen.sampling.referee import TOLERANCE

Array = NDArray[np.float64]


class RunningBatch:
    """The texts that a network writes at the moment.

    Args:
        network: the network.

    Attributes:
        texts: those in the batch, in the order of its rows.
        waiting: those whose logits are being recomputed; see `recall`.
    """

    def __init__(self, network: Network) -> None:
        self.network = network
        self.texts: list[Text] = []
        self.waiting: list[Text] = []
        self._logits = np.empty((0, network.vocab_size), np.float32)
        self._state: NetworkState | None = None
        self._steps = 0
        # These depend on the texts alone: see `_grouped`; whether temperatures vary, and whether all texts are plain.
        self._groups: list[tuple[list[int], float]] | None = None
        self._varies = self._plain = False

    def __len__(self) -> int:
        return len(self.texts) + len(self.waiting)

    def join(self, texts: Sequence[Text]) -> None:
        """Adds texts whose state is exact: new ones, and those that were recomputed."""
        if not texts:
            return
        states = [text.known[0] for text in texts]
        if self._state is None:
            first, *others = states
            self._state = first.join(others) if others else first.copy()
            self._logits = np.concatenate([text.logits for text in texts])
        else:
            self._note_exact()
            self._state = self._state.join(states)
            self._logits = np.concatenate([self._logits, *(text.logits for text in texts)])
        self.texts = [*self.texts, *texts]
        self._groups = None

    def _note_exact(self) -> None:
        """Keeps the state of a text that was alone so far, before it is one of several."""
        if len(self.texts) == 1 and self.texts[0].exact and self._state is not None:
            (text,) = self.texts
            text.known = (self._state.copy(), len(text.drawn))

    def leave(self, gone: Iterable[Text]) -> None:
        """Removes texts."""
        leaving = {id(text) for text in gone}
        if not leaving:
            return
        self.waiting = [text for text in self.waiting if id(text) not in leaving]
        self._keep([row for row, text in enumerate(self.texts) if id(text) not in leaving])

    def _keep(self, rows: list[int]) -> None:
        if len(rows) == len(self.texts):
            return
        self.texts = [self.texts[row] for row in rows]
        if rows and self._state is not None:
            self._state, self._logits = self._state.take(rows), self._logits[rows]
        else:
            self._state = None
        self._groups = None

    def step(self) -> list[Text]:
        """Draws a character for each text of the batch and computes the logits of the next.

        Returns:
            The texts that got one, some of which may have ended; those are no longer in the batch.
        """
        if not self.texts or self._state is None:
            return []
        ids, close = self._draw()
        noted = [row for row, text in enumerate(self.texts) if text.prompt.logprobs is not None]
        logprobs = dict(zip(noted, log_softmax(self._logits[noted].astype(np.float64)), strict=True)) if noted else {}
        rows: Sequence[int] = range(len(self.texts))
        written = self.texts
        if close:
            self.waiting += [self.texts[row] for row in sorted(close)]
            rows = [row for row in rows if row not in close]
            written = [self.texts[row] for row in rows]
            ids = ids[rows]
        for row, text, each in zip(rows, written, ids.tolist(), strict=True):
            text.add(each, logprobs.get(row))
        going = [n for n, text in enumerate(written) if text.draft.ending.reason is None]
        if len(going) < len(written):
            ids, rows = ids[going], [rows[n] for n in going]
        self._keep(list(rows))
        self._steps += 1
        if self.texts and self._state is not None:
            self._logits, self._state = self.network.step(ids, self._state)
            alone = len(self.texts) == 1
            for text in self.texts:
                text.exact = text.exact and alone
        return written

    def recall(self, steps: int) -> int:
        """Goes on recomputing the first text that waits, for so many characters; it joins the batch when it is done.

        Returns:
            The characters that were recomputed.
        """
        if not self.waiting:
            return 0
        text = self.waiting[0]
        before = text.known[1]
        if text.recall(steps):
            self.waiting.pop(0)
            self.join([text])
        return text.known[1] - before

    def _draw(self) -> tuple[NDArray[np.intp], set[int]]:
        """The next id of each text, and the rows whose draw is too close to be certain."""
        texts = self.texts
        possible = self._logits.astype(np.float64)
        if self._groups is None:
            self._plain = all(text.is_plain for text in texts)
        if not self._plain:
            self._adjust(possible)
        noise = np.concatenate([text.noise for text in texts]).reshape(len(texts), -1)
        exact = all(text.exact for text in texts)
        single = exact and len(texts) == 1
        margin = None if single else np.empty(len(texts))
        ids = np.empty(len(texts), np.intp)
        for rows, temperature in self._grouped():
            whole = len(rows) == len(texts)
            part, their_noise = (possible, noise) if whole else (possible[rows], noise[rows])
            counts = self._counts(rows)
            found = None if margin is None else Margin(len(rows))
            config = texts[rows[0]].prompt.config
            left = controlled(part, config, temperature, None, found, counts=counts)
            ids[rows] = draw(left, their_noise, found)
            if found is not None and margin is not None:
                margin[rows] = found.nats
        if margin is None:
            return ids, set()
        return ids, self._close(margin, possible, noise, ids)

    def _close(self, margin: Array, possible: Array, noise: Array, ids: NDArray[np.intp]) -> set[int]:
        """The rows that must be recomputed; exact ones are drawn by themselves at once."""
        tolerance = TOLERANCE * self.network.magnitude(self._logits, self._state)
        close = set()
        for row in np.flatnonzero(margin <= tolerance).tolist():
            text = self.texts[row]
            if not text.exact:
                close.add(row)
                continue
            left = controlled(possible[[row]], text.prompt.config, text.temperature, counts=text.counts)
            ids[row] = draw(left, noise[[row]])[0]
        return close

    def _adjust(self, possible: Array) -> None:
        """Adds what each text has for itself: biases, constraints, its repetition penalty."""
        walks = [(row, text.draft.walk) for row, text in enumerate(self.texts) if text.draft.walk is not None]
        for row, text in enumerate(self.texts):
            prompt = text.prompt
            if prompt.bias is not None:
                possible[row] += prompt.bias
            if not text.drawn and not len(prompt.ids) and prompt.tokenizer.end_id is not None:
                # No record is empty.
                possible[row, prompt.tokenizer.end_id] = -np.inf
        if walks:
            rows = [row for row, _ in walks]
            possible[rows] += biases_of([walk for _, walk in walks if walk is not None])
        for row, text in enumerate(self.texts):
            if text.window is not None:
                penalty = text.prompt.config.repetition_penalty
                possible[row] = penalize_repetition(possible[[row]], text.window.ids, penalty)[0]

    def _counts(self, rows: list[int]) -> Array | None:
        counts = [self.texts[row].counts for row in rows]
        found = [each for each in counts if each is not None]
        return np.concatenate(found) if found else None

    def _grouped(self) -> list[tuple[list[int], float]]:
        """The rows that are drawn alike, and their temperature."""
        if self._groups is None or self._varies:
            self._varies = any(len(text.temperatures) > 1 for text in self.texts)
            groups: dict[tuple[object, ...], list[int]] = {}
            for row, text in enumerate(self.texts):
                groups.setdefault((text.temperature, text.prompt.key), []).append(row)
            self._groups = [(rows, self.texts[rows[0]].temperature) for rows in groups.values()]
        return self._groups

"""A prompt that is read piece by piece, and then begins texts of a running batch.

Pieces have whole multiples of the rows of a small product, so that the state after them is, bit for bit, the one after
reading the prompt in one piece.
"""

from __future__ import annotations

import secrets
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from textgen.config import SamplingConfig, require
from textgen.corpus.context import context_ids
from textgen.corpus.tokenizer import CharTokenizer
from textgen.engine import Network
from textgen.engine.matrix import ROWS
from textgen.engine.network import NetworkState
from textgen.sampling.banned import banned_ids, bias_of
from textgen.sampling.batch_sampler import Window, draw_noise
from textgen.sampling.constraint import constraint_of
from textgen.sampling.ending import OVERRUN
from textgen.sampling.logits import likeliest_first, log_softmax
from textgen.sampling.prompt_states import PromptStates
from textgen.sampling.sample import CharacterLogprob
from textgen.sampling.sampler import Unfinished, generator_of

Array = NDArray[np.float64]
Ids = NDArray[np.integer]

_AHEAD, _FEW = 4096, 8
"""Random numbers drawn at once for a text, at most; characters that the first ones are drawn for."""

_READ = ("presence_penalty", "frequency_penalty", "top_k", "top_p", "min_p", "typical_p")
"""The fields that decide what is drawn, besides those that each text applies by itself; see `RunningBatch`."""


class Prompt:
    """A prompt, its controls, and the texts that are to follow it.

    Args:
        network: the network.
        tokenizer: its vocabulary.
        prompt: the text to continue, or its ids; see `textgen.corpus.context` for an empty one.
        config: the controls, with texts as the training text was.
        count: number of texts, at least 1; text k depends on the seed and k alone.
        logprobs: number of likeliest characters to record at each position; None records nothing.
        scored: also compute the log-probabilities of the prompt's characters, as `Writer.score` does.
        labels: `(labels,)`, the weights of the texts' labels; None for none.

    Attributes:
        text: the prompt as it is read: without characters that are skipped, and with those that replace others.
        ids: its ids, `(characters,)`.
        seed: that of the texts.
        ended: whether nothing is to be written after it.
        scores: what `scored` asks for, an entry for each character.

    Raises:
        UnknownCharacterError: the prompt holds characters that the model never saw, and `unknown` refuses them.
        ConfigError: an id is none of a character, or `ban` and `allow` are not possible, or no text fits the
            constraints.
    """

    def __init__(
        self,
        network: Network,
        tokenizer: CharTokenizer,
        prompt: str | Sequence[int],
        config: SamplingConfig,
        *,
        count: int = 1,
        logprobs: int | None = None,
        scored: bool = False,
        labels: NDArray[np.float32] | None = None,
    ) -> None:
        self.network, self.tokenizer, self.logprobs, self.count = network, tokenizer, logprobs, count
        if isinstance(prompt, str):
            self.ids: Ids = tokenizer.encode(prompt, unknown=config.unknown)
            self.text = prompt if len(self.ids) == len(prompt) and config.unknown != "replace" else ""
            self.text = self.text or tokenizer.decode(self.ids)
        else:
            check_ids(prompt, tokenizer)
            self.text = tokenizer.decode(list(prompt))
            self.ids = np.array(prompt, tokenizer.dtype)
        if config.seed is None:
            config = config.replace(seed=secrets.randbits(32))
        assert config.seed is not None
        self.seed, self.config = config.seed, config
        self.alphabet = [*tokenizer.characters, *["\ufffd"] * tokenizer.has_unknown, *[""] * tokenizer.has_end]
        banned = banned_ids(tokenizer, config)
        self.constraint = constraint_of(tokenizer, config, banned)
        self.bias = bias_of(tokenizer, config)
        if self.constraint is None and len(banned):
            self.bias = np.zeros(tokenizer.vocab_size) if self.bias is None else self.bias
            self.bias[banned] = -np.inf
        self.key = tuple(getattr(config, name) for name in _READ)
        self.scores: list[CharacterLogprob] = []
        self._labels = labels
        before = context_ids(tokenizer, self.ids[:0])
        self.ended = config.longest + OVERRUN[config.until] <= 0
        self._passes = [] if self.ended else [_Pass(context_ids(tokenizer, self.ids), scored=False)]
        if scored and len(self.ids):
            self._passes.append(_Pass(np.concatenate([before, self.ids]), scored=True))
        self._logits, self._state = np.empty((1, tokenizer.vocab_size), np.float32), self._initial()

    def _initial(self) -> NetworkState:
        given = {} if self._labels is None else {"labels": self._labels}
        return self.network.initial_state(1, quiet=True, **given)

    @property
    def left(self) -> int:
        """The characters that are still to be read; 0 once texts can begin."""
        return sum(len(each.ids) - each.read for each in self._passes)

    def read(self, characters: int, states: PromptStates | None = None) -> int:
        """Reads about so many of the characters that are left, at least one of them unless all are known.

        Args:
            characters: how many, about.
            states: of prompts that the same network has read, which this one becomes one of; None for none.

        Returns:
            How many it read.
        """
        if not self._passes:
            return 0
        current = self._passes[0]
        source = (current.ids.tobytes(), None if self._labels is None else self._labels.tobytes())
        known = states.get(source) if states is not None and not (current.read or current.scored) else None
        if known is not None:
            self._logits, self._state = known
            self._passes.pop(0)
            return 0
        most = max(ROWS, characters // ROWS * ROWS)
        piece = current.ids[current.read : current.read + most]
        if current.state is None:
            current.state = self._initial()
        logits, current.state = self.network.read(piece[None], current.state, last=not current.scored)
        if current.scored:
            self._score(logits[0], current.ids[current.read + 1 : current.read + len(piece) + 1])
        current.read += len(piece)
        if current.read == len(current.ids):
            self._passes.pop(0)
            if not current.scored:
                self._logits, self._state = logits, current.state
                if states is not None:
                    # A copy has none of the buffers that reading needs.
                    states.put(source, logits, current.state.copy())
        return len(piece)

    def _score(self, logits: NDArray[np.float32], followed: Ids) -> None:
        logprobs = log_softmax(logits[: len(followed)].astype(np.float64))
        for row, each in zip(logprobs, followed.tolist(), strict=True):
            self.scores.append(noted(self.alphabet, row, each, self.logprobs or 0))

    def texts(self) -> list[Text]:
        """The texts, once the prompt has been read."""
        return [Text(self, index, self._logits, self._state) for index in range(self.count)]


@dataclass
class _Pass:
    """Ids that are read from the initial state, and how many have been."""

    ids: Ids
    scored: bool
    read: int = 0
    state: NetworkState | None = None


class Text:
    """A text of a running batch: what has been drawn for it, and what the next draw needs.

    Args:
        prompt: what it follows.
        index: of the text among those of the seed.
        logits: `(1, vocab)`, those after the prompt.
        state: that of one text after the prompt; not changed.

    Attributes:
        draft: the text so far, and why it has ended.
        logprobs: an entry for each character that was drawn, held-back ones and a record's end included.
        drawn: the ids so far.
        logits: `(1, vocab)`, those of the next character, where `exact`.
        exact: whether state and logits are those of the text by itself.
        known: a state of the text by itself and the number of drawn ids in it; see `textgen.sampling.referee`.
    """

    def __init__(self, prompt: Prompt, index: int, logits: NDArray[np.float32], state: NetworkState) -> None:
        config, size = prompt.config, logits.shape[1]
        self.prompt, self.index, self.logits = prompt, index, logits
        self.draft = Unfinished(prompt.text, index, prompt.seed, config, prompt.constraint, noted=False)
        self.logprobs: list[CharacterLogprob] = []
        self.drawn: list[int] = []
        self.exact = True
        self.known: tuple[NetworkState, int] = (state, 0)
        self.temperatures = config.temperatures
        self.window: Window | None = None
        longest = config.longest + OVERRUN[config.until]
        if config.repetition_penalty > 1.0:
            ids = prompt.ids.astype(np.int32)
            self.window = Window(ids, 1, max(1, min(config.repetition_window, len(ids) + longest)))
        penalized = config.presence_penalty != 0.0 or config.frequency_penalty != 0.0
        self.counts: Array | None = np.zeros((1, size)) if penalized else None
        self._alphabet, self._end = prompt.alphabet, prompt.tokenizer.end_id
        self._generator = generator_of(prompt.seed, index)
        self._noise: Array = np.empty((0, size))
        self._place = 0
        self._most = max(1, min(_AHEAD // size, longest))

    @property
    def ended(self) -> bool:
        """Whether the text has come to its end."""
        return self.draft.ending.reason is not None

    @property
    def is_plain(self) -> bool:
        """Whether its logits are drawn from as they are, but for what its whole group has; see `RunningBatch`."""
        return self.draft.walk is None and self.prompt.bias is None and self.window is None and self._end is None

    @property
    def temperature(self) -> float:
        """That of the next character."""
        return self.temperatures[len(self.drawn) % len(self.temperatures)]

    @property
    def noise(self) -> Array:
        """`(vocab,)`, the random numbers of the next draw."""
        if self._place == len(self._noise):
            size = min(max(_FEW, len(self.drawn)), self._most)
            self._noise, self._place = np.empty((size, self._noise.shape[1])), 0
            draw_noise(self._generator, self._noise)
        noise: Array = self._noise[self._place]
        return noise

    def add(self, drawn: int, logprobs: Array | None) -> None:
        """Takes the id that was drawn, from these log-probabilities, `(vocab,)`; None where none are asked for."""
        if logprobs is not None:
            self.logprobs.append(noted(self._alphabet, logprobs, drawn, self.prompt.logprobs or 0))
        if drawn == self._end:
            self.draft.finish()
        else:
            self.draft.add(drawn, self._alphabet[drawn])
        self.drawn.append(drawn)
        self._place += 1
        if self.window is not None:
            self.window.add(np.array([drawn]))
        if self.counts is not None:
            self.counts[0, drawn] += 1.0

    def recall(self, steps: int) -> bool:
        """Recomputes logits and state by itself, for so many of the characters that were drawn; True when it is done.

        Called until it returns True, it makes `exact` true; `known` then holds the state.
        """
        state, start = self.known
        state = state.copy() if start == 0 else state
        for each in self.drawn[start : start + steps]:
            self.logits, state = self.prompt.network.step([each], state)
        self.known = (state, min(len(self.drawn), start + steps))
        self.exact = self.known[1] == len(self.drawn)
        return self.exact


def noted(alphabet: Sequence[str], logprobs: Array, each: int, top: int) -> CharacterLogprob:
    """The record of a character: its log-probability and those of the `top` likeliest.

    >>> noted("ab", np.log([0.25, 0.75]), 0, 1)
    CharacterLogprob(character='a', logprob=-1.3862943611198906, top=(('b', -0.2876820724517809),))
    """
    order = likeliest_first(logprobs[None])[0, :top].tolist() if top else []
    likeliest = tuple((alphabet[n], float(logprobs[n])) for n in order)
    return CharacterLogprob(alphabet[each], float(logprobs[each]), likeliest)


def check_ids(ids: Sequence[int], tokenizer: CharTokenizer) -> None:
    """Checks that a prompt's ids are some of the vocabulary.

    Raises:
        ConfigError: one is not.
    """
    outside = next((each for each in ids if not 0 <= each < tokenizer.vocab_size), None)
    require(outside is None, "prompt", f"ids in [0, {tokenizer.vocab_size})", outside)

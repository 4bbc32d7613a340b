"""The sampling loop: writes samples of a prompt, whole or piece by piece.

`batch_sampler` draws the ids, and `ending` decides when a text ends.

Sample k draws from its own generator, seeded by `SeedSequence(seed, spawn_key=(k,))`. The same network, prompt,
controls and seed give the same text for any number of samples and threads; see `referee` for the networks with which
this holds.
"""

from __future__ import annotations

import secrets
from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from textgen.config import SamplingConfig, plain, require
from textgen.corpus.context import context_ids
from textgen.corpus.tokenizer import CharTokenizer
from textgen.engine import Network
from textgen.engine.blas import HELD
from textgen.sampling.banned import banned_ids, bias_of
from textgen.sampling.batch_sampler import BatchSampler
from textgen.sampling.constraint import Constraint, constraint_of
from textgen.sampling.ending import Ending
from textgen.sampling.logits import likeliest_first
from textgen.sampling.sample import CharacterLogprob, Sample

Weights = NDArray[np.float32]


class Stream(Iterator[str]):
    """Iterates over the pieces of one text, each as soon as it is certain.

    No piece is empty or holds part of a stop text; with `include_stop` the last ends with it whole. With `trim` the
    pieces are whole sentences. Errors in the arguments are raised here, not at the first piece.

    Args:
        engine: the network.
        tokenizer: its vocabulary.
        prompt: the text to continue; see `textgen.corpus.context` for an empty one.
        config: the controls.
        logprobs: number of likeliest characters to record at each position; 0 records nothing.
        labels: `(labels,)`, the weights of the text's labels; None for none.

    Raises:
        UnknownCharacterError: the prompt holds characters that the model never saw, and `unknown` refuses them.
        ConfigError: `logprobs` is out of its range, or `ban` and `allow` are not possible, see `banned_ids`, or no text
            fits the constraints, see `constraint_of`.
    """

    def __init__(
        self,
        engine: Network,
        tokenizer: CharTokenizer,
        prompt: str,
        config: SamplingConfig,
        *,
        logprobs: int = 0,
        labels: Weights | None = None,
    ) -> None:
        self._writing: _Writing | None = _Writing(
            engine, tokenizer, prompt, config, count=1, logprobs=logprobs, labels=labels
        )
        self._draft = self._writing.drafts[0]

    def __next__(self) -> str:
        while self._writing is not None and self._writing.goes_on:
            self._writing.step()
            if self._draft.piece:
                return self._draft.piece
        self.close()
        raise StopIteration

    def close(self) -> None:
        """Ends the text here."""
        self._writing = None

    @property
    def sample(self) -> Sample:
        """The sample so far; after the last piece, the whole sample."""
        return self._draft.sample


class Streams(Iterator[list[str]]):
    """Writes several texts of one prompt side by side and hands out what each character of them all brought.

    Each item holds a piece for each text, empty for those that have ended or hold their character back. The arguments
    and what is raised are as for `write_samples`; `first` is the index of the first text among those of the seed.
    """

    def __init__(
        self,
        engine: Network,
        tokenizer: CharTokenizer,
        prompt: str,
        config: SamplingConfig,
        *,
        count: int,
        logprobs: int = 0,
        first: int = 0,
        labels: Weights | None = None,
    ) -> None:
        self._writing = _Writing(
            engine, tokenizer, prompt, config, count=count, logprobs=logprobs, first=first, labels=labels
        )

    def __next__(self) -> list[str]:
        if not self._writing.goes_on:
            raise StopIteration
        return self._writing.step()

    def run(self) -> None:
        """Writes the texts to their ends."""
        with HELD:
            for _ in self:
                pass

    @property
    def samples(self) -> list[Sample]:
        """What has been written so far; once the pieces have come to an end, the whole samples."""
        return [draft.sample for draft in self._writing.drafts]


def write_samples(
    engine: Network,
    tokenizer: CharTokenizer,
    prompt: str,
    config: SamplingConfig,
    *,
    count: int = 1,
    logprobs: int = 0,
    labels: Weights | None = None,
) -> list[Sample]:
    """Writes samples of one prompt in one batch.

    Args:
        engine: the network.
        tokenizer: its vocabulary.
        prompt: the text to continue; see `textgen.corpus.context` for an empty one.
        config: the controls.
        count: number of samples, in [1, 65536]; each is independent of the others.
        logprobs: number of likeliest characters to record at each position; 0 records nothing.
        labels: `(labels,)`, the weights of the texts' labels; None for none.

    Raises:
        UnknownCharacterError: the prompt holds characters that the model never saw, and `unknown` refuses them.
        ConfigError: `count` or `logprobs` is out of its range, or `ban` and `allow` are not possible; see
            `banned_ids`. Or no text fits the constraints; see `constraint_of`.
    """
    streams = Streams(engine, tokenizer, prompt, config, count=count, logprobs=logprobs, labels=labels)
    streams.run()
    return streams.samples


def generator_of(seed: int, index: int) -> np.random.Generator:
    """The random generator of sample `index` of a seed."""
    return np.random.Generator(np.random.PCG64(np.random.SeedSequence(seed, spawn_key=(index,))))


class Unfinished:
    """An unfinished sample; `ending` tells when it has ended, and `piece` is the text that its last character added."""

    def __init__(
        self, prompt: str, index: int, seed: int, config: SamplingConfig, constraint: Constraint | None, *, noted: bool
    ) -> None:
        self.ending = Ending(config)
        self.walk = None if constraint is None else constraint.walk()
        self.piece = ""
        self.logprobs: list[CharacterLogprob] | None = [] if noted else None
        self._pieces: list[str] = []
        self._prompt, self._index, self._seed, self._config = prompt, index, seed, config
        self._end_where_nothing_follows()

    def add(self, drawn: int, character: str) -> None:
        """Takes the next id, and its character."""
        if self.walk is None:
            self.piece = self.ending.add(character)
        elif self.walk.add(drawn):
            self.piece = self.ending.add(character)
            self._end_where_nothing_follows()
        else:
            self.piece = self.ending.finish("match")
        self._pieces.append(self.piece)

    def finish(self) -> None:
        """Ends the sample at the end of a record."""
        self.piece = self.ending.finish("record")
        self._pieces.append(self.piece)

    def _end_where_nothing_follows(self) -> None:
        if self.walk is not None and self.walk.ended and self.ending.reason is None:
            self.ending.finish("match" if self.walk.whole else "length")

    @property
    def sample(self) -> Sample:
        """What has been written so far, as a sample."""
        text = "".join(self._pieces)
        return Sample(
            text=text,
            prompt=self._prompt,
            seed=self._seed,
            index=self._index,
            finish_reason=self.ending.reason or "interrupted",
            config=self._config,
            logprobs=None if self.logprobs is None else tuple(self.logprobs[: len(text)]),
        )


class _Writing:
    """Unfinished samples of one prompt; `goes_on` until all have ended."""

    def __init__(
        self,
        engine: Network,
        tokenizer: CharTokenizer,
        prompt: str,
        config: SamplingConfig,
        *,
        count: int,
        logprobs: int,
        first: int = 0,
        labels: Weights | None = None,
    ) -> None:
        count, logprobs = plain(count), plain(logprobs)
        require(isinstance(count, int) and 1 <= count <= 65_536, "count", "a whole number in [1, 65536]", count)
        noted = isinstance(logprobs, int) and logprobs >= 0
        require(noted, "logprobs", "a whole number of at least 0", logprobs, "Use 0 to switch it off.")
        banned = banned_ids(tokenizer, config)
        constraint = constraint_of(tokenizer, config, banned)
        bias = bias_of(tokenizer, config)
        ids = tokenizer.encode(prompt, unknown=config.unknown)
        seed = secrets.randbits(32) if config.seed is None else config.seed
        config = config.replace(seed=seed)
        self.drafts = [
            Unfinished(prompt, index, seed, config, constraint, noted=logprobs > 0)
            for index in range(first, first + count)
        ]
        self.goes_on = self.drafts[0].ending.reason is None
        self._alphabet = [*tokenizer.characters, *["\ufffd"] * tokenizer.has_unknown, *[""] * tokenizer.has_end]
        self._end = tokenizer.end_id
        self._top = logprobs
        if self.goes_on:
            generators = [generator_of(seed, index) for index in range(first, first + count)]
            context = context_ids(tokenizer, ids)
            # No record is empty.
            not_first = tokenizer.end_id if not len(ids) else None
            walks = [draft.walk for draft in self.drafts if draft.walk is not None] or None
            self._sampler = BatchSampler(
                engine,
                context,
                ids,
                config,
                generators,
                banned=banned,
                not_first=not_first,
                labels=labels,
                bias=bias,
                walks=walks,
            )

    def step(self) -> list[str]:
        """Draws the next character of each unfinished sample; returns what it adds to each sample."""
        pieces = [""] * len(self.drafts)
        numbers = self._sampler.samples
        drafts = [self.drafts[sample] for sample in numbers]
        ids = self._sampler.draw().tolist()
        if self._top:
            self._note(drafts, ids)
        ended = False
        for number, draft, each in zip(numbers, drafts, ids, strict=True):
            if each == self._end:
                draft.finish()
            else:
                draft.add(each, self._alphabet[each])
            pieces[number] = draft.piece
            ended = ended or draft.ending.reason is not None
        if ended:
            rows = [row for row, draft in enumerate(drafts) if draft.ending.reason is None]
            self.goes_on = bool(rows)
            if rows:
                self._sampler.keep(rows)
        return pieces

    def _note(self, drafts: list[Unfinished], ids: list[int]) -> None:
        logprobs = self._sampler.logprobs
        order = likeliest_first(logprobs)[:, : self._top]
        for row, (draft, each) in enumerate(zip(drafts, ids, strict=True)):
            top = tuple((self._alphabet[n], float(logprobs[row, n])) for n in order[row].tolist())
            noted = CharacterLogprob(self._alphabet[each], float(logprobs[row, each]), top)
            if draft.logprobs is not None:
                draft.logprobs.append(noted)

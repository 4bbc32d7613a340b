"""Writes what a model makes of pieces of texts, many at once, with settings that are the same for all."""

from __future__ import annotations

import heapq
import math
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from textgen.config import RewriteConfig, Unknown
from textgen.config.corpus import PairTask
from textgen.corpus.pair_tasks import takes_away
from textgen.corpus.tokenizer import CharTokenizer
from textgen.engine.pairs import PairEngine
from textgen.sampling.rewriting.chain import Chain
from textgen.sampling.rewriting.copying import copy_unknown
from textgen.sampling.rewriting.drawing import draw
from textgen.sampling.rewriting.matching import Matching
from textgen.sampling.rewriting.pieces import joined
from textgen.sampling.rewriting.restoring import Restoring
from textgen.sampling.rewriting.rewritten import Hypothesis, Rewritten, Written
from textgen.sampling.rewriting.search import search
from textgen.sampling.rewriting.writable import Patterned, Place, Writable, plain_bias

ROWS = 256
"""The most targets that are written at once, of all sources together."""

_MATCHED = 500
"""The most characters of a piece where there is a pattern, unless given: the same for all, which share constraints."""

Progress = Callable[[int, int], None]
Places = Sequence[Place]


class PieceWriter:
    """Writes targets of pieces.

    Args:
        engine: the model.
        tokenizer: the vocabulary of what it writes.
        source_tokenizer: the vocabulary of what it reads.
        config: the settings; with `sample` it has a seed.
        count: how many alternatives are wanted, at least 1.
        match: `config.match`, composed as the training text is.
        task: what made the sources of the training pairs; None where they were given.

    Raises:
        ConfigError: no text fits the pattern.
    """

    def __init__(
        self,
        engine: PairEngine,
        tokenizer: CharTokenizer,
        source_tokenizer: CharTokenizer,
        config: RewriteConfig,
        *,
        count: int,
        match: str = "",
        task: PairTask | None = None,
    ) -> None:
        assert tokenizer.end_id is not None
        self.engine, self.tokenizer, self.source_tokenizer = engine, tokenizer, source_tokenizer
        self.config, self.count, self._end = config, count, tokenizer.end_id
        self._plain = plain_bias(tokenizer, unknown=config.copy_unknown)
        self._matching = Matching(tokenizer, match=match, longest=config.longest or _MATCHED) if match else None
        self._restoring = Restoring(tokenizer, task, self._plain) if takes_away(task) and not match else None

    @property
    def width(self) -> int:
        """The rows that a piece takes."""
        return self.count if self.config.sample else max(self.config.beam, self.count)

    def check(self, texts: Sequence[str]) -> None:
        """Refuses pieces that cannot be read, all together, so that an error names all characters that are not known.

        Raises:
            UnknownCharacterError: a piece holds characters that the model never saw, and `unknown` refuses them.
        """
        self.source_tokenizer.encode("".join(texts), unknown=self._reading)

    def chain(self, pieces: Sequence[tuple[str, str, str]]) -> Chain | None:
        """The pieces of a text, to be written one after the other; None where they can be written in any order.

        Raises:
            ConfigError: no text with the white space between the pieces fits the pattern.
        """
        if self._matching is None:
            return None
        config = self.config
        return Chain(
            self._matching, pieces, count=self.count, sample=config.sample, length_penalty=config.length_penalty
        )

    def write_chains(self, chains: Sequence[tuple[int, Chain]], *, progress: Progress | None = None) -> None:
        """Writes all pieces of texts, the first of each at once, then the second of each, ...

        Args:
            chains: the texts' numbers and their chains.
            progress: as for `write`.
        """
        while waiting := [(number, chain) for number, chain in chains if not chain.done]:
            asked = [(number, chain, places) for number, chain in waiting for places in chain.asked()]
            written = self.write(
                [chain.core for _, chain, _ in asked],
                [(number, chain.place) for number, chain, _ in asked],
                [places for _, _, places in asked],
                progress=progress,
            )
            found = iter(written)
            for _, chain in waiting:
                chain.take([next(found) for _ in chain.asked()])

    def write(
        self,
        texts: Sequence[str],
        keys: Sequence[tuple[int, int]],
        places: Sequence[Places] | None = None,
        *,
        progress: Progress | None = None,
    ) -> list[list[Written]]:
        """What is written for each piece; of pieces that are alike it is looked for once.

        Args:
            texts: the pieces.
            keys: for each the number of its text and its place in it, which its draws follow from, with the seed.
            places: for each where its targets begin in the pattern, as its chain asks; None without a pattern.
            progress: called now and then with the pieces done and the total.
        """
        config = self.config
        encoded = [ended(self.source_tokenizer, text, self._reading) for text in texts]
        starts = places or [()] * len(texts)
        alike: dict[object, list[int]] = {}
        for n, text in enumerate(texts):
            alike.setdefault(n if config.sample else (text, starts[n]), []).append(n)
        order = sorted((each[0] for each in alike.values()), key=lambda n: len(encoded[n]))
        found: list[list[Written]] = [[] for _ in texts]
        done = 0
        for part in groups(order, max(1, ROWS // self.width)):
            made = self._made(
                [texts[n] for n in part], [encoded[n] for n in part], [keys[n] for n in part], [starts[n] for n in part]
            )
            for n, hypotheses in zip(part, made, strict=True):
                shown = self._shown(texts[n], encoded[n], hypotheses)
                for place in alike[n if config.sample else (texts[n], starts[n])]:
                    found[place] = shown
            done += len(part)
            if progress is not None:
                progress(done, len(order))
        return found

    def _made(
        self,
        texts: Sequence[str],
        sources: Sequence[NDArray[Any]],
        keys: Sequence[tuple[int, int]],
        starts: Sequence[Places],
    ) -> list[list[Hypothesis]]:
        """The targets of some sources of like lengths."""
        config = self.config
        limits = [self._limit(len(each) - 1) for each in sources]
        writable = self._writable(texts, limits, [place for each in starts for place in each])
        if not config.sample:
            return search(
                self.engine,
                sources,
                limits,
                writable,
                end_id=self._end,
                beam=self.width,
                count=self.count,
                length_penalty=config.length_penalty,
            )
        seeds = [[(*key, k) for k in range(self.count)] for key in keys]
        drawn = [
            [np.random.default_rng(np.random.SeedSequence(config.seed, spawn_key=key)) for key in each]
            for each in seeds
        ]
        return draw(
            self.engine,
            sources,
            limits,
            writable,
            end_id=self._end,
            temperature=config.temperature,
            generators=drawn,
        )

    def _writable(self, texts: Sequence[str], limits: Sequence[int], places: Sequence[Place]) -> Writable:
        """What may be written for some sources, of each as many targets as begin at once."""
        if self._restoring is None:
            return Patterned(self._plain, self._end, places)
        if self._reading == "skip":
            outside = str.maketrans(dict.fromkeys(self.source_tokenizer.outside("".join(texts))))
            texts = [text.translate(outside) for text in texts]
        width = self.count if self.config.sample else 1
        wanted = [each for each in zip(texts, limits, strict=True) for _ in range(width)]
        return self._restoring.batch([text for text, _ in wanted], [limit for _, limit in wanted])

    def alternatives(self, written: Sequence[Sequence[Written]]) -> list[tuple[Written, ...]]:
        """The alternatives of a text from those of its pieces, which `write` returned for each."""
        if self.config.sample:
            return [tuple(each[k] for each in written) for k in range(self.count)]
        chosen: list[tuple[Written, ...]] = [()]
        for each in written:
            chosen = heapq.nlargest(
                self.count,
                ((*some, one) for some in chosen for one in each),
                key=lambda some: sum(hypothesis.score(self.config.length_penalty) for hypothesis, _ in some),
            )
        return chosen

    def join(
        self, text: str, pieces: Sequence[tuple[str, str, str]], chosen: Sequence[tuple[Written, ...]]
    ) -> list[Rewritten]:
        """The alternatives of a text, with the white space between its pieces.

        Args:
            text: the text.
            pieces: what `cut` made of it.
            chosen: for each alternative what was written for the pieces.
        """
        seed = self.config.seed if self.config.sample else None
        if not pieces:
            return [Rewritten(source=text, text=text, logprob=0.0, seed=seed)]
        return [
            Rewritten(
                source=text,
                text=joined(pieces, [each for _, each in some]),
                logprob=math.fsum(hypothesis.logprob for hypothesis, _ in some),
                finish_reason="end" if all(hypothesis.whole for hypothesis, _ in some) else "length",
                index=n,
                seed=seed,
            )
            for n, some in enumerate(chosen)
        ]

    @property
    def _reading(self) -> Unknown:
        return "replace" if self.config.copy_unknown else self.config.unknown

    def _limit(self, length: int) -> int:
        if self.config.longest is not None:
            return self.config.longest
        return _MATCHED if self.config.match else 3 * length + 20

    def _shown(self, text: str, encoded: NDArray[Any], hypotheses: Sequence[Hypothesis]) -> list[Written]:
        """Hypotheses with their texts, in which unknown characters are copied if they are to be."""
        texts = [self.tokenizer.decode(np.array(each.ids, np.intp)) for each in hypotheses]
        if self.config.copy_unknown and len(encoded) == len(text) + 1 and self.source_tokenizer.outside(text):
            whole = [np.array([*each.ids, self._end]) for each in hypotheses]
            read = self.engine.read([encoded] * len(whole), whole, end_id=self._end)
            texts = [
                copy_unknown(each, text, found.attention, reads=self.source_tokenizer, writes=self.tokenizer)
                for each, found in zip(texts, read, strict=True)
            ]
        return list(zip(hypotheses, texts, strict=True))


def ended(tokenizer: CharTokenizer, text: str, unknown: Unknown) -> NDArray[Any]:
    """A text's ids and its end's."""
    assert tokenizer.end_id is not None
    return np.append(tokenizer.encode(text, unknown=unknown).astype(np.intp), tokenizer.end_id)


def groups(order: Sequence[int], size: int) -> Iterator[Sequence[int]]:
    """Parts of at most `size` numbers."""
    return (order[start : start + size] for start in range(0, len(order), size))

"""Writes what a model makes of pieces of texts, many at once, with settings that are the same for all."""

from __future__ import annotations

import heapq
import math
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from textgen.config import RewriteConfig, Unknown
from textgen.corpus.tokenizer import CharTokenizer
from textgen.engine.pairs import PairEngine
from textgen.sampling.rewriting.copying import copy_unknown
from textgen.sampling.rewriting.drawing import draw
from textgen.sampling.rewriting.pieces import joined
from textgen.sampling.rewriting.rewritten import Hypothesis, Rewritten
from textgen.sampling.rewriting.search import search
from textgen.sampling.rewriting.writable import Writable

ROWS = 256
"""The most targets that are written at once, of all sources together."""

_MATCHED = 500
"""The most characters of a text that fits a pattern, unless given: the same for all, since they share the automaton."""

Progress = Callable[[int, int], None]
Written = tuple[Hypothesis, str]


class PieceWriter:
    """Writes targets of pieces.

    Args:
        engine: the model.
        tokenizer: the vocabulary of what it writes.
        source_tokenizer: the vocabulary of what it reads.
        config: the settings; with `sample` it has a seed.
        count: how many alternatives are wanted, at least 1.
        match: `config.match`, composed as the training text is.

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
    ) -> None:
        assert tokenizer.end_id is not None
        self.engine, self.tokenizer, self.source_tokenizer = engine, tokenizer, source_tokenizer
        self.config, self.count, self._end = config, count, tokenizer.end_id
        self._writable = Writable(
            tokenizer,
            match=match,
            longest=config.longest or _MATCHED,
            unknown=config.copy_unknown and not match,
        )

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

    def write(
        self, texts: Sequence[str], keys: Sequence[tuple[int, int]], *, progress: Progress | None = None
    ) -> list[list[Written]]:
        """What is written for each piece; of pieces that are alike it is looked for once.

        Args:
            texts: the pieces.
            keys: for each the number of its text and its place in it, which its draws follow from, with the seed.
            progress: called now and then with the pieces done and the total.
        """
        config = self.config
        encoded = [ended(self.source_tokenizer, text, self._reading) for text in texts]
        places: dict[object, list[int]] = {}
        for n, text in enumerate(texts):
            places.setdefault(n if config.sample else text, []).append(n)
        order = sorted((each[0] for each in places.values()), key=lambda n: len(encoded[n]))
        found: list[list[Written]] = [[] for _ in texts]
        done = 0
        for part in groups(order, max(1, ROWS // self.width)):
            made = self._made([encoded[n] for n in part], [keys[n] for n in part])
            for n, hypotheses in zip(part, made, strict=True):
                shown = self._shown(texts[n], encoded[n], hypotheses)
                for place in places[n if config.sample else texts[n]]:
                    found[place] = shown
            done += len(part)
            if progress is not None:
                progress(done, len(order))
        return found

    def _made(self, sources: Sequence[NDArray[Any]], keys: Sequence[tuple[int, int]]) -> list[list[Hypothesis]]:
        """The targets of some sources of like lengths."""
        config = self.config
        limits = [self._limit(len(each) - 1) for each in sources]
        if not config.sample:
            return search(
                self.engine,
                sources,
                limits,
                self._writable,
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
            self._writable,
            end_id=self._end,
            temperature=config.temperature,
            generators=drawn,
        )

    def join(
        self, text: str, pieces: Sequence[tuple[str, str, str]], written: Sequence[Sequence[Written]]
    ) -> list[Rewritten]:
        """The alternatives of a text from those of its pieces.

        Args:
            text: the text.
            pieces: what `cut` made of it.
            written: what `write` returned for each.
        """
        config, count = self.config, self.count
        if not pieces:
            return [Rewritten(source=text, text=text, logprob=0.0, seed=config.seed if config.sample else None)]
        if config.sample:
            chosen = [tuple(each[k] for each in written) for k in range(count)]
        else:
            chosen = [()]
            for each in written:
                chosen = heapq.nlargest(
                    count,
                    ((*some, one) for some in chosen for one in each),
                    key=lambda some: sum(h.score(config.length_penalty) for h, _ in some),
                )
        return [
            Rewritten(
                source=text,
                text=joined(pieces, [each for _, each in some]),
                logprob=math.fsum(h.logprob for h, _ in some),
                finish_reason="end" if all(h.whole for h, _ in some) else "length",
                index=n,
                seed=config.seed if config.sample else None,
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

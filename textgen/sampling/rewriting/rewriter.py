"""The public API of a model that turns one text into another, without TensorFlow."""

from __future__ import annotations

import heapq
import math
import secrets
from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import islice
from pathlib import Path
from typing import Any, Unpack

import numpy as np
from numpy.typing import NDArray

from textgen.config import ModelConfig, Rewrite, RewriteConfig, Unknown, keywords, plain, require
from textgen.corpus.tokenizer import CharTokenizer
from textgen.engine.pairs import PairEngine
from textgen.engine.pairs.engine import ReadTarget
from textgen.model.metadata import Metadata
from textgen.model.pair_weights import PairWeights
from textgen.runs.find import checkpoint_name, resolve_checkpoint
from textgen.sampling.rewriting.copying import copy_unknown
from textgen.sampling.rewriting.drawing import draw
from textgen.sampling.rewriting.pieces import cut, joined
from textgen.sampling.rewriting.rewritten import Hypothesis, Rewritten
from textgen.sampling.rewriting.search import search
from textgen.sampling.rewriting.writable import Writable
from textgen.system import PathLike

_ROWS = 256
"""The most targets that are written at once, of all sources together."""

_BLOCK = 2_000
"""Texts that are taken together, so that those of like lengths are."""

_MATCHED = 500
"""The most characters of a text that fits a pattern, unless given: the same for all, since they share the automaton."""

Progress = Callable[[int, int], None]
Written = tuple[Hypothesis, str]


def load_rewriter(run: PathLike | None = None, *, checkpoints: PathLike | None = None) -> Rewriter:
    """Loads the model of a run on pairs, or of a checkpoint file.

    Args:
        run: a run's name, a run's folder, or a `.keras` file; None takes the newest run.
        checkpoints: the folder of the run folders; None takes "checkpoints".

    Raises:
        RunError: there is no such run.
        CheckpointError: the checkpoint is missing, damaged, not one of textgen's, or of a run on one text.

    Example:
        rewriter = textgen.load_rewriter("old_spelling")
        print(rewriter.rewrite("a little ſwelle")[0].text)
    """
    from textgen.model.read import read_pair_checkpoint

    path = resolve_checkpoint(run) if checkpoints is None else resolve_checkpoint(run, checkpoints=checkpoints)
    found = read_pair_checkpoint(path)
    return Rewriter(
        config=found.model,
        weights=found.weights,
        tokenizer=found.tokenizer,
        source_tokenizer=found.source_tokenizer,
        metadata=found.metadata,
        path=found.path,
    )


class Rewriter:
    """Turns texts into others with a trained model.

    A rewriter is immutable: its output depends on the arguments alone.

    Args:
        config: the network's shape, with an encoder.
        weights: its weights.
        tokenizer: the vocabulary of what it writes.
        source_tokenizer: the vocabulary of what it reads.
        metadata: the checkpoint's metadata; None for the shape and the vocabularies alone.
        path: the checkpoint, if it came from one.

    Raises:
        ConfigError: weights, vocabularies and configuration do not match.

    >>> digits, words = CharTokenizer("12", has_end=True), CharTokenizer("enotw", has_end=True)
    >>> config = ModelConfig(vocab_size=3, source_vocab_size=6, encoder_layers=1, layers=1, units=4, embedding=4)
    >>> arrays = [np.zeros(shape, np.float32) for shape in PairWeights.shapes(config).values()]
    >>> weights = PairWeights.from_arrays(arrays, config)
    >>> rewriter = Rewriter(config=config, weights=weights, tokenizer=digits, source_tokenizer=words)
    >>> found = rewriter.rewrite("two", match="1|2|12", count=3, length_penalty=0)
    >>> [(each.text, round(each.probability, 3)) for each in found]
    [('1', 0.111), ('2', 0.111), ('12', 0.037)]
    """

    def __init__(
        self,
        *,
        config: ModelConfig,
        weights: PairWeights,
        tokenizer: CharTokenizer,
        source_tokenizer: CharTokenizer,
        metadata: Metadata | None = None,
        path: Path | None = None,
    ) -> None:
        for name, each in (("vocab_size", tokenizer), ("source_vocab_size", source_tokenizer)):
            size = each.vocab_size
            require(getattr(config, name) == size, name, f"{size}, the vocabulary's size", getattr(config, name))
            require(each.has_end, "tokenizer", "one with an id for a text's end", each)
        self.engine = PairEngine(config, weights)
        self.config, self.weights = config, weights
        self.tokenizer, self.source_tokenizer = tokenizer, source_tokenizer
        self.metadata = metadata or Metadata(model=config, tokenizer=tokenizer, source_tokenizer=source_tokenizer)
        self.path = path

    @property
    def name(self) -> str:
        """The run's name, the file's path, or "model" without either."""
        return "model" if self.path is None else checkpoint_name(self.path)

    def __repr__(self) -> str:
        config = self.config
        shape = f"{config.encoder_layers} + {config.layers} x {config.units} {config.cell}"
        sizes = f"{config.source_vocab_size} to {config.vocab_size} characters"
        return f"Rewriter({shape}, {sizes}{f', {self.path}' if self.path else ''})"

    def as_trained(self, text: str) -> str:
        """Normalises a text's newlines and characters as those of the training pairs were."""
        require(isinstance(text, str), "text", "a string", text)
        config = self.metadata.corpus.config
        if not config.keep_newlines:
            text = text.replace("\r\n", "\n").replace("\r", "\n")
        if config.normalize == "none" or text.isascii():
            return text
        from textgen.corpus.normalization import normalize

        return "".join(normalize([text], config.normalize))

    @keywords(Rewrite, defaults=RewriteConfig)
    def rewrite(self, text: str, *, count: int = 1, **settings: Unpack[Rewrite]) -> list[Rewritten]:
        """Turns a text into another.

        A model that learned from sentences gets each sentence by itself; of others a text is cut at the ends of
        sentences if it is longer than 200 characters. What is written for the pieces is joined again, with the white
        space between them.

        Args:
            text: the text.
            count: how many alternatives are wanted, at least 1.
            **settings: see `RewriteConfig`.

        Returns:
            At most `count` different texts, the best first (see `length_penalty`); with `sample` as many as were asked
            for, in the order in which they were drawn, which may be alike.

        Raises:
            ConfigError: a setting is out of its range, or no text fits `match`.
            UnknownCharacterError: the text holds characters that the model never saw, and `unknown` refuses them.
        """
        return next(self.stream([text], count=count, **settings))

    @keywords(Rewrite, defaults=RewriteConfig)
    def stream(
        self,
        texts: Iterable[str],
        *,
        count: int = 1,
        progress: Progress | None = None,
        **settings: Unpack[Rewrite],
    ) -> Iterator[list[Rewritten]]:
        """Turns many texts into others, some thousands at a time and many at once.

        What is written for a text does not depend on the others, but for rounding errors.

        Args:
            texts: the texts, which are taken as they are needed.
            count: as in `rewrite`.
            progress: called now and then with the sources done and the total, of those that are taken together.
            **settings: see `RewriteConfig`.

        Returns:
            Iterates over what `rewrite` returns for each text, in their order. Errors in the settings are raised here.

        Raises:
            ConfigError: as in `rewrite`.
        """
        require(not isinstance(texts, (str, bytes)), "texts", "an iterable of strings", texts)
        config = RewriteConfig(**{name: plain(value) for name, value in settings.items()})
        return self.run(texts, config, count=count, progress=progress)

    def run(
        self, texts: Iterable[str], config: RewriteConfig, *, count: int = 1, progress: Progress | None = None
    ) -> Iterator[list[Rewritten]]:
        """As `stream`, with the settings as a configuration."""
        require(count >= 1, "count", "at least 1", count)
        if config.sample and config.seed is None:
            config = config.replace(seed=secrets.randbits(32))
        # Also refuses a pattern that nothing fits before a text is read.
        writable = Writable(
            self.tokenizer,
            match=self._pattern(config.match),
            longest=config.longest or _MATCHED,
            unknown=config.copy_unknown and not config.match,
        )
        return self._blocks(iter(texts), config, writable, count, progress)

    def read(self, sources: Sequence[str], targets: Sequence[str], *, unknown: Unknown = "auto") -> list[ReadTarget]:
        """How probable targets are given their sources, and where the model looks as it predicts each character.

        Args:
            sources: the sources, each whole.
            targets: the targets, as many.
            unknown: how characters are treated that the model never saw: see `CharTokenizer.encode`.

        Returns:
            For each target the log-probabilities of its characters and its end, in nats, and the attention on the
            source's characters and its end.

        Raises:
            UnknownCharacterError: a text holds characters that the model never saw, and `unknown` refuses them.
        """
        encoded = [_ended(self.source_tokenizer, self.as_trained(each), unknown) for each in sources]
        wanted = [_ended(self.tokenizer, self.as_trained(each), unknown) for each in targets]
        found: list[ReadTarget | None] = [None] * len(encoded)
        order = sorted(range(len(encoded)), key=lambda n: (len(encoded[n]), len(wanted[n])))
        for part in _groups(order, _ROWS):
            read = self.engine.read([encoded[n] for n in part], [wanted[n] for n in part], end_id=self._end)
            for n, each in zip(part, read, strict=True):
                found[n] = each
        return [each for each in found if each is not None]

    @property
    def _end(self) -> int:
        assert self.tokenizer.end_id is not None
        return self.tokenizer.end_id

    def _pattern(self, match: str) -> str:
        """A pattern composed as the training text is; it has a syntax, which nothing else may touch."""
        if match.isascii() or self.metadata.corpus.config.normalize == "none":
            return match
        from textgen.corpus.normalization import normalize

        return "".join(normalize([match], "nfc"))

    def _blocks(
        self, texts: Iterator[str], config: RewriteConfig, writable: Writable, count: int, progress: Progress | None
    ) -> Iterator[list[Rewritten]]:
        first, always = 0, self.metadata.corpus.config.task is not None
        while block := list(islice(texts, _BLOCK)):
            pieces = [cut(self.as_trained(text), always=always) for text in block]
            cores = [core for each in pieces for _, core, _ in each]
            # Of all at once, so that an error names all characters that are not known.
            self.source_tokenizer.encode("".join(cores), unknown=_reading(config))
            keys = [(first + n, place) for n, each in enumerate(pieces) for place in range(len(each))]
            written = iter(self._written(cores, keys, config, writable, count, progress))
            for text, each in zip(block, pieces, strict=True):
                yield _join(text, each, [next(written) for _ in each], config, count)
            first += len(block)

    def _written(
        self,
        texts: Sequence[str],
        keys: Sequence[tuple[int, int]],
        config: RewriteConfig,
        writable: Writable,
        count: int,
        progress: Progress | None,
    ) -> list[list[Written]]:
        """What is written for each piece; of pieces that are alike it is looked for once."""
        unknown = _reading(config)
        encoded = [_ended(self.source_tokenizer, text, unknown) for text in texts]
        places: dict[object, list[int]] = {}
        for n, text in enumerate(texts):
            places.setdefault(n if config.sample else text, []).append(n)
        order = sorted((each[0] for each in places.values()), key=lambda n: len(encoded[n]))
        width = count if config.sample else max(config.beam, count)
        found: list[list[Written]] = [[] for _ in texts]
        done = 0
        for part in _groups(order, max(1, _ROWS // width)):
            sources = [encoded[n] for n in part]
            limits = [self._limit(len(each) - 1, config) for each in sources]
            if config.sample:
                seeds = [[(*keys[n], k) for k in range(count)] for n in part]
                drawn = [
                    [np.random.default_rng(np.random.SeedSequence(config.seed, spawn_key=key)) for key in each]
                    for each in seeds
                ]
                made = draw(
                    self.engine,
                    sources,
                    limits,
                    writable,
                    end_id=self._end,
                    temperature=config.temperature,
                    generators=drawn,
                )
            else:
                made = search(
                    self.engine,
                    sources,
                    limits,
                    writable,
                    end_id=self._end,
                    beam=width,
                    count=count,
                    length_penalty=config.length_penalty,
                )
            for n, hypotheses in zip(part, made, strict=True):
                shown = self._shown(texts[n], encoded[n], hypotheses, config)
                for place in places[n if config.sample else texts[n]]:
                    found[place] = shown
            done += len(part)
            if progress is not None:
                progress(done, len(order))
        return found

    def _limit(self, length: int, config: RewriteConfig) -> int:
        if config.longest is not None:
            return config.longest
        return _MATCHED if config.match else 3 * length + 20

    def _shown(
        self, text: str, encoded: NDArray[Any], hypotheses: Sequence[Hypothesis], config: RewriteConfig
    ) -> list[Written]:
        """Hypotheses with their texts, in which unknown characters are copied if they are to be."""
        texts = [self.tokenizer.decode(np.array(each.ids, np.intp)) for each in hypotheses]
        if config.copy_unknown and len(encoded) == len(text) + 1 and self.source_tokenizer.outside(text):
            ended = [np.array([*each.ids, self._end]) for each in hypotheses]
            read = self.engine.read([encoded] * len(ended), ended, end_id=self._end)
            texts = [
                copy_unknown(each, text, found.attention, reads=self.source_tokenizer, writes=self.tokenizer)
                for each, found in zip(texts, read, strict=True)
            ]
        return list(zip(hypotheses, texts, strict=True))


def _reading(config: RewriteConfig) -> Unknown:
    return "replace" if config.copy_unknown else config.unknown


def _ended(tokenizer: CharTokenizer, text: str, unknown: Unknown) -> NDArray[Any]:
    assert tokenizer.end_id is not None
    return np.append(tokenizer.encode(text, unknown=unknown).astype(np.intp), tokenizer.end_id)


def _groups(order: Sequence[int], size: int) -> Iterator[Sequence[int]]:
    return (order[start : start + size] for start in range(0, len(order), size))


def _join(
    text: str,
    pieces: Sequence[tuple[str, str, str]],
    written: Sequence[Sequence[Written]],
    config: RewriteConfig,
    count: int,
) -> list[Rewritten]:
    """The alternatives of a text from those of its pieces."""
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

"""The public API of a model that turns one text into another, without TensorFlow."""

from __future__ import annotations

import secrets
from collections.abc import Iterable, Iterator, Sequence
from itertools import islice
from pathlib import Path
from typing import Unpack

from textgen.config import ModelConfig, Rewrite, RewriteConfig, Unknown, keywords, plain, require
from textgen.corpus.normalization import as_read, composed
from textgen.corpus.pair_tasks import damage, takes_away
from textgen.corpus.tokenizer import CharTokenizer
from textgen.engine.pairs import PairEngine
from textgen.engine.pairs.engine import ReadTarget
from textgen.model.metadata import Metadata
from textgen.model.pair_weights import PairWeights
from textgen.runs.find import checkpoint_name, resolve_checkpoint
from textgen.sampling.rewriting.piece_writer import ROWS, PieceWriter, Progress, ended, groups
from textgen.sampling.rewriting.pieces import cut
from textgen.sampling.rewriting.rewritten import Rewritten
from textgen.system import PathLike

_BLOCK = 2_000
"""Texts that are taken together, so that those of like lengths are."""


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

    >>> import numpy as np
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
        return as_read(text, self.metadata.corpus.config)

    @keywords(Rewrite, defaults=RewriteConfig)
    def rewrite(self, text: str, *, count: int = 1, **settings: Unpack[Rewrite]) -> list[Rewritten]:
        """Turns a text into another.

        A model that learned from sentences gets each sentence by itself; of others a text is cut at the ends of
        sentences if it is longer than 200 characters. What is written for the pieces is joined again, with the white
        space between them; with `match` all of it matches, a text of white space alone excepted. Without it a model of
        the task diacritics, case or spaces writes only what the task would make the text of again.

        Args:
            text: the text.
            count: how many alternatives are wanted, at least 1.
            **settings: see `RewriteConfig`.

        Returns:
            At most `count` different texts, the best first (see `length_penalty`); with `sample` as many as were asked
            for, in the order in which they were drawn, which may be alike.

        Raises:
            ConfigError: a setting is out of its range, or no text fits `match`, with the white space between pieces.
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
        # Made here, so that a pattern that nothing fits is refused before a text is read.
        return self._blocks(iter(texts), self.piece_writer(config, count=count), progress)

    def pieces(self, text: str) -> list[tuple[str, str, str]]:
        """A text in the pieces that are written one by one, each with the white space before and after it.

        Of a model whose task takes something away the pieces lack it, as what it learned from did.
        """
        task = self.metadata.corpus.config.task
        pieces = cut(self.as_trained(text), always=task is not None)
        if not takes_away(task):
            return pieces
        return [(before, damage(core, task), after) for before, core, after in pieces]

    def piece_writer(self, config: RewriteConfig, *, count: int = 1) -> PieceWriter:
        """Writes pieces with some settings, of which a seed is drawn where one is needed.

        Raises:
            ConfigError: as in `rewrite`.
        """
        require(count >= 1, "count", "at least 1", count)
        if config.sample and config.seed is None:
            config = config.replace(seed=secrets.randbits(32))
        corpus = self.metadata.corpus.config
        return PieceWriter(
            self.engine,
            self.tokenizer,
            self.source_tokenizer,
            config,
            count=count,
            match=composed(config.match, corpus),
            task=corpus.task,
        )

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
        encoded = [ended(self.source_tokenizer, self.as_trained(each), unknown) for each in sources]
        wanted = [ended(self.tokenizer, self.as_trained(each), unknown) for each in targets]
        found: list[ReadTarget | None] = [None] * len(encoded)
        order = sorted(range(len(encoded)), key=lambda n: (len(encoded[n]), len(wanted[n])))
        for part in groups(order, ROWS):
            read = self.engine.read([encoded[n] for n in part], [wanted[n] for n in part], end_id=self._end)
            for n, each in zip(part, read, strict=True):
                found[n] = each
        return [each for each in found if each is not None]

    @property
    def _end(self) -> int:
        assert self.tokenizer.end_id is not None
        return self.tokenizer.end_id

    def _blocks(
        self, texts: Iterator[str], writer: PieceWriter, progress: Progress | None
    ) -> Iterator[list[Rewritten]]:
        first = 0
        while block := list(islice(texts, _BLOCK)):
            pieces = [self.pieces(text) for text in block]
            cores = [core for each in pieces for _, core, _ in each]
            writer.check(cores)
            chains = [chain for each in pieces if (chain := writer.chain(each)) is not None]
            if chains:
                writer.write_chains(list(enumerate(chains, first)), progress=progress)
                chosen = [chain.chosen for chain in chains]
            else:
                keys = [(first + n, place) for n, each in enumerate(pieces) for place in range(len(each))]
                written = iter(writer.write(cores, keys, progress=progress))
                chosen = [writer.alternatives([next(written) for _ in each]) for each in pieces]
            for text, each, some in zip(block, pieces, chosen, strict=True):
                yield writer.join(text, each, some)
            first += len(block)

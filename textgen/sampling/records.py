"""Writes records with a model of records, each from its beginning to its end: any, no two alike, or only new ones."""

from __future__ import annotations

import secrets
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from textgen.config import SamplingConfig, plain, require
from textgen.corpus import encode_corpus
from textgen.corpus.known_records import hash_records, is_known
from textgen.errors import ConfigError, RunError
from textgen.sampling.labels import draw_label, labels_of
from textgen.sampling.sample import Sample
from textgen.sampling.sampler import Streams

if TYPE_CHECKING:
    from textgen.corpus import Corpus, EncodedCorpus
    from textgen.corpus.tokenizer import CharTokenizer
    from textgen.sampling.trained_model import TrainedModel

Hashes = NDArray[np.uint64]

_LEAST, _MOST = 64, 4096
"""Records drawn at once where some may be refused."""

_VAIN, _VAIN_EACH = 1_000, 10
"""Records drawn in a row of which none is wanted, and so many for each that is asked for, until drawing ends."""


class _Apart:
    """Samples that are written one after the other, as those with different labels are."""

    def __init__(self, streams: Sequence[Streams]) -> None:
        self._streams = streams

    @property
    def samples(self) -> list[Sample]:
        """What has been written of each."""
        return [streams.samples[0] for streams in self._streams]

    def run(self) -> None:
        """Writes them all."""
        for streams in self._streams:
            streams.run()


class RecordDraws:
    """Draws records until there are as many as asked for, or until all that come are refused.

    Record k depends on the seed and k alone; where none is refused they are the first `count`.

    Args:
        write: begins to write some records: their number, and the k of the first.
        count: the number of records, in [1, 65536].
        unique: refuse a record that is equal to an earlier one.
        known: refuse records whose hashes are in one of these, each ascending; see `textgen.corpus.known_records`.

    Attributes:
        samples: the records so far, in the order of k.
        tried: how many have been drawn.

    Raises:
        ConfigError: `count` is out of its range.
    """

    def __init__(
        self,
        write: Callable[[int, int], Streams | _Apart],
        *,
        count: int,
        unique: bool = False,
        known: Sequence[Hashes] = (),
    ) -> None:
        count = plain(count)
        require(isinstance(count, int) and 1 <= count <= 65_536, "count", "a whole number in [1, 65536]", count)
        self.samples: list[Sample] = []
        self.tried = 0
        self._write, self._count, self._unique, self._known = write, count, unique, known
        self._selects = unique or bool(known)
        self._seen: set[str] = set()
        # The first ones are begun here, so that wrong arguments are refused before anything is drawn.
        self._streams = write(min(max(count, _LEAST), _MOST) if self._selects else count, 0)

    @property
    def finished(self) -> bool:
        """Whether there are as many records as asked for."""
        return len(self.samples) >= self._count

    @property
    def seed(self) -> int:
        """The seed of the records."""
        return self._streams.samples[0].seed

    def run(self) -> None:
        """Draws them all; where this is interrupted, `samples` holds those that were whole."""
        vain = 0
        while True:
            before = len(self.samples), self.tried
            try:
                self._streams.run()
            finally:
                self._take(self._streams.samples)
            vain = 0 if len(self.samples) > before[0] else vain + self.tried - before[1]
            if self.finished or vain >= _VAIN + _VAIN_EACH * self._count:
                return
            missing = self._count - len(self.samples)
            self._streams = self._write(min(max(2 * missing, _LEAST), _MOST), self.tried)

    def _take(self, samples: Sequence[Sample]) -> None:
        for sample in samples:
            if not self.finished and self._is_wanted(sample):
                self.samples.append(sample)
        self.tried += len(samples)

    def _is_wanted(self, sample: Sample) -> bool:
        if not self._selects:
            return True
        text = sample.prompt + sample.text
        if (
            sample.finish_reason == "interrupted"
            or text in self._seen
            or any(is_known(text, each) for each in self._known)
        ):
            return False
        if self._unique:
            self._seen.add(text)
        return True


def draw_records(
    writer: TrainedModel,
    config: SamplingConfig,
    count: int,
    *,
    prompt: str = "",
    unique: bool = False,
    new: bool = False,
    any_label: bool = False,
    logprobs: int = 0,
) -> RecordDraws:
    """Begins what `Writer.generate_records` does, with the same arguments and errors."""
    check_records(writer, "generate_records")
    config = config.replace(seed=secrets.randbits(32) if config.seed is None else config.seed)
    prompt, labels = writer.as_trained(prompt), labels_of(writer, config.label)

    def write(count: int, first: int) -> Streams | _Apart:
        if any_label:
            return _Apart([write_labelled(number) for number in range(first, first + count)])
        engine, tokenizer = writer.engine, writer.tokenizer
        return Streams(engine, tokenizer, prompt, config, count=count, logprobs=logprobs, first=first, labels=labels)

    def write_labelled(number: int) -> Streams:
        assert config.seed is not None
        own = config.replace(label=(draw_label(writer, config.seed, number),))
        weights = labels_of(writer, own.label)
        return Streams(
            writer.engine, writer.tokenizer, prompt, own, count=1, logprobs=logprobs, first=number, labels=weights
        )

    return RecordDraws(write, count=count, unique=unique, known=known_hashes(writer) if new else ())


def known_hashes(writer: TrainedModel) -> list[Hashes]:
    """The hashes of the records that the models of a writer were trained on, or that they held out.

    They are in the checkpoint; those of more than a million records are computed from the run's text.

    Raises:
        RunError: the checkpoint has none, and the text is missing or has changed.
    """
    from textgen.model.read import read_record_hashes
    from textgen.runs.provenance import find_run_text

    found = []
    for member, _ in writer.members:
        hashes = None if member.path is None else read_record_hashes(member.path)
        if hashes is None:
            description, tokenizer = member.metadata.corpus, member.tokenizer

            def read(
                corpus: Corpus, tokenizer: CharTokenizer = tokenizer, seed: int = description.seed
            ) -> EncodedCorpus:
                return encode_corpus(corpus, tokenizer=tokenizer, seed=seed)

            try:
                hashes = hash_records(find_run_text(description, member.path, read))
            except RunError as error:
                raise RunError(f"{error} Without it, what is new cannot be told: leave --new out.") from error
        found.append(hashes)
    return found


def check_records(writer: TrainedModel, name: str) -> None:
    """Refuses a model of running text.

    Raises:
        ConfigError: the model was not trained on records; `name` is what needs them.
    """
    if not writer.tokenizer.has_end:
        raise ConfigError(
            f"{name} needs a run on records, and {writer.name!r} was trained on running text. Train one on a list or a "
            "table."
        )

"""Pairs of a source and a target as ids, split by the source, with a vocabulary of each side or one of both."""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import compress
from typing import Any

import numpy as np
from numpy.typing import NDArray

from textgen.corpus.encoded import EncodedCorpus
from textgen.corpus.pair_reading import read_pairs
from textgen.corpus.passes import Fingerprint, Meter, Report
from textgen.corpus.rare import automatic_min_count
from textgen.corpus.reading import Corpus
from textgen.corpus.records import Records, is_held_out, record_hashes
from textgen.corpus.tokenizer import CharTokenizer
from textgen.errors import CorpusError

LONGEST = 500
"""Characters of a side of a pair from which on it is left out: one long pair would make a whole batch long."""

_SHARED = 0.5
"""The share of all distinct characters that both sides have from which on they share one vocabulary."""


@dataclass(frozen=True, eq=False, kw_only=True)
class EncodedPairs(EncodedCorpus):
    """Pairs as ids: as a corpus of records these are the targets, those that train first; each has a source.

    Attributes:
        source_tokenizer: the vocabulary of the sources; equal to `tokenizer` where both sides share one.
        source_ids: the sources' ids one after the other, in the order of the records, each with `end_id` last.
        source_starts: `(pairs + 1,)`, int64: the position of each source's first id, and their number.
        too_long: how many pairs were left out because a side is longer than `LONGEST`.
        alike: the pairs whose sides are the same.
    """

    source_tokenizer: CharTokenizer
    source_ids: NDArray[Any]
    source_starts: NDArray[np.int64]
    too_long: int = 0
    alike: int = 0

    @property
    def pairs(self) -> Records:
        """Where the targets stand, and which pairs train."""
        assert self.records is not None
        return self.records

    @property
    def source_lengths(self) -> NDArray[np.int64]:
        """The length of each source in characters, `(pairs,)`."""
        return np.diff(self.source_starts) - 1

    @property
    def vocabulary(self) -> str:
        """The size of the vocabulary or of both in words."""
        sizes = len(self.source_tokenizer.characters), len(self.tokenizer.characters)
        first = f"{sizes[0]:,} character{'s' if sizes[0] != 1 else ''}"
        if self.source_tokenizer == self.tokenizer:
            return f"{first}, of both sides"
        return f"{first} of the sources, {sizes[1]:,} of the targets"

    def pair(self, number: int) -> tuple[str, str]:
        """The source and the target of a pair, counted from 0; those that train come first."""
        source = self.source_ids[self.source_starts[number] : self.source_starts[number + 1] - 1]
        target = self.ids[self.pairs.starts[number] : self.pairs.starts[number + 1] - 1]
        return self.source_tokenizer.decode(source), self.tokenizer.decode(target)


def encode_pairs(corpus: Corpus, *, progress: Report | None = None, seed: int = 0) -> EncodedPairs:
    r"""Encodes a corpus of pairs, in memory. `textgen.corpus.encode_corpus` calls it.

    Pairs with an empty target, and those with a side that is too long, are left out.

    Args:
        corpus: the corpus, whose `config.by_pair` holds.
        progress: called with the bytes done and the total.
        seed: of the split, in [0, 2**64).

    Raises:
        CorpusError: it cannot be read as pairs, has none, or none of them trains.

    >>> from textgen.config import CorpusConfig
    >>> from textgen.corpus import open_corpus
    >>> path = getfixture("tmp_path") / "years.tsv"
    >>> _ = path.write_text("one\t1\ntwo\t2\n")
    >>> encoded = encode_pairs(open_corpus(path, config=CorpusConfig(pairs=True, validation=0)))
    >>> encoded.pair(1), encoded.source_tokenizer.characters, encoded.tokenizer.characters
    (('two', '2'), 'enotw', '12')
    """
    meter = Meter(progress, corpus.bytes, passes=1)
    fingerprint = Fingerprint(meter)
    sources: list[str] = []
    targets: list[str] = []
    for some, others in read_pairs(corpus, fingerprint.add):
        sources += some
        targets += others
    meter.finish()
    total = len(targets)
    kept = [bool(target.strip()) for target in targets]
    sources, targets = list(compress(sources, kept)), list(compress(targets, kept))
    if not targets:
        raise CorpusError(f"The corpus {corpus.title} has no pair with a target that is not empty. Give some hundreds.")
    dropped = total - len(targets)
    short = [max(len(one), len(other)) <= LONGEST for one, other in zip(sources, targets, strict=True)]
    too_long = short.count(False)
    sources, targets = list(compress(sources, short)), list(compress(targets, short))
    if not targets:
        raise CorpusError(f"All pairs of {corpus.title} are longer than {LONGEST} characters. Cut them into sentences.")
    alike = sum(map(str.__eq__, sources, targets))
    if alike == len(targets) and corpus.config.task is not None:
        raise CorpusError(
            f"The task {corpus.config.task} changes nothing in {corpus.title}: each source is as its target. Give a "
            "text that has what the task takes away."
        )
    duplicates = len(targets) - len(set(zip(sources, targets, strict=True)))
    held_out = is_held_out(record_hashes(map(_bytes, sources), seed=seed), validation=corpus.config.validation)
    order = np.argsort(held_out, kind="stable")
    training = len(targets) - int(held_out.sum())
    if not training:
        raise CorpusError(
            f"All pairs of the corpus {corpus.title} fall to validation. Give more of them, or pass --validation 0 to "
            "train on all."
        )
    counts = Counter("".join(sources)), Counter("".join(targets))
    min_counts = [corpus.config.min_count or automatic_min_count(each) for each in counts]
    source_tokenizer, tokenizer = _vocabularies(*counts, min_counts)
    source_ids, source_starts = _ids(source_tokenizer, [sources[n] for n in order])
    ids, starts = _ids(tokenizer, [targets[n] for n in order])
    return EncodedPairs(
        name=corpus.name,
        sources=corpus.sources,
        config=corpus.config,
        tokenizer=tokenizer,
        ids=ids,
        bytes=sum(len(_bytes(text)) for text in (*sources, *targets)),
        distinct=len(counts[0] | counts[1]),
        sha256=_digest(sources, targets),
        places=corpus.places,
        records=Records(
            starts=starts,
            training=training,
            label_of=np.zeros(len(targets), np.int32),
            seed=seed,
            duplicates=duplicates,
            dropped=dropped,
        ),
        source_tokenizer=source_tokenizer,
        source_ids=source_ids,
        source_starts=source_starts,
        too_long=too_long,
        alike=alike,
    )


def _vocabularies(
    source: Counter[str], target: Counter[str], min_counts: Sequence[int]
) -> tuple[CharTokenizer, CharTokenizer]:
    """The vocabularies of both sides: one of both where they have most of their characters in common."""
    both = source + target
    if len(source.keys() & target.keys()) >= _SHARED * len(both):
        shared = CharTokenizer.from_counts(both, min_count=min(min_counts), has_end=True)
        return shared, shared
    sides = zip((source or target, target), min_counts, strict=True)
    one, other = (CharTokenizer.from_counts(counts, min_count=least, has_end=True) for counts, least in sides)
    return one, other


def _ids(tokenizer: CharTokenizer, texts: Sequence[str]) -> tuple[NDArray[Any], NDArray[np.int64]]:
    """The ids of some texts, each with END after it, and where each starts."""
    lengths = np.fromiter(map(len, texts), np.int64, len(texts))
    starts = np.zeros(len(texts) + 1, np.int64)
    np.cumsum(lengths + 1, out=starts[1:])
    ids = np.full(starts[-1], tokenizer.end_id, tokenizer.dtype)
    ends = np.zeros(len(ids), bool)
    ends[starts[1:] - 1] = True
    ids[~ends] = tokenizer.encode("".join(texts))
    return ids, starts


def _bytes(text: str) -> bytes:
    return text.encode("utf-8", "surrogatepass")


def _digest(sources: Iterable[str], targets: Iterable[str]) -> str:
    """A SHA-256 of the pairs in their order, and of where each side ends."""
    digest = hashlib.sha256()
    for texts in (sources, targets):
        for text in texts:
            data = _bytes(text)
            digest.update(len(data).to_bytes(8, "little") + data)
    return digest.hexdigest()

"""Encodes a corpus of records in one pass over its sources, and one over a copy of its records in UTF-8.

The copy, in a temporary file if it is long, holds those that train apart from those that are held out.
"""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from itertools import compress
from typing import IO, Any

import numpy as np
from numpy.typing import NDArray

from textgen.config import Unknown
from textgen.corpus.cache import CorpusCache
from textgen.corpus.characters import CharacterCounts
from textgen.corpus.encoded import EncodedCorpus
from textgen.corpus.passes import Fingerprint, Meter, Report, check_known
from textgen.corpus.reading import Corpus
from textgen.corpus.record_reading import RecordReader
from textgen.corpus.records import Records
from textgen.corpus.tokenizer import CharTokenizer
from textgen.errors import CorpusError

_HELD = 64 << 20
"""Bytes of a copy up to which it stays in memory."""


def encode_records(
    corpus: Corpus,
    *,
    tokenizer: CharTokenizer | None,
    cache: CorpusCache | None,
    progress: Report | None,
    long: bool,
    seed: int,
) -> EncodedCorpus:
    """Encodes a corpus of records, as `encode_corpus` does a running text."""
    del cache, long
    meter = Meter(progress, corpus.bytes, passes=1)
    fingerprint, counts, reader = Fingerprint(meter), CharacterCounts(), RecordReader(corpus, seed=seed)
    training, held_out = _Copy(), _Copy()
    for block in reader.blocks(fingerprint.add):
        counts.add("".join(block.texts))
        lengths = np.fromiter(map(len, block.texts), np.int64, len(block.texts))
        for copy, chosen in ((training, ~block.held_out), (held_out, block.held_out)):
            copy.add(list(compress(block.data, chosen.tolist())), lengths[chosen], block.label_of[chosen])
    if not counts.total:
        raise CorpusError(f"The corpus {corpus.title} has no records that are not empty.")
    vocabulary = tokenizer or CharTokenizer.from_counts(
        counts.to_dict(), min_count=corpus.config.min_count, has_end=True
    )
    check_known(corpus.title, counts, vocabulary)
    ids = np.concatenate([*training.ids(vocabulary), *held_out.ids(vocabulary)])
    lengths = np.concatenate([*training.lengths, *held_out.lengths])
    meter.finish()
    return EncodedCorpus(
        name=corpus.name,
        sources=corpus.sources,
        config=corpus.config,
        tokenizer=vocabulary,
        ids=ids,
        bytes=reader.bytes,
        distinct=counts.distinct,
        sha256=reader.hexdigest(),
        places=corpus.places,
        records=Records(
            starts=np.concatenate([[0], np.cumsum(lengths + 1)]).astype(np.int64),
            training=sum(map(len, training.lengths)),
            label_of=np.concatenate([*training.label_of, *held_out.label_of]),
            seed=seed,
            duplicates=reader.duplicates(),
            dropped=reader.dropped,
        ),
    )


class _Copy:
    """A copy of some records in UTF-8, block by block."""

    def __init__(self) -> None:
        self.lengths: list[NDArray[np.int64]] = []
        self.label_of: list[NDArray[np.int32]] = []
        self._sizes: list[int] = []
        self._file: IO[bytes] = tempfile.SpooledTemporaryFile(max_size=_HELD)  # noqa: SIM115

    def add(self, data: list[bytes], lengths: NDArray[np.int64], label_of: NDArray[np.int32]) -> None:
        """Adds a block."""
        self._sizes.append(self._file.write(b"".join(data)))
        self.lengths.append(lengths)
        self.label_of.append(label_of)

    def ids(self, vocabulary: CharTokenizer) -> Iterator[NDArray[Any]]:
        """The ids of the records, each with its end, block by block."""
        unknown: Unknown = "replace" if vocabulary.has_unknown else "error"
        self._file.seek(0)
        for size, lengths in zip(self._sizes, self.lengths, strict=True):
            text = self._file.read(size).decode("utf-8", "surrogatepass")
            ends = np.cumsum(lengths)
            yield np.insert(vocabulary.encode(text, unknown=unknown), ends, vocabulary.end_id or 0)
        self._file.close()

"""Encodes a corpus of records in one pass over its sources, and one over a copy of its records.

A table is thus parsed only once. The copy, in a temporary file if it is long, holds the records that train apart from
those that are held out. Long corpora are cached.
"""

from __future__ import annotations

import tempfile
import weakref
from collections.abc import Iterator
from itertools import compress
from typing import IO, Any

import numpy as np
from numpy.typing import NDArray

from textgen.corpus.cache import CorpusCache, Entry, write_temporary
from textgen.corpus.characters import CharacterCounts
from textgen.corpus.encoded import EncodedCorpus
from textgen.corpus.entries import from_entry, to_encoded
from textgen.corpus.passes import Fingerprint, Meter, Report, cache_keys, changed, check_known
from textgen.corpus.rare import automatic_min_count
from textgen.corpus.reading import Corpus
from textgen.corpus.record_reading import Block, RecordReader
from textgen.corpus.sources import cannot_keep
from textgen.corpus.tables import table_kind
from textgen.corpus.tokenizer import CharTokenizer
from textgen.errors import CorpusError

_HELD = 16 << 20
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
    """Encodes a corpus of records, as `textgen.corpus.encode_corpus` does a running text, which calls it.

    Args:
        corpus: the corpus.
        tokenizer: the vocabulary; None builds it.
        cache: the cache of a long corpus's ids, if there is one.
        progress: called with the bytes done and the total.
        long: whether the ids are too many to be kept in memory.
        seed: of the split.

    Raises:
        CorpusError: as `encode_corpus`, or no record trains, or a table is not as it should be.
        UnknownCharacterError: the text contains characters outside the given vocabulary.
    """
    meter = Meter(progress, corpus.bytes, passes=1 if cache is None else 2)
    content, keys = None, [""]
    if cache is not None:
        before = Fingerprint(meter)
        corpus.read(before.add)
        content = before.hexdigest()
        keys = cache_keys(corpus.config, content, tokenizer, _settings(corpus, seed))
        for key in keys:
            encoded = from_entry(corpus, cache.read(key), tokenizer)
            if encoded is not None:
                meter.finish()
                return encoded
    fingerprint, encoding = Fingerprint(meter), _Encoding(corpus, seed=seed)
    encoding.read(fingerprint)
    if content not in (None, fingerprint.hexdigest()):
        raise changed(corpus.title)
    vocabulary = encoding.vocabulary(tokenizer)
    parts = encoding.ids(vocabulary), vocabulary.dtype, encoding.metadata, encoding.arrays
    if not long:
        entry = Entry(np.concatenate(list(parts[0])), encoding.metadata(), encoding.arrays())
    elif cache is None:
        entry = write_temporary(*parts)
    else:
        entry = cache.write(keys[-1], *parts)
    meter.finish()
    return to_encoded(corpus, entry, vocabulary, encoding.min_count)


class _Encoding:
    """The encoding of a corpus: first its records are read, then their ids are made."""

    def __init__(self, corpus: Corpus, *, seed: int) -> None:
        self._corpus, self._seed = corpus, seed
        self._reader, self._counts = RecordReader(corpus, seed=seed), CharacterCounts()
        self.min_count: int | None = None
        self._decided: dict[str, int] = {}
        self._training, self._held_out = _Copy(corpus.title), _Copy(corpus.title)

    def read(self, fingerprint: Fingerprint) -> None:
        """Reads all records."""
        for block in self._reader.blocks(fingerprint.add):
            self._training.add(block, ~block.held_out, self._counts)
            self._held_out.add(block, block.held_out, self._counts)
        if not self._counts.total:
            raise CorpusError(f"The corpus {self._corpus.title} has no record that is not empty. Give some hundreds.")
        if not self._training.records:
            raise CorpusError(
                f"All records of the corpus {self._corpus.title} fall to validation. Give more of them, or pass "
                "--validation 0 to train on all."
            )

    def vocabulary(self, tokenizer: CharTokenizer | None) -> CharTokenizer:
        """The given vocabulary, or that of the records."""
        counts, self.min_count = self._counts, self._corpus.config.min_count
        if self.min_count is None and tokenizer is None:
            self.min_count = automatic_min_count(counts.to_dict())
            self._decided = {"min_count": self.min_count}
        vocabulary = tokenizer or CharTokenizer.from_counts(
            counts.to_dict(), min_count=self.min_count or 1, has_end=True
        )
        check_known(self._corpus.title, counts, vocabulary)
        if not vocabulary.has_end:
            raise CorpusError(
                "The vocabulary has no id for a record's end. Start from a model that was trained on records."
            )
        self._vocabulary = vocabulary
        return vocabulary

    def ids(self, vocabulary: CharTokenizer) -> Iterator[NDArray[Any]]:
        """The ids of the records that train, then of those that are held out."""
        yield from self._training.ids(vocabulary)
        yield from self._held_out.ids(vocabulary)

    def arrays(self) -> dict[str, NDArray[Any]]:
        """What is to be stored for each record."""
        copies = self._training, self._held_out
        lengths = np.concatenate([*self._training.lengths, *self._held_out.lengths])
        starts = np.zeros(len(lengths) + 1, np.int64)
        np.cumsum(lengths + 1, out=starts[1:])
        label_of = np.concatenate([each for copy in copies for each in copy.label_of])
        return {"starts": starts, "label_of": self._order()[label_of]}

    def metadata(self) -> dict[str, Any]:
        """What else is to be stored."""
        reader, labels = self._reader, self._labels()
        places = {label: place for place, label in enumerate(labels)}
        return {
            "tokenizer": self._vocabulary.to_json(),
            "bytes": reader.bytes,
            "distinct": self._counts.distinct,
            **self._decided,
            "sha256": reader.hexdigest(),
            "records": {
                "training": self._training.records,
                "labels": labels,
                "label_sets": sorted([places[label] for label in found] for found in reader.combinations),
                "seed": self._seed,
                "duplicates": reader.duplicates(),
                "dropped": reader.dropped,
            },
        }

    def _labels(self) -> list[str]:
        return sorted({label for found in self._reader.combinations for label in found})

    def _order(self) -> NDArray[np.int32]:
        """Where each combination of labels, as they came, stands among all of them sorted."""
        found = list(self._reader.combinations)
        order = np.empty(len(found), np.int32)
        # Sorting the labels' names sorts their indices, too.
        order[sorted(range(len(found)), key=found.__getitem__)] = np.arange(len(found), dtype=np.int32)
        return order


class _Copy:
    """A copy of some records, block by block: their code points, and the length and the labels of each."""

    def __init__(self, name: str) -> None:
        self.records = 0
        self.lengths: list[NDArray[np.int64]] = []
        self.label_of: list[NDArray[np.int32]] = []
        self._name = name
        self._parts: list[tuple[np.dtype[Any], int]] = []
        self._file: IO[bytes] = tempfile.SpooledTemporaryFile(max_size=_HELD)  # noqa: SIM115
        weakref.finalize(self, self._file.close)

    def add(self, block: Block, chosen: NDArray[np.bool_], counts: CharacterCounts) -> None:
        """Adds some records of a block, and counts their characters."""
        texts = list(compress(block.texts, chosen.tolist()))
        codes = counts.add("".join(texts))
        try:
            self._file.write(codes.data)
        except OSError as error:
            raise cannot_keep(f"the records of {self._name}", error) from error
        self._parts.append((codes.dtype, codes.nbytes))
        self.records += len(texts)
        self.lengths.append(block.lengths[chosen])
        self.label_of.append(block.label_of[chosen])

    def ids(self, vocabulary: CharTokenizer) -> Iterator[NDArray[Any]]:
        """The ids of the records, each followed by that of its end, block by block."""
        end = vocabulary.end_id
        self._file.seek(0)
        for (dtype, size), lengths in zip(self._parts, self.lengths, strict=True):
            codes = np.frombuffer(self._file.read(size), dtype)
            yield np.insert(vocabulary.encode_code_points(codes), np.cumsum(lengths), end or 0)
        self._file.close()


def _settings(corpus: Corpus, seed: int) -> dict[str, Any]:
    """What the ids of records depend on beyond those of a running text."""
    config = corpus.config
    return {
        "records": config.records,
        "fields": [config.text_field, config.label_field, corpus.fields],
        "kinds": [table_kind(source) for source in corpus.sources] if config.text_field else None,
        "validation": config.validation,
        "seed": seed,
    }

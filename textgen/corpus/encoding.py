"""Encodes a corpus in two passes: one for its vocabulary, one for its ids. Long texts are cached."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from textgen.config import Unknown
from textgen.corpus.cache import CorpusCache, Entry, write_temporary
from textgen.corpus.characters import CharacterCounts
from textgen.corpus.encoded import EncodedCorpus
from textgen.corpus.entries import from_entry, to_encoded
from textgen.corpus.form import settle
from textgen.corpus.pairs import encode_pairs
from textgen.corpus.passes import Fingerprint, Meter, Report, cache_keys, changed, check_known, empty
from textgen.corpus.rare import automatic_min_count
from textgen.corpus.reading import Corpus
from textgen.corpus.record_encoding import encode_records
from textgen.corpus.tokenizer import CharTokenizer
from textgen.errors import UnknownCharacterError

IN_MEMORY = 64 << 20
"""The size of the sources in bytes up to which the ids are kept in memory and not cached."""


def encode_corpus(
    corpus: Corpus,
    *,
    tokenizer: CharTokenizer | None = None,
    cache: str | os.PathLike[str] | None = None,
    progress: Report | None = None,
    in_memory: int = IN_MEMORY,
    seed: int = 0,
) -> EncodedCorpus:
    """Encodes a corpus, or reads a long one's ids from the cache if nothing has changed.

    The cache key is made of the bytes of the sources and the settings, not of the sources' names.

    Args:
        corpus: the text.
        tokenizer: the vocabulary; None builds it, with `corpus.config.min_count` or, if that is None, with what
            `automatic_min_count` makes of the text. The result's `config` holds the number.
        cache: a folder for long texts' ids, created if missing; None uses a temporary file.
        progress: called with the bytes done and the total.
        in_memory: the size of the sources in bytes up to which the ids are kept in memory and not cached.
        seed: of the split of records into those that train and those that are held out, in [0, 2**64).

    Raises:
        CorpusError: the corpus is empty, cannot be read, is not text, or changes while it is read; or the disk
            has no space for the ids.
        UnknownCharacterError: the text contains characters outside the given vocabulary.

    >>> from textgen.corpus import open_corpus
    >>> folder = getfixture("tmp_path")
    >>> _ = (folder / "poem.txt").write_bytes(b"banana")
    >>> encoded = encode_corpus(open_corpus(folder / "poem.txt"))
    >>> encoded.tokenizer, encoded.ids.tolist()
    (CharTokenizer('abn'), [1, 0, 2, 0, 2, 0])
    """
    size = corpus.bytes
    if not size:
        raise empty(corpus.title)
    if corpus.config.by_pair:
        return encode_pairs(settle(corpus) if corpus.config.task else corpus, progress=progress, seed=seed)
    corpus = settle(corpus)
    long = size > in_memory
    folder = CorpusCache(cache) if long and cache is not None else None
    if corpus.config.by_record:
        return encode_records(corpus, tokenizer=tokenizer, cache=folder, progress=progress, long=long, seed=seed)
    meter = Meter(progress, size, passes=2 if folder is None else 3)
    content = None
    if folder is not None:
        fingerprint = Fingerprint(meter)
        corpus.read(fingerprint.add)
        content = fingerprint.hexdigest()
        for key in cache_keys(corpus.config, content, tokenizer, {}):
            encoded = from_entry(corpus, folder.read(key), tokenizer)
            if encoded is not None:
                meter.finish()
                return encoded
    counts, counted = _count(corpus, meter)
    if content not in (None, counted):
        raise changed(corpus.title)
    automatic = corpus.config.min_count is None and tokenizer is None
    min_count = automatic_min_count(counts.to_dict()) if automatic else corpus.config.min_count
    vocabulary = tokenizer or CharTokenizer.from_counts(counts.to_dict(), min_count=min_count or 1)
    check_known(corpus.title, counts, vocabulary)
    encoding = _Encoding(corpus, vocabulary, counts, counted, meter, {"min_count": min_count} if automatic else {})
    if not long:
        entry = encoding.in_memory()
    elif folder is None:
        entry = write_temporary(encoding.ids(), vocabulary.dtype, encoding.metadata)
    else:
        key = cache_keys(corpus.config, counted, tokenizer, {})[-1]
        entry = folder.write(key, encoding.ids(), vocabulary.dtype, encoding.metadata)
    meter.finish()
    return to_encoded(corpus, entry, vocabulary, min_count)


class _Encoding:
    """The second pass over a corpus: its ids, and afterwards their metadata."""

    def __init__(
        self,
        corpus: Corpus,
        vocabulary: CharTokenizer,
        counts: CharacterCounts,
        content: str,
        meter: Meter,
        decided: Mapping[str, int | None],
    ) -> None:
        self._corpus, self._vocabulary, self._counts, self._content = corpus, vocabulary, counts, content
        self._decided = decided
        self._fingerprint, self._digest, self._bytes, self._characters = Fingerprint(meter), hashlib.sha256(), 0, 0

    def ids(self) -> Iterator[NDArray[Any]]:
        unknown: Unknown = "replace" if self._vocabulary.has_unknown else "error"
        for piece in self._corpus.pieces(on_read=self._fingerprint.add):
            data = piece.encode("utf-8", "surrogatepass")
            self._digest.update(data)
            self._bytes += len(data)
            self._characters += len(piece)
            if self._characters > self._counts.total:
                raise changed(self._corpus.title)
            try:
                yield self._vocabulary.encode(piece, unknown=unknown)
            except UnknownCharacterError as error:
                raise changed(self._corpus.title) from error

    def metadata(self) -> dict[str, Any]:
        if self._fingerprint.hexdigest() != self._content:
            raise changed(self._corpus.title)
        return {
            "tokenizer": self._vocabulary.to_json(),
            "bytes": self._bytes,
            "distinct": self._counts.distinct,
            "sha256": self._digest.hexdigest(),
            **self._decided,
        }

    def in_memory(self) -> Entry:
        ids, filled = np.empty(self._counts.total, self._vocabulary.dtype), 0
        for piece in self.ids():
            ids[filled : filled + len(piece)] = piece
            filled += len(piece)
        return Entry(ids, self.metadata())


def _count(corpus: Corpus, meter: Meter) -> tuple[CharacterCounts, str]:
    """The first pass: the character counts, and the fingerprint of the bytes."""
    counts, fingerprint = CharacterCounts(), Fingerprint(meter)
    for piece in corpus.pieces(on_read=fingerprint.add):
        counts.add(piece)
    if not counts.total:
        raise empty(corpus.title)
    return counts, fingerprint.hexdigest()

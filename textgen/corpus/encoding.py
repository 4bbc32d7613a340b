"""Encodes a corpus in two passes: one for its vocabulary, one for its ids. Long texts are cached."""

from __future__ import annotations

import hashlib
import json
import os
import unicodedata
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from textgen.config import CorpusConfig, Unknown
from textgen.corpus.cache import CorpusCache, Entry, write_temporary
from textgen.corpus.characters import CharacterCounts, name_characters
from textgen.corpus.decoding import check_encoding
from textgen.corpus.encoded import EncodedCorpus
from textgen.corpus.rare import FREQUENT, LARGE, SHARE, automatic_min_count
from textgen.corpus.reading import Corpus
from textgen.corpus.tokenizer import CharTokenizer
from textgen.errors import ConfigError, CorpusError, UnknownCharacterError

IN_MEMORY = 64 << 20
"""The size of the sources in bytes up to which the ids are kept in memory and not cached."""

Report = Callable[[int, int], None]


def encode_corpus(
    corpus: Corpus,
    *,
    tokenizer: CharTokenizer | None = None,
    cache: str | os.PathLike[str] | None = None,
    progress: Report | None = None,
    in_memory: int = IN_MEMORY,
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
        raise _empty(corpus)
    long = size > in_memory
    folder = CorpusCache(cache) if long and cache is not None else None
    meter = _Meter(progress, size, passes=2 if folder is None else 3)
    content = None
    if folder is not None:
        fingerprint = _Fingerprint(meter)
        corpus.read(fingerprint.add)
        content = fingerprint.hexdigest()
        for key in _keys(corpus.config, content, tokenizer):
            encoded = _from_entry(corpus, folder.read(key), tokenizer)
            if encoded is not None:
                meter.finish()
                return encoded
    counts, counted = _count(corpus, meter)
    if content not in (None, counted):
        raise _changed(corpus)
    automatic = corpus.config.min_count is None and tokenizer is None
    min_count = automatic_min_count(counts.to_dict()) if automatic else corpus.config.min_count
    vocabulary = tokenizer or CharTokenizer.from_counts(counts.to_dict(), min_count=min_count or 1)
    _check_known(corpus, counts, vocabulary)
    encoding = _Encoding(corpus, vocabulary, counts, counted, meter, {"min_count": min_count} if automatic else {})
    if not long:
        entry = encoding.in_memory()
    elif folder is None:
        entry = write_temporary(encoding.ids(), vocabulary.dtype, encoding.metadata)
    else:
        key = _keys(corpus.config, counted, tokenizer)[-1]
        entry = folder.write(key, encoding.ids(), vocabulary.dtype, encoding.metadata)
    meter.finish()
    return _encoded(corpus, entry, vocabulary, min_count)


class _Meter:
    """Reports the progress of several passes over a text as one count up to its size."""

    def __init__(self, report: Report | None, size: int, *, passes: int) -> None:
        self._report, self._size, self._passes, self._done = report, size, passes, 0

    def add(self, count: int) -> None:
        self._done += count
        if self._report is not None and count:
            self._report(min(self._done // self._passes, self._size), self._size)

    def finish(self) -> None:
        if self._report is not None:
            self._report(self._size, self._size)


class _Fingerprint:
    """A SHA-256 of the bytes of one pass over a corpus, and of where each source ends."""

    def __init__(self, meter: _Meter) -> None:
        self._meter, self._digest, self._length = meter, hashlib.sha256(), 0

    def add(self, chunk: bytes) -> None:
        self._digest.update(chunk or self._length.to_bytes(8, "little"))
        self._length = self._length + len(chunk) if chunk else 0
        self._meter.add(len(chunk))

    def hexdigest(self) -> str:
        return self._digest.hexdigest()


class _Encoding:
    """The second pass over a corpus: its ids, and afterwards their metadata."""

    def __init__(
        self,
        corpus: Corpus,
        vocabulary: CharTokenizer,
        counts: CharacterCounts,
        content: str,
        meter: _Meter,
        decided: Mapping[str, int | None],
    ) -> None:
        self._corpus, self._vocabulary, self._counts, self._content = corpus, vocabulary, counts, content
        self._decided = decided
        self._fingerprint, self._digest, self._bytes, self._characters = _Fingerprint(meter), hashlib.sha256(), 0, 0

    def ids(self) -> Iterator[NDArray[Any]]:
        unknown: Unknown = "replace" if self._vocabulary.has_unknown else "error"
        for piece in self._corpus.pieces(on_read=self._fingerprint.add):
            data = piece.encode("utf-8", "surrogatepass")
            self._digest.update(data)
            self._bytes += len(data)
            self._characters += len(piece)
            if self._characters > self._counts.total:
                raise _changed(self._corpus)
            try:
                yield self._vocabulary.encode(piece, unknown=unknown)
            except UnknownCharacterError as error:
                raise _changed(self._corpus) from error

    def metadata(self) -> dict[str, Any]:
        if self._fingerprint.hexdigest() != self._content:
            raise _changed(self._corpus)
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


def _count(corpus: Corpus, meter: _Meter) -> tuple[CharacterCounts, str]:
    """The first pass: the character counts, and the fingerprint of the bytes."""
    counts, fingerprint = CharacterCounts(), _Fingerprint(meter)
    for piece in corpus.pieces(on_read=fingerprint.add):
        counts.add(piece)
    if not counts.total:
        raise _empty(corpus)
    return counts, fingerprint.hexdigest()


def _keys(config: CorpusConfig, content: str, tokenizer: CharTokenizer | None) -> list[str]:
    """The cache keys to look up; the last is the one to write.

    A given vocabulary, or a `min_count` that a run has recorded, is usually the one that follows from the text itself,
    so the keys of those are tried, too.
    """
    text = {
        "content": content,
        "encoding": check_encoding(config.encoding),
        "keep_newlines": config.keep_newlines,
        "normalize": config.normalize,
        "unicode": None if config.normalize == "none" else unicodedata.unidata_version,
        **({} if config.errors == "strict" else {"errors": config.errors}),
    }
    automatic: dict[str, Any] = {**text, "min_count": [LARGE, SHARE, FREQUENT]}
    settings = [{**text, "min_count": config.min_count or 1}, automatic]
    if config.min_count is not None:
        settings.reverse()
    if tokenizer is not None:
        settings.append({**text, "tokenizer": tokenizer.to_json()})
    return [hashlib.sha256(json.dumps(values, sort_keys=True).encode()).hexdigest()[:40] for values in settings]


def _from_entry(corpus: Corpus, entry: Entry | None, tokenizer: CharTokenizer | None) -> EncodedCorpus | None:
    """The corpus of a cache entry, if it has the vocabulary that is given or would be built."""
    if entry is None:
        return None
    try:
        vocabulary, wanted = CharTokenizer.from_json(entry.metadata["tokenizer"]), corpus.config.min_count
        # Recorded where it followed from the text. It does so without a record where there are few characters.
        automatic = entry.metadata.get("min_count", 1 if entry.metadata["distinct"] < LARGE else None)
        if tokenizer is not None:
            fits, min_count = tokenizer == vocabulary, wanted
        elif wanted is None:
            fits, min_count = automatic is not None, automatic
        else:
            fits, min_count = entry.metadata.get("min_count", wanted) == wanted, wanted
        return _encoded(corpus, entry, vocabulary, min_count) if fits else None
    except (KeyError, ConfigError):
        return None


def _encoded(corpus: Corpus, entry: Entry, vocabulary: CharTokenizer, min_count: int | None) -> EncodedCorpus:
    return EncodedCorpus(
        name=corpus.name,
        sources=corpus.sources,
        config=corpus.config.replace(min_count=min_count),
        tokenizer=vocabulary,
        ids=entry.ids,
        bytes=entry.metadata["bytes"],
        distinct=entry.metadata["distinct"],
        sha256=entry.metadata["sha256"],
        places=corpus.places,
    )


def _check_known(corpus: Corpus, counts: CharacterCounts, vocabulary: CharTokenizer) -> None:
    lacking = "".join(sorted(set(counts.to_dict()) - set(vocabulary.characters)))
    if lacking and not vocabulary.has_unknown:
        raise UnknownCharacterError(
            f"The corpus {corpus.title} contains {len(lacking):,} character{'s' if len(lacking) > 1 else ''} outside "
            f"the vocabulary: {name_characters(lacking)}. Restore the old text, or start a new run on this one.",
            characters=lacking,
        )


def _empty(corpus: Corpus) -> CorpusError:
    return CorpusError(f"The corpus {corpus.title} is empty. Give a text with at least a few hundred characters.")


def _changed(corpus: Corpus) -> CorpusError:
    return CorpusError(f"The corpus {corpus.title} changed while it was read. Try again when it no longer changes.")

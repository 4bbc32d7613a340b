"""Reads a corpus as records: lines, paragraphs, files, tunes, or the rows of tables, each with its labels."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from itertools import chain, compress
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from textgen.config import CorpusConfig
from textgen.corpus.lists import lines, paragraphs, whole
from textgen.corpus.normalization import normalize
from textgen.corpus.reading import Corpus, OnRead
from textgen.corpus.records import is_held_out, record_hashes
from textgen.corpus.rows import Fields
from textgen.corpus.sources import STANDARD_INPUT, Source
from textgen.corpus.tables import Kind, guess_kind, read_table, table_kind
from textgen.corpus.tunes import tunes
from textgen.errors import CorpusError

_CONTROLS = tuple(map(chr, range(0x20)))


class Block(NamedTuple):
    """Some records of a corpus, in their order; none is empty.

    Attributes:
        texts: their texts.
        data: the same in UTF-8.
        lengths: `(records,)`, their lengths in characters.
        held_out: `(records,)`, whether each is held out.
        label_of: `(records,)`, int32, the index of each one's combination of labels in `RecordReader.combinations`.
    """

    texts: list[str]
    data: list[bytes]
    lengths: NDArray[np.int64]
    held_out: NDArray[np.bool_]
    label_of: NDArray[np.int32]


class RecordReader:
    """One pass over a corpus of records, and afterwards what there is to know of them.

    Args:
        corpus: the corpus.
        seed: the seed of the split.

    Attributes:
        combinations: the combinations of labels that occur, in the order of their first record; the first is empty.
        bytes: the size of the records in UTF-8, with one byte for each record's end.
        dropped: how many empty records were left out.
    """

    def __init__(self, corpus: Corpus, *, seed: int) -> None:
        self._corpus, self._seed = corpus, seed
        self.combinations: dict[tuple[str, ...], int] = {(): 0}
        self.bytes = 0
        self.dropped = 0
        self._texts, self._lengths, self._labels = hashlib.sha256(), hashlib.sha256(), hashlib.sha256()
        self._known: dict[tuple[str, ...], int] = {(): 0}
        self._hashes: list[NDArray[np.int64]] = []

    def blocks(self, on_read: OnRead) -> Iterator[Block]:
        """The records, some thousands at a time.

        Args:
            on_read: called with the bytes as they are read, and with `b""` at each source's end.

        Raises:
            CorpusError: a source cannot be read, is not text, or is not valid in its encoding.
        """
        config = self._corpus.config
        for texts, labels in _read(self._corpus, on_read):
            label_of = self._label_of(labels) if labels else np.zeros(len(texts), np.int32)
            if "" in texts or any(map(str.isspace, texts)):
                kept = [bool(text) and not text.isspace() for text in texts]
                if config.records not in ("lines", "paragraphs"):
                    self.dropped += kept.count(False)
                texts, label_of = list(compress(texts, kept)), label_of[kept]
            if texts:
                yield self._block(_normalized(texts, config), label_of)

    def _label_of(self, labels: Sequence[tuple[str, ...]]) -> NDArray[np.int32]:
        known = self._known
        try:
            return np.fromiter(map(known.__getitem__, labels), np.int32, len(labels))
        except KeyError:
            # In their order, unlike a set's, which differs between processes.
            for found in dict.fromkeys(labels):
                if found not in known:
                    named = tuple(sorted(set(_normalized(list(found), self._corpus.config))))
                    known[found] = self.combinations.setdefault(named, len(self.combinations))
        return np.fromiter(map(known.__getitem__, labels), np.int32, len(labels))

    def _block(self, texts: list[str], label_of: NDArray[np.int32]) -> Block:
        try:
            data = list(map(str.encode, texts))
        except UnicodeEncodeError:
            data = [text.encode("utf-8", "surrogatepass") for text in texts]
        hashes, lengths = record_hashes(data, seed=self._seed), np.fromiter(map(len, texts), np.int64, len(texts))
        self._hashes.append(np.fromiter(map(hash, data), np.int64, len(data)))
        joined = b"".join(data)
        self.bytes += len(joined) + len(data)
        self._texts.update(joined)
        self._lengths.update(lengths.astype("<i8", copy=False).tobytes())
        self._labels.update(label_of.astype("<i4", copy=False).tobytes())
        held_out = is_held_out(hashes, validation=self._corpus.config.validation)
        return Block(texts, data, lengths, held_out, label_of)

    def hexdigest(self) -> str:
        """A SHA-256 of the records' texts in their order, of where each ends, and of its labels."""
        combinations = json.dumps(list(self.combinations), ensure_ascii=True)
        parts = [self._lengths.digest(), self._labels.digest(), combinations.encode()]
        digest = self._texts.copy()
        digest.update(b"".join(parts))
        return digest.hexdigest()

    def duplicates(self) -> int:
        """How many records have the text of an earlier one."""
        hashes = np.concatenate([np.empty(0, np.int64), *self._hashes])
        hashes.sort()
        return int(np.count_nonzero(hashes[1:] == hashes[:-1]))


_CUTS: Mapping[str, Callable[[Iterator[str]], Iterator[list[str]]]] = {
    "lines": lines,
    "paragraphs": paragraphs,
    "files": whole,
}


def _read(corpus: Corpus, on_read: OnRead) -> Iterator[tuple[list[str], list[tuple[str, ...]] | None]]:
    """The texts of all records as they stand in the sources, with their labels if there may be some."""
    config = corpus.config
    for source, pieces in corpus.texts(on_read=on_read):
        if corpus.fields is not None:
            yield from read_table("jsonl", source.name, pieces, corpus.fields)
        elif config.text_field is not None:
            fields = Fields(config.text_field, config.label_fields)
            start = next(pieces, "")
            kind = _kind(source, start)
            yield from read_table(kind, source.name, chain([start], pieces), fields, errors=config.errors)
        elif config.records == "tunes":
            yield from tunes(pieces, config.label_fields)
        else:
            for texts in _CUTS[config.records or "lines"](pieces):
                yield texts, None


def _kind(source: Source, start: str) -> Kind:
    kind = guess_kind(start) if source.location == STANDARD_INPUT else table_kind(source.location)
    if kind is None:
        raise CorpusError(
            f"{source.name} is not named as a table, but --text-field reads .csv, .tsv and .jsonl files. Rename it, or "
            "pass --records lines, paragraphs, files or tunes instead."
        )
    return kind


def _normalized(texts: list[str], config: CorpusConfig) -> list[str]:
    joined = "".join(texts)
    if "\r" in joined and not config.keep_newlines:
        texts = [text.replace("\r\n", "\n").replace("\r", "\n") for text in texts]
    if config.normalize == "none" or joined.isascii():
        return texts
    # Control characters never compose, so that each record is normalised as if it stood alone.
    separator = next((each for each in _CONTROLS if each not in joined), None)
    if separator is None:
        return ["".join(normalize([text], config.normalize)) for text in texts]
    return "".join(normalize([separator.join(texts)], config.normalize)).split(separator)

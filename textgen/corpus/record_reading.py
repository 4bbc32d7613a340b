"""Reads a corpus as records: lines, paragraphs, files, or the rows of tables, each with its labels."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from textgen.config import CorpusConfig
from textgen.corpus.lists import lines, paragraphs, whole
from textgen.corpus.normalization import normalize
from textgen.corpus.reading import Corpus, OnRead
from textgen.corpus.records import is_held_out, record_hashes

_CONTROLS = tuple(map(chr, range(0x20)))


class Block(NamedTuple):
    """Some records of a corpus, in their order; none is empty.

    Attributes:
        texts: their texts.
        data: the same in UTF-8.
        held_out: `(records,)`, whether each is held out.
        label_of: `(records,)`, int32, the index of each one's combination of labels in `RecordReader.combinations`.
    """

    texts: list[str]
    data: list[bytes]
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
        self._hashes: list[NDArray[np.uint64]] = []

    def blocks(self, on_read: OnRead) -> Iterator[Block]:
        """The records, some thousands at a time.

        Args:
            on_read: called with the bytes as they are read, and with `b""` at each source's end.

        Raises:
            CorpusError: a source cannot be read, is not text, or is not valid in its encoding.
        """
        config = self._corpus.config
        for texts in _read(self._corpus, on_read):
            kept = [text for text in texts if text and not text.isspace()]
            if not kept:
                continue
            kept = _normalized(kept, config)
            yield self._block(kept, np.zeros(len(kept), np.int32))

    def _block(self, texts: list[str], label_of: NDArray[np.int32]) -> Block:
        data = [text.encode("utf-8", "surrogatepass") for text in texts]
        hashes = record_hashes(data, seed=self._seed)
        self._hashes.append(hashes)
        joined = b"".join(data)
        self.bytes += len(joined) + len(data)
        self._texts.update(joined)
        self._lengths.update(np.fromiter(map(len, data), "<i8", len(data)).tobytes())
        self._labels.update(label_of.astype("<i4", copy=False).tobytes())
        return Block(texts, data, is_held_out(hashes, validation=self._corpus.config.validation), label_of)

    def hexdigest(self) -> str:
        """A SHA-256 of the records' texts in their order, of where each ends, and of its labels."""
        combinations = json.dumps(list(self.combinations), ensure_ascii=True)
        parts = [self._lengths.digest(), self._labels.digest(), combinations.encode()]
        digest = self._texts.copy()
        digest.update(b"".join(parts))
        return digest.hexdigest()

    def duplicates(self) -> int:
        """How many records have the text of an earlier one."""
        hashes = np.concatenate(self._hashes) if self._hashes else np.empty(0, np.uint64)
        hashes.sort()
        return int(np.count_nonzero(hashes[1:] == hashes[:-1]))


def _read(corpus: Corpus, on_read: OnRead) -> Iterator[list[str]]:
    cut = {"lines": lines, "paragraphs": paragraphs, "files": whole}[corpus.config.records or ""]
    for _, pieces in corpus.texts(on_read=on_read):
        yield from cut(pieces)


def _normalized(texts: list[str], config: CorpusConfig) -> list[str]:
    if config.normalize == "none":
        return texts
    joined = "".join(texts)
    # Control characters never compose, so that each record is normalised as if it stood alone.
    separator = next((each for each in _CONTROLS if each not in joined), None)
    if separator is None:
        return ["".join(normalize([text], config.normalize)) for text in texts]
    return "".join(normalize([separator.join(texts)], config.normalize)).split(separator)

"""Baselines for a text, in nats per character, that need no model.

- `compress`: general-purpose compressors at their strongest setting, given the training text first: the compressed size
  of both texts together, less that of the training text alone.
- `unigram`: each character predicted by its frequency in the training text.
- `uniform`: all characters equally likely.
"""

from __future__ import annotations

import bz2
import lzma
import math
import zlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal, Protocol, get_args

import numpy as np
from numpy.typing import NDArray

Compressor = Literal["xz", "bz2", "gzip"]

MOST_TRAINING = 32 << 20
"""Bytes from the end of the training text that compressors are given: xz takes about ten times that in memory."""

_CHUNK = 1 << 20
_LEAST_DICTIONARY, _MOST_DICTIONARY = 4096, 64 << 20
_GZIP = 31
"""`zlib`'s `wbits` for the largest window, 32 KB, in the gzip format."""

Progress = Callable[[int, int], None]


@dataclass(frozen=True, kw_only=True)
class Baseline:
    """The cost of a text under something other than the model.

    Args:
        name: "xz", "bz2", "gzip", "unigram" or "uniform".
        nats: nats per character.
        after_training: whether it was given the training text first.
    """

    name: str
    nats: float
    after_training: bool

    @property
    def is_compressor(self) -> bool:
        """Whether it is a compressor rather than a probability distribution."""
        return self.name in get_args(Compressor)

    @property
    def bits(self) -> float:
        """Bits per character."""
        return self.nats / math.log(2.0)


class _CompressorObject(Protocol):
    """The interface shared by the standard library's compressors."""

    def compress(self, data: bytes, /) -> bytes: ...

    def flush(self) -> bytes: ...


def compress(
    text: bytes, *, characters: int, training: bytes | None, progress: Progress | None = None
) -> list[Baseline]:
    """The size of a text under xz, bz2 and gzip, given the training text.

    gzip's window is 32 KB and bz2's block 900 KB, so that they cannot use most of a long training text; xz's dictionary
    covers all of it, up to 64 MB.

    Args:
        text: UTF-8.
        characters: its length in characters, at least 1.
        training: the training text, UTF-8; None compresses the text alone.
        progress: called with the bytes done and the total, over all compressors.
    """
    seen = training or b""
    passes = (1 + (training is not None)) * len(get_args(Compressor))
    meter = _Meter(progress, len(get_args(Compressor)) * len(text) + passes * len(seen))
    results = []
    for name in get_args(Compressor):
        # Both sizes of the difference must come from the same settings.
        needed = _compressed_size(name, (seen, text), meter, length=len(seen) + len(text))
        if training is not None:
            needed -= _compressed_size(name, (seen,), meter, length=len(seen) + len(text))
        nats = 8.0 * math.log(2.0) * needed / characters
        results.append(Baseline(name=name, nats=nats, after_training=training is not None))
    return results


def unigram(ids: NDArray[np.integer], counts: NDArray[np.int64]) -> Baseline:
    """The unigram model of the training text, with add-one smoothing.

    Args:
        ids: `(n,)`, the text, at least one id.
        counts: `(vocab,)`, how often each id occurs in the training text.

    >>> round(unigram(np.array([0, 1]), np.array([2, 0])).bits, 3)  # 3 in 4, then 1 in 4
    1.208
    """
    surprisal = math.log(float(counts.sum() + len(counts))) - np.log(counts + 1.0)
    occurrences = np.bincount(ids, minlength=len(counts))
    return Baseline(name="unigram", nats=float(surprisal @ occurrences) / len(ids), after_training=True)


def uniform(vocab_size: int) -> Baseline:
    """All characters of the vocabulary equally likely.

    >>> uniform(64).bits
    6.0
    """
    return Baseline(name="uniform", nats=math.log(vocab_size), after_training=False)


class _Meter:
    def __init__(self, report: Progress | None, size: int) -> None:
        self._report, self._size, self._done = report, size, 0

    def add(self, count: int) -> None:
        self._done += count
        if self._report is not None:
            self._report(self._done, self._size)


def _compressed_size(name: Compressor, texts: Sequence[bytes], meter: _Meter, *, length: int) -> int:
    """The compressed size in bytes of some texts in sequence, by a compressor configured for `length` bytes."""
    compressor = _compressor(name, length)
    size = 0
    for text in texts:
        for start in range(0, len(text), _CHUNK):
            chunk = text[start : start + _CHUNK]
            size += len(compressor.compress(chunk))
            meter.add(len(chunk))
    return size + len(compressor.flush())


def _compressor(name: Compressor, length: int) -> _CompressorObject:
    if name == "gzip":
        return zlib.compressobj(9, zlib.DEFLATED, _GZIP)
    if name == "bz2":
        return bz2.BZ2Compressor(9)
    size = min(max(length, _LEAST_DICTIONARY), _MOST_DICTIONARY)
    chain = [{"id": lzma.FILTER_LZMA2, "preset": 9 | lzma.PRESET_EXTREME, "dict_size": size}]
    return lzma.LZMACompressor(lzma.FORMAT_XZ, filters=chain)

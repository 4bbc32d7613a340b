"""What others need for the same text, so that a model's figure means something.

Texts go in, nats per character come out. The module knows no model:

- `compress`: general compressors at their strongest, which have seen the training text as the model has: what they
  need for both texts together, less what they need for the training text alone.
- `unigram`: each character foretold by its frequency in the training text.
- `uniform`: each character as likely as any other.
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
"""Bytes of the training text, from its end, that compressors are shown: xz takes some ten times that in memory."""

_CHUNK = 1 << 20
_LEAST_DICTIONARY, _MOST_DICTIONARY = 4096, 64 << 20
_GZIP = 31
"""`zlib`'s number for the greatest window, 32 KB, in a gzip file."""

Progress = Callable[[int, int], None]


@dataclass(frozen=True, kw_only=True)
class Yardstick:
    """What something else than the model needs for a text.

    Args:
        name: "xz", "bz2", "gzip", "unigram" or "uniform".
        nats: nats per character.
        after_training: whether it had seen the training text.
    """

    name: str
    nats: float
    after_training: bool

    @property
    def is_compressor(self) -> bool:
        """Whether it codes the text, rather than only giving odds."""
        return self.name in get_args(Compressor)

    @property
    def bits(self) -> float:
        """Bits per character."""
        return self.nats / math.log(2.0)


class _Feed(Protocol):
    """What the compressors of the standard library share."""

    def compress(self, data: bytes, /) -> bytes: ...

    def flush(self) -> bytes: ...


def compress(
    text: bytes, *, characters: int, training: bytes | None, progress: Progress | None = None
) -> list[Yardstick]:
    """What xz, bz2 and gzip need for a text after seeing another.

    gzip looks back 32 KB and bz2 no further than its block of 900 KB, so that most of a long training text is lost on
    them; xz has a dictionary for all of it, up to 64 MB.

    Args:
        text: UTF-8.
        characters: how many those are, at least 1.
        training: what they have seen before, UTF-8; None compresses the text alone.
        progress: called with the bytes done and all, over all compressors.
    """
    seen = training or b""
    passes = (1 + (training is not None)) * len(get_args(Compressor))
    meter = _Meter(progress, len(get_args(Compressor)) * len(text) + passes * len(seen))
    results = []
    for name in get_args(Compressor):
        # Both sides of the difference are set up alike.
        needed = _compressed(name, (seen, text), meter, length=len(seen) + len(text))
        if training is not None:
            needed -= _compressed(name, (seen,), meter, length=len(seen) + len(text))
        nats = 8.0 * math.log(2.0) * needed / characters
        results.append(Yardstick(name=name, nats=nats, after_training=training is not None))
    return results


def unigram(ids: NDArray[np.integer], counts: NDArray[np.int64]) -> Yardstick:
    """Each id foretold by its frequency in the training text, to which every id of the vocabulary is added once.

    Args:
        ids: `(n,)`, the text, at least one.
        counts: `(vocab,)`, how often each id occurs in the training text.

    >>> round(unigram(np.array([0, 1]), np.array([2, 0])).bits, 3)  # 3 in 4, then 1 in 4
    1.208
    """
    costs = math.log(float(counts.sum() + len(counts))) - np.log(counts + 1.0)
    came = np.bincount(ids, minlength=len(counts))
    return Yardstick(name="unigram", nats=float(costs @ came) / len(ids), after_training=True)


def uniform(vocab_size: int) -> Yardstick:
    """Each character as likely as any other of the vocabulary.

    >>> uniform(64).bits
    6.0
    """
    return Yardstick(name="uniform", nats=math.log(vocab_size), after_training=False)


class _Meter:
    def __init__(self, report: Progress | None, size: int) -> None:
        self._report, self._size, self._done = report, size, 0

    def add(self, count: int) -> None:
        self._done += count
        if self._report is not None:
            self._report(self._done, self._size)


def _compressed(name: Compressor, texts: Sequence[bytes], meter: _Meter, *, length: int) -> int:
    """The bytes that a compressor, set up for `length` bytes, makes of some texts after one another."""
    feed = _feed(name, length)
    size = 0
    for text in texts:
        for start in range(0, len(text), _CHUNK):
            chunk = text[start : start + _CHUNK]
            size += len(feed.compress(chunk))
            meter.add(len(chunk))
    return size + len(feed.flush())


def _feed(name: Compressor, length: int) -> _Feed:
    if name == "gzip":
        return zlib.compressobj(9, zlib.DEFLATED, _GZIP)
    if name == "bz2":
        return bz2.BZ2Compressor(9)
    size = min(max(length, _LEAST_DICTIONARY), _MOST_DICTIONARY)
    chain = [{"id": lzma.FILTER_LZMA2, "preset": 9 | lzma.PRESET_EXTREME, "dict_size": size}]
    return lzma.LZMACompressor(lzma.FORMAT_XZ, filters=chain)

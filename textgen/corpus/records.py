"""The records of a corpus: where each stands among the ids, what labels it has, and whether it is held out."""

from __future__ import annotations

import zlib
from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from textgen.config import require


@dataclass(frozen=True, eq=False, kw_only=True)
class Records:
    """The records of an encoded corpus: those that train first, then those that are held out, each in its order.

    Attributes:
        starts: `(records + 1,)`, int64: the position of each record's first id among all ids, and their number.
        training: how many records train, the first ones.
        labels: the distinct labels, sorted.
        label_sets: the combinations of labels that occur, each as indices into `labels`; the first has none.
        label_of: `(records,)`, int32: the index in `label_sets` of each record's labels.
        seed: the seed of the split.
        duplicates: how many records have the text of an earlier one.
        dropped: how many empty records were left out.

    >>> Records(
    ...     starts=np.array([0, 4, 9, 12]), training=2, labels=("poe",), label_sets=((), (0,)),
    ...     label_of=np.array([1, 0, 1], np.int32)
    ... ).lengths.tolist()
    [3, 4, 2]
    """

    starts: NDArray[np.int64]
    training: int
    labels: tuple[str, ...] = ()
    label_sets: tuple[tuple[int, ...], ...] = ((),)
    label_of: NDArray[np.int32]
    seed: int = 0
    duplicates: int = 0
    dropped: int = 0

    def __len__(self) -> int:
        return len(self.starts) - 1

    @property
    def lengths(self) -> NDArray[np.int64]:
        """The length of each record in characters, without its end, `(records,)`."""
        return np.diff(self.starts) - 1

    def label_counts(self, *, training: bool = False) -> dict[str, int]:
        """How many records have each label, in the order of `labels`; with `training`, how many of those that train.

        >>> Records(
        ...     starts=np.array([0, 4, 9]), training=2, labels=("poe", "sea"), label_sets=((), (0, 1), (0,)),
        ...     label_of=np.array([1, 2], np.int32)
        ... ).label_counts()
        {'poe': 2, 'sea': 1}
        """
        label_of = self.label_of[: self.training] if training else self.label_of
        uses = np.bincount(label_of, minlength=len(self.label_sets)).tolist()
        counts = dict.fromkeys(self.labels, 0)
        for members, used in zip(self.label_sets, uses, strict=True):
            for member in members:
                counts[self.labels[member]] += used
        return counts


def record_hashes(texts: Iterable[bytes], *, seed: int) -> NDArray[np.uint64]:
    """A hash of each record's text and the seed, `(records,)`, uniform in [0, 2**64).

    It is the text's CRC-32, mixed with the seed by the finaliser of SplitMix64 (Steele, Lea and Flood 2014): what
    assigns a record to one of two sides needs no longer hash, and this one costs a tenth of a cryptographic one.

    Args:
        texts: the records' texts, encoded.
        seed: in [0, 2**64).

    >>> record_hashes([b"sea", b"sea"], seed=1).tolist() == [record_hashes([b"sea"], seed=1)[0]] * 2
    True
    """
    require(0 <= seed < 2**64, "seed", "in [0, 2**64)", seed)
    hashes = np.fromiter(map(zlib.crc32, texts), np.uint64)
    with np.errstate(over="ignore"):
        hashes += _mixed(np.array([seed], np.uint64))
        return _mixed(hashes)


def _mixed(values: NDArray[np.uint64]) -> NDArray[np.uint64]:
    """The outputs of SplitMix64 for these states."""
    mixed = values + np.uint64(0x9E3779B97F4A7C15)
    for shift, factor in ((30, 0xBF58476D1CE4E5B9), (27, 0x94D049BB133111EB)):
        mixed = (mixed ^ (mixed >> np.uint64(shift))) * np.uint64(factor)
    return mixed ^ (mixed >> np.uint64(31))


def is_held_out(hashes: NDArray[np.uint64], *, validation: float) -> NDArray[np.bool_]:
    """Whether a record is held out, given its hash: the share `validation` of all hashes, the lowest ones.

    >>> is_held_out(np.array([0, 2**62, 2**63], np.uint64), validation=0.5).tolist()
    [True, True, False]
    """
    return hashes < np.uint64(int(validation * 2**64))

"""Hashes of the records of a corpus, by which a record that is written can be told from those that are in it."""

from __future__ import annotations

import hashlib
import itertools
from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from textgen.corpus.encoded import EncodedCorpus

Hashes = NDArray[np.uint64]

_BLOCK = 1 << 14
"""Records decoded at once."""


def hash_record(text: str) -> int:
    """A hash of a record's text in [0, 2**64): 64 bits of BLAKE2b of its UTF-8.

    Of a million records, a text that is none of them has the hash of one with a probability of 5e-14.

    >>> hash_record("the sea") == hash_record("the sea"), hash_record("the sea") == hash_record("the bay")
    (True, False)
    """
    digest = hashlib.blake2b(text.encode("utf-8", "surrogatepass"), digest_size=8).digest()
    return int.from_bytes(digest, "little")


def hash_records(encoded: EncodedCorpus, *, training: bool = False) -> Hashes:
    """The hashes of the records of a corpus, `(distinct,)`, ascending: of all, or of those that train.

    >>> from textgen.config import CorpusConfig
    >>> from textgen.corpus import encode_corpus, open_texts
    >>> encoded = encode_corpus(open_texts(["the bay", "the sea", "the bay"], config=CorpusConfig(records="lines")))
    >>> hash_records(encoded).tolist() == sorted(map(hash_record, ["the bay", "the sea"]))
    True
    """
    records = encoded.records
    if records is None:
        return np.zeros(0, np.uint64)
    count = records.training if training else len(records)
    return np.unique(np.fromiter(map(hash_record, _texts(encoded, count)), np.uint64, count))


def is_known(text: str, hashes: Hashes) -> bool:
    """Whether a record is one of those whose hashes, ascending, these are."""
    own = np.uint64(hash_record(text))
    place = int(np.searchsorted(hashes, own))
    return place < len(hashes) and bool(hashes[place] == own)


def _texts(encoded: EncodedCorpus, count: int) -> Iterator[str]:
    assert encoded.records is not None
    starts = encoded.records.starts[: count + 1]
    for first in range(0, count, _BLOCK):
        places = starts[first : first + _BLOCK + 1]
        text = encoded.tokenizer.decode(encoded.ids[places[0] : places[-1]])
        places = (places - places[0]).tolist()
        for start, stop in itertools.pairwise(places):
            yield text[start : stop - 1]

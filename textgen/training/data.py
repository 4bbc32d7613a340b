"""What a session takes from an encoded text: validation batches, how often ids occur, rare ones, hashes of records."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray

from textgen.config import TrainingConfig
from textgen.corpus import EncodedCorpus
from textgen.corpus.batches import HeldOut
from textgen.corpus.known_records import hash_records
from textgen.corpus.pair_batches import HeldOutPairs
from textgen.corpus.pairs import EncodedPairs
from textgen.corpus.record_batches import HeldOutRecords
from textgen.corpus.unseen import RarePermuted, rare_ids
from textgen.training.arguments import ahead_of, labels_of

Validation = HeldOut | HeldOutRecords | HeldOutPairs

_STREAMS, _LENGTH = 32, 128
"""Parallel streams of the held-out text, and characters of each in a batch, at most."""

_STREAM = 512
"""The fewest characters of a stream of several, in a running text: on shorter ones too much is predicted from a state
that has just begun, where a model is less sure of itself, and calibration would make it too sure of the rest. A record
always begins anew."""

_COUNTED = 1 << 20
"""Ids counted at once."""

_HASHED = 1 << 20
"""The most records whose hashes a checkpoint holds: 8 MB of them."""


def open_held_out(
    encoded: EncodedCorpus, config: TrainingConfig, *, both: bool = False
) -> tuple[Validation | None, Validation | None]:
    """What each validation scores, and the whole validation text if that is a part of it; None for no text.

    `both` is for batches of both sides.
    """
    ids, records = encoded.held_out, encoded.records
    if isinstance(encoded, EncodedPairs):
        return _held_out_pairs(encoded, config)
    if len(ids) < 2:
        return None, None
    most = min(max(config.validation_characters, 2), len(ids)) if config.validation_characters else len(ids)
    fewest = _STREAM if records is None else _LENGTH
    streams = 2 ** int(math.log2(max(1, min(_STREAMS, most // fewest))))
    size: dict[str, Any] = {"streams": streams, "sequence_length": _LENGTH}

    def of(characters: int) -> Validation:
        if records is None:
            return HeldOut(ids, **size, most=characters - 1, ahead=ahead_of(encoded, config) if both else None)
        starts, label_of = records.starts[records.training :], labels_of(encoded, training=False)
        context = config.right_context if both else None
        return HeldOutRecords(encoded.ids, starts, most=characters, label_of=label_of, context=context, **size)

    return of(most), of(len(ids)) if len(ids) > most else None


def _held_out_pairs(encoded: EncodedPairs, config: TrainingConfig) -> tuple[HeldOutPairs | None, HeldOutPairs | None]:
    """As `open_held_out`, for pairs."""
    start, most = encoded.pairs.training, config.validation_characters or None
    if start == len(encoded.pairs):
        return None, None
    sides = encoded.source_ids, encoded.source_starts[start:], encoded.ids, encoded.pairs.starts[start:]
    whole = HeldOutPairs(*sides, batch_size=config.batch_size)
    part = HeldOutPairs(*sides, batch_size=config.batch_size, most=most)
    return (part, whole) if part.records < whole.records else (whole, None)


def count_ids(encoded: EncodedCorpus) -> NDArray[np.int64]:
    """How often each id occurs in the training text, `(vocab,)`."""
    counts, ids = np.zeros(encoded.tokenizer.vocab_size, np.int64), encoded.training
    for start in range(0, len(ids), _COUNTED):
        counts += np.bincount(ids[start : start + _COUNTED], minlength=len(counts))
    return counts


def permuted(streams: Any, counts: NDArray[np.int64], encoded: EncodedCorpus, config: TrainingConfig) -> Any:
    """Batches in which rare ids change places, if that is set and there are such (see `rare_ids`).

    Args:
        streams: the batches as they are in the text.
        counts: from `count_ids`.
        encoded: the text.
        config: its `permute_rare` and `seed`.
    """
    if not config.permute_rare:
        return streams
    rare = rare_ids(counts, spared=encoded.tokenizer.end_id)
    return RarePermuted(streams, rare, vocab_size=len(counts), seed=config.seed) if len(rare) else streams


def known_hashes(encoded: EncodedCorpus) -> NDArray[np.uint64] | None:
    """The hashes of the records, for the checkpoints; None for other texts, and for more records than `_HASHED`."""
    records = encoded.records
    if records is None or len(records) > _HASHED or isinstance(encoded, EncodedPairs):
        return None
    return hash_records(encoded)

"""What a session takes from an encoded text: validation batches, how often each id occurs, and a description."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from textgen.config import TrainingConfig
from textgen.corpus import EncodedCorpus
from textgen.corpus.batches import HeldOut
from textgen.corpus.known_records import hash_records
from textgen.corpus.record_batches import HeldOutRecords
from textgen.training.arguments import labels_of

Validation = HeldOut | HeldOutRecords

VALIDATION_STREAMS = 32
VALIDATION_LENGTH = 128
_SHOWN = 12
"""How many labels are named."""

_COUNTED = 1 << 20
"""Ids counted at once."""

_HASHED = 1 << 20
"""The most records whose hashes a checkpoint holds: 8 MB of them."""


def open_held_out(encoded: EncodedCorpus, config: TrainingConfig) -> tuple[Validation | None, Validation | None]:
    """What each validation scores, and the whole validation text if that is a part of it; None for no text."""
    ids, records = encoded.held_out, encoded.records
    if len(ids) < 2:
        return None, None
    streams = 2 ** int(math.log2(max(1, min(VALIDATION_STREAMS, len(ids) // VALIDATION_LENGTH))))
    size = {"streams": streams, "sequence_length": VALIDATION_LENGTH}
    most = max(config.validation_characters, 2) if config.validation_characters else len(ids)

    def first(characters: int) -> Validation:
        if records is None:
            return HeldOut(ids[:characters], **size)
        starts, label_of = records.starts[records.training :], labels_of(encoded, training=False)
        return HeldOutRecords(encoded.ids, starts, most=characters, label_of=label_of, **size)

    return first(min(most, len(ids))), first(len(ids)) if len(ids) > most else None


def count_ids(encoded: EncodedCorpus) -> NDArray[np.int64]:
    """How often each id occurs in the training text, `(vocab,)`."""
    counts, ids = np.zeros(encoded.tokenizer.vocab_size, np.int64), encoded.training
    for start in range(0, len(ids), _COUNTED):
        counts += np.bincount(ids[start : start + _COUNTED], minlength=len(counts))
    return counts


def known_hashes(encoded: EncodedCorpus) -> NDArray[np.uint64] | None:
    """The hashes of the records, for the checkpoints; None for running text, and for more records than `_HASHED`."""
    records = encoded.records
    return None if records is None or len(records) > _HASHED else hash_records(encoded)


def describe_text(encoded: EncodedCorpus) -> str:
    """A text's name and size, in words."""
    records, files = encoded.records, len(encoded.sources)
    where = f"{files:,} file{'s' if files != 1 else ''}"
    if records is None:
        return f"{encoded.name}, {encoded.characters:,} characters in {where}"
    lengths, again = records.lengths, records.duplicates
    dropped = f"; {records.dropped:,} empty left out" if records.dropped else ""
    return (
        f"{encoded.name}, {len(records):,} record{'s' if len(records) != 1 else ''} of {lengths.mean():.1f} characters "
        f"on average and at most {lengths.max():,}, {again:,} of them duplicate{'s' if again != 1 else ''}, in {where}"
        f"{dropped}"
    )


def describe_labels(encoded: EncodedCorpus) -> str:
    """The labels of a text's records, the most frequent first, with their numbers, in words; "" without labels."""
    if encoded.records is None or not encoded.records.labels:
        return ""
    counts = sorted(encoded.records.label_counts().items(), key=lambda item: -item[1])
    shown = ", ".join(f"{label} {count:,}" for label, count in counts[:_SHOWN])
    more = f" and {len(counts) - _SHOWN:,} more" if len(counts) > _SHOWN else ""
    unlabelled = int((encoded.records.label_of == 0).sum())
    return f"{shown}{more}" + (f"; {unlabelled:,} record{'s' if unlabelled != 1 else ''} without" if unlabelled else "")


def describe_split(encoded: EncodedCorpus, each: Validation | None) -> str:
    """What trains and what validates, in words; `each` as of `open_held_out`."""
    records, held = encoded.records, len(encoded.held_out)
    if records is not None:
        if not isinstance(each, HeldOutRecords):
            return f"all {len(records):,} records train, none validate"
        held = len(records) - records.training
        part = f", {each.records:,} of them at each validation" if each.records < held else ""
        return f"{records.training:,} records train, {held:,} validate{part}"
    if each is None:
        return f"all {len(encoded.training):,} characters train, none validate"
    part = f", {each.targets + 1:,} of them at each validation" if each.targets + 1 < held else ""
    return f"the first {len(encoded.training):,} characters train, the last {held:,} validate{part}"

"""The text of a run on records, to be evaluated on, as ids; the module runs no model."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from textgen.analysis.evaluation.scored_text import ScoredText, check_held_out, title, utf8
from textgen.config import Unknown
from textgen.corpus import Corpus, EncodedCorpus, encode_corpus
from textgen.corpus.characters import CharacterCounts
from textgen.corpus.record_text import cut_records, encode_text
from textgen.errors import CorpusError, RunError
from textgen.runs.provenance import RunText, find_run_text
from textgen.sampling.mixing import common_source
from textgen.sampling.writer import Writer
from textgen.system import PathLike


@dataclass(frozen=True, eq=False, kw_only=True)
class RunRecords:
    """The records that a run was trained on, and those that were held out.

    Args:
        text: both as text, in which each record's end is a newline.
        held_out: `(characters,)`, the ids of the held-out records, each with its end.
        records: how many they are.
        counts: `(vocab,)`, how often each id occurs in the training records.
        label_of: `(records,)`, the index in `label_sets` of each held-out record's labels.
        label_sets: combinations of labels, each as indices of labels.
    """

    text: RunText
    held_out: NDArray[Any]
    records: int
    counts: NDArray[np.int64]
    label_of: NDArray[np.int32]
    label_sets: tuple[tuple[int, ...], ...]


def own_records(
    writer: Writer, corpus: PathLike | Sequence[PathLike], *, keep: int, progress: Callable[[int, int], None]
) -> tuple[RunRecords | None, str]:
    """The records of a run, or why they cannot be read.

    Args:
        writer: the model.
        corpus: where they are now; empty takes the recorded places.
        keep: the most bytes of `RunText.training`.
        progress: called with the bytes done and the total.

    Raises:
        RunError: `corpus` is given and is not what the run was trained on.
    """
    sources = [corpus] if isinstance(corpus, (str, os.PathLike)) else list(corpus)
    try:
        source = common_source(writer.members)
        description = source.metadata.corpus

        def read(found: Corpus) -> EncodedCorpus:
            return encode_corpus(found, tokenizer=writer.tokenizer, progress=progress, seed=description.seed)

        encoded = find_run_text(description, source.path, read, sources=[os.fspath(each) for each in sources])
    except RunError as error:
        if sources:
            raise
        return None, str(error)
    return _run_records(encoded, keep), ""


def _run_records(encoded: EncodedCorpus, keep: int) -> RunRecords:
    tokenizer, training, held_out = encoded.tokenizer, encoded.training, encoded.held_out
    counts = np.bincount(training, minlength=tokenizer.vocab_size)
    # A character takes at most four bytes.
    data = utf8(tokenizer.decode(training[-keep:]))[-keep:]
    records = encoded.records
    text = RunText(
        name=encoded.name,
        sources=encoded.sources,
        characters=encoded.characters,
        split=encoded.split,
        sha256=encoded.sha256,
        counts=CharacterCounts(),
        training=data.lstrip(bytes(range(0x80, 0xC0))),
        training_bytes=len(utf8(tokenizer.decode(training))),
        before="",
        held_out=tokenizer.decode(held_out),
    )
    assert records is not None
    return RunRecords(
        text=text,
        held_out=held_out,
        records=len(records) - records.training,
        counts=counts,
        label_of=records.label_of[records.training :],
        label_sets=records.label_sets,
    )


def held_out_records(writer: Writer, own: RunRecords | None, problem: str) -> ScoredText:
    """The held-out records of a run; `problem` says why they cannot be read, if so.

    Raises:
        RunError: they cannot be read, or none was held out.
    """
    checked = check_held_out(writer, None if own is None else own.text, problem)
    assert own is not None
    unknown = writer.tokenizer.unknown_id
    return ScoredText(
        split="held-out",
        source=f"{own.records:,} record{'s' if own.records != 1 else ''} of {title(checked)}",
        text=checked.held_out,
        sha256=hashlib.sha256(utf8(checked.held_out)).hexdigest(),
        before=own.held_out[:0],
        ids=own.held_out,
        unknown=0 if unknown is None else int(np.count_nonzero(own.held_out == unknown)),
        dropped=0,
        label_of=own.label_of if writer.labels else None,
        label_sets=own.label_sets,
    )


def given_records(writer: Writer, text: str, name: str, unknown: Unknown) -> ScoredText:
    """A text of the user's, as records of the kind that the run was trained on.

    Raises:
        CorpusError: no character of it can be scored.
        UnknownCharacterError: it contains characters outside the vocabulary, and `unknown` refuses them.
    """
    text, tokenizer = writer.as_trained(text), writer.tokenizer
    ids = encode_text(tokenizer, text, writer.reading, unknown=unknown)
    records = cut_records(text, writer.reading)
    if not records:
        raise CorpusError("There is nothing to score: the text has no record that is not empty.")
    characters = "".join(records)
    outside = len(characters) - len(tokenizer.encode(characters, unknown="skip"))
    dropped = len(characters) + len(records) - len(ids)
    return ScoredText(
        split="given",
        source=f"{len(records):,} record{'s' if len(records) != 1 else ''} of {name}",
        text=tokenizer.decode(ids),
        sha256=hashlib.sha256(utf8(text)).hexdigest(),
        before=ids[:0],
        ids=ids,
        unknown=outside - dropped,
        dropped=dropped,
    )

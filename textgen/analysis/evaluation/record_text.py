"""The text of a run on records, to be evaluated on, as ids; the module runs no model."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from textgen.analysis.evaluation.scored_text import ScoredText, check_held_out, title, utf8
from textgen.config import Unknown, require
from textgen.corpus import Corpus, EncodedCorpus, encode_corpus
from textgen.corpus.characters import CharacterCounts
from textgen.corpus.record_text import cut_records, encode_given
from textgen.corpus.tokenizer import CharTokenizer
from textgen.errors import CorpusError, RunError
from textgen.runs.provenance import RunText, find_run_text
from textgen.sampling.mixing import common_source
from textgen.sampling.writer import Writer
from textgen.system import PathLike, path_list


@dataclass(frozen=True, eq=False, kw_only=True)
class RunRecords:
    """The records that a run was trained on, and those that were held out.

    Args:
        text: both as text, in which each record's end is a newline.
        encoded: both as ids.
        counts: `(vocab,)`, how often each id occurs in the training records.
    """

    text: RunText
    encoded: EncodedCorpus
    counts: NDArray[np.int64]


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
    sources = path_list(corpus)
    try:
        source = common_source(writer.members)
        description = source.metadata.corpus

        def read(found: Corpus) -> EncodedCorpus:
            return encode_corpus(found, tokenizer=writer.tokenizer, progress=progress, seed=description.seed)

        encoded = find_run_text(description, source.path, read, sources=sources)
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
    return RunRecords(text=text, encoded=encoded, counts=counts)


def held_out_records(writer: Writer, own: RunRecords | None, problem: str) -> ScoredText:
    """The held-out records of a run; `problem` says why they cannot be read, if so.

    Raises:
        RunError: they cannot be read, or none was held out.
    """
    checked = check_held_out(writer, None if own is None else own.text, problem)
    assert own is not None
    records = own.encoded.records
    assert records is not None
    unknown, ids = writer.tokenizer.unknown_id, own.encoded.held_out
    return ScoredText(
        split="held-out",
        source=f"{_count(len(records) - records.training)} of {title(checked)}",
        text=checked.held_out,
        sha256=hashlib.sha256(utf8(checked.held_out)).hexdigest(),
        before=ids[:0],
        ids=ids,
        unknown=0 if unknown is None else int(np.count_nonzero(ids == unknown)),
        dropped=0,
        label_of=records.label_of[records.training :] if writer.labels else None,
        label_sets=records.label_sets,
    )


def given_records(
    writer: Writer, given: str | Sequence[str], labels: Sequence[Sequence[str]] | None, name: str, unknown: Unknown
) -> ScoredText:
    """A text of the user's, as records of the kind that the run was trained on, or its records themselves.

    Args:
        writer: the model.
        given: the text, or its records.
        labels: the labels of each record, of which those that the model does not know are ignored; None for none.
        name: what to call the text.
        unknown: see `CharTokenizer.encode`.

    Raises:
        CorpusError: no character of it can be scored.
        ConfigError: there are not as many `labels` as records.
        UnknownCharacterError: it contains characters outside the vocabulary, and `unknown` refuses them.
    """
    tokenizer = writer.tokenizer
    if isinstance(given, str):
        text = writer.as_trained(given)
        records = cut_records(text, writer.reading)
        require(labels is None, "labels", "left out for a single text", labels, "Give a list of records.")
    else:
        records = [writer.as_trained(each) for each in given]
        text = "".join(f"{record}\n" for record in records)
    ids = encode_given(tokenizer, records, unknown=unknown)
    if not any(records):
        raise CorpusError("There is nothing to score: the text has no record that is not empty.")
    label_of, label_sets = _given_labels(writer, labels, len(records))
    characters = "".join(records)
    outside = len(characters) - len(tokenizer.encode(characters, unknown="skip"))
    dropped = len(characters) + len(records) - len(ids)
    return ScoredText(
        split="given",
        source=f"{_count(len(records))} of {name}",
        text=tokenizer.decode(ids),
        sha256=hashlib.sha256(utf8(text)).hexdigest(),
        before=ids[:0],
        ids=ids,
        unknown=outside - dropped,
        dropped=dropped,
        label_of=label_of,
        label_sets=label_sets,
    )


def trained_on(own: RunRecords, scored: ScoredText) -> int:
    """How many of a text's records the run was trained on."""
    encoded = own.encoded
    known = {each.tobytes() for each in _cut(encoded.training, encoded.tokenizer)}
    return sum(each.tobytes() in known for each in _cut(scored.ids, encoded.tokenizer))


def _cut(ids: NDArray[Any], tokenizer: CharTokenizer) -> Iterator[NDArray[Any]]:
    """The records among ids, each with its end."""
    start = 0
    for stop in (np.flatnonzero(ids == tokenizer.end_id) + 1).tolist():
        yield ids[start:stop]
        start = stop


def _given_labels(
    writer: Writer, labels: Sequence[Sequence[str]] | None, records: int
) -> tuple[NDArray[np.int32] | None, tuple[tuple[int, ...], ...]]:
    """The labels of given records as `ScoredText` has them, without those that the model does not know."""
    if labels is None or not writer.labels:
        return None, ((),)
    require(len(labels) == records, "labels", f"as many as the records, {records:,}", len(labels))
    places = {label: place for place, label in enumerate(writer.labels)}
    sets: dict[tuple[int, ...], int] = {(): 0}
    each = [tuple(sorted({places[label] for label in found if label in places})) for found in labels]
    label_of = np.array([sets.setdefault(found, len(sets)) for found in each], np.int32)
    return label_of, tuple(sets)


def _count(records: int) -> str:
    return f"{records:,} record{'s' if records != 1 else ''}"

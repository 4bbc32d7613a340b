"""Tells the labels of a text's records by the model and by simpler classifiers, to compare them."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
from numpy.typing import NDArray

from textgen.analysis.evaluation.classification import Classification, Confusion, confuse
from textgen.analysis.evaluation.naive_bayes import has_naive_bayes, naive_bayes
from textgen.analysis.evaluation.record_text import RunRecords
from textgen.analysis.evaluation.scored_text import ScoredText
from textgen.engine.label_scoring import score_labels
from textgen.sampling.classifying import label_prior, posterior
from textgen.sampling.writer import Writer

_RECORDS = 2_000
"""The most records that are classified."""

_WORK = 2 << 20
"""The most characters of them, times the labels."""

_TRAINING = 4 << 20
"""The most characters of the training records that naive Bayes learns from."""


def classify_records(
    writer: Writer,
    own: RunRecords | None,
    scored: ScoredText,
    *,
    seed: int,
    progress: Callable[[int, int], None],
) -> Classification | None:
    """How well a model tells the labels of a text's records; None if none of them has labels.

    Args:
        writer: the model, with labels.
        own: what it was trained on; None where that cannot be read, so that there is no naive Bayes.
        scored: the text; of more records than `_RECORDS`, so many are drawn.
        seed: draws them.
        progress: called with the characters done and the total.
    """
    assert scored.label_of is not None
    end = writer.tokenizer.end_id
    ends = np.flatnonzero(scored.ids == end)
    starts = np.append(0, ends[:-1] + 1)
    sets = [[writer.labels[place] for place in each] for each in scored.label_sets]
    labelled = np.array([n for n, each in enumerate(scored.label_of.tolist()) if sets[each]], np.int64)
    if not len(labelled):
        return None
    chosen = labelled[_drawn((ends - starts)[labelled] + 1, len(writer.labels), seed)]
    records = [scored.ids[starts[n] : ends[n]] for n in chosen.tolist()]
    truths = [sets[scored.label_of[n]] for n in chosen.tolist()]
    counts = _label_counts(writer, own)
    logprobs = score_labels(writer.engine, records, end_id=end or 0, labels=len(writer.labels), progress=progress)
    best = posterior(logprobs, label_prior(counts, len(writer.labels))).argmax(axis=1)
    baselines: dict[str, Confusion] = {}
    notes = []
    texts = [writer.tokenizer.decode(record) for record in records]
    if own is None:
        notes.append("Without the training records there is no naive Bayes beside the model.")
    elif not has_naive_bayes():
        notes.append("Naive Bayes is left out, since scikit-learn is not installed: pip install scikit-learn")
    else:
        known, given, whole = _training(own, seed)
        if known:
            baselines["naive Bayes"] = confuse(truths, naive_bayes(known, given, texts))
        if not whole:
            notes.append(f"Naive Bayes learned from {len(known):,} of the training records, drawn at random.")
    if counts is not None and any(counts):
        common = writer.labels[int(np.argmax(counts))]
        baselines["majority class"] = confuse(truths, [common] * len(truths))
    if any(len(truth) > 1 for truth in truths):
        notes.append("Of a record's several labels the answer is right if it is one of them.")
    model = confuse(truths, [writer.labels[place] for place in best.tolist()])
    return Classification(records=len(records), of=len(labelled), model=model, baselines=baselines, notes=tuple(notes))


def _drawn(lengths: NDArray[np.int64], labels: int, seed: int) -> NDArray[np.int64]:
    """The indices of the records to classify, ascending: all, or so many at random as there is time for."""
    order = np.random.default_rng(seed).permutation(len(lengths))[:_RECORDS]
    within = np.cumsum(lengths[order]) * labels <= _WORK
    return np.sort(order[: max(1, int(np.count_nonzero(within)))])


def _label_counts(writer: Writer, own: RunRecords | None) -> Sequence[int] | None:
    """How many training records have each label, if that is known."""
    if own is not None and own.encoded.records is not None:
        return list(own.encoded.records.label_counts(training=True).values())
    described = writer.members[0][0].metadata.corpus.records
    return None if described is None else described.label_counts


def _training(own: RunRecords, seed: int) -> tuple[list[str], list[list[str]], bool]:
    """The training records that have labels, the labels of each, and whether they are all."""
    encoded, records = own.encoded, own.encoded.records
    assert records is not None
    sets = [[records.labels[place] for place in each] for each in records.label_sets]
    labelled = np.flatnonzero(np.array([bool(each) for each in sets])[records.label_of[: records.training]])
    order = np.random.default_rng(seed).permutation(labelled)
    kept = np.sort(order[np.cumsum(records.lengths[order]) <= _TRAINING])
    texts = [
        encoded.tokenizer.decode(encoded.ids[records.starts[n] : records.starts[n + 1] - 1]) for n in kept.tolist()
    ]
    return texts, [sets[records.label_of[n]] for n in kept.tolist()], len(kept) == len(labelled)

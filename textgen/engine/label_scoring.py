"""Computes the log-probability of records with labels: given those they have, or given each label by itself."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from textgen.engine.network import Network
from textgen.engine.scoring import Ids, Observe, Progress, score_records, score_rows

_ROWS, _IDS = 256, 2**21
"""The most rows, and ids with padding, of a batch of `score_labels`."""


def score_labelled(
    engine: Network,
    ids: Ids,
    *,
    end_id: int,
    label_of: NDArray[np.integer],
    label_sets: Sequence[Sequence[int]],
    labels: int,
    streams: int = 1,
    progress: Progress | None = None,
    observe: Observe | None = None,
) -> NDArray[np.float64]:
    """The log-probability of each id of some records, each read by itself and given its labels.

    Args:
        engine: the network, which has labels.
        ids: `(n,)`, at least one: the records, each with `end_id` after it; the last one may lack it.
        end_id: see `score_records`, which reads the records of one combination at a time.
        label_of: `(records,)`, the index of each one's labels in `label_sets`.
        label_sets: combinations of labels, each as indices of labels.
        labels: the number of the network's labels.
        streams: see there.
        progress: see there; it begins anew for each combination.
        observe: see there.

    Returns:
        `(n,)`.

    Raises:
        ConfigError: `streams` is out of its range.
    """
    ends = ids == end_id
    set_of = np.append(label_of, label_of[-1:])[np.cumsum(ends) - ends]
    found = np.empty(len(ids))
    for each in np.unique(set_of).tolist():
        weights = np.zeros(labels, np.float32)
        weights[list(label_sets[each])] = 1.0
        chosen = set_of == each
        found[chosen] = score_records(
            engine,
            ids[chosen],
            end_id=end_id,
            labels=weights,
            streams=streams,
            progress=progress,
            observe=observe,
        )
    return found


def score_labels(
    engine: Network, records: Sequence[Ids], *, end_id: int, labels: int, progress: Progress | None = None
) -> NDArray[np.float64]:
    """The log-probability of some records given each label by itself, their ends included.

    All labels of a record are rows of one batch, and records of about the same length share it.

    Args:
        engine: the network, which has labels.
        records: the ids of each, `(characters,)`, without `end_id`.
        end_id: the id of a record's end, from which each first id is predicted.
        labels: the number of the network's labels.
        progress: called now and then with the ids done and the total.

    Returns:
        `(records, labels)`.
    """
    lengths = np.array([len(record) for record in records], np.int64) + 1
    order = np.argsort(-lengths, kind="stable")
    result = np.empty((len(records), labels))
    start, done = 0, 0
    while start < result.size:
        time = int(lengths[order[start // labels]])
        # Row k is record k // labels, from the longest, with label k % labels.
        rows = np.arange(start, min(start + max(1, min(_ROWS, _IDS // time)), result.size))
        first, last = start // labels, int(rows[-1]) // labels
        read = np.full((last - first + 1, time), end_id, records[order[first]].dtype)
        for row, place in zip(read, order[first : last + 1], strict=True):
            row[: lengths[place] - 1] = records[place]
        places, label = rows // labels, rows % labels
        targets = read[places - first]
        inputs = np.insert(targets[:, :-1], 0, end_id, axis=1)
        weights = np.zeros((len(rows), labels), np.float32)
        weights[np.arange(len(rows)), label] = 1.0
        logprobs = score_rows(engine, inputs, targets, None, labels=weights)
        real = np.arange(time) < lengths[order[places], None]
        result[order[places], label] = np.where(real, logprobs, 0.0).sum(axis=1)
        start = int(rows[-1]) + 1
        if progress is not None:
            done += int(np.count_nonzero(real))
            progress(done, int(lengths.sum()) * labels)
    return result

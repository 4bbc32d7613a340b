"""The results of telling the labels of records: accuracy, macro F1 and confusion matrix, beside simple classifiers'."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

_SHOWN = 10
"""How many confusions `Confusion.commonest` names at most."""


@dataclass(frozen=True, eq=False)
class Confusion:
    """How often a classifier answered what.

    A record with several labels is counted under the answer where that is one of them, and otherwise under its first.

    Args:
        labels: the labels of the records and the answers, in the order of the model's.
        counts: `(labels, labels)`: of the records with the label of a row, how many were answered with a column's.

    >>> found = confuse([["poe"], ["poe"], ["keats"], ["keats", "poe"]], ["poe", "keats", "keats", "poe"])
    >>> found.labels, found.counts.tolist(), found.accuracy, round(found.macro_f1, 3)
    (('keats', 'poe'), [[1, 0], [1, 2]], 0.75, 0.733)
    """

    labels: tuple[str, ...]
    counts: NDArray[np.int64]

    @property
    def accuracy(self) -> float:
        """The share of right answers."""
        return float(np.trace(self.counts) / self.counts.sum())

    @property
    def f1(self) -> NDArray[np.float64]:
        """The F1 score of each label, `(labels,)`: the harmonic mean of its precision and its recall."""
        right = np.diagonal(self.counts)
        f1: NDArray[np.float64] = 2.0 * right / (self.counts.sum(axis=0) + self.counts.sum(axis=1))
        return f1

    @property
    def macro_f1(self) -> float:
        """The mean of the labels' F1 scores, whatever their frequencies."""
        return float(self.f1.mean())

    def commonest(self) -> list[tuple[str, str, int]]:
        """The commonest wrong answers: the label, the answer and how often, at most ten, the most frequent first."""
        wrong = self.counts - np.diag(np.diagonal(self.counts))
        order = np.argsort(-wrong, axis=None, kind="stable")[:_SHOWN]
        places = zip(*np.unravel_index(order, wrong.shape), strict=True)
        return [
            (self.labels[row], self.labels[column], int(wrong[row, column]))
            for row, column in places
            if wrong[row, column]
        ]

    def to_json(self) -> dict[str, Any]:
        """The scores as plain JSON values."""
        return {"accuracy": self.accuracy, "macro_f1": self.macro_f1}


def confuse(truths: Sequence[Sequence[str]], answers: Sequence[str]) -> Confusion:
    """Counts a classifier's answers.

    Args:
        truths: the labels of each record, at least one.
        answers: what it answered to each.
    """
    pairs = [(answer if answer in truth else truth[0], answer) for truth, answer in zip(truths, answers, strict=True)]
    labels = tuple(sorted({label for pair in pairs for label in pair}))
    places = {label: place for place, label in enumerate(labels)}
    counts = np.zeros((len(labels), len(labels)), np.int64)
    for true, answer in pairs:
        counts[places[true], places[answer]] += 1
    return Confusion(labels, counts)


@dataclass(frozen=True, kw_only=True)
class Classification:
    """How well a model, and what is simpler, tells the labels of records.

    Args:
        records: how many records were classified.
        of: how many of the text's records have labels.
        model: the model's answers, by Bayes' rule: see `textgen.sampling.classifying`.
        baselines: those of simpler classifiers, by name: "naive Bayes" and "majority class".
        notes: facts needed to interpret the results, a sentence each.
    """

    records: int
    of: int
    model: Confusion
    baselines: dict[str, Confusion]
    notes: tuple[str, ...] = ()

    def to_json(self) -> dict[str, Any]:
        """Everything as plain JSON values."""
        return {
            "records": self.records,
            "of": self.of,
            **self.model.to_json(),
            "labels": list(self.model.labels),
            "confusion": self.model.counts.tolist(),
            "f1": self.model.f1.tolist(),
            "baselines": [{"name": name, **found.to_json()} for name, found in self.baselines.items()],
            "notes": list(self.notes),
        }

"""Reads the labels that records are to have, and turns them into the weights that a network takes."""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from textgen.errors import ConfigError

if TYPE_CHECKING:
    from textgen.sampling.trained_model import TrainedModel

Label = str | Sequence[str] | Mapping[str, float]
"""Labels as they are given: one, several, or their weights by name; each may also be NAME:WEIGHT."""

_SHOWN = 12
"""How many labels an error names."""


def label_weights(given: Sequence[str], labels: Sequence[str], most: int = 1) -> NDArray[np.float32]:
    """The weights of labels, `(labels,)`.

    In training a record's labels have a weight of 1 each. A label that is given without a weight has 1, too. Where the
    weights add up to more than the labels of any record, they are scaled down to that.

    Args:
        given: the labels, each as NAME or NAME:WEIGHT; a label whose name holds a colon comes before a weight.
        labels: those that the model knows, in the order of its rows.
        most: the most labels that one record had in training.

    Raises:
        ConfigError: a label is unknown or given twice, or a weight is not a positive number.

    >>> label_weights(["poe:0.25", "keats:0.75"], ("keats", "poe")).tolist()
    [0.75, 0.25]
    >>> label_weights(["keats", "poe"], ("keats", "poe"), most=1).tolist()
    [0.5, 0.5]
    >>> label_weights(["keats", "sonnet"], ("keats", "sonnet"), most=2).tolist()
    [1.0, 1.0]
    """
    weights = np.zeros(len(labels), np.float64)
    for each in given:
        name, weight = _parsed(each, labels)
        place = labels.index(name)
        if weights[place]:
            raise ConfigError(f"label must name each label once; got {name!r} twice. Leave one out.", field="label")
        weights[place] = weight
    most = max(most, 1)
    total = weights.sum()
    return (weights * (most / total) if total > most else weights).astype(np.float32)


def _parsed(given: str, labels: Sequence[str]) -> tuple[str, float]:
    if given in labels:
        return given, 1.0
    name, colon, text = given.rpartition(":")
    if not colon or name not in labels:
        raise _unknown(given, labels)
    try:
        weight = float(text)
    except ValueError:
        weight = 0.0
    if not 0.0 < weight <= 1e6:
        example = f"{name}:0.7"
        raise ConfigError(
            f"label must have a positive weight after its colon; got {text!r}. Write for instance {example!r}.",
            field="label",
        )
    return name, weight


def _unknown(given: str, labels: Sequence[str]) -> ConfigError:
    close = difflib.get_close_matches(given, labels, n=_SHOWN, cutoff=0.5)
    shown = [*close, *(label for label in labels if label not in close)][:_SHOWN]
    more = f" and {len(labels) - len(shown):,} more" if len(labels) > len(shown) else ""
    return ConfigError(
        f"label must be one of the run's labels, {', '.join(map(repr, shown))}{more}; got {given!r}.", field="label"
    )


def labels_of(writer: TrainedModel, given: Sequence[str]) -> NDArray[np.float32] | None:
    """The weights of the labels that a writer is to write; None for none.

    Raises:
        ConfigError: the model has no labels; otherwise as `label_weights`.
    """
    if not given:
        return None
    description = writer.members[0][0].metadata.corpus
    if not description.labels:
        raise ConfigError(
            f"label needs a run whose records have labels, and {writer.name!r} has none. Leave it out, or train one on "
            "a table with labels.",
            field="label",
        )
    most = None if description.records is None else description.records.most_labels
    return label_weights(given, description.labels, most or 1)


def draw_label(writer: TrainedModel, seed: int, number: int) -> str:
    """A label for the record of this number, drawn as often as training records have it.

    Raises:
        ConfigError: the model has no labels, or its checkpoint does not say how many records have them.
    """
    records = writer.members[0][0].metadata.corpus.records
    if records is None or not records.labels or not records.label_counts:
        raise ConfigError(
            f"any_label needs a run whose records have labels, and {writer.name!r} has none. Leave it out, or train "
            "one on records with labels.",
            field="any_label",
        )
    counts = np.array(records.label_counts, np.float64)
    # A generator beside that of the record's characters.
    generator = np.random.default_rng(np.random.SeedSequence(seed, spawn_key=(number, 1)))
    return records.labels[generator.choice(len(counts), p=counts / counts.sum())]


def as_given(label: object) -> tuple[Any, ...]:
    """Labels in any form, or None, as `SamplingConfig.label` takes them.

    >>> as_given("keats"), as_given({"keats": 0.7, "poe": 0.3})
    (('keats',), ('keats:0.7', 'poe:0.3'))
    """
    if label is None:
        return ()
    if isinstance(label, str) or not isinstance(label, Iterable):
        return (label,)
    if isinstance(label, Mapping):
        return tuple(f"{name}:{float(weight)!r}" for name, weight in label.items())
    return tuple(label)

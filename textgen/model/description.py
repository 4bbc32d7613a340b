"""The description of the training text in a checkpoint's metadata."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, get_args

from textgen.config import CorpusConfig
from textgen.config.corpus import PairTask
from textgen.corpus.encoded import EncodedCorpus
from textgen.corpus.records import Records
from textgen.model.values import count, is_texts, not_as_written, text


@dataclass(frozen=True, kw_only=True)
class RecordsDescription:
    """The records that a training text was made of; None where a value is not recorded.

    Args:
        count: the number of records.
        training: how many of them were trained on; the others are held out.
        seed: the seed of the split.
        labels: the distinct labels, sorted, in the order of their indices.
        most_labels: the most labels of one record.
        label_counts: for each label, how many of the records that were trained on have it.
    """

    count: int | None = None
    training: int | None = None
    seed: int | None = None
    labels: tuple[str, ...] = ()
    most_labels: int | None = None
    label_counts: tuple[int, ...] | None = None

    @classmethod
    def of(cls, records: Records) -> RecordsDescription:
        """The description of an encoded text's records."""
        return cls(
            count=len(records),
            training=records.training,
            seed=records.seed,
            labels=records.labels,
            most_labels=max(map(len, records.label_sets)),
            label_counts=tuple(records.label_counts(training=True).values()),
        )

    def to_json(self) -> dict[str, Any]:
        """The description as plain JSON values."""
        counts = None if self.label_counts is None else list(self.label_counts)
        return dataclasses.asdict(self) | {"labels": list(self.labels), "label_counts": counts}

    @classmethod
    def from_json(cls, values: Any) -> RecordsDescription:
        """The description that `to_json` wrote.

        Raises:
            ValueError: it is no object, or the labels are not a list of distinct strings.
        """
        labels = values.get("labels", []) if isinstance(values, dict) else None
        if labels is None or not is_texts(labels) or len(set(labels)) != len(labels):
            raise not_as_written("corpus")
        return cls(
            count=count(values.get("count")),
            training=count(values.get("training")),
            seed=count(values.get("seed")),
            labels=tuple(labels),
            most_labels=count(values.get("most_labels")),
            label_counts=_counts(values.get("label_counts"), len(labels)),
        )


def _counts(values: Any, number: int) -> tuple[int, ...] | None:
    """A count for each of some labels; None where it is anything else."""
    found = [count(value) for value in values] if isinstance(values, list) else []
    counts = tuple(value for value in found if value is not None)
    return counts if isinstance(values, list) and len(counts) == len(values) == number else None


@dataclass(frozen=True, kw_only=True)
class CorpusDescription:
    """The text that a model was trained on; None where a value is not recorded.

    Args:
        name: the corpus's short name.
        sources: its files, in order; "-" is standard input.
        characters: its length in characters.
        bytes: the size of the normalized text in UTF-8.
        distinct: the number of distinct characters.
        sha256: the SHA-256 of the normalized text in UTF-8, in hexadecimal.
        split: the number of characters, from the start, that were trained on; the rest is the validation text.
        settings: how the files became one text: the fields of `CorpusConfig`.
        records: the records that it was made of; None for running text.
    """

    name: str | None = None
    sources: tuple[str, ...] = ()
    characters: int | None = None
    bytes: int | None = None
    distinct: int | None = None
    sha256: str | None = None
    split: int | None = None
    settings: Mapping[str, Any] = field(default_factory=dict)
    records: RecordsDescription | None = None

    @classmethod
    def of(cls, encoded: EncodedCorpus) -> CorpusDescription:
        """The description of an encoded text."""
        return cls(
            name=encoded.name,
            sources=encoded.sources,
            characters=encoded.characters,
            bytes=encoded.bytes,
            distinct=encoded.distinct,
            sha256=encoded.sha256,
            split=encoded.split,
            settings=encoded.config.to_json(),
            records=None if encoded.records is None else RecordsDescription.of(encoded.records),
        )

    @property
    def labels(self) -> tuple[str, ...]:
        """The labels of the records; empty without any."""
        return () if self.records is None else self.records.labels

    @property
    def seed(self) -> int:
        """The seed of the split into records that train and records that are held out; 0 if none is recorded."""
        return 0 if self.records is None else self.records.seed or 0

    @property
    def config(self) -> CorpusConfig:
        """The settings that this version of textgen knows; those not recorded have their defaults.

        Raises:
            ConfigError: a setting is out of its range.
        """
        known = {each.name for each in dataclasses.fields(CorpusConfig)}
        return CorpusConfig.from_json({name: value for name, value in self.settings.items() if name in known})

    @property
    def task(self) -> PairTask | None:
        """The task that made pairs of the text; None without one that this version knows."""
        return next((each for each in get_args(PairTask) if each == self.settings.get("task")), None)

    def to_json(self) -> dict[str, Any]:
        """The description as plain JSON values; `records` only where there are any."""
        values = dataclasses.asdict(self) | {"sources": list(self.sources)}
        del values["records"]
        return values if self.records is None else values | {"records": self.records.to_json()}

    @classmethod
    def from_json(cls, values: Mapping[str, Any]) -> CorpusDescription:
        """The description that `to_json` wrote.

        Raises:
            ValueError: the sources are not a list of strings, or the settings are not an object.
        """
        sources, settings = values.get("sources", []), values.get("settings", {})
        if not (is_texts(sources) and isinstance(settings, dict)):
            raise not_as_written("corpus")
        return cls(
            name=text(values.get("name")),
            sources=tuple(sources),
            characters=count(values.get("characters")),
            bytes=count(values.get("bytes")),
            distinct=count(values.get("distinct")),
            sha256=text(values.get("sha256")),
            split=count(values.get("split")),
            settings=settings,
            records=RecordsDescription.from_json(values["records"]) if values.get("records") is not None else None,
        )

"""The metadata of a checkpoint, `textgen.json`, as a dataclass that converts from and to JSON.

`Metadata.from_json` takes untrusted values. It ignores unknown keys, which a newer textgen of the same format may have
added, and refuses a document without what the model needs; any other value of the wrong type becomes None. The file is
read in `textgen.model.read` and written in `textgen.model.write`.
"""

from __future__ import annotations

import datetime
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from textgen.config import ModelConfig
from textgen.corpus.tokenizer import CharTokenizer
from textgen.errors import ConfigError
from textgen.model.description import CorpusDescription
from textgen.model.progress import SavedProgress
from textgen.model.results import Metrics, Validation
from textgen.model.values import not_as_written
from textgen.system.versions import VERSION

FORMAT = 1

_SECTIONS: Mapping[str, type] = {
    "model": dict,
    "tokenizer": dict,
    "training": dict,
    "corpus": dict,
    "metrics": dict,
    "history": list,
    "versions": dict,
    "created": str,
    "textgen": str,
    "members": dict,
    "weights": dict,
}


def _now() -> str:
    return datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds")


@dataclass(frozen=True, kw_only=True)
class Metadata:
    """The whole of `textgen.json`.

    Args:
        model: the network's architecture.
        tokenizer: its vocabulary; of a model that turns one text into another, that of what it writes.
        training: the training settings, the fields of `TrainingConfig`, unchecked.
        corpus: the text it was trained on.
        metrics: the model's metrics when the file was written.
        history: a row for each validation, oldest first.
        progress: the progress of training; None in files that training cannot be resumed from.
        created: when the run was started, in UTC and ISO 8601.
        versions: the versions of Python and the libraries that wrote the file.
        textgen: the version of textgen that wrote it.
        members: each other member's SHA-256, in hexadecimal.
        weights: for each array of the model, the offset of its first byte in `model.weights.h5`.
        source_tokenizer: the vocabulary of what is read, of a model that turns one text into another; else None.

    `write_checkpoint` fills in the last four.
    """

    model: ModelConfig
    tokenizer: CharTokenizer
    training: Mapping[str, Any] = field(default_factory=dict)
    corpus: CorpusDescription = field(default_factory=CorpusDescription)
    metrics: Metrics = field(default_factory=Metrics)
    history: tuple[Validation, ...] = ()
    progress: SavedProgress | None = None
    created: str = field(default_factory=_now)
    versions: Mapping[str, Any] = field(default_factory=dict)
    textgen: str = VERSION
    members: Mapping[str, Any] = field(default_factory=dict)
    weights: Mapping[str, Any] = field(default_factory=dict)
    source_tokenizer: CharTokenizer | None = None

    def to_json(self) -> dict[str, Any]:
        """The document, as plain JSON values."""
        return {
            "format": FORMAT,
            "training": dict(self.training),
            "corpus": self.corpus.to_json(),
            "metrics": self.metrics.to_json(),
            "history": [row.to_json() for row in self.history],
            "created": self.created,
            "versions": dict(self.versions),
            "model": self.model.to_json(),
            "tokenizer": self.tokenizer.to_json(),
            **({} if self.source_tokenizer is None else {"source_tokenizer": self.source_tokenizer.to_json()}),
            **({} if self.progress is None else {"progress": self.progress.to_json()}),
            "textgen": self.textgen,
            "members": dict(self.members),
            "weights": dict(self.weights),
        }

    @classmethod
    def from_json(cls, values: Mapping[str, Any]) -> Metadata:
        """The metadata of a document of this `FORMAT`.

        Raises:
            ValueError: a section is missing or of the wrong type, the model or the vocabulary is invalid, or their
                sizes differ. The message is a clause about the file, such as "its model is not one that textgen knows".
        """
        for name, kind in _SECTIONS.items():
            if not isinstance(values.get(name), kind):
                raise not_as_written(name)
        model, tokenizer = _model(values["model"]), _tokenizer(values["tokenizer"])
        source_tokenizer = _source_tokenizer(model, values.get("source_tokenizer"), tokenizer)
        if tokenizer.vocab_size != model.vocab_size:
            raise ValueError(
                f"its vocabulary has {tokenizer.vocab_size:,} ids where its model has {model.vocab_size:,}"
            )
        corpus = CorpusDescription.from_json(values["corpus"])
        if model.labels != len(corpus.labels):
            raise ValueError(f"it names {len(corpus.labels):,} labels where its model has {model.labels:,}")
        return cls(
            model=model,
            tokenizer=tokenizer,
            training=values["training"],
            corpus=corpus,
            metrics=Metrics.from_json(values["metrics"]),
            history=tuple(map(Validation.from_json, values["history"])),
            progress=_progress(values.get("progress")),
            created=values["created"],
            versions=values["versions"],
            textgen=values["textgen"],
            members=values["members"],
            weights=values["weights"],
            source_tokenizer=source_tokenizer,
        )


def _model(values: Mapping[str, Any]) -> ModelConfig:
    try:
        return ModelConfig.from_json(values)
    except (ConfigError, TypeError) as error:
        raise ValueError(f"its model is not one that textgen knows ({shortened(error)})") from None


def _tokenizer(values: Mapping[str, Any]) -> CharTokenizer:
    try:
        return CharTokenizer.from_json(values)
    except (ConfigError, AttributeError, KeyError, TypeError, ValueError) as error:
        raise ValueError(f"its vocabulary is not one that textgen writes ({shortened(error)})") from None


def _source_tokenizer(model: ModelConfig, values: Any, tokenizer: CharTokenizer) -> CharTokenizer | None:
    """The vocabulary of what a model reads, where that is not what it writes."""
    if not model.has_encoder:
        return None
    found = _tokenizer(values)
    if found.vocab_size != model.source_vocab_size:
        raise ValueError(
            f"its sources' vocabulary has {found.vocab_size:,} ids where its model has {model.source_vocab_size:,}"
        )
    if not (found.has_end and tokenizer.has_end):
        raise ValueError("its vocabularies have no id for a text's end")
    return tokenizer if found == tokenizer else found


def _progress(values: Any) -> SavedProgress | None:
    """The progress; None where it is invalid: the model can be used, but training cannot be resumed."""
    try:
        return SavedProgress.from_json(values)
    except ValueError:
        return None


def shortened(error: object) -> str:
    """An error's message without its full stop, truncated to fit into a sentence: it may quote the file."""
    text = str(error).rstrip(".")
    return text if len(text) < 200 else text[:200] + " ..."

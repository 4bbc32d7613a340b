"""Converts the arguments that `train` and `resume` share into what a session takes."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from textgen.config import CorpusConfig, TrainingConfig, require
from textgen.corpus import Corpus, EncodedCorpus, open_corpus, open_texts
from textgen.corpus.batches import Ahead, Streams
from textgen.corpus.context import context_ids
from textgen.corpus.pair_batches import PairBatches
from textgen.corpus.pairs import EncodedPairs
from textgen.corpus.record_batches import RecordStreams
from textgen.corpus.strings import Text
from textgen.errors import ConfigError
from textgen.runs.run import check_folder

Source = str | Path


def is_given(sources: Source | Sequence[Source] | Corpus, texts: Iterable[Text] | None) -> bool:
    """Whether a text is named at all."""
    return texts is not None or isinstance(sources, (str, Path, Corpus)) or len(sources) > 0


def open_text(
    sources: Source | Sequence[Source] | Corpus, texts: Iterable[Text] | None, config: CorpusConfig | None
) -> Corpus:
    """The text that is named, with these settings; those of an opened one stay where there are none.

    Raises:
        ConfigError: both sources and texts are given, or the texts are no strings.
        CorpusError: as `open_corpus`.
    """
    if texts is not None:
        require(not is_given(sources, None), "texts", "given without sources", sources)
        return open_texts(texts, config=config)
    if isinstance(sources, Corpus):
        return sources if config is None else sources.configured(config)
    return open_corpus(sources, config=config)


def check_one_side(sides: object) -> None:
    """Checks that several workers can train a model.

    Raises:
        ConfigError: it has both sides.
    """
    require(sides != "both", "sides", "forwards where several workers train", sides, "Train it on one machine.")


def check_one_process(corpus: CorpusConfig) -> None:
    """Checks that several workers can train on a corpus.

    Raises:
        ConfigError: it is made of pairs.
    """
    if corpus.by_pair:
        raise ConfigError(
            "workers must be left out with pairs, and TF_CONFIG unset: one process trains a run on pairs.",
            field="workers",
        )


def cache_folder(checkpoints: Source) -> Path:
    """The folder that caches large encoded texts; it is hidden, so it is not listed as a run."""
    return Path(checkpoints) / ".cache"


def events_folder(tensorboard: Source | bool) -> str | bool:
    """The event files' folder made absolute, so that `resume` finds it from another folder."""
    if isinstance(tensorboard, bool):
        return tensorboard
    check_folder(tensorboard)
    return str(Path(tensorboard).resolve())


def as_callbacks(callbacks: Any) -> list[Any]:
    """One Keras callback or several as a list, as Keras's `fit` takes them.

    Raises:
        ConfigError: they are something else.
    """
    import keras

    several = list(callbacks) if isinstance(callbacks, Iterable) else [callbacks]
    for each in several:
        require(isinstance(each, keras.callbacks.Callback), "callbacks", "Keras callbacks", each)
    return several


def open_streams(
    encoded: EncodedCorpus, training: TrainingConfig, *, workers: int = 1, both: bool = False
) -> Streams | RecordStreams | PairBatches:
    """The batches of a run's training text, with the streams of all `workers`; `both` for those of both sides.

    Raises:
        CorpusError: the text is shorter than one batch, or has no record to train on.
    """
    batch_size, sequence_length, seed = workers * training.batch_size, training.sequence_length, training.seed
    if isinstance(encoded, EncodedPairs):
        end = encoded.pairs.training + 1
        halves = encoded.source_ids, encoded.source_starts[:end], encoded.ids, encoded.pairs.starts[:end]
        return PairBatches(*halves, batch_size=batch_size, seed=seed)
    if encoded.records is None:
        return Streams(
            encoded.training,
            batch_size=batch_size,
            sequence_length=sequence_length,
            seed=seed,
            ahead=ahead_of(encoded, training) if both else None,
        )
    return RecordStreams(
        encoded.ids,
        encoded.records.starts[: encoded.records.training + 1],
        batch_size=batch_size,
        sequence_length=sequence_length,
        seed=seed,
        label_of=labels_of(encoded, training=True),
        label_drop=training.label_drop,
        context=training.right_context if both else None,
    )


def ahead_of(encoded: EncodedCorpus, training: TrainingConfig) -> Ahead:
    """What batches of both sides of a running text hold besides."""
    nothing = np.empty(0, encoded.tokenizer.dtype)
    return Ahead(context=training.right_context, end=int(context_ids(encoded.tokenizer, nothing)[0]))


def labels_of(encoded: EncodedCorpus, *, training: bool) -> NDArray[np.int32] | None:
    """The label set of each record that trains, or of each that is held out; None for a text without labels."""
    records = encoded.records
    if records is None or not records.labels:
        return None
    return records.label_of[: records.training] if training else records.label_of[records.training :]

"""The arguments that `train` and `resume` share, as a session takes them."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path

from textgen.config import CorpusConfig, TrainingConfig, require
from textgen.corpus import Corpus, EncodedCorpus, open_corpus, open_texts
from textgen.corpus.batches import Streams
from textgen.runs.run import check_folder

Source = str | Path


def is_given(sources: Source | Sequence[Source] | Corpus, texts: Iterable[str] | None) -> bool:
    """Whether a text is named at all."""
    return texts is not None or isinstance(sources, (str, Path, Corpus)) or len(sources) > 0


def open_text(
    sources: Source | Sequence[Source] | Corpus, texts: Iterable[str] | None, config: CorpusConfig | None
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


def cache_folder(checkpoints: Source) -> Path:
    """Where large texts are kept encoded; a hidden folder is no run."""
    return Path(checkpoints) / ".cache"


def events_folder(tensorboard: Source | bool) -> str | bool:
    """Where event files go, so that a continuation finds them from another folder."""
    if isinstance(tensorboard, bool):
        return tensorboard
    check_folder(tensorboard)
    return str(Path(tensorboard).resolve())


def open_streams(encoded: EncodedCorpus, training: TrainingConfig) -> Streams:
    """The training text as the batches of a run."""
    return Streams(
        encoded.training,
        batch_size=training.batch_size,
        sequence_length=training.sequence_length,
        seed=training.seed,
    )

"""Makes an encoded corpus of what a cache, or a pass over the sources, holds of it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from textgen.corpus.cache import Entry
from textgen.corpus.encoded import EncodedCorpus
from textgen.corpus.rare import LARGE
from textgen.corpus.reading import Corpus
from textgen.corpus.records import Records
from textgen.corpus.tokenizer import CharTokenizer
from textgen.errors import ConfigError


def from_entry(corpus: Corpus, entry: Entry | None, tokenizer: CharTokenizer | None) -> EncodedCorpus | None:
    """The corpus of a cache entry, if there is one and it has the vocabulary that is given or would be built."""
    if entry is None:
        return None
    try:
        vocabulary = CharTokenizer.from_json(entry.metadata["tokenizer"])
        fits, min_count = _fitting_min_count(entry.metadata, vocabulary, corpus.config.min_count, tokenizer)
        return to_encoded(corpus, entry, vocabulary, min_count) if fits else None
    except (KeyError, ConfigError):
        return None


def to_encoded(corpus: Corpus, entry: Entry, vocabulary: CharTokenizer, min_count: int | None) -> EncodedCorpus:
    """The corpus of an entry, of running text or of records.

    Args:
        corpus: the text that was encoded.
        entry: its ids and metadata.
        vocabulary: that of the entry.
        min_count: what the settings or the text have decided on.
    """
    return EncodedCorpus(
        name=corpus.name,
        sources=corpus.sources,
        config=corpus.config.replace(min_count=min_count),
        tokenizer=vocabulary,
        ids=entry.ids,
        bytes=entry.metadata["bytes"],
        distinct=entry.metadata["distinct"],
        sha256=entry.metadata["sha256"],
        places=corpus.places,
        records=_records(entry) if "records" in entry.metadata else None,
    )


def _records(entry: Entry) -> Records:
    values = entry.metadata["records"]
    return Records(
        starts=entry.arrays["starts"],
        label_of=entry.arrays["label_of"],
        training=values["training"],
        labels=tuple(values["labels"]),
        label_sets=tuple(map(tuple, values["label_sets"])),
        seed=values["seed"],
        duplicates=values["duplicates"],
        dropped=values["dropped"],
    )


def _fitting_min_count(
    metadata: Mapping[str, Any], found: CharTokenizer, wanted: int | None, tokenizer: CharTokenizer | None
) -> tuple[bool, int | None]:
    """Whether a cache entry has the vocabulary that is given or would be built, and the `min_count` of it.

    Args:
        metadata: the entry's.
        found: its vocabulary.
        wanted: the `min_count` of the settings; None leaves it to the text.
        tokenizer: the given vocabulary, if any.
    """
    if tokenizer is not None:
        return tokenizer == found, wanted
    if wanted is None:
        # Recorded where it followed from the text. It does so without a record where there are few characters.
        automatic = metadata.get("min_count", 1 if metadata["distinct"] < LARGE else None)
        return automatic is not None, automatic
    return metadata.get("min_count", wanted) == wanted, wanted

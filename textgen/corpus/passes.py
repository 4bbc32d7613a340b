"""What the passes over a corpus share: progress, the fingerprint of its bytes, and the errors that end them."""

from __future__ import annotations

import hashlib
import json
import unicodedata
from collections.abc import Callable, Mapping
from typing import Any

from textgen.config import CorpusConfig
from textgen.corpus.characters import CharacterCounts, name_characters
from textgen.corpus.decoding import check_encoding
from textgen.corpus.rare import FREQUENT, LARGE, SHARE
from textgen.corpus.tokenizer import CharTokenizer
from textgen.errors import CorpusError, UnknownCharacterError

Report = Callable[[int, int], None]

STRIPPING, UNWRAPPING = 1, 1
"""The versions of the rules by which texts are stripped and unwrapped."""


class Meter:
    """Reports the progress of several passes over a text as one count up to its size."""

    def __init__(self, report: Report | None, size: int, *, passes: int) -> None:
        self._report, self._size, self._passes, self._done = report, size, passes, 0

    def add(self, count: int) -> None:
        """Some bytes were read."""
        self._done += count
        if self._report is not None and count:
            self._report(min(self._done // self._passes, self._size), self._size)

    def finish(self) -> None:
        """All passes are done."""
        if self._report is not None:
            self._report(self._size, self._size)


class Fingerprint:
    """A SHA-256 of the bytes of one pass over a corpus, and of where each source ends."""

    def __init__(self, meter: Meter) -> None:
        self._meter, self._digest, self._length = meter, hashlib.sha256(), 0

    def add(self, chunk: bytes) -> None:
        """Adds bytes as they are read; `b""` is a source's end."""
        self._digest.update(chunk or self._length.to_bytes(8, "little"))
        self._length = self._length + len(chunk) if chunk else 0
        self._meter.add(len(chunk))

    def hexdigest(self) -> str:
        """The fingerprint of what was added."""
        return self._digest.hexdigest()


def cache_keys(
    config: CorpusConfig, content: str, tokenizer: CharTokenizer | None, more: Mapping[str, Any]
) -> list[str]:
    """The cache keys to look up; the last is the one to write.

    A given vocabulary, or a `min_count` that a run has recorded, is usually the one that follows from the text itself,
    so the keys of those are tried, too.

    Args:
        config: the settings by which the sources become one text.
        content: the fingerprint of the bytes.
        tokenizer: the given vocabulary, if any.
        more: what else the ids depend on, as plain JSON values.
    """
    text = {
        "content": content,
        "encoding": check_encoding(config.encoding),
        "keep_newlines": config.keep_newlines,
        "normalize": config.normalize,
        "unicode": None if config.normalize == "none" else unicodedata.unidata_version,
        **({} if config.errors == "strict" else {"errors": config.errors}),
        **({} if config.strip in (None, "none") else {"strip": [config.strip, STRIPPING]}),
        **({"unwrap": UNWRAPPING} if config.unwrap else {}),
        **more,
    }
    automatic: dict[str, Any] = {**text, "min_count": [LARGE, SHARE, FREQUENT]}
    settings = [{**text, "min_count": config.min_count or 1}, automatic]
    if config.min_count is not None:
        settings.reverse()
    if tokenizer is not None:
        settings.append({**text, "tokenizer": tokenizer.to_json()})
    return [hashlib.sha256(json.dumps(values, sort_keys=True).encode()).hexdigest()[:40] for values in settings]


def check_known(title: str, counts: CharacterCounts, vocabulary: CharTokenizer) -> None:
    """Refuses a text with characters outside a given vocabulary.

    Raises:
        UnknownCharacterError: there are some, and the vocabulary has no id for them.
    """
    lacking = "".join(sorted(set(counts.to_dict()) - set(vocabulary.characters)))
    if lacking and not vocabulary.has_unknown:
        raise UnknownCharacterError(
            f"The corpus {title} contains {len(lacking):,} character{'s' if len(lacking) > 1 else ''} outside "
            f"the vocabulary: {name_characters(lacking)}. Restore the old text, or start a new run on this one.",
            characters=lacking,
        )


def empty(title: str) -> CorpusError:
    """The error for a corpus without a character."""
    return CorpusError(f"The corpus {title} is empty. Give a text with at least a few hundred characters.")


def changed(title: str) -> CorpusError:
    """The error for a corpus that is not the same in two passes."""
    return CorpusError(f"The corpus {title} changed while it was read. Try again when it no longer changes.")

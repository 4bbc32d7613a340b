"""The description of the training text in a checkpoint's metadata."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from textgen.config import CorpusConfig
from textgen.corpus.encoded import EncodedCorpus
from textgen.model.values import count, is_texts, not_as_written, text


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
    """

    name: str | None = None
    sources: tuple[str, ...] = ()
    characters: int | None = None
    bytes: int | None = None
    distinct: int | None = None
    sha256: str | None = None
    split: int | None = None
    settings: Mapping[str, Any] = field(default_factory=dict)

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
        )

    @property
    def config(self) -> CorpusConfig:
        """The settings that this version of textgen knows; those not recorded have their defaults.

        Raises:
            ConfigError: a setting is out of its range.
        """
        known = {each.name for each in dataclasses.fields(CorpusConfig)}
        return CorpusConfig.from_json({name: value for name, value in self.settings.items() if name in known})

    def to_json(self) -> dict[str, Any]:
        """The description as plain JSON values."""
        return dataclasses.asdict(self) | {"sources": list(self.sources)}

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
        )

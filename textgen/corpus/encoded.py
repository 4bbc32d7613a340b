"""A text as ids, with its vocabulary and what a checkpoint records of it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from textgen.config import CorpusConfig
from textgen.corpus.records import Records
from textgen.corpus.tokenizer import CharTokenizer

_CHUNK = 1 << 22


@dataclass(frozen=True, eq=False, kw_only=True)
class EncodedCorpus:
    """A text as ids, with its vocabulary and metadata.

    Attributes:
        name: a short name from the first path, for a run.
        sources: the paths of the text's sources, in order.
        config: the settings by which the sources became one text; `min_count` is a number, unless the vocabulary came
            from elsewhere.
        tokenizer: the vocabulary.
        ids: `(characters,)` in the vocabulary's `dtype`; memory-mapped and read-only for a long text. Of records, those
            that train come first, and each ends with the vocabulary's `end_id`.
        bytes: the size of the normalised text in UTF-8.
        distinct: the number of distinct characters of the text, rare ones included.
        sha256: SHA-256 of the normalised text in UTF-8, in hexadecimal; of records also of where each ends, and of its
            labels.
        places: the paths that were named, absolute; "-" for a stream.
        records: where the records stand and what labels they have; None for running text.

    >>> import numpy as np
    >>> banana = EncodedCorpus(
    ...     name="fruit", sources=("fruit.txt",), config=CorpusConfig(), tokenizer=CharTokenizer("abn"),
    ...     ids=np.array([1, 0, 2, 0, 2, 0], np.uint8), bytes=6, distinct=3, sha256="b493..."
    ... )
    >>> banana.split, banana.training.tolist(), banana.held_out.tolist()
    (5, [1, 0, 2, 0, 2], [0])
    """

    name: str
    sources: tuple[str, ...]
    config: CorpusConfig
    tokenizer: CharTokenizer
    ids: NDArray[Any]
    bytes: int
    distinct: int
    sha256: str
    places: tuple[str, ...] = ()
    records: Records | None = None

    @property
    def characters(self) -> int:
        """The length of the text in characters; each record's end counts as one."""
        return len(self.ids)

    @property
    def rare_characters(self) -> int:
        """How many characters of the text share the unknown id; 0 if there is none.

        >>> import numpy as np
        >>> EncodedCorpus(
        ...     name="fruit", sources=("fruit.txt",), config=CorpusConfig(min_count=2), bytes=6, sha256="",
        ...     distinct=3, tokenizer=CharTokenizer("an", has_unknown=True), ids=np.array([2, 0, 1, 0, 1, 0], np.uint8)
        ... ).rare_characters
        1
        """
        unknown = self.tokenizer.unknown_id
        if unknown is None:
            return 0
        starts = range(0, self.characters, _CHUNK)
        return sum(int(np.count_nonzero(self.ids[start : start + _CHUNK] == unknown)) for start in starts)

    @property
    def vocabulary(self) -> str:
        """The size of the vocabulary in words: of one built from the text.

        >>> import numpy as np
        >>> EncodedCorpus(
        ...     name="fruit", sources=("fruit.txt",), config=CorpusConfig(min_count=2), bytes=6, sha256="",
        ...     distinct=3, tokenizer=CharTokenizer("an", has_unknown=True), ids=np.array([2, 0, 1, 0, 1, 0], np.uint8)
        ... ).vocabulary
        '2 characters; 1 rarer than 2 shares one more id, 17 % of the text'
        """
        kept = len(self.tokenizer.characters)
        size = f"{kept:,} character{'s' if kept != 1 else ''}"
        if not self.tokenizer.has_unknown:
            return size
        rare, share = self.distinct - kept, 100 * self.rare_characters / self.characters
        verb = "share" if rare != 1 else "shares"
        return f"{size}; {rare:,} rarer than {self.config.min_count} {verb} one more id, {share:.2g} % of the text"

    @property
    def split(self) -> int:
        """The length of the training text, in characters from the start; the rest is held out."""
        if self.records is not None:
            return int(self.records.starts[self.records.training])
        return int(self.characters * (1 - self.config.validation))

    @property
    def training(self) -> NDArray[Any]:
        """The ids of the training text, `(split,)`."""
        return self.ids[: self.split]

    @property
    def held_out(self) -> NDArray[Any]:
        """The ids of the held-out text, `(characters - split,)`; empty if `config.validation` is 0."""
        return self.ids[self.split :]

"""A text as ids, with all that training and a checkpoint need to know of it.

The module knows no file: what it holds was read by `encode_corpus`.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from numpy.typing import NDArray

from textgen.config import CorpusConfig
from textgen.corpus.tokenizer import CharTokenizer


@dataclass(frozen=True, eq=False, kw_only=True)
class EncodedCorpus:
    """A text as ids, its vocabulary and what identifies it.

    Attributes:
        name: a short name from the first path, for a run.
        sources: what the text is made of, in order.
        config: how the sources became one text.
        tokenizer: the vocabulary.
        ids: `(characters,)` in the vocabulary's `dtype`; a long text's are mapped from a file, read-only.
        bytes: the size of the normalised text in UTF-8.
        distinct: how many different characters the text has, rare ones counted.
        sha256: the fingerprint of the normalised text in UTF-8, in hexadecimal.

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

    @property
    def characters(self) -> int:
        """The length of the text in characters."""
        return len(self.ids)

    @property
    def split(self) -> int:
        """How many characters, from the start, are trained on; the rest validates."""
        return int(self.characters * (1 - self.config.validation))

    @property
    def training(self) -> NDArray[Any]:
        """The ids to train on, `(split,)`."""
        return self.ids[: self.split]

    @property
    def held_out(self) -> NDArray[Any]:
        """The ids to validate on, `(characters - split,)`; none where `config.validation` is 0."""
        return self.ids[self.split :]

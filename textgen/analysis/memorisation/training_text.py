"""The text that a run was trained on, as ids, verified by its SHA-256, with the source of each position."""

from __future__ import annotations

import bisect
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from textgen.corpus import Corpus, EncodedCorpus, encode_corpus
from textgen.corpus.characters import to_code_points
from textgen.corpus.tokenizer import CharTokenizer
from textgen.errors import RunError
from textgen.model.description import CorpusDescription
from textgen.runs.provenance import find_run_text
from textgen.runs.run import BEST, LAST
from textgen.system import PathLike, path_list
from textgen.system.mapping import release_pages

_BLOCK = 1 << 22

Progress = Callable[[int, int], None]


class Place(NamedTuple):
    """A position in a corpus.

    Args:
        file: the file's path; "-" for standard input.
        line: the line in that file, from 1; 0 in records.
        offset: the position in the whole text, in characters from 0.
        record: the number of the record among those that train, from 1; None in running text.
    """

    file: str
    line: int
    offset: int
    record: int | None = None


@dataclass(frozen=True, eq=False)
class TrainingText:
    """A run's text.

    Args:
        corpus: its files.
        encoded: its ids.
    """

    corpus: Corpus
    encoded: EncodedCorpus

    @property
    def sha256(self) -> str:
        """SHA-256 of the normalised text in UTF-8, in hexadecimal."""
        return self.encoded.sha256

    @property
    def sentinel(self) -> int:
        """An id outside the vocabulary, for characters without an id of their own and between passages."""
        return self.encoded.tokenizer.vocab_size

    def encode(self, text: str) -> NDArray[Any]:
        """The ids of a text, `(len(text),)`; `sentinel` for each character without an id of its own."""
        return encode_known(self.encoded.tokenizer, text)

    def held_out(self) -> NDArray[Any]:
        """The ids of the held-out text; `sentinel` for each character without an id of its own."""
        ids, unknown = self.encoded.held_out, self.encoded.tokenizer.unknown_id
        return ids if unknown is None else np.where(ids == unknown, self.sentinel, ids).astype(ids.dtype)

    def locate(self, offset: int) -> Place:
        """The file and line of a position in the text, counted from 0; in records the first file and the record."""
        if self.encoded.records is not None:
            record = int(np.searchsorted(self.encoded.records.starts, offset, side="right"))
            return Place(self.encoded.sources[0], 0, offset, record)
        source = bisect.bisect_right(self._starts, offset) - 1
        newline = self.encoded.tokenizer.characters.find("\n")
        start, lines = self._starts[source], 1
        if newline >= 0:
            for begin in range(start, offset, _BLOCK):
                lines += int(np.count_nonzero(self.encoded.ids[begin : min(begin + _BLOCK, offset)] == newline))
            release_pages(self.encoded.ids)
        return Place(self.encoded.sources[source], lines, offset)

    @cached_property
    def _starts(self) -> list[int]:
        return self.corpus.starts()


def read_training_text(
    description: CorpusDescription,
    path: Path | None,
    tokenizer: CharTokenizer,
    *,
    corpus: PathLike | Sequence[PathLike] = (),
    progress: Progress | None = None,
) -> TrainingText:
    """Finds and encodes the text that a checkpoint was trained on; a long text's ids come from the runs' cache.

    Args:
        description: what the checkpoint says about the text.
        path: the checkpoint.
        tokenizer: its vocabulary.
        corpus: where the text is now; empty takes the recorded place.
        progress: called with the bytes done and the total.

    Raises:
        RunError: the text is missing, has changed, or is not recorded.
        CorpusError: the disk has no space for the ids of a long text.
    """
    kept_by_run = path is not None and path.name in (BEST, LAST)
    cache = path.parent.parent / ".cache" if path is not None and kept_by_run else None

    def read(found: Corpus) -> TrainingText:
        return TrainingText(found, encode_corpus(found, cache=cache, progress=progress, seed=description.seed))

    try:
        text = find_run_text(description, path, read, sources=path_list(corpus))
        if text.encoded.tokenizer != tokenizer:
            raise RunError("The model's vocabulary is not that of the text that it records as its training text.")
    except RunError as error:
        raise RunError(f"{error} Pass the text that the run was trained on with --corpus.") from error
    return text


def encode_known(tokenizer: CharTokenizer, text: str) -> NDArray[Any]:
    """The ids of a text, one per character; `vocab_size` for each character without an id of its own.

    >>> encode_known(CharTokenizer("abn"), "banäna").tolist()
    [1, 0, 2, 3, 2, 0]
    """
    ids = np.full(len(text), tokenizer.vocab_size, tokenizer.dtype)
    known = np.isin(to_code_points(text), to_code_points(tokenizer.characters))
    ids[known] = tokenizer.encode(text, unknown="skip")
    return ids

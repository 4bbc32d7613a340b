"""The beginning of a text, as characters and ids, for a model to be analysed on."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from numpy.typing import NDArray

from textgen.config import InsightConfig, require
from textgen.corpus.context import context_ids
from textgen.corpus.record_text import encode_given, encode_text, first_characters
from textgen.errors import CorpusError
from textgen.runs.find import resolve_checkpoint
from textgen.sampling.loading import load
from textgen.sampling.writer import Writer
from textgen.system import PathLike


@dataclass(frozen=True, eq=False, kw_only=True)
class Passage:
    """The part of a text that a model reads.

    Args:
        model: the run's name, or the file's path; "model" for a writer that has neither.
        text: the characters, without those that were dropped; of a run on records, each record ends with a newline.
        ids: `(characters,)`, the ids of `text`.
        before: `(1,)`, the id before the first; see `textgen.corpus.context`.
        total: the length of the whole text in characters.
        sha256: SHA-256 of the whole text in UTF-8, in hexadecimal.
    """

    model: str
    text: str
    ids: NDArray[Any]
    before: NDArray[Any]
    total: int
    sha256: str

    @property
    def extent(self) -> str:
        """How much of the text this is, in words.

        >>> import numpy as np
        >>> ids = np.zeros(2, np.uint8)
        >>> Passage(model="poems", text="ab", ids=ids, before=ids[:1], total=1200, sha256="").extent
        'the first 2 of 1,200 characters'
        """
        read = len(self.text)
        if read == self.total:
            return f"{read:,} character{'s' if read > 1 else ''}"
        return f"the first {read:,} of {self.total:,} characters"


def open_writer(run: PathLike | Writer | None, checkpoints: PathLike) -> Writer:
    """The given writer, or that of a run.

    Raises:
        RunError: there is no such run.
        CheckpointError: the checkpoint is missing, damaged or not one of textgen's.
    """
    return run if isinstance(run, Writer) else load(resolve_checkpoint(run, checkpoints=checkpoints))


def read_passage(writer: Writer, text: str | Sequence[str], config: InsightConfig) -> Passage:
    """The first `config.limit` characters of a text, or of records.

    Raises:
        CorpusError: the text is empty, or all of these characters are outside the vocabulary.
        UnknownCharacterError: some of them are outside the vocabulary, and `config.unknown` refuses them.
    """
    tokenizer = writer.tokenizer
    if isinstance(text, str):
        text = writer.as_trained(text)
        start = text[: config.limit]
        ids = encode_text(tokenizer, start, writer.reading, unknown=config.unknown, ended=len(start) == len(text))
    else:
        require(tokenizer.has_end, "text", "a string", text, "Lists are for runs on records.")
        records = list(map(writer.as_trained, text))
        begun, ended = first_characters(records, config.limit)
        ids = encode_given(tokenizer, begun, unknown=config.unknown)
        ids, text = ids if ended else ids[:-1], "".join(f"{record}\n" for record in records)
        start = text[: config.limit]
    if not text:
        raise CorpusError("There is nothing to analyse: the text is empty.")
    if not len(ids):
        raise CorpusError(
            "There is nothing to analyse: none of the text's characters is in the model's vocabulary. Give a text like "
            "the training text."
        )
    return Passage(
        model=writer.name,
        text=start if len(ids) == len(start) and not tokenizer.has_end else tokenizer.decode(ids),
        ids=ids,
        before=context_ids(tokenizer, ids[:0]),
        total=len(text),
        sha256=hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest(),
    )

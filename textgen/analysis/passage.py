"""What a model reads where it is watched: the beginning of a text, as ids and as the characters they stand for.

A run and a text go in, a `Passage` comes out. The module asks the network nothing.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import Any

from numpy.typing import NDArray

from textgen.config import InsightConfig
from textgen.corpus.context import context_ids
from textgen.errors import CorpusError
from textgen.runs.find import checkpoint_name, resolve_checkpoint
from textgen.sampling.writer import Writer, load
from textgen.system import PathLike


@dataclass(frozen=True, eq=False, kw_only=True)
class Passage:
    """The characters that a model reads.

    Args:
        model: the run's name, or the file's path; "model" for a writer that came from neither.
        text: the characters, without those that were dropped.
        ids: `(characters,)`, theirs.
        before: `(1,)`, the id that the network reads first; see `textgen.corpus.context`.
        total: characters of the whole text.
        sha256: the fingerprint of the whole text in UTF-8, in hexadecimal.
    """

    model: str
    text: str
    ids: NDArray[Any]
    before: NDArray[Any]
    total: int
    sha256: str

    @property
    def extent(self) -> str:
        """How much of the text it is.

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
    """The writer itself, or that of a run.

    Raises:
        RunError: there is no such run.
        CheckpointError: the checkpoint is missing, damaged or foreign.
    """
    return run if isinstance(run, Writer) else load(resolve_checkpoint(run, checkpoints=checkpoints))


def read_passage(writer: Writer, text: str, config: InsightConfig) -> Passage:
    """The beginning of a text, as long as `config.limit`.

    Raises:
        CorpusError: the text is empty, or the model knows none of these characters.
        UnknownCharacterError: they hold some that the model never saw, and `config.unknown` is "error".
    """
    text = writer.as_trained(text)
    if not text:
        raise CorpusError("There is nothing to look at: the text is empty.")
    tokenizer, start = writer.tokenizer, text[: config.limit]
    ids = tokenizer.encode(start, unknown=config.unknown)
    if not len(ids):
        raise CorpusError(
            "There is nothing to look at: the model knows none of the text's characters. Give a text of its kind."
        )
    return Passage(
        model="model" if writer.path is None else checkpoint_name(writer.path),
        text=start if len(ids) == len(start) else tokenizer.decode(ids),
        ids=ids,
        before=context_ids(tokenizer, ids[:0]),
        total=len(text),
        sha256=hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest(),
    )

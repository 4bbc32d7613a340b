"""The text that is scored: what a run held out from its own, or one that was given.

Text goes in, ids come out, with what has to be said of them. The module reads no file and asks no network.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from numpy.typing import NDArray

from textgen.analysis.evaluation.evaluation import Split
from textgen.config import CorpusConfig, Unknown
from textgen.corpus.context import context_ids
from textgen.corpus.tokenizer import CharTokenizer
from textgen.errors import CorpusError, RunError
from textgen.runs.find import checkpoint_name
from textgen.runs.provenance import RunText
from textgen.sampling.writer import Writer


@dataclass(frozen=True, eq=False, kw_only=True)
class Subject:
    """The text that is scored.

    Args:
        split: whether it is the run's own, held out.
        source: which text it is, in words.
        text: what is scored, without what was dropped.
        sha256: the fingerprint of the text, normalised, before anything was dropped.
        before: `(1,)`, the id that the first one is foretold from.
        ids: `(characters,)`, at least one.
        unknown: how many of them stand for a character that the model never saw.
        dropped: how many such characters were left out.
    """

    split: Split
    source: str
    text: str
    sha256: str
    before: NDArray[Any]
    ids: NDArray[Any]
    unknown: int
    dropped: int


def held_out(writer: Writer, own: RunText | None, problem: str) -> Subject:
    """What a run held out from its own text; `problem` is why that is not to be had.

    Raises:
        RunError: it is not to be had, or nothing was held out.
    """
    name = model_name(writer)
    if own is None:
        raise RunError(f"{problem} Say with --corpus where it is, or give a text to score: textgen eval {name} FILE")
    if not own.held_out:
        raise RunError(
            f"The run {name!r} held nothing out: it was trained on its whole text. "
            f"Give a text to score: textgen eval {name} FILE"
        )
    length = len(own.held_out)
    files = len(own.sources)
    title = Path(own.sources[0]).name + (f" and {files - 1:,} more" if files > 1 else "")
    # Folded characters are ids of their own in training, too.
    return _subject(
        writer.tokenizer,
        own.held_out,
        unknown="replace",
        before=own.before,
        split="held-out",
        source=f"the last {length:,} of {own.characters:,} characters of {title}",
    )


def given(writer: Writer, own: RunText | None, text: str, name: str, unknown: Unknown) -> Subject:
    """A text of the user's.

    Raises:
        CorpusError: nothing of it can be scored.
        UnknownCharacterError: it holds characters that the model never saw, and `unknown` is "error".
    """
    text = writer.as_trained(_newlines(writer.metadata.corpus.config, text))
    if not text:
        raise CorpusError("There is nothing to score: the text is empty.")
    same = own is not None and text == own.held_out
    split: Split = "held-out" if same else "given"
    return _subject(writer.tokenizer, text, unknown=unknown, before="", split=split, source=name)


def _subject(
    tokenizer: CharTokenizer, text: str, *, unknown: Unknown, before: str, split: Split, source: str
) -> Subject:
    ids = tokenizer.encode(text, unknown=unknown)
    if not len(ids):
        raise CorpusError("There is nothing to score: the model knows none of the text's characters.")
    foreign = len(text) - len(tokenizer.encode(text, unknown="skip"))
    dropped = len(text) - len(ids)
    return Subject(
        split=split,
        source=source,
        text=tokenizer.decode(ids) if dropped else text,
        sha256=hashlib.sha256(utf8(text)).hexdigest(),
        before=context_ids(tokenizer, tokenizer.encode(before, unknown="replace")),
        ids=ids,
        unknown=foreign - dropped,
        dropped=dropped,
    )


def _newlines(settings: CorpusConfig, text: str) -> str:
    """A text with its newlines as the training text's were brought to."""
    return text if settings.keep_newlines else text.replace("\r\n", "\n").replace("\r", "\n")


def model_name(writer: Writer) -> str:
    """What to call a model: its run's name, its file, or where it came from none, "model"."""
    return "model" if writer.path is None else checkpoint_name(writer.path)


def utf8(text: str) -> bytes:
    """A text's bytes; it may hold lone surrogates."""
    return text.encode("utf-8", "surrogatepass")

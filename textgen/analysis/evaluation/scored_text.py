"""The text to score, as ids: a run's held-out text or a text of the user's.

The module reads no file and runs no model.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from numpy.typing import NDArray

from textgen.analysis.evaluation.evaluation import Split
from textgen.config import Unknown
from textgen.corpus.context import context_ids
from textgen.corpus.tokenizer import CharTokenizer
from textgen.errors import CorpusError, RunError
from textgen.runs.find import checkpoint_argument
from textgen.runs.provenance import RunText
from textgen.sampling.mixing import have_one_text
from textgen.sampling.writer import Writer


@dataclass(frozen=True, eq=False, kw_only=True)
class ScoredText:
    """The text to score.

    Args:
        split: whether it is the run's held-out text.
        source: a description of the text.
        text: the text, without dropped characters.
        sha256: SHA-256 of the normalised text, before any character was dropped.
        before: `(1,)`, the id that precedes the first.
        ids: `(characters,)`, at least one.
        unknown: how many of them replace a character outside the vocabulary.
        dropped: how many characters outside the vocabulary were dropped.
        label_of: `(records,)`, of records with labels the index of each one's in `label_sets`; None for none.
        label_sets: combinations of labels, each as indices of labels.
    """

    split: Split
    source: str
    text: str
    sha256: str
    before: NDArray[Any]
    ids: NDArray[Any]
    unknown: int
    dropped: int
    label_of: NDArray[Any] | None = None
    label_sets: tuple[tuple[int, ...], ...] = ((),)


def held_out(writer: Writer, own: RunText | None, problem: str) -> ScoredText:
    """The held-out text of a run; `problem` says why its text cannot be read, if so.

    Raises:
        RunError: the run's text cannot be read, or nothing was held out.
    """
    own = check_held_out(writer, own, problem)
    # In training rare characters share the unknown id, too.
    return _subject(
        writer.tokenizer,
        own.held_out,
        unknown="replace",
        before=own.before,
        split="held-out",
        source=f"the last {len(own.held_out):,} of {own.characters:,} characters of {title(own)}",
    )


def check_held_out(writer: Writer, own: RunText | None, problem: str) -> RunText:
    """The run's text; see `held_out`.

    Raises:
        RunError: as `held_out`.
    """
    name = writer.name
    argument = name if writer.path is None else checkpoint_argument(writer.path)
    several = len(writer.members) > 1
    if own is None and several:
        moved = "Pass --corpus PATH if it has moved, or give" if have_one_text(writer.members) else "Give"
        raise RunError(f"{problem} {moved} a text to score as FILE.")
    if own is None:
        raise RunError(
            f"{problem} Pass --corpus PATH if it has moved, or give a text to score: textgen eval {argument} FILE"
        )
    if not own.held_out:
        if several:
            raise RunError("The runs have no held-out text: they were trained on their whole text. Give one as FILE.")
        raise RunError(
            f"The run {name!r} has no held-out text: it was trained on its whole text. "
            f"Give a text to score: textgen eval {argument} FILE"
        )
    return own


def title(own: RunText) -> str:
    """The names of a text's files, in short."""
    files = len(own.sources)
    return Path(own.sources[0]).name + (f" and {files - 1:,} more" if files > 1 else "")


def given(writer: Writer, own: RunText | None, text: str, name: str, unknown: Unknown) -> ScoredText:
    """A text of the user's.

    Raises:
        CorpusError: no character of it can be scored.
        UnknownCharacterError: it contains characters outside the vocabulary, and `unknown` refuses them.
    """
    text = writer.as_trained(text)
    if not text:
        raise CorpusError("There is nothing to score: the text is empty.")
    same = own is not None and text == own.held_out
    split: Split = "held-out" if same else "given"
    return _subject(writer.tokenizer, text, unknown=unknown, before="", split=split, source=name)


def _subject(
    tokenizer: CharTokenizer, text: str, *, unknown: Unknown, before: str, split: Split, source: str
) -> ScoredText:
    ids = tokenizer.encode(text, unknown=unknown)
    if not len(ids):
        raise CorpusError("There is nothing to score: none of the text's characters is in the model's vocabulary.")
    outside = len(text) - len(tokenizer.encode(text, unknown="skip"))
    dropped = len(text) - len(ids)
    return ScoredText(
        split=split,
        source=source,
        text=tokenizer.decode(ids) if dropped else text,
        sha256=hashlib.sha256(utf8(text)).hexdigest(),
        before=context_ids(tokenizer, tokenizer.encode(before, unknown="replace")),
        ids=ids,
        unknown=outside - dropped,
        dropped=dropped,
    )


def utf8(text: str) -> bytes:
    """A text in UTF-8; it may contain lone surrogates."""
    return text.encode("utf-8", "surrogatepass")

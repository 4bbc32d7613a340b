"""Reads a text as a run on records does: as records of the kind that it was trained on."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from textgen.config import CorpusConfig, Unknown
from textgen.corpus.lists import lines, paragraphs, whole
from textgen.corpus.tokenizer import CharTokenizer
from textgen.corpus.tunes import tunes

_CUTS = {"lines": lines, "paragraphs": paragraphs}


def cut_records(text: str, config: CorpusConfig) -> list[str]:
    r"""The records of a text, without empty ones: lines, paragraphs or tunes; of files and tables, all of it is one.

    >>> cut_records("Ada\nBea\n\n", CorpusConfig(records="lines"))
    ['Ada', 'Bea']
    >>> cut_records("Ada\nBea\n\n", CorpusConfig(text_field="name"))
    ['Ada\nBea']
    """
    if config.records == "tunes":
        return [tune for rows in tunes([text]) for tune in rows.texts]
    cut = _CUTS.get(config.records or "", whole)
    return [record for block in cut([text]) for record in block if record and not record.isspace()]


def encode_text(
    tokenizer: CharTokenizer, text: str, config: CorpusConfig, *, unknown: Unknown = "auto", ended: bool = True
) -> NDArray[Any]:
    r"""The ids of a text; where the vocabulary has an END, those of its records, each with END after it.

    Args:
        tokenizer: the vocabulary.
        text: any text.
        config: what a record is.
        unknown: how characters outside the vocabulary are encoded: see `CharTokenizer.encode`.
        ended: whether the last record ends with the text; if not, no END follows it.

    Raises:
        UnknownCharacterError: the text holds characters outside the vocabulary, and `unknown` refuses them.

    >>> encode_text(CharTokenizer("ab", has_end=True), "ab\nb\n", CorpusConfig(records="lines")).tolist()
    [0, 1, 2, 1, 2]
    """
    if tokenizer.end_id is None:
        return tokenizer.encode(text, unknown=unknown)
    ids = encode_given(tokenizer, cut_records(text, config), unknown=unknown)
    return ids if ended or text.endswith("\n") else ids[:-1]


def encode_given(tokenizer: CharTokenizer, records: Sequence[str], *, unknown: Unknown = "auto") -> NDArray[Any]:
    """The ids of records, each with END after it, by a vocabulary that has one.

    Raises:
        UnknownCharacterError: as `encode_text`.

    >>> encode_given(CharTokenizer("ab", has_end=True), ["ab", "b"]).tolist()
    [0, 1, 2, 1, 2]
    """
    end = np.array([tokenizer.end_id], tokenizer.dtype)
    # Of all at once, so that an error names all characters that are not known.
    tokenizer.encode("".join(records), unknown=unknown)
    parts = [part for record in records for part in (tokenizer.encode(record, unknown=unknown), end)]
    return np.concatenate(parts) if parts else end[:0]


def first_characters(records: Sequence[str], limit: int | None) -> tuple[list[str], bool]:
    """The records that the first `limit` characters belong to, ends counted, and whether the last one is whole.

    >>> first_characters(["Ada", "Bea"], 6), first_characters(["Ada", "Bea"], 8), first_characters(["Ada"], None)
    ((['Ada', 'Be'], False), (['Ada', 'Bea'], True), (['Ada'], True))
    """
    found: list[str] = []
    left = limit
    for record in records:
        if left is not None and left <= len(record):
            return ([*found, record[:left]] if left else found), not left
        found.append(record)
        left = None if left is None else left - len(record) - 1
    return found, True

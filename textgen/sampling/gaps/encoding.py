"""Turns the parts of a text with gaps into ids, with the ends of records where the model was trained on records."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from textgen.config import CorpusConfig, Unknown
from textgen.corpus.context import context_ids
from textgen.corpus.tokenizer import CharTokenizer
from textgen.sampling.gaps.markers import Gap, GappedText

Ids = NDArray[Any]

_BORDERS = {"lines": re.compile(r"\n+"), "paragraphs": re.compile(r"\n(?:[^\S\n]*\n)+")}
"""What parts the records of a text, by their kind; of other kinds a text is one record."""


@dataclass(frozen=True, eq=False)
class EncodedGaps:
    """A text with gaps as ids.

    Args:
        start: `(n,)`, at least one: the context of the beginning and what stands before the first gap.
        gaps: the gaps.
        behind: what stands behind each of them, up to the next or to the end of the text, which is an id, too.
    """

    start: Ids
    gaps: tuple[Gap, ...]
    behind: tuple[Ids, ...]


def encode_gaps(
    tokenizer: CharTokenizer, text: GappedText, config: CorpusConfig, *, unknown: Unknown = "auto"
) -> EncodedGaps:
    r"""The ids of a text with gaps.

    A text ends with the end of its record or, where it is running text, with the id that stands for the beginning of
    one, too: a line break if there is one; see `textgen.corpus.context`.

    Raises:
        UnknownCharacterError: the text holds characters outside the vocabulary, and `unknown` refuses them.

    >>> text = GappedText(("ab", "b"), (Gap(1, 1),))
    >>> encoded = encode_gaps(CharTokenizer("\nab"), text, CorpusConfig())
    >>> encoded.start.tolist(), [each.tolist() for each in encoded.behind]
    ([1, 2], [[2, 0]])
    >>> encoded = encode_gaps(CharTokenizer("ab", has_end=True), text, CorpusConfig(records="lines"))
    >>> encoded.start.tolist(), [each.tolist() for each in encoded.behind]
    ([2, 0, 1], [[1, 2]])
    """
    # Of all at once, so that an error names all characters that are not known; records are parted by line breaks.
    whole = "".join(text.texts)
    tokenizer.encode(whole.replace("\n", "") if tokenizer.has_end else whole, unknown=unknown)
    if tokenizer.has_end:
        return _encode_records(tokenizer, text, config, unknown)
    first, *others = (tokenizer.encode(each, unknown=unknown) for each in text.texts)
    end = context_ids(tokenizer, first[:0])
    if not len(others[-1]) or others[-1][-1] != end[0]:
        others[-1] = np.concatenate([others[-1], end])
    return EncodedGaps(context_ids(tokenizer, first), text.gaps, tuple(others))


def _encode_records(tokenizer: CharTokenizer, text: GappedText, config: CorpusConfig, unknown: Unknown) -> EncodedGaps:
    border = _BORDERS.get(config.records or "")
    end = np.array([tokenizer.end_id], tokenizer.dtype)
    texts = list(text.texts)
    texts[0], texts[-1] = texts[0].lstrip("\n") if border else texts[0], texts[-1].rstrip("\r\n")

    def encode(part: str) -> Ids:
        pieces = [part] if border is None else border.split(part)
        return _joined([tokenizer.encode(piece, unknown=unknown) for piece in pieces], end)

    first, *others = map(encode, texts)
    others[-1] = np.concatenate([others[-1], end])
    return EncodedGaps(np.concatenate([end, first]), text.gaps, tuple(others))


def _joined(pieces: Sequence[Ids], between: Ids) -> Ids:
    """The pieces with `between` between them."""
    parts = [part for piece in pieces for part in (between, piece)]
    return np.concatenate(parts[1:])

"""Cuts a long text into pieces that are rewritten one by one, and joins what was written."""

from __future__ import annotations

from collections.abc import Sequence

from textgen.corpus.pair_tasks import LONGEST_SENTENCE, cut_sentences


def cut(text: str, *, always: bool) -> list[tuple[str, str, str]]:
    r"""A text in pieces, each with the white space before and after it, which is kept.

    Args:
        text: any text.
        always: whether a short text is cut at its sentences, too, as that of a model that learned from sentences.

    Returns:
        The pieces; none for a text of white space.

    >>> cut("The sea. Calm!", always=True)
    [('', 'The sea.', ' '), ('', 'Calm!', '')]
    >>> cut("The sea. Calm!", always=False)
    [('', 'The sea. Calm!', '')]
    """
    if not text.strip():
        return []
    if not always and len(text) <= LONGEST_SENTENCE:
        return [("", text, "")]
    found = []
    for piece in cut_sentences(text):
        core = piece.strip()
        before = piece[: len(piece) - len(piece.lstrip())] if core else piece
        found.append((before, core, piece[len(before) + len(core) :]))
    return found


def joined(pieces: Sequence[tuple[str, str, str]], written: Sequence[str]) -> str:
    """The text of what was written for each piece.

    >>> joined(cut("The sea. Calm!", always=True), ["La mer.", "Calme!"])
    'La mer. Calme!'
    """
    return "".join(before + text + after for (before, _, after), text in zip(pieces, written, strict=True))

"""Copies characters that a model does not know from the source to where it looks at them."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from textgen.corpus.tokenizer import CharTokenizer


def copy_unknown(
    written: str, source: str, attention: NDArray[Any], *, reads: CharTokenizer, writes: CharTokenizer
) -> str:
    r"""A text with the source's unknown characters where the model wrote what stands in for them.

    An unknown character is read as the unknown id, or, where there is none, as a space. Where the model writes the
    same and its attention is greatest at such a character, that character is copied. A written unknown id that looks
    elsewhere becomes the unknown character with the greatest attention.

    Args:
        written: what the model wrote, U+FFFD where it is unknown.
        source: what it read, a character for each id.
        attention: `(characters and more, source ids)`.
        reads: the vocabulary of the source.
        writes: the vocabulary of what is written.

    >>> tokenizer = CharTokenizer("ab", has_unknown=True, has_end=True)
    >>> copy_unknown("a\ufffd", "éa", np.array([[0.1, 0.8, 0.1], [0.9, 0.1, 0.0]]), reads=tokenizer, writes=tokenizer)
    'aé'
    """
    outside = set(reads.outside(source))
    places = [n for n, character in enumerate(source) if character in outside]
    if not places:
        return written
    stand_in = "\ufffd" if reads.has_unknown else " "
    copied = list(written)
    for n, character in enumerate(written):
        unknown = character == "\ufffd" and writes.has_unknown
        if not unknown and character != stand_in:
            continue
        place = int(np.argmax(attention[n]))
        if unknown and place not in places:
            place = places[int(np.argmax(attention[n, places]))]
        if place in places:
            copied[n] = source[place]
    return "".join(copied)

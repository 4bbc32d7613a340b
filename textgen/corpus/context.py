"""What a network reads before the first character of a text that has no beginning of its own."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from textgen.corpus.tokenizer import CharTokenizer

Ids = NDArray[np.integer]


def context_ids(tokenizer: CharTokenizer, prompt: Ids) -> Ids:
    r"""The ids of a prompt, or where it is empty, of what a text without one is taken to follow.

    Training begins anywhere in a text, so a network needs some character to go on from: a line break, or where the
    vocabulary has none, a space; where it has neither, its first character.

    Args:
        tokenizer: the vocabulary.
        prompt: `(characters,)`, maybe none.

    >>> context_ids(CharTokenizer("\n a"), np.array([], np.uint8))
    array([0], dtype=uint8)
    """
    if len(prompt):
        return prompt
    places = (tokenizer.characters.find(character) for character in "\n ")
    return np.array([next((place for place in places if place >= 0), 0)], tokenizer.dtype)

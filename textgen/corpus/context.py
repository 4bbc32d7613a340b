"""The initial context of a model where there is no prompt."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from textgen.corpus.tokenizer import CharTokenizer

Ids = NDArray[np.integer]


def context_ids(tokenizer: CharTokenizer, prompt: Ids) -> Ids:
    r"""The ids of a prompt or, if it is empty, of a default context.

    There is no start-of-text token, so a model needs some character to condition on: a line break or, if the vocabulary
    has none, a space; if it has neither, its first character.

    Args:
        tokenizer: the vocabulary.
        prompt: `(characters,)`, may be empty.

    >>> context_ids(CharTokenizer("\n a"), np.array([], np.uint8))
    array([0], dtype=uint8)
    """
    if len(prompt):
        return prompt
    places = (tokenizer.characters.find(character) for character in "\n ")
    return np.array([next((place for place in places if place >= 0), 0)], tokenizer.dtype)

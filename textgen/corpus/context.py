"""The initial context of a model where there is no prompt."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from textgen.corpus.tokenizer import CharTokenizer

Ids = NDArray[np.integer]


def context_ids(tokenizer: CharTokenizer, prompt: Ids) -> Ids:
    r"""The ids of a prompt or, if it is empty, of a default context; for records END and the prompt.

    A record begins after END, before which a model's state is zero. Running text has no start-of-text token, so a model
    needs some character to condition on: a line break or, if the vocabulary has none, a space; if it has neither, its
    first character.

    Args:
        tokenizer: the vocabulary.
        prompt: `(characters,)`, may be empty.

    >>> context_ids(CharTokenizer("\n a"), np.array([], np.uint8))
    array([0], dtype=uint8)
    >>> context_ids(CharTokenizer("\n a", has_end=True), np.array([2], np.uint8))
    array([3, 2], dtype=uint8)
    """
    if tokenizer.end_id is not None:
        return np.append(np.array([tokenizer.end_id], tokenizer.dtype), prompt)
    if len(prompt):
        return prompt
    places = (tokenizer.characters.find(character) for character in "\n ")
    return np.array([next((place for place in places if place >= 0), 0)], tokenizer.dtype)

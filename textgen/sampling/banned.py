"""What `ban`, `allow` and `logit_bias` mean for a vocabulary: the ids that are never written, and the biases."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from textgen.config import SamplingConfig, require
from textgen.corpus.characters import name_characters
from textgen.corpus.tokenizer import CharTokenizer
from textgen.errors import ConfigError


def banned_ids(tokenizer: CharTokenizer, config: SamplingConfig) -> NDArray[np.intp]:
    """The ids that are never written, ascending.

    Args:
        tokenizer: the vocabulary.
        config: its `ban` and `allow`.

    Raises:
        ConfigError: `allow` holds characters outside the vocabulary, or no character is left to write.

    >>> banned_ids(CharTokenizer("abn", has_unknown=True), SamplingConfig(ban="by", allow="ab"))
    array([1, 2, 3])
    """
    characters = tokenizer.characters
    require(characters != "", "characters", "at least one that can be written", characters)
    lacking = tokenizer.outside(config.allow)
    if lacking:
        them = "them" if len(lacking) > 1 else "it"
        raise ConfigError(
            f"allow must be made of characters of the model's vocabulary, which lacks {name_characters(lacking)}. "
            f"Leave {them} out.",
            field="allow",
        )
    left = set(config.allow or characters) - set(config.ban)
    if not left:
        raise ConfigError(
            "ban and allow must leave at least one character to write; they leave none. Ban fewer or allow others.",
            field="ban",
            others=("allow",),
        )
    banned = [n for n, character in enumerate(characters) if character not in left]
    unknown = [] if tokenizer.unknown_id is None else [tokenizer.unknown_id]
    return np.array(banned + unknown, np.intp)


def bias_of(tokenizer: CharTokenizer, config: SamplingConfig) -> NDArray[np.float64] | None:
    """What is added to each id's logit, `(vocab,)`; None for nothing.

    Args:
        tokenizer: the vocabulary.
        config: its `logit_bias`.

    Raises:
        ConfigError: a character is outside the vocabulary.

    >>> bias_of(CharTokenizer("abn"), SamplingConfig(logit_bias=("b:-2",)))
    array([ 0., -2.,  0.])
    """
    biases = config.biases
    if not biases:
        return None
    lacking = tokenizer.outside("".join(biases))
    if lacking:
        them = "them" if len(lacking) > 1 else "it"
        raise ConfigError(
            "logit_bias must be for characters of the model's vocabulary, which lacks "
            f"{name_characters(lacking)}. Leave {them} out.",
            field="logit_bias",
        )
    found = np.zeros(tokenizer.vocab_size)
    found[tokenizer.encode("".join(biases)).astype(np.intp)] = list(biases.values())
    return found

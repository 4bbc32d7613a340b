"""Suggests the likeliest continuations of a text to the end of a word, by beam search over characters."""

from __future__ import annotations

import functools
import math
import unicodedata
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from textgen.config import SamplingConfig, Unknown, plain, require
from textgen.corpus.context import context_ids
from textgen.corpus.tokenizer import CharTokenizer
from textgen.engine import Network
from textgen.sampling.banned import banned_ids
from textgen.sampling.logits import log_softmax

Array = NDArray[np.float64]
Mask = NDArray[np.bool_]

LONGEST = 40
"""Maximum length of a continuation in characters."""

LEAST = 1e-6
"""Minimum probability of a suggestion."""

_LEAD = 4
"""Maximum number of characters before its word."""

_UNSPACED = (
    (0x0E00, 0x0EFF),
    (0x1000, 0x109F),
    (0x1780, 0x17FF),
    (0x2E80, 0x2FDF),
    (0x3040, 0x30FF),
    (0x3400, 0x4DBF),
    (0x4E00, 0x9FFF),
    (0xF900, 0xFAFF),
    (0x20000, 0x3FFFF),
)
"""Code points of scripts without spaces between words: Thai, Lao, Burmese, Khmer, kana, Chinese characters."""


@dataclass(frozen=True)
class Suggestion:
    """A continuation.

    Args:
        text: what to append.
        probability: that exactly this follows, and that the word ends there.
    """

    text: str
    probability: float


def is_word(character: str) -> bool:
    """Whether a character belongs to a word: a letter, a digit, a combining mark, an apostrophe or an underscore.

    >>> [is_word(c) for c in "aß7’_ -."]
    [True, True, True, True, True, False, False, False]
    """
    return character.isalnum() or character in "'’_" or unicodedata.category(character).startswith("M")


def is_whole_word(character: str) -> bool:
    """Whether a character counts as a word by itself, because its script has no spaces between words.

    >>> [is_whole_word(c) for c in "a山の"]
    [False, True, True]
    """
    return any(low <= ord(character) <= high for low, high in _UNSPACED)


def suggest(
    engine: Network,
    tokenizer: CharTokenizer,
    text: str,
    *,
    n: int = 5,
    unknown: Unknown = "replace",
    ban: str = "",
    allow: str = "",
    labels: NDArray[np.float32] | None = None,
) -> list[Suggestion]:
    """The likeliest continuations of `text` to the end of a word.

    Within a word, a continuation is the rest of it; if the word may be complete already, it is the separator and the
    next word. A word ends with its record, or before the next character that is not `is_word`, which is not part of the
    continuation, but its probability is included.

    Args:
        engine: the network.
        tokenizer: its vocabulary.
        text: the text so far; see `textgen.corpus.context` for an empty one.
        n: number of continuations, in [1, 100]; fewer if no others reach the probability `LEAST`.
        unknown: how characters that the model never saw are treated: see `CharTokenizer.encode`.
        ban: characters that no continuation holds; probabilities stay the model's own.
        allow: the only characters that continuations may hold; an empty text allows all.
        labels: `(labels,)`, the weights of the text's labels; None for none.

    Returns:
        The continuations by descending probability.

    Raises:
        UnknownCharacterError: the text holds characters that the model never saw, and `unknown` refuses them.
        ConfigError: `n` is out of its range, or `ban` and `allow` are not possible; see `banned_ids`.
    """
    n = plain(n)
    require(isinstance(n, int) and 1 <= n <= 100, "n", "a whole number in [1, 100]", n)
    words, wholes, others = _kinds(tokenizer)
    ends = others.copy()
    if tokenizer.end_id is not None:
        ends[tokenizer.end_id] = True
    written = np.ones(tokenizer.vocab_size, np.bool_)
    written[banned_ids(tokenizer, SamplingConfig(ban=ban, allow=allow))] = False
    ids = context_ids(tokenizer, tokenizer.encode(text, unknown=unknown))
    state = engine.initial_state(1) if labels is None else engine.initial_state(1, labels=labels)
    logits, state = engine.read(ids[None], state, last=True)
    live, logs = [""], np.zeros(1)
    found: list[tuple[float, str]] = []
    width, least = max(16, 4 * n), math.log(LEAST)
    for length in range(1, LONGEST + 1):
        logprobs = log_softmax(logits.astype(np.float64))
        grown = logprobs + logs[:, None]
        begun = np.array([any(map(is_word, each)) for each in live])
        ended = np.logaddexp.reduce(np.where(ends, grown, -np.inf), axis=-1)
        found += [(float(ended[row]), live[row]) for row in np.flatnonzero(begun)]
        whole = wholes & written & ~begun[:, None]
        found += [
            (float(grown[row, each]), live[row] + tokenizer.characters[each])
            for row, each in _highest(np.where(whole, grown, -np.inf), n)
        ]
        found = sorted(found, key=lambda each: -each[0])[:n]
        least = max(least, found[-1][0]) if len(found) == n else least
        grows = written & (words | (others & ~begun[:, None] & (length <= _LEAD)))
        places = _highest(np.where(grows & ~whole & (grown > least), grown, -np.inf), width)
        if not places:
            break
        rows, chosen = zip(*places, strict=True)
        live = [live[row] + tokenizer.characters[each] for row, each in places]
        logs = grown[rows, chosen]
        logits, state = engine.step(chosen, state.take(rows))
    return [Suggestion(each, math.exp(log)) for log, each in found if log > math.log(LEAST)]


def _highest(values: Array, n: int) -> list[tuple[int, int]]:
    """The indices, row and column, of the `n` highest finite values, descending."""
    flat = values.ravel()
    best = np.argpartition(flat, -n)[-n:] if n < len(flat) else np.arange(len(flat))
    best = best[np.argsort(-flat[best], kind="stable")]
    return [divmod(place, values.shape[1]) for place in best[np.isfinite(flat[best])].tolist()]


@functools.lru_cache(maxsize=4)
def _kinds_of(characters: str, size: int) -> tuple[Mask, Mask, Mask]:
    """Masks of the ids that are parts of words, words by themselves, and others; the unknown id is in none."""
    words, wholes, others = np.zeros((3, size), np.bool_)
    for place, character in enumerate(characters):
        words[place], wholes[place] = is_word(character), is_whole_word(character)
        others[place] = not words[place]
    return words, wholes & words, others


def _kinds(tokenizer: CharTokenizer) -> tuple[Mask, Mask, Mask]:
    return _kinds_of(tokenizer.characters, tokenizer.vocab_size)

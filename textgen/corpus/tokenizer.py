"""A character-level tokenizer: encodes text as ids, one per character, and decodes ids to text.

    characters="abn": "banana" -> [1, 0, 2, 0, 2, 0] -> "banana"

Ids follow code-point order, so the same characters always have the same ids, whatever text they came from.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Self, get_args

import numpy as np
from numpy.typing import NDArray

from textgen.config import Unknown, require
from textgen.corpus.characters import CODE_POINTS, CharacterCounts, from_code_points, name_characters, to_code_points
from textgen.errors import ConfigError, CorpusError, UnknownCharacterError

_CHUNK = 1 << 17
_REPLACEMENT = "\ufffd"
_END = "\n"


class CharTokenizer:
    """A character-level tokenizer; immutable.

    Args:
        characters: the vocabulary: distinct characters in code-point order; a character's id is its index.
        has_unknown: whether there is an additional id, after those of the characters, for all other characters.
        has_end: whether there is an additional last id for the end of a record, which no character of a text has.

    Raises:
        ConfigError: the characters are not distinct and in order, or the vocabulary is empty.

    >>> tokenizer = CharTokenizer("abn")
    >>> tokenizer.encode("banana")
    array([1, 0, 2, 0, 2, 0], dtype=uint8)
    >>> tokenizer.decode([1, 0, 2])
    'ban'
    """

    def __init__(self, characters: str, *, has_unknown: bool = False, has_end: bool = False) -> None:
        codes = to_code_points(characters).astype(np.int64)
        require(
            bool((np.diff(codes) > 0).all()),
            "characters",
            "distinct and in code-point order",
            characters if len(characters) <= 40 else f"{characters[:40]}...",
            "Use CharTokenizer.from_text to build a vocabulary from a text.",
        )
        require(bool(characters) or has_unknown, "characters", "at least one character", characters)
        self._characters = characters
        self._has_unknown = has_unknown
        self._has_end = has_end
        self._dtype = np.min_scalar_type(self.vocab_size)
        self._ids = np.full(int(codes[-1]) + 2 if len(codes) else 1, self.vocab_size, self._dtype)
        self._ids[codes] = np.arange(len(codes))
        others = [ord(_REPLACEMENT)] * has_unknown + [ord(_END)] * has_end
        self._codes = np.append(codes, np.array(others, np.int64))
        self._codes = self._codes.astype(np.uint8 if self._codes.max() < 256 else np.uint32)

    @classmethod
    def from_text(cls, pieces: str | Iterable[str], *, min_count: int = 1) -> Self:
        """A tokenizer with the vocabulary of a text, whole or in pieces. See `from_counts`.

        >>> CharTokenizer.from_text(["ban", "ana"])
        CharTokenizer('abn')
        """
        counts = CharacterCounts()
        for piece in [pieces] if isinstance(pieces, str) else pieces:
            counts.add(piece)
        return cls.from_counts(counts.to_dict(), min_count=min_count)

    @classmethod
    def from_counts(cls, counts: Mapping[str, int], *, min_count: int = 1, has_end: bool = False) -> Self:
        """A tokenizer with the vocabulary of a text with these character counts.

        Args:
            counts: how often each character occurs, at least once.
            min_count: rarer characters share the unknown id, which exists only if there are any.
            has_end: whether there is an id for the end of a record.

        Raises:
            CorpusError: there are no characters, or each is rarer than `min_count`.

        >>> CharTokenizer.from_counts({"a": 3, "b": 1, "n": 2}, min_count=2)
        CharTokenizer('an', has_unknown=True)
        """
        kept = sorted(character for character, count in counts.items() if count >= min_count)
        if not counts:
            raise CorpusError("The text is empty, so it has no vocabulary. Give a text of at least one character.")
        if not kept:
            raise CorpusError(
                f"No character occurs {min_count:,} times, so min_count leaves no vocabulary; the most frequent "
                f"occurs {max(counts.values()):,} times. Choose a smaller min_count."
            )
        return cls("".join(kept), has_unknown=len(kept) < len(counts), has_end=has_end)

    @property
    def characters(self) -> str:
        """The vocabulary's characters in code-point order; a character's id is its index."""
        return self._characters

    @property
    def has_unknown(self) -> bool:
        """Whether there is an id for characters outside the vocabulary."""
        return self._has_unknown

    @property
    def unknown_id(self) -> int | None:
        """The id of characters outside the vocabulary, the one after those of the characters; None if there is none."""
        return len(self._characters) if self._has_unknown else None

    @property
    def has_end(self) -> bool:
        """Whether there is an id for the end of a record."""
        return self._has_end

    @property
    def end_id(self) -> int | None:
        """The id of a record's end, the last one; None if there is none.

        >>> CharTokenizer("abn", has_end=True).end_id, CharTokenizer("abn").end_id
        (3, None)
        """
        return self.vocab_size - 1 if self._has_end else None

    @property
    def vocab_size(self) -> int:
        """The number of ids, including the unknown one and that of a record's end."""
        return len(self._characters) + self._has_unknown + self._has_end

    @property
    def dtype(self) -> np.dtype[Any]:
        """The smallest unsigned type that holds `vocab_size`."""
        return self._dtype

    def encode(self, text: str, *, unknown: Unknown = "auto") -> NDArray[Any]:
        """The ids of a text.

        Args:
            text: any text.
            unknown: how to treat characters outside the vocabulary. "auto" uses the unknown id or, if there is none,
                raises an error; "error" raises an error; "skip" drops them; "replace" uses the unknown id or, if there
                is none, the id of a space; if there is none of that either, it drops them.

        Returns:
            `(characters,)` of type `dtype`, each in [0, `vocab_size`).

        Raises:
            UnknownCharacterError: the text contains characters outside the vocabulary, and `unknown` refuses them.

        >>> CharTokenizer(" ab").encode("a-b", unknown="replace")
        array([1, 0, 2], dtype=uint8)
        >>> CharTokenizer("ab", has_unknown=True).encode("a-b")
        array([0, 2, 1], dtype=uint8)
        """
        require(unknown in get_args(Unknown), "unknown", "one of " + ", ".join(get_args(Unknown)), unknown)
        if unknown == "auto":
            unknown = "replace" if self._has_unknown else "error"
        substitute = self._substitute() if unknown == "replace" else None
        ids = np.empty(len(text), self._dtype)
        filled = 0
        for start in range(0, len(text), _CHUNK):
            piece = text[start : start + _CHUNK]
            found = self._ids.take(to_code_points(piece), mode="clip")
            lacking = found == self.vocab_size
            if lacking.any():
                if unknown == "error":
                    raise unknown_characters(self.outside(text))
                if substitute is not None:
                    found[lacking] = substitute
                else:
                    found = found[~lacking]
            ids[filled : filled + len(found)] = found
            filled += len(found)
        return ids if filled == len(ids) else ids[:filled].copy()

    def encode_code_points(self, codes: NDArray[Any]) -> NDArray[Any]:
        """The ids of a text given by its code points, which are known to be in the vocabulary or have its unknown id.

        Args:
            codes: `(characters,)`, unsigned integers.

        Returns:
            `(characters,)` of type `dtype`.

        >>> CharTokenizer("abn").encode_code_points(np.array([98, 97], np.uint8)).tolist()
        [1, 0]
        """
        ids = np.empty(len(codes), self._dtype)
        for start in range(0, len(codes), _CHUNK):
            found = self._ids.take(codes[start : start + _CHUNK], mode="clip")
            lacking = found == self.vocab_size
            if lacking.any():
                require(self._has_unknown, "codes", "in the vocabulary", self.outside(from_code_points(codes)))
                found[lacking] = self.unknown_id
            ids[start : start + _CHUNK] = found
        return ids

    def outside(self, text: str) -> str:
        """The distinct characters of a text that are outside the vocabulary, in code-point order.

        >>> CharTokenizer(" ab").outside("b-a--z")
        '-z'
        """
        found: set[str] = set()
        for start in range(0, len(text), _CHUNK):
            piece = text[start : start + _CHUNK]
            lacking = self._ids.take(to_code_points(piece), mode="clip") == self.vocab_size
            found.update(piece[place] for place in np.flatnonzero(lacking))
        return "".join(sorted(found))

    def decode(self, ids: Sequence[int] | NDArray[Any]) -> str:
        r"""The text of some ids: the unknown id becomes U+FFFD, the replacement character, a record's end a newline.

        Args:
            ids: `(characters,)`, integers in [0, `vocab_size`).

        Raises:
            ConfigError: an id is outside the vocabulary, or the ids are not a one-dimensional array of integers.

        >>> CharTokenizer("ab", has_unknown=True).decode([0, 2, 1]) == "a\ufffdb"
        True
        >>> CharTokenizer("ab", has_end=True).decode([0, 1, 2, 1, 2])
        'ab\nb\n'
        """
        places = np.asarray(ids)
        if places.size == 0:
            return ""
        whole = places.ndim == 1 and np.issubdtype(places.dtype, np.integer)
        require(whole, "ids", "a one-dimensional array of integers", f"{places.dtype} of shape {places.shape}")
        low, high = int(places.min()), int(places.max())
        outside = low if low < 0 else high
        require(low >= 0 and high < self.vocab_size, "ids", f"in [0, {self.vocab_size})", outside)
        codes = self._codes.take(places, mode="clip")
        return codes.tobytes().decode("latin-1") if codes.dtype == np.uint8 else from_code_points(codes)

    def to_json(self) -> dict[str, Any]:
        """The vocabulary as plain JSON values; `has_end` only where there is such an id.

        The characters are one string, or a list of code points if there are lone surrogates among them, since two of
        those side by side would be read back as one character.

        >>> CharTokenizer("abn").to_json()
        {'characters': 'abn', 'has_unknown': False}
        """
        codes = to_code_points(self._characters)
        surrogates = bool(((codes >= 0xD800) & (codes <= 0xDFFF)).any())
        characters: str | list[int] = codes.tolist() if surrogates else self._characters
        ending = {"has_end": True} if self._has_end else {}
        return {"characters": characters, "has_unknown": self._has_unknown, **ending}

    @classmethod
    def from_json(cls, values: Mapping[str, Any]) -> Self:
        """The tokenizer from the values that `to_json` returned.

        Raises:
            ConfigError: the values are not valid.
        """
        known = {"characters", "has_unknown"}
        if not isinstance(values, Mapping) or set(values) - {"has_end"} != known:
            got = sorted(map(str, values)) if isinstance(values, Mapping) else type(values).__name__
            raise ConfigError(f"A tokenizer must hold characters and has_unknown; got {got}.")
        characters, has_unknown, has_end = values["characters"], values["has_unknown"], values.get("has_end", False)
        require(isinstance(has_unknown, bool), "has_unknown", "true or false", has_unknown)
        require(isinstance(has_end, bool), "has_end", "true or false", has_end)
        if isinstance(characters, list):
            whole = all(type(code) is int and 0 <= code < CODE_POINTS for code in characters)
            require(whole, "characters", "code points in [0, 1114112)", "a list with other values")
            characters = "".join(map(chr, characters))
        require(isinstance(characters, str), "characters", "a text or code points", type(characters).__name__)
        return cls(characters, has_unknown=has_unknown, has_end=has_end)

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, CharTokenizer):
            return NotImplemented
        return self._key() == other._key()

    def __hash__(self) -> int:
        return hash(self._key())

    def _key(self) -> tuple[str, bool, bool]:
        return self._characters, self._has_unknown, self._has_end

    def __repr__(self) -> str:
        more = ", has_unknown=True" * self._has_unknown + ", has_end=True" * self._has_end
        if len(self._characters) <= 200:
            return f"CharTokenizer({self._characters!r}{more})"
        return f"<CharTokenizer of {len(self._characters):,} characters from {self._characters[:20]!r}...{more}>"

    def _substitute(self) -> int | None:
        if self._has_unknown:
            return self.unknown_id
        space = self._characters.find(" ")
        return space if space >= 0 else None


def replacement_note(tokenizer: CharTokenizer, text: str, unknown: Unknown) -> str:
    """Says which characters of a text `CharTokenizer.encode` replaces without having been asked to; "" if none.

    >>> replacement_note(CharTokenizer("ab", has_unknown=True), "aé", "auto")
    "1 character is outside the vocabulary and read as the run's rare characters, which share one id: 'é' (U+00E9)."
    >>> replacement_note(CharTokenizer("ab", has_unknown=True), "aé", "replace")
    ''
    """
    found = tokenizer.outside(text) if unknown == "auto" and tokenizer.has_unknown else ""
    if not found:
        return ""
    some = f"{len(found):,} characters are" if len(found) > 1 else "1 character is"
    return (
        f"{some} outside the vocabulary and read as the run's rare characters, which share one id: "
        f"{name_characters(found)}."
    )


def unknown_characters(characters: str) -> UnknownCharacterError:
    """The error for a text with `characters`, distinct and in code-point order, outside the vocabulary.

    >>> print(str(unknown_characters("é")).partition(" Remove")[0])
    The text contains 1 character that the model never saw: 'é' (U+00E9).
    """
    some = len(characters) > 1
    them = "them" if some else "it"
    return UnknownCharacterError(
        f"The text contains {len(characters):,} character{'s' if some else ''} that the model never saw: "
        f"{name_characters(characters)}.",
        characters=characters,
        remedy=f'Remove {them}, or pass unknown="skip" to drop {them} or unknown="replace" to replace {them}.',
    )

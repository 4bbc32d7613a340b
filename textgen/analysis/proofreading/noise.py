"""Puts errors into a text, so that it can be measured how many of them are found."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from textgen.analysis.proofreading.edits import KINDS


@dataclass(frozen=True)
class Error:
    """An error in a text.

    Args:
        start: its position in the text with the errors.
        kind: one of `KINDS`.
        stands: what stands there; "" where something is missing.
        expected: what should.
    """

    start: int
    kind: str
    stands: str
    expected: str


def add_noise(text: str, rate: float, *, characters: Sequence[str], seed: int = 0) -> tuple[str, list[Error]]:
    r"""A text with random errors of the four kinds, each as frequent.

    Args:
        text: the text. Its line breaks stay, and none is added.
        rate: how probable an error is at each character, in [0, 1].
        characters: those that may come in, each as probable.
        seed: the same one makes the same errors.

    Returns:
        The text, and its errors from left to right.

    >>> noisy, errors = add_noise("the sea, the sea", 0.2, characters="abc", seed=3)
    >>> [noisy[each.start :].startswith(each.stands) for each in errors] == [True] * len(errors)
    True
    """
    generator = np.random.Generator(np.random.PCG64(seed))
    wrong = np.flatnonzero(generator.random(len(text)) < rate).tolist()
    kinds = generator.integers(len(KINDS), size=len(wrong)).tolist()
    drawn = generator.integers(len(characters), size=len(wrong)).tolist()
    parts: list[str] = []
    errors: list[Error] = []
    done = length = 0
    for place, kind, which in zip(wrong, kinds, drawn, strict=True):
        here, new = text[place], characters[which]
        if place < done or "\n" in (here, new):
            continue
        both = text[place : place + 2]
        stands, expected = ((new, here), (new, ""), ("", here), (both[::-1], both))[kind]
        if stands == expected or "\n" in stands or (kind == 3 and len(stands) < 2):
            continue
        kept = text[done:place]
        length += len(kept)
        errors.append(Error(length, KINDS[kind], stands, expected))
        parts += [kept, stands]
        length += len(stands)
        done = place + len(expected)
    return "".join([*parts, text[done:]]), errors

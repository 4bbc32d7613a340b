"""Joins the lines of hard-wrapped prose into paragraphs, and leaves verse, lists and tables as they are.

A block, the lines between two blank ones, is joined if all of this holds:

- its longest line has 50 characters or more, and every line but the last has three fifths of that or more;
- no line but the first is indented, none begins as an item of a list does, and none has three spaces in a row;
- a line that is not the first begins with a small letter, so that scripts without them are left as they are.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator

SHORTEST = 50
"""The length in characters that the longest line of a wrapped block has at least."""

_FULL = 0.6
_LONGEST = 1 << 16
"""Characters of a block from which on it is no paragraph, and left as it is."""

_ITEM = re.compile(r"[-*•‣–—+]\s|\(?(?:\d{1,3}|[a-zA-Z]|[ivxlcIVXLC]{1,6})[.)]\s|[|#>]")


def unwrap(pieces: Iterable[str]) -> Iterator[str]:
    r"""The text with its wrapped paragraphs on one line each.

    Args:
        pieces: the text, with LF at the ends of lines.

    >>> prose = "The sea was calm that morning, and nobody on the quay\nhad any wish to speak of it.\n\n"
    >>> verse = "The sea was calm that morning on the quay,\nAnd nobody had any wish to speak\n"
    >>> print("".join(unwrap([prose, verse])), end="")
    The sea was calm that morning, and nobody on the quay had any wish to speak of it.
    <BLANKLINE>
    The sea was calm that morning on the quay,
    And nobody had any wish to speak
    """
    block: list[str] = []
    held, length, long = "", 0, False
    for piece in pieces:
        whole, newline, rest = (held + piece).rpartition("\n")
        held = rest
        done: list[str] = []
        if newline:
            for line in whole.split("\n"):
                if not line.strip():
                    done += [*_joined(block, long), line]
                    block, length, long = [], 0, False
                    continue
                block.append(line)
                length += len(line) + 1
                if length > _LONGEST:
                    done += block
                    block, length, long = [], 0, True
        # What is longer is no line of a wrapped block: it goes out as it comes.
        if len(held) > _LONGEST:
            done += block
            block, length, long = [], 0, True
            yield "".join(f"{line}\n" for line in done) + held
            held = ""
        elif done:
            yield "".join(f"{line}\n" for line in done)
    last = _joined([*block, held] if held else block, long)
    if last:
        yield "\n".join(last) + ("" if held else "\n")


def _joined(block: list[str], long: bool) -> list[str]:
    """The lines of a block, joined if they are wrapped prose."""
    if long or not is_wrapped(block):
        return block
    text, parts = block[0].rstrip(), [block[0].rstrip()]
    for line in map(str.strip, block[1:]):
        # A part of a word is joined, as is what stands at a dash.
        broken = text[-1] == "-" and (text[-2:-1] == "-" or (text[-2:-1].isalpha() and line[0].islower()))
        parts += [line] if broken else [" ", line]
        text = line
    return ["".join(parts)]


def is_wrapped(block: list[str]) -> bool:
    """Whether the lines of a block are those of a wrapped paragraph, by the rule above.

    >>> is_wrapped(["1. a quarter of a pound of butter, two eggs, and a", "2. spoon of flour"])
    False
    """
    if len(block) < 2:
        return False
    lines = list(map(str.rstrip, block))
    lengths = list(map(len, lines))
    longest = max(lengths)
    if longest < SHORTEST or min(lengths[:-1]) < _FULL * longest:
        return False
    others = lines[1:]
    if any(line[0].isspace() for line in others) or not any(line[0].islower() for line in others):
        return False
    stripped = list(map(str.lstrip, lines))
    return not any("   " in line for line in stripped) and not any(map(_ITEM.match, stripped))

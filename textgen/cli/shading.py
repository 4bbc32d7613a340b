"""Shows a text on a terminal, coloured by the surprisal of each character."""

from __future__ import annotations

import itertools
import math
import sys
from collections.abc import Iterator
from typing import TYPE_CHECKING, Literal

import click

from textgen.cli.command import visible
from textgen.display.shades import legend, level
from textgen.system import colours as colours_of

if TYPE_CHECKING:
    from textgen.engine.scoring import Score

_CODES_256 = ("", "48;5;230;38;5;16", "48;5;229;38;5;16", "48;5;222;38;5;16", "48;5;215;38;5;16", "48;5;209;38;5;16",
              "48;5;203;38;5;16", "48;5;197;38;5;16")  # fmt: skip
_CODES_16 = ("", "", "32", "32", "33", "33", "31", "31;1")


def show(score: Score) -> None:
    """Writes the text to standard output: coloured if possible, otherwise with the mean bits of each line."""
    many = colours_of(sys.stdout)
    text = coloured(score, colours=many) if many else plain(score)
    click.echo(text.rstrip("\n") + "\n", color=True)


def spans(score: Score) -> Iterator[tuple[int, str]]:
    """The spans of text of one shade, each with the shade's number."""
    bits = (-score.logprobs / math.log(2.0)).tolist()
    pairs = zip(score.text, bits, strict=True)
    for number, group in itertools.groupby(pairs, key=lambda pair: level(pair[1])):
        yield number, "".join(character for character, _ in group)


def coloured(score: Score, *, colours: Literal[16, 256]) -> str:
    """The coloured text, after a line with the legend."""
    codes = _CODES_256 if colours == 256 else _CODES_16
    key = "  ".join(_painted(text, codes[n]) for n, text in enumerate(legend()))
    text = "".join(_painted(visible(piece), codes[number]) for number, piece in spans(score))
    return f"bits: {key}\n\n{text}"


def plain(score: Score) -> str:
    """The text without colours, each line after its mean bits."""
    bits = (-score.logprobs / math.log(2.0)).tolist()
    rows, start = [], 0
    for line in score.text.splitlines(keepends=True):
        part = bits[start : start + len(line)]
        rows.append(f"{sum(part) / len(part):6.2f}  {line.rstrip()}")
        start += len(line)
    return "\n".join(rows)


def _painted(text: str, code: str) -> str:
    """Coloured text; a line break is shown as a sign and not coloured, or the colour would fill the line."""
    if not code:
        return text
    lines = [f"\x1b[{code}m{line}\x1b[0m" if line else "" for line in text.replace("\n", "\u21b5\n").split("\n")]
    return "\n".join(lines)

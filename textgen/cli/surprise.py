"""A text coloured by how much each character surprised a model: for a terminal, or as a page."""

from __future__ import annotations

import html
import itertools
import math
from collections.abc import Iterator
from typing import TYPE_CHECKING, Literal

from textgen.cli.command import visible

if TYPE_CHECKING:
    from textgen.score import Score

BORDERS = (1.0, 2.0, 3.0, 4.0, 6.0, 8.0, 11.0)
"""Bits of surprise at which the next colour begins."""

_COLOURS = ("", "#fff7cf", "#ffe9a3", "#ffd27a", "#ffb45e", "#ff8f56", "#f96a5d", "#e0457b")
_CODES_256 = ("", "48;5;230;38;5;16", "48;5;229;38;5;16", "48;5;222;38;5;16", "48;5;215;38;5;16", "48;5;209;38;5;16",
              "48;5;203;38;5;16", "48;5;197;38;5;16")  # fmt: skip
_CODES_16 = ("", "", "32", "32", "33", "33", "31", "31;1")

_PAGE = """\
<!DOCTYPE html>
<html lang="und">
<meta charset="utf-8">
<meta name="viewport" content="width=device-width">
<title>{title}</title>
<style>
:root {{ color-scheme: light }}
body {{ max-width: 80ch; margin: 2em auto; padding: 0 1em; background: #fff; color: #111 }}
body {{ font: 16px/1.5 system-ui, sans-serif }}
pre {{ white-space: pre-wrap; overflow-wrap: anywhere; font: 15px/1.6 ui-monospace, monospace }}
{styles}
</style>
<h1>{title}</h1>
<p>{summary}</p>
<p>Bits of surprise: {legend}</p>
<pre>{text}</pre>
</html>
"""


def level(bits: float) -> int:
    """The number of the colour for a surprise.

    >>> [level(bits) for bits in (0.0, 1.0, 5.9, 6.0, 40.0)]
    [0, 1, 4, 5, 7]
    """
    return sum(bits >= border for border in BORDERS)


def spans(score: Score) -> Iterator[tuple[int, str, float]]:
    """Stretches of one colour: its number, the text, and its mean bits of surprise."""
    bits = (-score.logprobs / math.log(2.0)).tolist()
    pairs = zip(score.text, bits, strict=True)
    for number, group in itertools.groupby(pairs, key=lambda pair: level(pair[1])):
        characters, values = zip(*group, strict=True)
        yield number, "".join(characters), sum(values) / len(values)


def legend() -> list[str]:
    """What the colours mean, in bits.

    >>> legend()[:2], legend()[-1]
    (['below 1', '1 to 2'], '11 and more')
    """
    between = [f"{low:g} to {high:g}" for low, high in itertools.pairwise(BORDERS)]
    return [f"below {BORDERS[0]:g}", *between, f"{BORDERS[-1]:g} and more"]


def coloured(score: Score, *, colours: Literal[16, 256]) -> str:
    """The text for a terminal, after a line that says what the colours mean."""
    codes = _CODES_256 if colours == 256 else _CODES_16
    key = "  ".join(_painted(text, codes[n]) for n, text in enumerate(legend()))
    text = "".join(_painted(visible(piece), codes[number]) for number, piece, _ in spans(score))
    return f"bits: {key}\n\n{text}"


def plain(score: Score) -> str:
    """The text without colours: the mean bits of each line before it."""
    bits = (-score.logprobs / math.log(2.0)).tolist()
    rows, start = [], 0
    for line in score.text.splitlines(keepends=True):
        part = bits[start : start + len(line)]
        rows.append(f"{sum(part) / len(part):6.2f}  {line.rstrip()}")
        start += len(line)
    return "\n".join(rows)


def page(score: Score, *, title: str, summary: str) -> str:
    """The text as a page that needs nothing else; each stretch tells its bits under the mouse."""
    styles = "\n".join(f".s{n} {{ background: {colour} }}" for n, colour in enumerate(_COLOURS) if colour)
    key = " ".join(f'<span class="s{n}">{text}</span>' for n, text in enumerate(legend()))
    text = "".join(_span(number, piece, bits) for number, piece, bits in spans(score))
    return _PAGE.format(title=html.escape(title), summary=html.escape(summary), styles=styles, legend=key, text=text)


def _span(number: int, text: str, bits: float) -> str:
    # A page may hold no control characters but these, and no half of a surrogate pair.
    kept = html.escape(
        "".join(c if c in "\n\t" or (ord(c) >= 0x20 and not 0xD800 <= ord(c) < 0xE000) else "\ufffd" for c in text)
    )
    if number >= 4:
        kept = kept.replace("\n", "\u21b5\n")
    return f'<span class="s{number}" title="{bits:.1f}">{kept}</span>' if number else kept


def _painted(text: str, code: str) -> str:
    """Text in a colour; a line break is a sign before it, since it would carry the colour to the terminal's edge."""
    if not code:
        return text
    lines = [f"\x1b[{code}m{line}\x1b[0m" if line else "" for line in text.replace("\n", "\u21b5\n").split("\n")]
    return "\n".join(lines)

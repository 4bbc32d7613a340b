r"""Finds the marks of gaps in a text: `[3]` three characters, `[1-10]` one to ten, `[...]` unknown, `#` one each.

What stands between the brackets and is no number, range or ellipsis leaves them a part of the text. Marks side by side
are one gap, whose length is the sum of theirs.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

from textgen.config import FillConfig, require
from textgen.config.gaps import LONGEST
from textgen.errors import ConfigError


@dataclass(frozen=True)
class Gap:
    """A gap of at least `least` and at most `most` characters.

    >>> Gap(1, 3) + Gap(2, 2)
    Gap(least=3, most=5)
    """

    least: int
    most: int

    def __add__(self, other: Gap) -> Gap:
        return Gap(self.least + other.least, self.most + other.most)


@dataclass(frozen=True)
class GappedText:
    """A text with gaps.

    Args:
        texts: what stands before the first gap, between the gaps, and after the last; some may be empty.
        gaps: one fewer.
    """

    texts: tuple[str, ...]
    gaps: tuple[Gap, ...]

    def filled(self, fillings: Sequence[str]) -> str:
        """The text with these fillings, one for each gap.

        >>> GappedText(("The ", ".",), (Gap(3, 3),)).filled(["sea"])
        'The sea.'
        """
        return self.texts[0] + "".join(a + b for a, b in zip(fillings, self.texts[1:], strict=True))


def parse_gaps(text: str, config: FillConfig) -> GappedText:
    """The parts of a text with marks of gaps.

    Raises:
        ConfigError: the text has no mark, or one of a gap that is too long or whose range runs backwards.

    >>> parse_gaps("The [3] w## [...]!", FillConfig(mask="#", longest=9))
    GappedText(texts=('The ', ' w', ' ', '!'), gaps=(Gap(least=3, most=3), Gap(least=2, most=2), Gap(least=1, most=9)))
    """
    left, right = re.escape(config.gap_open), re.escape(config.gap_close)
    mark = re.compile(
        rf"{left}\s*(?:(?P<least>\d+)(?:\s*[-–]\s*(?P<most>\d+))?|\.\.\.|…)\s*{right}"
        + (f"|(?P<mask>{re.escape(config.mask)})" if config.mask else ""),
        re.ASCII,
    )
    texts, place = [""], 0
    gaps: list[Gap] = []
    for found in mark.finditer(text):
        gap = _gap(found, config)
        texts[-1] += text[place : found.start()]
        place = found.end()
        if gaps and not texts[-1]:
            gaps[-1] += gap
            _check_length(gaps[-1], text[found.start() : place])
        else:
            gaps.append(gap)
            texts.append("")
    texts[-1] += text[place:]
    if not gaps:
        opened, closed = config.gap_open, config.gap_close
        masked = f", or {config.mask} for one character each" if config.mask else ""
        raise ConfigError(
            f"The text has no gap to fill. Mark it as {opened}3{closed} for three missing characters, "
            f"{opened}1-10{closed} for one to ten, {opened}...{closed} for an unknown number{masked}."
        )
    return GappedText(tuple(texts), tuple(gaps))


def _gap(found: re.Match[str], config: FillConfig) -> Gap:
    values = found.groupdict()
    if values.get("mask"):
        return Gap(1, 1)
    if values["least"] is None:
        return Gap(1, config.longest)
    least = _number(values["least"])
    most = least if values["most"] is None else _number(values["most"])
    gap = Gap(least, most)
    _check_length(gap, found[0])
    if most < least:
        raise ConfigError(f"The gap {found[0]!r} ends before it begins. Write the smaller number first.")
    return gap


def _number(digits: str) -> int:
    """A number; one of many digits, which Python refuses to read, as one that is out of range, too."""
    return int(digits) if len(digits) < 10 else 10**9


def _check_length(gap: Gap, shown: str) -> None:
    require(
        gap.most >= 1 and max(gap.least, gap.most) <= LONGEST,
        f"The gap {shown!r}",
        f"of 1 to {LONGEST:,} characters",
        max(gap.least, gap.most),
    )

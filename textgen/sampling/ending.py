"""Decides where a text ends: by its length, at a stop text, or at the end of a line, paragraph or record.

Takes one character at a time and returns what may be shown. Characters that could begin a stop text are held back until
it is certain that they do not, and so is what `trim` could still cut off.
"""

from __future__ import annotations

from typing import Literal

from textgen.config import SamplingConfig
from textgen.sampling.sentences import Sentences

FinishReason = Literal["length", "stop", "line", "paragraph", "record", "match", "ending", "interrupted"]

OVERRUN = {"length": 0, "line": 1_000, "paragraph": 4_000}
"""Characters past `max_new_tokens` after which a text ends even if its line or paragraph does not."""


class Ending:
    """The end of one text.

    `max_new_tokens` characters are written, or `max_length` if that is less, stop texts and held-back characters
    included. With `until` the text continues to the end of the line or paragraph that it is in by then, line break or
    empty line included. Line breaks before the first visible character do not end it, so that a text that follows a
    whole line is a line, too. It ends `OVERRUN` characters later at the latest. Only a text that ends with the reason
    "length" is trimmed.

    Args:
        config: `max_new_tokens`, `max_length`, `stop`, `include_stop`, `until` and `trim` are read.

    Attributes:
        reason: why the text has ended; None while it has not. "length" also after an overrun.

    >>> ending = Ending(SamplingConfig(stop=("END",)))
    >>> [ending.add(character) for character in "HENEND"], ending.reason
    (['H', '', '', 'EN', '', ''], 'stop')
    >>> ending = Ending(SamplingConfig(stop=("END",), include_stop=True))
    >>> [ending.add(character) for character in "HENEND"], ending.reason
    (['H', '', '', 'EN', '', 'END'], 'stop')
    >>> ending = Ending(SamplingConfig(trim="sentence", max_new_tokens=9))
    >>> [ending.add(character) for character in "Yes. No. "], ending.reason
    (['', '', '', '', 'Yes.', '', '', '', ' No.'], 'length')
    """

    def __init__(self, config: SamplingConfig) -> None:
        self.reason: FinishReason | None = None
        self._left = config.longest
        self._until = config.until
        self._stops, self._include_stop = config.stop, config.include_stop
        self._beginnings = frozenset(stop[:end] for stop in config.stop for end in range(1, len(stop)))
        self._sentences = Sentences() if config.trim == "sentence" else None
        self._held = ""
        self._tail = ""
        self._visible = False
        if self._left + OVERRUN[self._until] <= 0:
            self.reason = "length"

    def add(self, character: str) -> str:
        """Takes the next character.

        Returns:
            The next piece of the text, possibly empty. The last piece completes it.
        """
        self._left -= 1
        if self._until != "length":
            self._look_for_break(character)
        elif self._left <= 0:
            self.reason = "length"
        piece = self._without_stops(character) if self._stops else character
        if self._sentences is None:
            return piece
        shown = self._sentences.add(piece)
        if self.reason is None:
            return shown
        return shown + (self._sentences.end() if self.reason == "length" else self._sentences.rest())

    def finish(self, reason: FinishReason) -> str:
        """Ends the text here, for a reason of the caller's.

        Returns:
            The last piece of the text: what was held back.
        """
        self.reason = reason
        piece, self._held = self._held, ""
        return piece if self._sentences is None else self._sentences.add(piece) + self._sentences.rest()

    def _without_stops(self, character: str) -> str:
        self._held += character
        if self._held.endswith(self._stops):
            self.reason = "stop"
            if self._include_stop:
                return self._held
            return self._held[: -max(len(stop) for stop in self._stops if self._held.endswith(stop))]
        certain = len(self._held)
        if self.reason is None:
            certain = next(
                (start for start in range(certain) if self._held[start:] in self._beginnings),
                certain,
            )
        shown, self._held = self._held[:certain], self._held[certain:]
        return shown

    def _look_for_break(self, character: str) -> None:
        self._tail = (self._tail + character)[-4:]
        self._visible = self._visible or not character.isspace()
        if self._left > 0:
            return
        if self._left <= -OVERRUN[self._until]:
            self.reason = "length"
        ends = ("\n",) if self._until == "line" else ("\n\n", "\r\n\r\n")
        if self._visible and self._tail.endswith(ends):
            self.reason = "line" if self._until == "line" else "paragraph"


def impossible(config: SamplingConfig, characters: str) -> list[tuple[str, str]]:
    r"""The ends that no text of some characters can come to.

    Args:
        config: `stop` and `until` are read.
        characters: the vocabulary.

    Returns:
        For each the field and its value.

    >>> impossible(SamplingConfig(stop=("b", "\n"), until="line"), "ab")
    [('stop', '\n'), ('until', 'line')]
    """
    found = [("stop", stop) for stop in config.stop if not set(stop) <= set(characters)]
    return found + ([("until", config.until)] if config.until != "length" and "\n" not in characters else [])

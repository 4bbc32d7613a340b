"""The text that a user and a model write together in `textgen complete`. It knows no terminal."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import TYPE_CHECKING

from textgen.config import Until

if TYPE_CHECKING:
    from textgen.sampling.suggestions import Suggestion
    from textgen.sampling.writer import Writer

CONTEXT = 1000
"""How many characters of the draft the model reads again for suggestions."""

_CLUSTER = 8
"""Characters that normalisation may make one of."""

_SEEDS = 1 << 63


class Draft:
    """A text, what could follow, and what it was before.

    Args:
        writer: the model.
        temperature: how freely it writes.
        seed: all of its chance follows from it.
        choices: how many suggestions to make.

    Attributes:
        text: the text so far.
    """

    def __init__(self, writer: Writer, *, temperature: float, seed: int, choices: int) -> None:
        self.text = ""
        self._writer = writer
        self._temperature, self._seed, self._choices = temperature, seed, choices
        self._before: list[str] = []
        self._drawn = 0
        self._suggested: tuple[str, list[Suggestion]] | None = None

    @property
    def line(self) -> str:
        """The line that is being written."""
        return self.text[self.text.rfind("\n") + 1 :]

    @property
    def suggestions(self) -> list[Suggestion]:
        """How the text could go on to the end of the word, the likeliest first."""
        if self._suggested is None or self._suggested[0] != self.text:
            self._suggested = (self.text, self.suggest(self.text))
        return self._suggested[1]

    def suggest(self, text: str) -> list[Suggestion]:
        """How another text could go on to the end of the word, the likeliest first."""
        return list(self._writer.suggest(text[-CONTEXT:], n=self._choices))

    def check(self, before: str, text: str) -> None:
        """Refuses a text to add that the model could not go on from; an accent counts with the letter before it.

        Raises:
            UnknownCharacterError: it holds characters that the model does not know.
        """
        self._writer.tokenizer.encode(self._writer.as_trained(before[-_CLUSTER:] + text))

    def add(self, text: str) -> None:
        """Appends what the user wrote.

        Raises:
            UnknownCharacterError: it holds characters that the model does not know; the text stays as it was.
        """
        self.check(self.text, text)
        self._keep()
        self.text += text

    def pick(self, number: int) -> bool:
        """Takes a suggestion, counted from 1; False where there is none of that number."""
        if not 1 <= number <= len(self.suggestions):
            return False
        chosen = self.suggestions[number - 1].text
        self._keep()
        self.text += chosen
        return True

    def write(self, until: Until) -> Iterator[str]:
        """Lets the model write on, to the end of a line or a paragraph, and yields the pieces as they are added."""
        self._keep()
        for piece in self.stream(self.text, until):
            self.text += piece
            yield piece

    def stream(self, text: str, until: Until) -> Iterator[str]:
        """What the model writes on from another text, piece by piece; differently each time."""
        self._drawn += 1
        seed = (self._seed + self._drawn) % _SEEDS
        return iter(self._writer.stream(text, max_new_tokens=1, until=until, temperature=self._temperature, seed=seed))

    def clear(self) -> None:
        """Starts afresh."""
        if self.text:
            self._keep()
            self.text = ""

    def undo(self) -> None:
        """Goes back to the text before the last change."""
        if self._before:
            self.text = self._before.pop()

    def _keep(self) -> None:
        self._before.append(self.text)


def label(text: str, suggestion: Suggestion) -> str:
    r"""The word that a suggestion makes of the end of a text, and its probability, on one line.

    >>> from textgen.sampling.suggestions import Suggestion
    >>> label("the se", Suggestion("a", 0.75)), label("the", Suggestion("\n\nsea", 0.001))
    ('sea 75%', 'the↵↵sea <1%')
    """
    begun = re.search(r"\S*\Z", text)
    word = ((begun[0] if begun else "") + suggestion.text).strip(" ").replace("\n", "\u21b5")
    chance = suggestion.probability
    return f"{word} {chance:.0%}" if chance >= 0.005 else f"{word} <1%"

"""The text that a user and a model write together in `textgen complete`. It knows no terminal."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from textgen.config import Until

if TYPE_CHECKING:
    from textgen.sampling.suggestions import Suggestion
    from textgen.sampling.writer import Writer

CONTEXT = 1000
"""How many characters of the draft the model reads again for suggestions."""

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
        self._asked: Until = "line"
        self._suggested: tuple[str, list[Suggestion]] | None = None

    @property
    def line(self) -> str:
        """The line that is being written."""
        return self.text[self.text.rfind("\n") + 1 :]

    @property
    def suggestions(self) -> list[Suggestion]:
        """How the text could go on to the end of the word, the likeliest first."""
        if self._suggested is None or self._suggested[0] != self.text:
            found = list(self._writer.suggest(self.text[-CONTEXT:], n=self._choices))
            self._suggested = (self.text, found)
        return self._suggested[1]

    def add(self, text: str) -> None:
        """Appends what the user wrote.

        Raises:
            UnknownCharacterError: it holds characters that the model does not know; the text stays as it was.
        """
        self._writer.tokenizer.encode(text)
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
        self._drawn += 1
        self._asked = until
        for piece in self._writer.stream(
            self.text,
            max_new_tokens=1,
            until=until,
            temperature=self._temperature,
            seed=(self._seed + self._drawn) % _SEEDS,
        ):
            self.text += piece
            yield piece

    def again(self) -> Iterator[str]:
        """Takes the last change back and lets the model write anew, as far as it was asked to last."""
        self.undo()
        return self.write(self._asked)

    def erase(self, text: str) -> None:
        """Takes characters off the end."""
        if text:
            self._keep()
            self.text = self.text.removesuffix(text)

    def undo(self) -> None:
        """Goes back to the text before the last change."""
        if self._before:
            self.text = self._before.pop()

    def _keep(self) -> None:
        self._before.append(self.text)

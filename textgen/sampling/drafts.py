"""The text that a user and a model write together in `textgen complete`, without the terminal."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from textgen.config import Until
from textgen.corpus.tokenizer import replacement_note

if TYPE_CHECKING:
    from textgen.sampling.suggestions import Suggestion
    from textgen.sampling.writer import Writer

CONTEXT = 1000
"""Characters at the end of the draft that suggestions are computed from."""

_CLUSTER = 8
"""Characters that normalisation may compose into one."""

_SEEDS = 1 << 63


class Draft:
    """A text with suggestions for its continuation and an undo history.

    Args:
        writer: the model.
        temperature: softmax temperature of what it writes.
        seed: of all random numbers.
        choices: number of suggestions.
        ban: characters that it neither writes nor suggests.
        allow: the only characters that it writes and suggests; an empty text allows all.
        label: the labels of the records that it writes and suggests, as `SamplingConfig.label`.

    Attributes:
        text: the text so far.
    """

    def __init__(
        self,
        writer: Writer,
        *,
        temperature: float,
        seed: int,
        choices: int,
        ban: str = "",
        allow: str = "",
        label: tuple[str, ...] = (),
    ) -> None:
        self.text = ""
        self._writer = writer
        self._temperature, self._seed, self._choices = temperature, seed, choices
        self._limits: dict[str, Any] = {"ban": ban, "allow": allow, "label": label}
        self._before: list[str] = []
        self._drawn = 0
        self._noted = False
        self._suggested: tuple[str, list[Suggestion]] | None = None

    @property
    def line(self) -> str:
        """The current line."""
        return self.text[self.text.rfind("\n") + 1 :]

    @property
    def suggestions(self) -> list[Suggestion]:
        """The likeliest continuations of the text to the end of the word, best first."""
        if self._suggested is None or self._suggested[0] != self.text:
            self._suggested = (self.text, self.suggest(self.text))
        return self._suggested[1]

    def suggest(self, text: str) -> list[Suggestion]:
        """The likeliest continuations of another text to the end of the word, best first."""
        return list(self._writer.suggest(self._record(text)[-CONTEXT:], n=self._choices, **self._limits))

    def check(self, before: str, text: str) -> str:
        """Checks that the model can read a text to add; an accent counts with the letter before it.

        Returns:
            The first time, which characters the run's unknown id stands for, in a sentence; otherwise "".

        Raises:
            UnknownCharacterError: it holds characters outside the vocabulary, and the run has no unknown id.
        """
        tokenizer, read = self._writer.tokenizer, self._writer.as_trained(before[-_CLUSTER:] + text)
        if self._by_line:
            read = read.replace("\n", "")
        tokenizer.encode(read)
        note = "" if self._noted else replacement_note(tokenizer, read, "auto")
        self._noted = self._noted or bool(note)
        return note

    def add(self, text: str) -> str:
        """Appends what the user wrote; returns what `check` does.

        Raises:
            UnknownCharacterError: the model cannot read it; the draft stays as it was.
        """
        note = self.check(self.text, text)
        self._keep()
        self.text += text
        return note

    def pick(self, number: int) -> bool:
        """Takes a suggestion, counted from 1; False where there is none of that number."""
        if not 1 <= number <= len(self.suggestions):
            return False
        chosen = self.suggestions[number - 1].text
        self._keep()
        self.text += chosen
        return True

    def write(self, until: Until) -> Iterator[str]:
        """Lets the model continue to the end of a line or paragraph, and yields the pieces as they are added."""
        self._keep()
        for piece in self.stream(self.text, until):
            self.text += piece
            yield piece

    def stream(self, text: str, until: Until) -> Iterator[str]:
        """Streams the model's continuation of another text; each call draws a new one."""
        self._drawn += 1
        seed = (self._seed + self._drawn) % _SEEDS
        return iter(
            self._writer.stream(
                self._record(text),
                max_new_tokens=1,
                until=until,
                temperature=self._temperature,
                seed=seed,
                **self._limits,
            )
        )

    @property
    def _by_line(self) -> bool:
        """Whether each line is a record, which the model reads by itself."""
        return self._writer.tokenizer.has_end and self._writer.reading.records == "lines"

    def _record(self, text: str) -> str:
        return text[text.rfind("\n") + 1 :] if self._by_line else text

    def clear(self) -> None:
        """Empties the text."""
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
    r"""The word that a suggestion completes at the end of a text, and its probability, on one line.

    >>> from textgen.sampling.suggestions import Suggestion
    >>> label("the se", Suggestion("a", 0.75)), label("the", Suggestion("\n\nsea", 0.001))
    ('sea 75%', 'the↵↵sea <1%')
    """
    begun = re.search(r"\S*\Z", text)
    word = ((begun[0] if begun else "") + suggestion.text).strip(" ").replace("\n", "\u21b5")
    probability = suggestion.probability
    return f"{word} {probability:.0%}" if probability >= 0.005 else f"{word} <1%"

"""The suggestion behind the cursor in the editor of `textgen complete`; needs the package `prompt_toolkit`."""

from __future__ import annotations

from collections.abc import Callable
from typing import cast

from prompt_toolkit.formatted_text import StyleAndTextTuples
from prompt_toolkit.layout.processors import Processor, Transformation, TransformationInput

from textgen.cli.command import visible


class Ghost(Processor):
    """Shows a text behind the cursor, anywhere in the edited text.

    Args:
        shown: returns what to show.
    """

    def __init__(self, shown: Callable[[], str]) -> None:
        self._shown = shown

    def apply_transformation(self, transformation_input: TransformationInput) -> Transformation:
        """The line with the text behind the cursor, if the cursor is on it."""
        given = transformation_input
        ghost = self._shown()
        if not ghost or given.lineno != given.document.cursor_position_row:
            return Transformation(given.fragments)
        place, length = given.source_to_display(given.document.cursor_position_col), len(ghost)
        characters = [(style, c) for style, text, *_ in given.fragments for c in text]
        fragments = cast("StyleAndTextTuples", [*characters[:place], ("class:ghost", ghost), *characters[place:]])
        return Transformation(
            fragments,
            source_to_display=lambda n: n + length * (n > place),
            display_to_source=lambda n: n if n <= place else max(n - length, place),
        )


def on_one_line(text: str) -> str:
    r"""A suggestion as it is shown.

    >>> on_one_line("the\n\tsea")
    'the↵ sea'
    """
    return visible(text.replace("\n", "\u21b5").replace("\t", " "))

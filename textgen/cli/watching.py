"""What the commands share that watch a run while it reads: a bar, and the page that comes of it."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Protocol

from textgen.cli.bars import bars
from textgen.system import atomic_write


class Shown(Protocol):
    """Something that can show itself as a page."""

    def to_html(self, *, title: str) -> str:
        """The page."""


def write_page(path: Path, found: Shown, *, file: str) -> None:
    """Writes the page about a text that came from `file`, "-" for standard input.

    Raises:
        OSError: it cannot be written.
    """
    title = "Standard input" if file == "-" else Path(file).name or file
    with atomic_write(path, follow_link=True) as output:
        output.write(found.to_html(title=title).encode())


@contextlib.contextmanager
def reading_bar() -> Iterator[Callable[[int, int], None] | None]:
    """A bar for a text that takes a while to read; called with the characters done and all. None without a terminal."""
    with bars({"reading": ("reading", " char")}) as progress:
        yield None if progress is None else partial(progress, "reading")

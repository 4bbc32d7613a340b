"""The progress bar and the HTML page of the commands that observe a run on a text."""

from __future__ import annotations

import contextlib
import errno
import os
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Protocol

from textgen.cli.bars import bars
from textgen.system import atomic_write


class HtmlReport(Protocol):
    """A result that can be written as an HTML page."""

    def to_html(self, *, title: str) -> str:
        """The HTML page."""


def check_page(path: Path) -> None:
    """Refuses a page whose folder is missing, before any time is spent.

    Raises:
        OSError: there is no such folder.
    """
    if not path.parent.is_dir():
        raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT), os.fspath(path))


def write_page(path: Path, found: HtmlReport, *, file: str) -> None:
    """Writes the page of a result; `file` is the text's file, "-" for standard input.

    Raises:
        OSError: it cannot be written.
    """
    title = "Standard input" if file == "-" else Path(file).name or file
    with atomic_write(path, follow_link=True) as output:
        output.write(found.to_html(title=title).encode())


@contextlib.contextmanager
def reading_bar() -> Iterator[Callable[[int, int], None] | None]:
    """A progress bar, called with the characters done and the total; None without a terminal."""
    with bars({"reading": ("reading", " char")}) as progress:
        yield None if progress is None else partial(progress, "reading")

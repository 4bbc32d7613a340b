"""Tries the addresses of named corpora: whether each brings the raw file, and whether that becomes the text."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from pathlib import Path

from textgen.corpus.named.download import Patience, Report, try_address
from textgen.corpus.named.entry import Entry
from textgen.corpus.named.store import write_text
from textgen.errors import CorpusError


def verify(
    entry: Entry, *, report: Report | None = None, patience: Patience | None = None
) -> Iterator[tuple[str, str]]:
    """Downloads a corpus from each of its addresses into a temporary folder, and cleans it.

    Args:
        entry: the corpus.
        report: is told of the progress of a download.
        patience: attempts and time limits; None takes the defaults.

    Yields:
        An address, and what is wrong with it; "" where all is right.

    Raises:
        ImportError: pooch is not installed.
        OSError: the folder for temporary files cannot be written.
    """
    for address in (entry.address, *entry.mirrors):
        with tempfile.TemporaryDirectory() as folder:
            raw = Path(folder) / entry.raw_file
            problem = try_address(entry, address, raw, report=report, patience=patience or Patience(attempts=2))
            if not problem and not entry.is_clean:
                try:
                    write_text(entry, raw, Path(folder) / f"text.{entry.suffix}")
                except CorpusError as error:
                    problem = str(error)
            yield address, problem

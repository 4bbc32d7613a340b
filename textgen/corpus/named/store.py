"""The folders of named corpora: finds a text that is there, or downloads its raw file and cleans it."""

from __future__ import annotations

import contextlib
import hashlib
import os
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

from textgen import system
from textgen.corpus.named.cleaning import clean
from textgen.corpus.named.download import Patience, Report, download, where_to_put
from textgen.corpus.named.entry import Entry
from textgen.corpus.sources import CHUNK, show_path
from textgen.errors import CorpusError

VARIABLE = "TEXTGEN_CORPORA"
"""The environment variable with the folders, of which the first takes what is downloaded."""

_RAW = "raw"
_PAUSE = 0.2


def corpora_folders() -> tuple[Path, ...]:
    """The folders in which named corpora are looked for; downloads go to the first.

    They are those of TEXTGEN_CORPORA, with the system's separator of paths, or else `corpora` in the folder that the
    system has for downloads.
    """
    named = [Path(each) for each in os.environ.get(VARIABLE, "").split(os.pathsep) if each]
    return tuple(named) or (system.downloads_folder() / "corpora",)


def find_text(entry: Entry, folders: Sequence[Path]) -> Path | None:
    """A corpus's text in the first folder that has it; None where none has."""
    return next((path for folder in folders if has_sha256(path := folder / entry.file, entry.text_sha256)), None)


def fetch_text(
    entry: Entry,
    *,
    folders: Sequence[Path] | None = None,
    offline: bool = False,
    report: Report | None = None,
    patience: Patience | None = None,
) -> Path:
    """The file of a named corpus's text, which is downloaded and cleaned unless it is there.

    Args:
        entry: the corpus.
        folders: where to look; the first takes what is downloaded. None takes `corpora_folders`.
        offline: use only what is there.
        report: is told of the progress of a download.
        patience: attempts and time limits of a download; None takes the defaults.

    Raises:
        CorpusError: it is not there and cannot be had, another file has its name, or the folder cannot be written.
    """
    folders = corpora_folders() if folders is None else folders
    found = find_text(entry, folders)
    if found is not None:
        return found
    folder = folders[0]
    raw = folder / entry.file if entry.is_clean else folder / _RAW / entry.raw_file
    text = folder / entry.file
    # Another process may have written it since.
    if os.path.lexists(text) and not has_sha256(text, entry.text_sha256):
        raise CorpusError(
            f"{show_path(text)} is not the text of the corpus {entry.name!r}, whose SHA-256 begins with "
            f"{entry.text_sha256[:12]}. Move it away to have the corpus, or train on it by its path."
        )
    if offline and not has_sha256(raw, entry.sha256):
        raise CorpusError(
            f"The corpus {entry.name!r} is not in {show_path(folder)}, and nothing is downloaded offline. "
            f"{where_to_put(entry, raw)}"
        )
    with _explained(folder):
        raw.parent.mkdir(parents=True, exist_ok=True)
        with _alone(raw):
            # Another process may have been here first.
            if not has_sha256(text, entry.text_sha256):
                if not has_sha256(raw, entry.sha256):
                    download(entry, raw, report=report, patience=patience or Patience())
                if not entry.is_clean:
                    write_text(entry, raw, text)
    return text


def write_text(entry: Entry, raw: Path, text: Path) -> None:
    """Cleans a raw file whose checksum is right into a text.

    Raises:
        CorpusError: it does not become the text that the registry describes; `text` is not written.
        OSError: it cannot be written.
    """
    digest = hashlib.sha256()
    with system.atomic_write(text) as file:
        for data in clean(entry, raw):
            digest.update(data)
            file.write(data)
        if digest.hexdigest() != entry.text_sha256:
            raise CorpusError(
                f"The raw file of the corpus {entry.name!r} was cleaned to another text than that of the registry. "
                "Install the newest textgen, or choose another corpus."
            )


def has_sha256(path: Path, sha256: str) -> bool:
    """Whether a path is a file with these contents."""
    try:
        if not path.is_file():
            return False
        digest = hashlib.sha256()
        with path.open("rb") as file:
            while chunk := file.read(CHUNK):
                digest.update(chunk)
    except OSError:
        return False
    return digest.hexdigest() == sha256


@contextlib.contextmanager
def _alone(raw: Path) -> Iterator[None]:
    """Waits until no other process works on this file."""
    lock = system.FileLock(raw.with_name(f"{raw.name}.lock"))
    while not lock.acquire():
        time.sleep(_PAUSE)
    try:
        yield
    finally:
        lock.release()


@contextlib.contextmanager
def _explained(folder: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise CorpusError(
            f"Cannot write to {show_path(folder)}: {system.explain(error)} The environment variable {VARIABLE} chooses "
            "another folder."
        ) from error

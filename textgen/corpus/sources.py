"""The sources of a corpus: finds files, folders and standard input, and reads their bytes.

Sources have a fixed order and can be read repeatedly: standard input and pipes are copied to a temporary file when
first read.
"""

from __future__ import annotations

import contextlib
import os
import stat
import sys
import tempfile
import weakref
from collections.abc import Iterator, Sequence
from pathlib import Path, PurePosixPath
from typing import BinaryIO

from textgen import system
from textgen.config import require
from textgen.errors import CorpusError

STANDARD_INPUT = "-"
CHUNK = 1 << 20
"""Bytes read at a time."""


class Source:
    """A file, or a stream that is copied to a temporary file when it is first read.

    Args:
        name: its name in messages.
        path: the file; None for a stream.
        stream: the stream; None for a file.

    Attributes:
        location: the path as a string; "-" for a stream.

    Example:
        >>> import io
        >>> source = Source("standard input", stream=io.BytesIO(b"The sea"))
        >>> b"".join(source.chunks()), b"".join(source.chunks()), source.size
        (b'The sea', b'The sea', 7)
    """

    def __init__(self, name: str, *, path: Path | None = None, stream: BinaryIO | None = None) -> None:
        self.name = name
        self.location = "-" if path is None else str(path).encode("utf-8", "backslashreplace").decode()
        self._path = path
        self._stream = stream
        self._kept: BinaryIO | None = None
        self._size: int | None = None

    @property
    def size(self) -> int:
        """The source's size in bytes when first asked for; a stream is read to determine it.

        Raises:
            CorpusError: the source cannot be read.
        """
        if self._size is None:
            path = self._file()
            with self._explained():
                self._size = self._keep().seek(0, os.SEEK_END) if path is None else path.stat().st_size
        return self._size

    def chunks(self) -> Iterator[bytes]:
        """The source's bytes from its start, in pieces of at most `CHUNK`.

        Of a growing file, such as a log, only the first `size` bytes are read, so that every pass is the same.

        Raises:
            CorpusError: the source cannot be read.
        """
        left, path = self.size, self._file()
        with self._explained(), contextlib.ExitStack() as stack:
            file = self._keep() if path is None else stack.enter_context(path.open("rb", buffering=0))
            while left:
                file.seek(self.size - left)
                if not (chunk := file.read(min(CHUNK, left))):
                    return
                left -= len(chunk)
                yield chunk

    def _file(self) -> Path | None:
        """The path, if it can be read repeatedly."""
        if self._path is None or self._kept is not None:
            return None
        with self._explained():
            return self._path if stat.S_ISREG(self._path.stat().st_mode) else None

    def _keep(self) -> BinaryIO:
        if self._kept is None:
            with contextlib.ExitStack() as stack:
                with self._explained():
                    stream = self._stream or stack.enter_context(Path(self._path or "").open("rb"))
                kept = _temporary_file(self.name)
                weakref.finalize(self, kept.close)
                while chunk := self._read(stream):
                    try:
                        kept.write(chunk)
                    except OSError as error:
                        raise _cannot_keep(self.name, error) from error
            self._kept = kept
        return self._kept

    def _read(self, stream: BinaryIO) -> bytes:
        try:
            with self._explained():
                return stream.read(CHUNK)
        except ValueError as error:
            raise CorpusError(f"Cannot read {self.name}: it is closed. Pipe a text in, or name a file.") from error

    @contextlib.contextmanager
    def _explained(self) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            raise CorpusError(f"Cannot read {self.name}: {system.explain(error)}") from error


def find_sources(
    paths: Sequence[str | os.PathLike[str]], *, glob: str = "*", stdin: BinaryIO | None = None
) -> tuple[Source, ...]:
    """Finds the sources of some paths, in the order given, with a folder's files sorted by path.

    Folders are searched recursively for files whose path ends in a match of `glob`. Hidden folders are skipped, and
    hidden files unless the pattern names them with a dot; links to folders inside a folder are not followed. A file
    that is named twice is read once.

    Args:
        paths: files, folders, or "-" for standard input.
        glob: a pattern for the files of a folder, for instance "*.txt" or "letters/*.txt".
        stdin: standard input; None takes the process's own.

    Raises:
        CorpusError: a path is missing, unreadable or a device, or a folder has no matching file.
        ConfigError: `glob` is not a valid pattern.
    """
    try:
        PurePosixPath("a").match(glob)
    except ValueError:
        require(False, "glob", "a pattern such as '*.txt'", glob)
    if not paths:
        raise CorpusError("There is no text to read. Name a file, a folder, or - for standard input.")
    found: dict[str, Source] = {}
    for path in paths:
        if os.fspath(path) == STANDARD_INPUT:
            found.setdefault(STANDARD_INPUT, Source("standard input", stream=_standard_input(stdin)))
            continue
        for file in _files(path, glob=glob):
            found.setdefault(os.path.realpath(file), Source(show_path(file), path=file))
    return tuple(found.values())


def show_path(path: str | os.PathLike[str]) -> str:
    """A path for messages, quoted if it has spaces or unprintable characters.

    >>> show_path("poems.txt"), show_path("my poems.txt")
    ('poems.txt', "'my poems.txt'")
    """
    text = os.fspath(path)
    return text if text.isprintable() and not any(map(str.isspace, text)) and text else repr(text)


def _files(path: str | os.PathLike[str], *, glob: str) -> list[Path]:
    shown = show_path(path)
    if not os.fspath(path):
        raise CorpusError("A path is empty. Name a file, a folder, or - for standard input.")
    try:
        mode = Path(path).stat().st_mode
    except OSError as error:
        raise CorpusError(f"Cannot read {shown}: {system.explain(error)}") from error
    except ValueError as error:
        raise CorpusError(f"{shown} is not a valid file name. Check the path.") from error
    if stat.S_ISDIR(mode):
        files = sorted(_matches(Path(path), glob=glob), key=lambda file: file.as_posix())
        if not files:
            raise CorpusError(
                f"The folder {shown} has no file that matches {glob!r}. "
                "Choose another pattern, for instance --glob '*.md'."
            )
        return files
    if stat.S_ISCHR(mode) or stat.S_ISBLK(mode):
        raise CorpusError(f"{shown} is a device, not a text. Name a file, a folder, or - for standard input.")
    if not os.access(path, os.R_OK):
        raise CorpusError(f"Cannot read {shown}: permission is denied. Change the permissions or name another file.")
    return [Path(path)]


def _matches(folder: Path, *, glob: str) -> Iterator[Path]:
    hidden = PurePosixPath(glob).name.startswith(".")

    def refuse(error: OSError) -> None:
        raise CorpusError(f"Cannot read the folder {show_path(error.filename)}: {system.explain(error)}") from error

    for parent, folders, files in os.walk(folder, onerror=refuse):
        folders[:] = [name for name in folders if not name.startswith(".")]
        for name in files:
            file = Path(parent, name)
            if (
                (hidden or not name.startswith("."))
                and PurePosixPath(file.relative_to(folder).as_posix()).match(glob)
                and file.is_file()
            ):
                yield file


def _standard_input(stdin: BinaryIO | None) -> BinaryIO:
    if stdin is not None:
        return stdin
    if sys.stdin is None:
        raise CorpusError("Standard input is closed. Pipe a text in, or name a file.")
    return sys.stdin.buffer


def _temporary_file(name: str) -> BinaryIO:
    try:
        return tempfile.TemporaryFile(buffering=0)
    except OSError as error:
        raise _cannot_keep(name, error) from error


def _cannot_keep(name: str, error: OSError) -> CorpusError:
    return CorpusError(
        f"Cannot keep {name} in a temporary file: {system.explain(error)} "
        "The environment variable TMPDIR chooses another folder."
    )

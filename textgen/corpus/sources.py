"""The sources of a corpus: finds files, folders and standard input, and reads their bytes.

Sources have a fixed order and can be read repeatedly: standard input and pipes are copied to a temporary file when
first read.
"""

from __future__ import annotations

import contextlib
import fnmatch
import os
import re
import select
import stat
import sys
import tempfile
import time
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

_STANDARD_INPUT_PATHS = ("/dev/stdin", "/dev/fd/0", "/proc/self/fd/0")
_DESCRIPTOR = re.compile(r"(?:/dev|/proc/self)/fd/(\d{1,9})", re.ASCII)


class Source:
    """A file, or a stream that is copied to a temporary file when it is first read.

    Args:
        name: its name in messages; None for its path.
        path: the file, or a named pipe; None for another stream.
        once: whether the path can be read only once, as a pipe.
        stream: the stream; None for a file.
        descriptor: the stream as a descriptor, which stays open; None for a file or a `stream`.
        kept: the stream's bytes in a temporary file already.

    Attributes:
        arrived: the `time.monotonic()` at which a stream had been read to its end; None for a file, and before.

    Example:
        >>> import io
        >>> source = Source("standard input", stream=io.BytesIO(b"The sea"))
        >>> b"".join(source.chunks()), b"".join(source.chunks()), source.size
        (b'The sea', b'The sea', 7)
    """

    def __init__(
        self,
        name: str | None = None,
        *,
        path: Path | None = None,
        once: bool = False,
        stream: BinaryIO | None = None,
        descriptor: int | None = None,
        kept: BinaryIO | None = None,
    ) -> None:
        self._name = name
        self._path = path
        self._once = once
        self._stream = stream
        self._descriptor = descriptor
        self._kept = kept
        self.arrived = None if kept is None else time.monotonic()
        if kept is not None:
            weakref.finalize(self, kept.close)
        self._size: int | None = None
        self._is_file: bool | None = None

    @property
    def name(self) -> str:
        """Its name in messages."""
        return show_path(self._path or "") if self._name is None else self._name

    @property
    def location(self) -> str:
        """The path of a file; "-" for a stream, which is not there a second time."""
        if self._path is None or self._once:
            return STANDARD_INPUT
        return str(self._path).encode("utf-8", "backslashreplace").decode()

    @property
    def size(self) -> int:
        """The source's size in bytes when first asked for; a stream is read to determine it.

        Raises:
            CorpusError: the source cannot be read.
        """
        if self._size is None:
            status = self._status()
            with self._explained():
                self._size = self._keep().seek(0, os.SEEK_END) if status is None else status.st_size
        return self._size

    def chunks(self) -> Iterator[bytes]:
        """The source's bytes from its start, in pieces of at most `CHUNK`.

        Of a growing file, such as a log, only the first `size` bytes are read, so that every pass is the same.

        Raises:
            CorpusError: the source cannot be read.
        """
        left = self.size
        with self._explained(), contextlib.ExitStack() as stack:
            kept = self._path is None or not self._is_file
            file = self._keep() if kept else stack.enter_context(open(self._path or "", "rb", buffering=0))  # noqa: PTH123
            while left:
                if kept:
                    file.seek(self.size - left)
                if not (chunk := file.read(min(CHUNK, left))):
                    return
                left -= len(chunk)
                yield chunk

    def _status(self) -> os.stat_result | None:
        """What the system knows of the file; None if it cannot be read repeatedly."""
        if self._path is None:
            return None
        with self._explained():
            status = self._path.stat()
        self._is_file = stat.S_ISREG(status.st_mode)
        return status if self._is_file else None

    def _keep(self) -> BinaryIO:
        if self._kept is None:
            with contextlib.ExitStack() as stack:
                with self._explained():
                    stream = self._stream or stack.enter_context(self._opened())
                kept = temporary_file(self.name)
                weakref.finalize(self, kept.close)
                while chunk := self._read(stream):
                    try:
                        kept.write(chunk)
                    except OSError as error:
                        raise cannot_keep(self.name, error) from error
            self._kept, self.arrived = kept, time.monotonic()
        return self._kept

    def _opened(self) -> BinaryIO:
        if self._descriptor is not None:
            return os.fdopen(os.dup(self._descriptor), "rb")
        return Path(self._path or "").open("rb")

    def _read(self, stream: BinaryIO) -> bytes:
        try:
            with self._explained():
                # None says that a pipe or socket set not to block has nothing yet, not that it has ended.
                while (chunk := stream.read(CHUNK)) is None:
                    select.select([stream], [], [])
                return chunk
        except ValueError as error:
            raise CorpusError(f"Cannot read {self.name}: it is closed. Pipe a text in, or name a file.") from error

    @contextlib.contextmanager
    def _explained(self) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            raise CorpusError(f"Cannot read {self.name}: {system.explain(error)}") from error


def find_sources(
    paths: Sequence[str | os.PathLike[str]], *, glob: str | Sequence[str] = "*", stdin: BinaryIO | None = None
) -> tuple[Source, ...]:
    """Finds the sources of some paths, in the order given, with a folder's files sorted by path.

    Folders are searched recursively for files whose path ends in a match of `glob`. Hidden folders are skipped, and
    hidden files unless the pattern names them with a dot; links to folders inside a folder are not followed. A file
    that is named twice is read once.

    Args:
        paths: files, folders, or "-" for standard input.
        glob: a pattern for the files of a folder, for instance "*.txt" or "letters/*.txt"; or several of them.
        stdin: standard input; None takes the process's own.

    Raises:
        CorpusError: a path is missing, unreadable or a device, or a folder has no matching file.
        ConfigError: `glob` is not a valid pattern.
    """
    patterns = [Pattern(each) for each in ([glob] if isinstance(glob, str) else glob)]
    require(bool(patterns), "glob", "a pattern such as '*.txt'", glob)
    if not paths:
        raise CorpusError("There is no text to read. Name a file, a folder, or - for standard input.")
    found: dict[str, Source] = {}
    for path in paths:
        descriptor = stream_descriptor(path)
        if descriptor == 0:
            found.setdefault(STANDARD_INPUT, Source("standard input", stream=_standard_input(stdin)))
        elif descriptor is not None:
            found.setdefault(f"descriptor {descriptor}", Source(os.fspath(path), descriptor=descriptor))
        else:
            once = is_stream(path)
            for real, file in _files(path, patterns):
                if real not in found:
                    found[real] = Source(path=file, once=once)
    return tuple(found.values())


def stream_descriptor(path: str | os.PathLike[str]) -> int | None:
    """The descriptor of a stream that a path means: standard input, or what a shell makes of `<(...)`.

    >>> stream_descriptor("-"), stream_descriptor("poems.txt")
    (0, None)
    """
    text = os.fspath(path)
    if text in (STANDARD_INPUT, *_STANDARD_INPUT_PATHS):
        number = 0
    elif match := _DESCRIPTOR.fullmatch(text):
        number = int(match[1])
    else:
        return None
    if text == STANDARD_INPUT:
        return number
    try:
        mode = os.fstat(number).st_mode
    except (OSError, OverflowError):
        return None
    return number if stat.S_ISFIFO(mode) or stat.S_ISSOCK(mode) else None


def is_stream(path: str | os.PathLike[str]) -> bool:
    """Whether a path means what can be read only once: standard input, a pipe or a socket, by whatever name."""
    if stream_descriptor(path) is not None:
        return True
    try:
        mode = Path(path).stat().st_mode
    except (OSError, ValueError):
        return False
    return stat.S_ISFIFO(mode) or stat.S_ISSOCK(mode)


class Pattern:
    """A pattern for the files of a folder, such as "*.txt" or "letters/*.txt".

    Args:
        glob: the pattern.

    Raises:
        ConfigError: it is not a valid pattern.

    >>> Pattern("*.txt").matches("a/poem.txt"), Pattern("letters/*").matches("letters/a"), Pattern("*").matches(".a")
    (True, True, False)
    """

    def __init__(self, glob: str) -> None:
        try:
            PurePosixPath("a").match(glob)
        except ValueError:
            require(False, "glob", "a pattern such as '*.txt'", glob)
        parts = PurePosixPath(glob).parts
        self.glob = glob
        self._hidden = parts[-1].startswith(".")
        # A pattern for names alone, the usual one, is matched many times as quickly as paths.
        self._name = re.compile(fnmatch.translate(parts[0])) if len(parts) == 1 and parts[0] != "/" else None

    def matches(self, path: str) -> bool:
        """Whether a path, relative to the folder and with slashes, belongs to the text."""
        name = path.rpartition("/")[2]
        if name.startswith(".") and not self._hidden:
            return False
        return bool(self._name.match(name)) if self._name else PurePosixPath(path).match(self.glob)


def show_path(path: str | os.PathLike[str]) -> str:
    """A path for messages, quoted if it has spaces or unprintable characters.

    >>> show_path("poems.txt"), show_path("my poems.txt")
    ('poems.txt', "'my poems.txt'")
    """
    text = os.fspath(path)
    return text if text.isprintable() and not any(map(str.isspace, text)) and text else repr(text)


def _files(path: str | os.PathLike[str], patterns: Sequence[Pattern]) -> list[tuple[str, Path]]:
    """The files of a path, each with its real path, by which it is known again."""
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
        files = sorted(_matches(Path(path), patterns), key=lambda found: found[1].as_posix())
        if not files:
            globs = " or ".join(repr(pattern.glob) for pattern in patterns)
            raise CorpusError(
                f"The folder {shown} has no file that matches {globs}. "
                "Choose another pattern, for instance --glob '*.md'."
            )
        return files
    if stat.S_ISCHR(mode) or stat.S_ISBLK(mode):
        raise CorpusError(f"{shown} is a device, not a text. Name a file, a folder, or - for standard input.")
    if not os.access(path, os.R_OK):
        raise CorpusError(f"Cannot read {shown}: permission is denied. Change the permissions or name another file.")
    real = os.path.realpath(path)
    # A descriptor's name leads to another file in another process.
    return [(real, Path(real if _DESCRIPTOR.fullmatch(os.fspath(path)) else path))]


def _matches(folder: Path, patterns: Sequence[Pattern]) -> Iterator[tuple[str, Path]]:
    """The files of a folder and of those in it, each with its real path. Looks at each entry once."""
    waiting = [(folder, "", os.path.realpath(folder))]
    while waiting:
        parent, within, real = waiting.pop()
        try:
            with os.scandir(parent) as entries:
                for entry in entries:
                    if entry.is_dir():
                        if not entry.is_symlink() and not entry.name.startswith("."):
                            inner = (parent / entry.name, f"{within}{entry.name}/", f"{real}{os.sep}{entry.name}")
                            waiting.append(inner)
                    elif any(pattern.matches(within + entry.name) for pattern in patterns) and entry.is_file():
                        file = parent / entry.name
                        known = os.path.realpath(file) if entry.is_symlink() else f"{real}{os.sep}{entry.name}"
                        yield known, file
        except OSError as error:
            raise CorpusError(f"Cannot read the folder {show_path(parent)}: {system.explain(error)}") from error


def _standard_input(stdin: BinaryIO | None) -> BinaryIO:
    if stdin is not None:
        return stdin
    if sys.stdin is None:
        raise CorpusError("Standard input is closed. Pipe a text in, or name a file.")
    return sys.stdin.buffer


def temporary_file(name: str) -> BinaryIO:
    """A temporary file for a stream called `name`, deleted when it is closed.

    Raises:
        CorpusError: the folder for temporary files cannot be written.
    """
    try:
        return tempfile.TemporaryFile(buffering=0)
    except OSError as error:
        raise cannot_keep(name, error) from error


def cannot_keep(name: str, error: OSError) -> CorpusError:
    """The error for a stream called `name` that a temporary file has no space for."""
    return CorpusError(
        f"Cannot keep {name} in a temporary file: {system.explain(error)} "
        "The environment variable TMPDIR chooses another folder."
    )

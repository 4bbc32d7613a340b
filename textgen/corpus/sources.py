"""A source of text: a file or a stream, whose bytes can be read repeatedly.

Standard input and pipes are copied to a temporary file when first read.
"""

from __future__ import annotations

import contextlib
import os
import select
import stat
import tempfile
import time
import weakref
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

from textgen import system
from textgen.errors import CorpusError

STANDARD_INPUT = "-"
CHUNK = 1 << 20
"""Bytes read at a time."""


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


def show_path(path: str | os.PathLike[str]) -> str:
    """A path for messages, quoted if it has spaces or unprintable characters.

    >>> show_path("poems.txt"), show_path("my poems.txt")
    ('poems.txt', "'my poems.txt'")
    """
    text = os.fspath(path)
    return text if text.isprintable() and not any(map(str.isspace, text)) and text else repr(text)


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

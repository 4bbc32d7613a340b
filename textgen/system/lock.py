"""A file lock between processes, on every operating system."""

from __future__ import annotations

import contextlib
import errno
import os
import sys
import time
from pathlib import Path

from textgen.system.files import PathLike, open_regular

_ATTEMPTS = 5
_PAUSE = 0.02
_LONGEST = 200


class FileLock:
    """A lock on a file that at most one live process holds.

    The operating system releases it when the process ends, however that happens. The file names its holder and is
    removed on release. Only a regular file is ever locked or written: a symbolic link, a pipe or a folder in its place
    is an error, and a file with several hard links is locked but not written.

    Args:
        path: the lock file; its folder must exist.

    Example:
        >>> path = getfixture("tmp_path") / "run.lock"
        >>> with FileLock(path):
        ...     FileLock(path).acquire()
        False
        >>> FileLock(path).held
        False
    """

    def __init__(self, path: PathLike) -> None:
        self.path = Path(path)
        self._descriptor: int | None = None

    def acquire(self) -> bool:
        """Acquires the lock if it is free, without blocking; returns whether this object holds it now.

        Raises:
            OSError: the file cannot be created, is not a regular file, or the file system does not support locks.
        """
        if self._descriptor is not None:
            return True
        for attempt in range(_ATTEMPTS):
            if attempt:
                time.sleep(_PAUSE)
            descriptor = open_regular(self.path, os.O_RDWR | os.O_CREAT)
            try:
                taken = _lock(descriptor) and self._is_current(descriptor)
                if taken:
                    _sign(descriptor)
            except BaseException:
                os.close(descriptor)
                raise
            if taken:
                self._descriptor = descriptor
                return True
            os.close(descriptor)
        return False

    def release(self) -> None:
        """Releases the lock and removes its file; does nothing if this object does not hold it."""
        if self._descriptor is None:
            return
        descriptor, self._descriptor = self._descriptor, None
        # Windows cannot remove an open file; elsewhere it must be removed before another process can take the lock.
        if sys.platform != "win32":
            with contextlib.suppress(OSError):
                self.path.unlink()
        os.close(descriptor)
        if sys.platform == "win32":
            with contextlib.suppress(OSError):
                self.path.unlink()

    @property
    def held(self) -> bool:
        """Whether a process, including this one, holds the lock; False if there is no file."""
        if self._descriptor is not None:
            return True
        try:
            descriptor = self._open_to_ask()
        except OSError:
            return False
        try:
            if _lock(descriptor):
                return False
            # Another process that checks at the same time takes the lock for an instant.
            time.sleep(_PAUSE)
            return not _lock(descriptor)
        except OSError:
            return False
        finally:
            os.close(descriptor)

    @property
    def holder(self) -> str:
        """The holder in words, such as "process 1234 on sea, since 2026-01-31 21:04:05"; may be empty."""
        try:
            with os.fdopen(open_regular(self.path, os.O_RDONLY), "rb", buffering=0) as file:
                file.seek(1)
                return file.read(_LONGEST).decode("utf-8", "replace").strip()
        except OSError:
            return ""

    def __enter__(self) -> FileLock:
        if not self.acquire():
            raise BlockingIOError(errno.EWOULDBLOCK, f"{self.path} is locked by {self.holder or 'another process'}")
        return self

    def __exit__(self, *_: object) -> None:
        self.release()

    def _open_to_ask(self) -> int:
        """Opens the file for writing, which some file systems require for a lock, or else for reading."""
        try:
            return open_regular(self.path, os.O_RDWR)
        except OSError as error:
            if error.errno not in (errno.EACCES, errno.EPERM, errno.EROFS):
                raise
        return open_regular(self.path, os.O_RDONLY)

    def _is_current(self, descriptor: int) -> bool:
        """Whether the path still refers to the open file, which a holder removes on release."""
        try:
            return os.path.samestat(os.fstat(descriptor), self.path.lstat())
        except FileNotFoundError:
            return False


def _lock(descriptor: int) -> bool:
    """Locks an open file without blocking; returns whether it was free. Closing the file releases the lock."""
    from filelock import lock_descriptor

    return lock_descriptor(descriptor, blocking=False)


def _sign(descriptor: int) -> None:
    """Writes the holder after a space: on Windows other processes cannot read the first byte, which is locked."""
    import platform

    if os.fstat(descriptor).st_nlink != 1:
        return
    text = f" process {os.getpid()} on {platform.node() or 'this machine'}, since {time.strftime('%Y-%m-%d %H:%M:%S')}"
    with contextlib.suppress(OSError):
        os.ftruncate(descriptor, 0)
        os.lseek(descriptor, 0, os.SEEK_SET)
        os.write(descriptor, text.encode("utf-8", "replace"))

"""A lock that at most one live process holds, on every operating system."""

from __future__ import annotations

import contextlib
import errno
import os
import sys
import time
from pathlib import Path

from textgen.system.files import PathLike

_LOCK_ATTEMPTS = 5
_LOCKED_BYTE = 1 << 30


class FileLock:
    """A lock on a file that at most one live process holds.

    The operating system keeps it (`flock` on Linux and macOS, `msvcrt.locking` on Windows), so it ends with the
    process, however that dies. The file says who holds it and is removed on release.

    Args:
        path: the lock's file; its folder must exist.

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
        """Takes the lock if it is free, and tells whether this object holds it now.

        Raises:
            OSError: the file cannot be made, or the disk knows no locks.
        """
        if self._descriptor is not None:
            return True
        for attempt in range(_LOCK_ATTEMPTS):
            if attempt:
                time.sleep(0.02)
            descriptor = os.open(self.path, os.O_RDWR | os.O_CREAT, 0o666)
            try:
                taken = _lock(descriptor) and self._is_current(descriptor)
                if taken:
                    self._sign(descriptor)
            except BaseException:
                os.close(descriptor)
                raise
            if taken:
                self._descriptor = descriptor
                return True
            os.close(descriptor)
        return False

    def release(self) -> None:
        """Gives the lock up and removes its file; does nothing if this object does not hold it."""
        if self._descriptor is None:
            return
        descriptor, self._descriptor = self._descriptor, None
        # Windows removes no open file; elsewhere the file must go before another process can take the lock.
        if sys.platform != "win32":
            with contextlib.suppress(OSError):
                self.path.unlink()
        os.close(descriptor)
        if sys.platform == "win32":
            with contextlib.suppress(OSError):
                self.path.unlink()

    @property
    def held(self) -> bool:
        """Whether a live process, this one included, holds the lock; False also where there is no file."""
        if self._descriptor is not None:
            return True
        try:
            descriptor = os.open(self.path, os.O_RDWR if sys.platform == "win32" else os.O_RDONLY)
        except OSError:
            return False
        try:
            return not _lock(descriptor, shared=True)
        except OSError:
            return False
        finally:
            os.close(descriptor)

    @property
    def holder(self) -> str:
        """What the holder wrote about itself: "process 1234 on sea, since 2026-01-31 21:04:05"; may be empty."""
        try:
            with self.path.open("rb") as file:
                return file.read(200).decode("utf-8", "replace").strip()
        except OSError:
            return ""

    def __enter__(self) -> FileLock:
        if not self.acquire():
            raise BlockingIOError(errno.EWOULDBLOCK, f"{self.path} is locked by {self.holder or 'another process'}")
        return self

    def __exit__(self, *_: object) -> None:
        self.release()

    def _is_current(self, descriptor: int) -> bool:
        """Whether the path still leads to the open file: a holder that released it has removed it."""
        try:
            return os.path.samestat(os.fstat(descriptor), self.path.stat())
        except FileNotFoundError:
            return False

    def _sign(self, descriptor: int) -> None:
        import platform

        text = (
            f"process {os.getpid()} on {platform.node() or 'this machine'}, since {time.strftime('%Y-%m-%d %H:%M:%S')}"
        )
        with contextlib.suppress(OSError):
            os.ftruncate(descriptor, 0)
            os.lseek(descriptor, 0, os.SEEK_SET)
            os.write(descriptor, text.encode("utf-8", "replace"))


def _lock(descriptor: int, *, shared: bool = False) -> bool:
    """Takes a lock on an open file without waiting, and tells whether it was free; closing the file ends the lock."""
    if sys.platform == "win32":
        import msvcrt

        # The byte lies far behind the text, which stays readable: locked bytes are not, on Windows.
        os.lseek(descriptor, _LOCKED_BYTE, os.SEEK_SET)
        try:
            msvcrt.locking(descriptor, msvcrt.LK_NBLCK, 1)
        except OSError as error:
            if error.errno in (errno.EACCES, errno.EDEADLK, errno.EAGAIN):
                return False
            raise
        return True
    import fcntl

    try:
        fcntl.flock(descriptor, (fcntl.LOCK_SH if shared else fcntl.LOCK_EX) | fcntl.LOCK_NB)
    except OSError as error:
        if error.errno in (errno.EWOULDBLOCK, errno.EAGAIN, errno.EACCES):
            return False
        raise
    return True

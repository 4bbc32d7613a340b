"""Files that appear whole or not at all, on every operating system, and what its refusals mean."""

from __future__ import annotations

import contextlib
import errno
import os
import stat
import sys
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import BinaryIO

PathLike = str | os.PathLike[str]

ASIDE = ".textgen-"
"""Names of files that are still being written start with this."""

_REPLACE_ATTEMPTS = 20

_REMEDIES: Mapping[int, str] = {
    errno.ENOSPC: "the disk is full. Free some space",
    errno.EFBIG: "the file would be larger than allowed here. Raise the limit (ulimit -f) or choose another place",
    errno.EACCES: "permission is denied. Choose another place or change the permissions",
    errno.EPERM: "permission is denied. Choose another place or change the permissions",
    errno.EROFS: "the disk is read-only. Choose another place",
    errno.EIO: "the disk reports an error. Check it, or choose another place",
    errno.ENOENT: "there is no such file or folder. Check the path",
    errno.ENOTDIR: "a part of the path is a file, not a folder. Check the path",
    errno.EISDIR: "it is a folder, not a file. Check the path",
    errno.ENAMETOOLONG: "the name is too long. Choose a shorter one",
    errno.ELOOP: "its symbolic links lead in a circle. Check the path",
    errno.EMFILE: "too many files are open. Close some, or raise the limit (ulimit -n)",
    errno.ENFILE: "too many files are open. Close some programs",
    errno.ENOLCK: "this disk knows no locks. Choose a local disk",
    errno.ENOTSUP: "this disk cannot do that. Choose a local disk",
}
if hasattr(errno, "EDQUOT"):
    _REMEDIES = {**_REMEDIES, errno.EDQUOT: "your disk quota is used up. Free some space"}


def open_regular(path: PathLike, flags: int) -> int:
    """Opens a regular file by its own name, for files whose place a stranger may have prepared.

    No symbolic link is followed, no pipe is waited for and no device is touched.

    Args:
        path: the file; its folder's links are followed.
        flags: as for `os.open`; a new file gets the mode that the umask allows.

    Returns:
        The descriptor, for the caller to close.

    Raises:
        OSError: there is something else of that name, or the file cannot be opened; `explain` puts it into words.
    """
    path = Path(path)
    strange = OSError(
        errno.EINVAL, f"{path.name} is a link, a folder or a pipe, not a file. Remove it", os.fspath(path)
    )
    with contextlib.suppress(FileNotFoundError):
        if not stat.S_ISREG(path.lstat().st_mode):
            raise strange
    # What was looked at may be something else by now.
    cautious = getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0)
    descriptor = os.open(path, flags | cautious, 0o666)
    if not stat.S_ISREG(os.fstat(descriptor).st_mode):
        os.close(descriptor)
        raise strange
    return descriptor


@contextlib.contextmanager
def atomic_path(path: PathLike, *, follow_link: bool = False) -> Iterator[Path]:
    """A free path beside `path`; the file that the body writes there becomes `path`, whole and flushed to disk.

    Leaving the body flushes the file, moves it over `path` and flushes the folder. When anything fails, the new file
    is removed and `path` keeps what it held. A process that is killed on the way leaves a file for
    `remove_leftovers`.

    Args:
        path: the file to write; its folder must exist.
        follow_link: where `path` is a symbolic link, replace the file that it points to, for a place that the user
            chose. Otherwise the link itself is replaced: a folder from a stranger may hold links to anywhere.

    Yields:
        A path in the same folder with the same suffix, where nothing is yet.

    Raises:
        OSError: the file cannot be flushed or moved; `explain` puts it into words.
    """
    target = Path(os.path.realpath(path)) if follow_link else Path(path)
    replaceable = target.is_symlink() or target.is_file() or target.is_dir()
    if target.exists() and not replaceable:
        raise OSError(errno.EINVAL, "it is a device or a pipe, not a file. Choose another place", os.fspath(path))
    aside = target.with_name(f"{ASIDE}{os.urandom(8).hex()}{target.suffix}")
    try:
        yield aside
        with aside.open("r+b") as file:
            flush_to_disk(file.fileno())
        _replace(aside, target)
    except BaseException as error:
        with contextlib.suppress(OSError):
            aside.unlink(missing_ok=True)
        if isinstance(error, OSError) and error.filename == str(aside):
            error.filename = os.fspath(path)
        raise
    flush_folder(target.parent)


@contextlib.contextmanager
def atomic_write(path: PathLike, *, follow_link: bool = False) -> Iterator[BinaryIO]:
    """A binary file that becomes `path` when the body ends well, and vanishes otherwise.

    What `path` held before is there until the moment at which the new contents are, whole and flushed to disk.

    Args:
        path: the file to write; its folder must exist.
        follow_link: as for `atomic_path`.

    Yields:
        A new file, open for reading and writing, that can seek.

    Raises:
        OSError: the disk is full, the folder is not writable, ...; `explain` puts it into words.

    Example:
        >>> folder = getfixture("tmp_path")
        >>> with atomic_write(folder / "poem.txt") as file:
        ...     _ = file.write("The sea, the sea!".encode())
        >>> [p.name for p in folder.iterdir()]
        ['poem.txt']
    """
    with atomic_path(path, follow_link=follow_link) as aside, aside.open("x+b") as file:
        yield file
        file.flush()


def remove_leftovers(folder: PathLike, *, older_than: float = 0.0) -> int:
    """Removes what killed processes left half-written in a folder.

    Args:
        folder: the folder to clear; not its sub-folders.
        older_than: spare files changed in the last so many seconds, which another process may still be writing.

    Returns:
        How many files were removed.
    """
    removed = 0
    latest = time.time() - older_than
    with contextlib.suppress(OSError):
        for path in Path(folder).glob(f"{ASIDE}*"):
            with contextlib.suppress(OSError):
                if path.lstat().st_mtime <= latest:
                    path.unlink()
                    removed += 1
    return removed


def flush_to_disk(descriptor: int) -> None:
    """Waits until the disk holds what was written to an open file.

    On macOS `fsync` stops at the drive's own cache, and `F_FULLFSYNC` goes through it where the file system can.
    """
    if sys.platform == "darwin":
        import fcntl

        with contextlib.suppress(OSError):
            fcntl.fcntl(descriptor, fcntl.F_FULLFSYNC)
            return
    os.fsync(descriptor)


def flush_folder(folder: PathLike) -> None:
    """Waits until the disk holds a folder's entries, so that a move survives a loss of power.

    Windows has no such call and needs none; file systems without one are passed over.
    """
    if sys.platform != "win32":
        try:
            descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
            try:
                os.fsync(descriptor)
            finally:
                os.close(descriptor)
        except OSError as error:
            if error.errno not in (errno.EINVAL, errno.ENOTSUP, errno.ENOSYS, errno.EBADF, errno.EACCES):
                raise


def explain(error: OSError) -> str:
    """What the operating system refused and what to do, for the end of a sentence.

    >>> "Cannot write poems.txt: " + explain(OSError(errno.ENOSPC, "No space left on device"))
    'Cannot write poems.txt: the disk is full. Free some space.'
    """
    known = _REMEDIES.get(error.errno) if error.errno is not None else None
    return (known or error.strerror or str(error) or type(error).__name__).rstrip(".") + "."


def _replace(source: Path, target: Path) -> None:
    """Moves a file over another; on Windows it waits for readers that hold the old one open for a moment."""
    for attempt in range(_REPLACE_ATTEMPTS):
        try:
            source.replace(target)
            return
        except PermissionError:
            if sys.platform != "win32" or attempt == _REPLACE_ATTEMPTS - 1 or target.is_dir():
                raise
        time.sleep(0.1)

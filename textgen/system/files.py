"""Writes files atomically on every operating system, and explains its errors."""

from __future__ import annotations

import contextlib
import errno
import os
import stat
import sys
import time
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import BinaryIO

PathLike = str | os.PathLike[str]

ASIDE = ".textgen-"
"""The prefix of temporary files, which are still being written."""

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
    errno.ENOLCK: "this disk does not support locks. Choose a local disk",
    errno.ENOTSUP: "this disk cannot do that. Choose a local disk",
}
if hasattr(errno, "EDQUOT"):
    _REMEDIES = {**_REMEDIES, errno.EDQUOT: "your disk quota is used up. Free some space"}


def path_list(paths: PathLike | Iterable[PathLike]) -> list[str]:
    """One path or several as a list of strings.

    >>> path_list("poems.txt"), path_list([Path("a"), "b"])
    (['poems.txt'], ['a', 'b'])
    """
    return [os.fspath(each) for each in ([paths] if isinstance(paths, (str, os.PathLike)) else paths)]


def open_regular(path: PathLike, flags: int) -> int:
    """Opens a regular file safely in a folder that may be untrusted.

    Symbolic links are not followed, and pipes and devices are refused without waiting for them.

    Args:
        path: the file; links in the path of its folder are followed.
        flags: as for `os.open`; the mode of a new file follows from the umask.

    Returns:
        The descriptor, for the caller to close.

    Raises:
        OSError: it is not a regular file, or cannot be opened; `explain` gives the reason.
    """
    path = Path(path)
    strange = OSError(
        errno.EINVAL, f"{path.name} is a link, a folder or a pipe, not a file. Remove it", os.fspath(path)
    )
    with contextlib.suppress(FileNotFoundError):
        if not stat.S_ISREG(path.lstat().st_mode):
            raise strange
    # The file may have been replaced since `lstat`.
    cautious = getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0)
    descriptor = os.open(path, flags | cautious, 0o666)
    if not stat.S_ISREG(os.fstat(descriptor).st_mode):
        os.close(descriptor)
        raise strange
    return descriptor


@contextlib.contextmanager
def atomic_path(path: PathLike, *, follow_link: bool = False) -> Iterator[Path]:
    """Yields a temporary path beside `path`; the file that the body writes there atomically becomes `path`.

    Leaving the body flushes the file to disk, moves it over `path` and flushes the folder. If anything fails, the
    temporary file is removed and `path` is unchanged. A killed process leaves it for `remove_leftovers`.

    Args:
        path: the file to write; its folder must exist.
        follow_link: if `path` is a symbolic link, replace the file that it points to; for paths that the user chose.
            Otherwise the link itself is replaced: an untrusted folder may hold links to anywhere.

    Yields:
        An unused path in the same folder with the same suffix.

    Raises:
        OSError: the file cannot be flushed or moved; `explain` gives the reason.
    """
    target = Path(path)
    # Any other path stays as it is: the folder that it is relative to may have been deleted.
    if follow_link and (target.is_symlink() or target.is_dir()):
        target = Path(os.path.realpath(path))
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
    """Yields a binary file that atomically becomes `path` if the body succeeds, and is removed otherwise.

    `path` keeps its old contents until the new ones are complete and flushed to disk.

    Args:
        path: the file to write; its folder must exist.
        follow_link: as for `atomic_path`.

    Yields:
        A new file, open for reading and writing, seekable.

    Raises:
        OSError: the disk is full, the folder is not writable, ...; `explain` gives the reason.

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
    """Removes temporary files that killed processes left in a folder.

    Args:
        folder: the folder, without its subfolders.
        older_than: keep files changed within this many seconds, which another process may still be writing.

    Returns:
        The number of files removed.
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
    """Flushes an open file to disk.

    On macOS `fsync` does not flush the drive's own cache; `F_FULLFSYNC` does, where the file system supports it.
    """
    if sys.platform == "darwin":
        import fcntl

        with contextlib.suppress(OSError):
            fcntl.fcntl(descriptor, fcntl.F_FULLFSYNC)
            return
    os.fsync(descriptor)


def flush_folder(folder: PathLike) -> None:
    """Flushes a folder's entries to disk, so that a move survives a power failure.

    Does nothing on Windows, which has no such call, and on file systems that do not support it.
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
    """Explains an error of the operating system and what to do, for the end of a sentence.

    >>> "Cannot write poems.txt: " + explain(OSError(errno.ENOSPC, "No space left on device"))
    'Cannot write poems.txt: the disk is full. Free some space.'
    """
    known = _REMEDIES.get(error.errno) if error.errno is not None else None
    return (known or error.strerror or str(error) or type(error).__name__).rstrip(".") + "."


def _replace(source: Path, target: Path) -> None:
    """Moves a file over another; on Windows it retries for two seconds while readers have the old one open."""
    for attempt in range(_REPLACE_ATTEMPTS):
        try:
            source.replace(target)
            return
        except PermissionError:
            if sys.platform != "win32" or attempt == _REPLACE_ATTEMPTS - 1 or target.is_dir():
                raise
        time.sleep(0.1)

"""Finds the sources of a corpus: files, the files of folders, standard input and pipes, in a fixed order."""

from __future__ import annotations

import fnmatch
import os
import re
import stat
import sys
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path, PurePosixPath
from typing import BinaryIO

from textgen import system
from textgen.config import require
from textgen.corpus.sources import STANDARD_INPUT, Source, show_path
from textgen.errors import CorpusError

_STANDARD_INPUT_PATHS = ("/dev/stdin", "/dev/fd/0", "/proc/self/fd/0")
_DESCRIPTOR = re.compile(r"(?:/dev|/proc/self)/fd/(\d{1,9})", re.ASCII)


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
            kinds = Counter(Path(found[0]).suffix for found in _matches(Path(path), [Pattern("*")]))
            there = next((kind for kind, _ in kinds.most_common() if kind), ".md")
            raise CorpusError(
                f"The folder {shown} has no file that matches {globs}. "
                f"Choose another pattern, for instance --glob '*{there}'."
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

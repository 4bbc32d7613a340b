"""Encoded texts on disk: one file an entry, whole or absent, read in place.

    64 bytes of mark | the ids | facts as JSON | length of the facts, 8 bytes | sha256 of all before, 32 bytes

Arrays of ids go in with the facts about them, and a mapped array comes out. An entry is taken only if the key, the
length and the checksum are right; any other is as good as none, to be made anew. The folder may be removed at any time.
The module knows nothing of encodings or vocabularies.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import tempfile
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
from numpy.typing import NDArray

from textgen import system
from textgen.corpus.sources import show_path
from textgen.errors import CorpusError
from textgen.system.mapping import map_array

FORMAT = 1
KEPT = 4
"""Entries that stay in a folder, those last used."""

_KIND = b"textgen ids "
_MARK = (_KIND + f"{FORMAT}\n".encode()).ljust(64, b"\0")
_CHUNK = 1 << 20
_ABANDONED = 3600.0

Facts = Mapping[str, Any]


@dataclass(frozen=True, eq=False)
class Entry:
    """An encoded text.

    Attributes:
        ids: `(characters,)`, mapped to memory and read-only.
        facts: what was written with them, as plain JSON values.
    """

    ids: NDArray[Any]
    facts: Facts


class CorpusCache:
    """A folder of encoded texts by key.

    Args:
        folder: made when the first entry is written.

    Example:
        >>> cache = CorpusCache(getfixture("tmp_path"))
        >>> cache.read("poems") is None
        True
        >>> entry = cache.write("poems", [np.array([1, 0, 2], np.uint8)], np.dtype(np.uint8), lambda: {"characters": 3})
        >>> entry.ids.tolist(), cache.read("poems").facts["characters"]
        ([1, 0, 2], 3)
    """

    def __init__(self, folder: str | os.PathLike[str]) -> None:
        self.folder = Path(folder)

    def path(self, key: str) -> Path:
        """Where the entry of a key stands, if there is one."""
        return self.folder / f"{key}.ids"

    def read(self, key: str) -> Entry | None:
        """The entry of a key; None if there is none, or if it is cut short, damaged or another's."""
        try:
            with _open(self.path(key)) as file:
                entry = _read(file, key)
        except OSError:
            return None
        if entry is not None:
            with contextlib.suppress(OSError):
                os.utime(self.path(key))
        return entry

    def write(
        self, key: str, arrays: Iterable[NDArray[Any]], dtype: np.dtype[Any], facts: Callable[[], Facts]
    ) -> Entry:
        """Writes an entry, in the place of an old one of that key.

        Args:
            key: a name that stands for the content and all settings it depends on; letters and digits.
            arrays: the ids in pieces, each of type `dtype`.
            dtype: the type of the ids.
            facts: called once the last ids are taken; plain JSON values.

        Raises:
            CorpusError: the disk is full, the folder cannot be written, ...
        """
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            system.remove_leftovers(self.folder, older_than=_ABANDONED)
            with system.atomic_write(self.path(key)) as file:
                _write(file, key, arrays, dtype, facts)
            self._forget_oldest()
            with _open(self.path(key)) as file:
                return _map(file, dtype, *_footer(file))
        except OSError as error:
            raise CorpusError(
                f"Cannot write the encoded text to {show_path(self.folder)}: {system.explain(error)}"
            ) from error

    def _forget_oldest(self) -> None:
        with contextlib.suppress(OSError):
            whole = [path for path in self.folder.glob("*.ids") if not path.name.startswith(".") and _is_ours(path)]
            for path in sorted(whole, key=lambda path: path.stat().st_mtime)[:-KEPT]:
                path.unlink()


def write_temporary(arrays: Iterable[NDArray[Any]], dtype: np.dtype[Any], facts: Callable[[], Facts]) -> Entry:
    """The same as an entry of a cache, in a temporary file that goes with the array.

    Raises:
        CorpusError: the disk is full, the folder cannot be written, ...
    """
    try:
        with tempfile.TemporaryFile() as file:
            _write(file, "", arrays, dtype, facts)
            file.flush()
            return _map(file, dtype, *_footer(file))
    except OSError as error:
        raise CorpusError(
            f"Cannot keep the encoded text in a temporary file: {system.explain(error)} "
            "The environment variable TMPDIR chooses another folder."
        ) from error


def _open(path: Path) -> BinaryIO:
    return os.fdopen(system.open_regular(path, os.O_RDONLY), "rb")


def _is_ours(path: Path) -> bool:
    """Whether a file is an entry, whole or not: the folder may be a link to one with other files in it."""
    try:
        with _open(path) as file:
            return file.read(len(_KIND)) == _KIND
    except OSError:
        return False


def _write(
    file: BinaryIO, key: str, arrays: Iterable[NDArray[Any]], dtype: np.dtype[Any], facts: Callable[[], Facts]
) -> None:
    digest = hashlib.sha256(_MARK)
    file.write(_MARK)
    for array in arrays:
        block = array.astype(dtype, copy=False).tobytes()
        digest.update(block)
        file.write(block)
    footer = json.dumps({"key": key, "dtype": dtype.str, **facts()}).encode()
    for block in (footer, len(footer).to_bytes(8, "little")):
        digest.update(block)
        file.write(block)
    file.write(digest.digest())


def _read(file: BinaryIO, key: str) -> Entry | None:
    """The entry in an open file if it is whole and of that key. Reads it all, and leaves none of it in memory."""
    size = os.fstat(file.fileno()).st_size
    if size < len(_MARK) + 40 or file.read(len(_MARK)) != _MARK or not _is_whole(file, size - 32):
        return None
    facts, end = _footer(file)
    return _map(file, np.dtype(facts["dtype"]), facts, end) if facts["key"] == key else None


def _footer(file: BinaryIO) -> tuple[dict[str, Any], int]:
    """The facts of a file, and where they start."""
    file.seek(-40, os.SEEK_END)
    place = file.tell()
    length = int.from_bytes(file.read(8), "little")
    file.seek(place - length)
    return json.loads(file.read(length)), place - length


def _is_whole(file: BinaryIO, size: int) -> bool:
    digest = hashlib.sha256()
    file.seek(0)
    while size and (block := file.read(min(_CHUNK, size))):
        digest.update(block)
        size -= len(block)
    return digest.digest() == file.read(32)


def _map(file: BinaryIO, dtype: np.dtype[Any], facts: Facts, end: int) -> Entry:
    count = (end - len(_MARK)) // dtype.itemsize
    return Entry(map_array(file, dtype, offset=len(_MARK), count=count), facts)

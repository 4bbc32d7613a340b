"""A disk cache of encoded texts: one memory-mapped file per entry, written atomically.

    64 bytes magic number | the ids | further arrays, each at a multiple of 8 bytes, with its place in the metadata
    | metadata as JSON | its length, 8 bytes | SHA-256 of everything before, 32 bytes

An entry is a hit only if its key, length and checksum are right; any other is made anew. The folder may be removed at
any time.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import tempfile
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
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
"""The number of most recently used entries that a folder keeps."""

_KIND = b"textgen ids "
_MAGIC = (_KIND + f"{FORMAT}\n".encode()).ljust(64, b"\0")
_CHUNK = 1 << 20
_STALE_AFTER = 3600.0

Metadata = Mapping[str, Any]


@dataclass(frozen=True, eq=False)
class Entry:
    """An encoded text.

    Attributes:
        ids: `(characters,)`, memory-mapped and read-only.
        metadata: what was stored with them, as plain JSON values.
        arrays: further arrays by name, one-dimensional, memory-mapped and read-only.
    """

    ids: NDArray[Any]
    metadata: Metadata
    arrays: Mapping[str, NDArray[Any]] = field(default_factory=dict)


class CorpusCache:
    """A folder of encoded texts by key.

    Args:
        folder: created when the first entry is written.

    Example:
        >>> cache = CorpusCache(getfixture("tmp_path"))
        >>> cache.read("poems") is None
        True
        >>> entry = cache.write("poems", [np.array([1, 0, 2], np.uint8)], np.dtype(np.uint8), lambda: {"characters": 3})
        >>> entry.ids.tolist(), cache.read("poems").metadata["characters"]
        ([1, 0, 2], 3)
    """

    def __init__(self, folder: str | os.PathLike[str]) -> None:
        self.folder = Path(folder)

    def path(self, key: str) -> Path:
        """The path of a key's entry, whether it exists or not."""
        return self.folder / f"{key}.ids"

    def read(self, key: str) -> Entry | None:
        """The entry of a key; None if there is none, or if it is truncated, damaged or another key's."""
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
        self,
        key: str,
        arrays: Iterable[NDArray[Any]],
        dtype: np.dtype[Any],
        metadata: Callable[[], Metadata],
        further: Callable[[], Mapping[str, NDArray[Any]]] = dict,
    ) -> Entry:
        """Writes an entry, replacing an old one of that key.

        Args:
            key: identifies the content and all settings that it depends on; letters and digits.
            arrays: the ids in pieces, each of type `dtype`.
            dtype: the type of the ids.
            metadata: called after the last ids were read; returns plain JSON values.
            further: called then, too; returns further arrays by name, one-dimensional.

        Raises:
            CorpusError: the disk is full, the folder cannot be written, ...
        """
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            system.remove_leftovers(self.folder, older_than=_STALE_AFTER)
            with system.atomic_write(self.path(key)) as file:
                _write(file, key, arrays, dtype, metadata, further)
            self._evict()
            with _open(self.path(key)) as file:
                return _map(file, dtype, *_metadata(file))
        except OSError as error:
            raise CorpusError(
                f"Cannot write the encoded text to {show_path(self.folder)}: {system.explain(error)}"
            ) from error

    def _evict(self) -> None:
        with contextlib.suppress(OSError):
            whole = [path for path in self.folder.glob("*.ids") if not path.name.startswith(".") and _is_ours(path)]
            for path in sorted(whole, key=lambda path: path.stat().st_mtime)[:-KEPT]:
                path.unlink()


def write_temporary(
    arrays: Iterable[NDArray[Any]],
    dtype: np.dtype[Any],
    metadata: Callable[[], Metadata],
    further: Callable[[], Mapping[str, NDArray[Any]]] = dict,
) -> Entry:
    """Like `CorpusCache.write`, to a temporary file that is deleted with the array.

    Raises:
        CorpusError: the disk is full, the folder cannot be written, ...
    """
    try:
        with tempfile.TemporaryFile() as file:
            _write(file, "", arrays, dtype, metadata, further)
            file.flush()
            return _map(file, dtype, *_metadata(file))
    except OSError as error:
        raise CorpusError(
            f"Cannot keep the encoded text in a temporary file: {system.explain(error)} "
            "The environment variable TMPDIR chooses another folder."
        ) from error


def _open(path: Path) -> BinaryIO:
    return os.fdopen(system.open_regular(path, os.O_RDONLY), "rb")


def _is_ours(path: Path) -> bool:
    """Whether a file is a cache entry, complete or not: the folder may be a link to one with other files."""
    try:
        with _open(path) as file:
            return file.read(len(_KIND)) == _KIND
    except OSError:
        return False


def _write(
    file: BinaryIO,
    key: str,
    arrays: Iterable[NDArray[Any]],
    dtype: np.dtype[Any],
    metadata: Callable[[], Metadata],
    further: Callable[[], Mapping[str, NDArray[Any]]],
) -> None:
    digest, written = hashlib.sha256(), 0

    def put(block: bytes) -> None:
        nonlocal written
        digest.update(block)
        file.write(block)
        written += len(block)

    put(_MAGIC)
    for array in arrays:
        put(array.astype(dtype, copy=False).tobytes())
    places: dict[str, Any] = {}
    end = written
    for name, array in further().items():
        put(bytes(-written % 8))
        places[name] = [array.dtype.str, written, len(array)]
        for start in range(0, len(array), _CHUNK):
            put(array[start : start + _CHUNK].tobytes())
    values = {"key": key, "dtype": dtype.str, **metadata()}
    encoded = json.dumps(values | {"arrays": places, "end": end} if places else values).encode()
    put(encoded)
    put(len(encoded).to_bytes(8, "little"))
    file.write(digest.digest())


def _read(file: BinaryIO, key: str) -> Entry | None:
    """The entry in an open file if it is complete and of that key. Reads it all, and keeps none of it in memory."""
    size = os.fstat(file.fileno()).st_size
    if size < len(_MAGIC) + 40 or file.read(len(_MAGIC)) != _MAGIC or not _is_complete(file, size - 32):
        return None
    metadata, end = _metadata(file)
    return _map(file, np.dtype(metadata["dtype"]), metadata, end) if metadata["key"] == key else None


def _metadata(file: BinaryIO) -> tuple[dict[str, Any], int]:
    """The metadata of a file, and its offset."""
    file.seek(-40, os.SEEK_END)
    place = file.tell()
    length = int.from_bytes(file.read(8), "little")
    file.seek(place - length)
    return json.loads(file.read(length)), place - length


def _is_complete(file: BinaryIO, size: int) -> bool:
    digest = hashlib.sha256()
    file.seek(0)
    while size and (block := file.read(min(_CHUNK, size))):
        digest.update(block)
        size -= len(block)
    return digest.digest() == file.read(32)


def _map(file: BinaryIO, dtype: np.dtype[Any], metadata: Metadata, end: int) -> Entry:
    count = (metadata.get("end", end) - len(_MAGIC)) // dtype.itemsize
    arrays = {
        name: map_array(file, np.dtype(kind), offset=offset, count=length)
        for name, (kind, offset, length) in metadata.get("arrays", {}).items()
    }
    return Entry(map_array(file, dtype, offset=len(_MAGIC), count=count), metadata, arrays)

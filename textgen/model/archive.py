"""Reads untrusted zip archives of uncompressed members as bytes, JSON values or NumPy arrays.

Every size is checked against that of the file before it is read, and nothing is ever decompressed, unpickled or
executed, so no member is larger than the file. The standard library's `zipfile` accepts far more than that, and takes
longer to import.
"""

from __future__ import annotations

import json
import math
import os
import re
import stat
import struct
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
from numpy.typing import NDArray

from textgen.errors import CheckpointError
from textgen.system import PathLike, explain

MAX_MEMBERS = 1024
MAX_JSON = 16 << 20
"""Bytes of a JSON member: enough for every character of Unicode; parsed values take about 25 times that at worst."""

_END = struct.Struct("<4s4H2LH")
_ENTRY = struct.Struct("<4s6H3L5H2L")
_HEADER = struct.Struct("<4s5H3L2H")
_PIECE = 1 << 20
_UTF8_NAME = 0x800
_ARRAY = re.compile(
    rb"\{'descr': '([<|][biuf][1248])', 'fortran_order': False, 'shape': \(((?:\d{1,18}, ?)*(?:\d{1,18})?)\), \} *\n"
)


@dataclass(frozen=True)
class Member:
    """The place of a member in the file.

    Args:
        start: the offset of its first byte.
        size: its size in bytes.
        crc: its CRC-32.
    """

    start: int
    size: int
    crc: int


class Archive:
    """An open archive; a context manager that closes its file.

    Args:
        file: the open file.
        path: its path, for messages.
        start: the offset of the archive in the file.
        size: its size in bytes.

    Raises:
        CheckpointError: it is not a zip archive, is damaged, or uses features of zip that no checkpoint does.
    """

    def __init__(self, file: BinaryIO, *, path: Path, start: int, size: int) -> None:
        self.path = path
        self.size = size
        self._file = file
        self._start = start
        self.members: Mapping[str, Member] = self._directory()

    def __enter__(self) -> Archive:
        return self

    def __exit__(self, *_: object) -> None:
        self._file.close()

    def read(self, name: str, *, sha256: str | None = None) -> bytes:
        """A member's bytes, once their digest is checked.

        Args:
            name: the member.
            sha256: the hexadecimal digest they must have; None checks the CRC-32 in the archive instead.

        Raises:
            CheckpointError: there is no such member, or its bytes are not what was written.
        """
        member = self._member(name)
        data = self._read(member.start, member.size)
        if sha256 is None:
            import zlib

            whole = zlib.crc32(data) == member.crc
        else:
            import hashlib

            whole = hashlib.sha256(data).hexdigest() == sha256
        if not whole:
            raise self._changed(name)
        return data

    def json(self, name: str) -> Any:
        """A member's JSON value; `NaN` and `Infinity` are accepted as numbers.

        Raises:
            CheckpointError: there is no such member, it is damaged, larger than `MAX_JSON`, or not JSON in UTF-8.
        """
        if self._member(name).size > MAX_JSON:
            raise self.problem(f"{name} in it holds {self._member(name).size:,} bytes, at most {MAX_JSON:,} are read")
        try:
            return json.loads(self.read(name).decode())
        except (ValueError, RecursionError, MemoryError):
            raise self.problem(f"{name} in it is not the JSON that textgen writes") from None

    def digest(self, name: str) -> str:
        """The hexadecimal SHA-256 of a member, read in chunks."""
        import hashlib

        member, digest = self._member(name), hashlib.sha256()
        for offset in range(0, member.size, _PIECE):
            digest.update(self._read(member.start + offset, min(_PIECE, member.size - offset)))
        return digest.hexdigest()

    def arrays(self, name: str) -> dict[str, NDArray[Any]]:
        """The arrays of a member that is an uncompressed `.npz` of numbers, as `npz` writes it.

        Raises:
            CheckpointError: there is no such member, it is damaged, or holds something other than plain numbers.
        """
        member = self._member(name)
        inner = Archive(self._file, path=self.path, start=member.start, size=member.size)
        return {key.removesuffix(".npy"): inner._array(key) for key in inner.members}

    def problem(self, what: str) -> CheckpointError:
        """An error about this archive, with what to do about it."""
        return CheckpointError(f"{self.path} cannot be read: {what}. Use another checkpoint, or copy this one again.")

    def _changed(self, name: str) -> CheckpointError:
        return self.problem(f"it is damaged, {name} in it is not what was written")

    def _member(self, name: str) -> Member:
        if name not in self.members:
            raise self.problem(f"it holds no {name}")
        return self.members[name]

    def _read(self, offset: int, size: int) -> bytes:
        try:
            self._file.seek(self._start + offset)
            data = self._file.read(size)
        except OSError as error:
            raise CheckpointError(f"{self.path} cannot be read: {explain(error)}") from error
        if len(data) != size:
            raise self.problem("it ends too early")
        return data

    def _directory(self) -> dict[str, Member]:
        """The members, once the central directory and the headers of the members agree in every field."""
        if self.size < 4 or self._read(0, 4) != b"PK\x03\x04":
            raise self.problem("it is not a .keras file" if self.size else "it is empty")
        end = self.size - _END.size
        if end < 0 or self._read(end, 4) != b"PK\x05\x06":
            raise self.problem("it is damaged, its end is missing or changed")
        _, *disks, count, total, length, first, comment = _END.unpack(self._read(end, _END.size))
        if any(disks) or count != total or comment or first + length != end:
            raise self.problem("it is damaged, its directory does not fit")
        if count > MAX_MEMBERS or length > MAX_MEMBERS * 512:
            raise self.problem(f"it holds {count:,} members, at most {MAX_MEMBERS:,} are read")
        directory = self._read(first, length)
        members: dict[str, Member] = {}
        offset = covered = 0
        for _ in range(count):
            if offset + _ENTRY.size > length:
                raise self.problem("it is damaged, its directory does not fit")
            fields = _ENTRY.unpack_from(directory, offset)
            signature, _, _, flags, method, *_, crc, packed, size, name_size, extra, note, _, _, _, header = fields
            raw = directory[offset + _ENTRY.size : offset + _ENTRY.size + name_size]
            offset += _ENTRY.size + name_size + extra + note
            if signature != b"PK\x01\x02" or flags & ~_UTF8_NAME or len(raw) != name_size or not raw.isascii():
                raise self.problem("it is damaged, or textgen did not write it")
            name = raw.decode()
            if method or packed != size:
                raise self.problem(f"{name!r} in it is compressed, which textgen never does")
            if name in members or header != covered:
                raise self.problem("it is damaged, members overlap or leave gaps")
            start = self._data(header, fields, raw, limit=first)
            covered = start + size
            if covered > first:
                raise self.problem("it is damaged, a member runs past its end")
            members[name] = Member(start, size, crc)
        if offset != length or covered != first:
            raise self.problem("it is damaged, its directory does not fit")
        return members

    def _data(self, header: int, entry: tuple[Any, ...], name: bytes, *, limit: int) -> int:
        """Where a member's data begins, once its header agrees with its entry in the directory."""
        behind = header + _HEADER.size + len(name)
        if behind > limit:
            raise self.problem("it is damaged, a member runs past its end")
        local = self._read(header, _HEADER.size + len(name))
        fields = _HEADER.unpack_from(local)
        if fields[0] != b"PK\x03\x04" or fields[1:10] != entry[2:11] or local[_HEADER.size :] != name:
            raise self.problem(f"it is damaged, {name.decode()!r} has two descriptions")
        return behind + int(fields[10])

    def _array(self, name: str) -> NDArray[Any]:
        data = self.read(name)
        header = _ARRAY.match(data, 10) if data[:8] == b"\x93NUMPY\x01\x00" else None
        if header is None or header.end() != 10 + int.from_bytes(data[8:10], "little"):
            raise self.problem(f"{name!r} in it is no plain array of numbers")
        try:
            dtype = np.dtype(header[1].decode())
        except TypeError:
            raise self.problem(f"{name!r} in it is no plain array of numbers") from None
        shape = tuple(int(length) for length in header[2].replace(b" ", b"").split(b",") if length)
        if len(shape) > 8 or math.prod(shape) * dtype.itemsize != len(data) - header.end():
            raise self.problem(f"{name!r} in it is no array of shape {shape}")
        return np.frombuffer(data, dtype, offset=header.end()).reshape(shape)


def read_archive(path: PathLike) -> Archive:
    """Opens an archive and reads its directory.

    Args:
        path: a regular file.

    Returns:
        The archive, for a `with` statement.

    Raises:
        CheckpointError: there is no such file, it cannot be opened, or it is not an archive of uncompressed members.
    """
    path = Path(path)
    try:
        mode = path.stat().st_mode
        if not stat.S_ISREG(mode):
            kind = "a folder" if stat.S_ISDIR(mode) else "not a regular file"
            raise CheckpointError(f"{path} is {kind}, not a checkpoint. Give a .keras file.")
        file = path.open("rb")
    except FileNotFoundError:
        raise CheckpointError(f"There is no checkpoint at {path}. `textgen runs` lists those there are.") from None
    except (OSError, ValueError) as error:
        why = explain(error) if isinstance(error, OSError) else f"{error}."
        raise CheckpointError(f"{path} cannot be opened: {why}") from error
    try:
        # The file may have been replaced since `stat`.
        return Archive(file, path=path, start=0, size=os.fstat(file.fileno()).st_size)
    except BaseException:
        file.close()
        raise


def npz(arrays: Mapping[str, NDArray[Any]]) -> bytes:
    """The bytes of an uncompressed `.npz` of arrays of numbers, which `numpy.load` reads too.

    Args:
        arrays: integer, real or boolean arrays by name, in ASCII.

    Raises:
        ValueError: an array has another type, or a name is not printable ASCII.
    """
    import io
    import zipfile

    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        for name, given in arrays.items():
            array = np.ascontiguousarray(given).reshape(given.shape)
            array = array.astype(array.dtype.newbyteorder("<"), copy=False)
            header = io.BytesIO()
            np.lib.format.write_array_header_1_0(header, np.lib.format.header_data_from_array_1_0(array))
            if not (name.isascii() and name.isprintable()) or not _ARRAY.match(header.getvalue(), 10):
                raise ValueError(f"{name!r} must be a named array of numbers; got {array.dtype} of {array.shape}.")
            with archive.open(zipfile.ZipInfo(f"{name}.npy"), "w") as member:
                member.write(header.getvalue())
                member.write(array.reshape(-1).view(np.uint8).data if array.size else b"")
    return buffer.getvalue()

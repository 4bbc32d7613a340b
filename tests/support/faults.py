"""Faults put into writing: each operation on the disk can fail, stop half-way, or be the last thing a process does."""

import builtins
import io
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from textgen.system.files import ASIDE

EFFORT = int(os.environ.get("TEXTGEN_FUZZ", "1"))
"""How many times the usual number of corrupt files to try."""


class Killed(BaseException):
    """The process ended here; nothing after this reached the disk."""


class Disk:
    """Counts the operations on files that are being written and makes one of them fail.

    Args:
        monkeypatch: puts everything back.
        fail_at: the number of the operation that fails; None for none.
        error: what it raises. After `Killed`, every later operation raises it too.
        lasting: every later operation fails in the same way, as on a disk that stays full.
    """

    def __init__(
        self,
        monkeypatch: pytest.MonkeyPatch,
        *,
        fail_at: int | None = None,
        error: Callable[[], BaseException],
        lasting: bool = False,
    ) -> None:
        self.operations: list[str] = []
        self._fail_at, self._error, self._lasting = fail_at, error, lasting
        self._dead = False
        real_open, real_os_open, real_fsync, real_replace = builtins.open, os.open, os.fsync, os.replace
        real_unlink = os.unlink
        disk = self

        class Raw(io.FileIO):
            def write(self, data: Any) -> int:
                half = memoryview(data).cast("B")
                disk.operation("write", lambda: super(Raw, self).write(half[: len(half) // 2]))
                return super().write(data)

        def faulty_open(file: Any, mode: str = "r", *arguments: Any, **options: Any) -> Any:
            aside = isinstance(file, (str, Path)) and Path(file).name.startswith(ASIDE)
            if not aside or mode in ("r", "rb"):
                return real_open(file, mode, *arguments, **options)
            disk.operation("open")
            raw = Raw(file, mode.replace("b", ""))
            return io.BufferedRandom(raw) if "+" in mode else io.BufferedWriter(raw)

        def faulty_os_open(path: Any, flags: int, *arguments: Any, **options: Any) -> int:
            if flags & getattr(os, "O_DIRECTORY", 0):
                disk.operation("open folder")
            return real_os_open(path, flags, *arguments, **options)

        def faulty_fsync(descriptor: int) -> None:
            disk.operation("fsync")
            real_fsync(descriptor)

        def faulty_replace(source: Any, target: Any) -> None:
            disk.operation("replace")
            real_replace(source, target)

        def faulty_unlink(path: Any, **options: Any) -> None:
            if disk._dead:
                raise Killed
            real_unlink(path, **options)

        monkeypatch.setattr(builtins, "open", faulty_open)
        monkeypatch.setattr(io, "open", faulty_open)
        monkeypatch.setattr(os, "open", faulty_os_open)
        monkeypatch.setattr(os, "fsync", faulty_fsync)
        monkeypatch.setattr(os, "replace", faulty_replace)
        monkeypatch.setattr(os, "unlink", faulty_unlink)

    def operation(self, kind: str, half: Callable[[], Any] = lambda: None) -> None:
        """Notes an operation; the one that is to fail does half of its work and raises."""
        if self._dead:
            raise Killed
        number = len(self.operations)
        self.operations.append(kind)
        if self._fail_at is not None and (number == self._fail_at or (self._lasting and number > self._fail_at)):
            half()
            error = self._error()
            self._dead = isinstance(error, Killed)
            raise error

"""The command line as a user meets it, in this process: `main` itself, its streams, and what may come out of it."""

import contextlib
import errno
import io
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from textgen.cli import main
from textgen.system.files import ASIDE


@dataclass(frozen=True)
class Outcome:
    """How a command ended."""

    code: int
    out: str
    err: str


class Pipe(io.RawIOBase):
    """A stream that breaks after some bytes.

    Args:
        breaks: the error's number; None never breaks.
        after: the bytes it takes before.
    """

    def __init__(self, breaks: int | None = None, *, after: int = 0) -> None:
        self.taken = b""
        self.breaks, self._after = breaks, after

    def writable(self) -> bool:
        return True

    def write(self, data: object) -> int:
        block = bytes(memoryview(data))  # type: ignore[call-overload]
        if self.breaks is not None and len(self.taken) + len(block) > self._after:
            kind = BrokenPipeError if self.breaks == errno.EPIPE else OSError
            raise kind(self.breaks, "the stream broke")
        self.taken += block
        return len(block)


def run(*arguments: str, stdin: bytes = b"", out: Pipe | None = None, locale: str = "ascii") -> Outcome:
    """Runs `textgen` with these arguments.

    Args:
        arguments: as after the program's name.
        stdin: what is piped in.
        out: standard output; None takes everything.
        locale: the encoding that the process finds its streams in.
    """
    pipe, errors = out or Pipe(), Pipe()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sys, "argv", ["textgen", *arguments])
        patch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(stdin), encoding=locale))
        patch.setattr(sys, "stdout", io.TextIOWrapper(io.BufferedWriter(pipe), encoding=locale))
        patch.setattr(sys, "stderr", io.TextIOWrapper(io.BufferedWriter(errors), encoding=locale))
        with pytest.raises(SystemExit) as ended:
            main()
        pipe.breaks = None
        with contextlib.suppress(ValueError):
            sys.stdout.flush()
        sys.stderr.flush()
    return Outcome(int(ended.value.code or 0), pipe.taken.decode(), errors.taken.decode())


def judge(outcome: Outcome, *codes: int) -> Outcome:
    """Checks that a command ended with its result or with one sentence, and with one of these exit codes."""
    assert outcome.code in (codes or (0, 1, 2)), outcome
    assert "Traceback" not in outcome.err
    lines = outcome.err.splitlines()
    if outcome.code == 1:
        assert outcome.err.startswith("Error: "), outcome
        assert outcome.err.count("\n") == 1, outcome
        assert len(outcome.err) > 20
    elif outcome.code == 2:
        # A hint about a value may come before it is clear that the option has no use here.
        usage = [line for line in lines if not line.startswith("Note: ")]
        assert [usage[0][:7], usage[-1][:7]] == ["Usage: ", "Error: "], outcome
    assert all(
        character.isprintable() or character in "\n\t\ufeff" or ord(character) >= 0xA0 for character in outcome.err
    )
    return outcome


@contextlib.contextmanager
def nothing_left_in(folder: Path) -> Iterator[None]:
    """Checks that the body leaves no file or folder behind, and nothing half-written."""

    def entries() -> set[str]:
        return {str(path.relative_to(folder)) for path in folder.rglob("*")}

    before = entries()
    assert not any(ASIDE in name for name in before)
    yield
    assert entries() == before

"""Key presses as they come, on every operating system."""

from __future__ import annotations

import codecs
import contextlib
import os
import re
import sys
from collections.abc import Callable, Iterator

END = "\x04"
"""What stands for the end of input: Ctrl-D, and on Windows Ctrl-Z too."""

_SEQUENCE = re.compile(r"\x1b(?:\[[0-?]*[ -/]*[@-~]|O.|[^\x1b]|$)", re.DOTALL)


@contextlib.contextmanager
def key_presses() -> Iterator[Callable[[], str]]:
    """Takes the keyboard from the terminal's own line editing while the body runs.

    Yields:
        A function that waits for a key and returns it with all others that have been pressed by then, so that pasted
        text comes in one piece. Keys that write nothing, such as the arrows, are left out. Ctrl-C raises
        `KeyboardInterrupt` as ever.

    Raises:
        OSError: standard input is no terminal.
    """
    if sys.platform == "win32":
        yield _read_windows
        return
    import termios
    import tty

    descriptor = sys.stdin.fileno()
    try:
        before = termios.tcgetattr(descriptor)
    except termios.error as error:
        raise OSError(*error.args) from None
    decoder = codecs.getincrementaldecoder("utf-8")("replace")

    def read() -> str:
        while True:
            data = os.read(descriptor, 1 << 16)
            text = written_keys(decoder.decode(data)) if data else END
            if text:
                return text

    try:
        tty.setcbreak(descriptor, termios.TCSADRAIN)
        yield read
    finally:
        termios.tcsetattr(descriptor, termios.TCSADRAIN, before)


def written_keys(text: str) -> str:
    r"""What a terminal sent, without the sequences of arrows and other keys that write nothing.

    >>> written_keys("se\x1b[Da\x1bOP\x1b[3~!")
    'sea!'
    """
    return _SEQUENCE.sub("", text)


def _read_windows() -> str:
    import msvcrt

    units = ""
    while not units or msvcrt.kbhit():  # type: ignore[attr-defined,unused-ignore]
        unit = msvcrt.getwch()  # type: ignore[attr-defined,unused-ignore]
        if unit in ("\x00", "\xe0"):
            msvcrt.getwch()  # type: ignore[attr-defined,unused-ignore]
        elif unit == "\x03":
            raise KeyboardInterrupt
        else:
            units += END if unit == "\x1a" else unit
    return units.encode("utf-16", "surrogatepass").decode("utf-16", "replace")

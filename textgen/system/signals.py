"""Graceful interruption by signals, on every operating system."""

from __future__ import annotations

import contextlib
import signal
import threading
from collections.abc import Iterator
from types import FrameType
from typing import Any


class Interruption:
    """Whether the user or the system has requested the process to end.

    Attributes:
        requested: True after the first signal.
        signal: its number; None before.
    """

    def __init__(self) -> None:
        self.requested = False
        self.signal: int | None = None

    def __bool__(self) -> bool:
        return self.requested


@contextlib.contextmanager
def interruptible() -> Iterator[Interruption]:
    """Turns the first Ctrl-C into a flag; the second raises `KeyboardInterrupt`.

    SIGHUP (the end of a terminal session), SIGTERM and, on Windows, SIGBREAK (Ctrl-Break) are handled the same way.
    Signals that the process was started to ignore (`nohup`) stay ignored. Outside the main thread, which alone receives
    signals, the flag is never set.

    Example:
        >>> with interruptible() as interruption:
        ...     signal.raise_signal(signal.SIGINT)
        ...     interruption.requested
        True
    """
    interruption = Interruption()
    if threading.current_thread() is not threading.main_thread():
        yield interruption
        return
    before: dict[int, Any] = {}

    def restore() -> None:
        while before:
            signal.signal(*before.popitem())

    def first(number: int, _: FrameType | None) -> None:
        interruption.requested, interruption.signal = True, number
        restore()

    for name in ("SIGINT", "SIGTERM", "SIGHUP", "SIGBREAK"):
        number = getattr(signal, name, None)
        handler = signal.SIG_IGN if number is None else signal.getsignal(number)
        if number is not None and handler not in (signal.SIG_IGN, None):
            before[number] = handler
            signal.signal(number, first)
    try:
        yield interruption
    finally:
        restore()

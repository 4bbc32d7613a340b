"""Handles the signals that ask the process to end, on every operating system."""

from __future__ import annotations

import contextlib
import signal
import threading
from collections.abc import Callable, Iterator
from types import FrameType
from typing import Any

_ENDING = ("SIGTERM", "SIGHUP", "SIGBREAK")


class Interruption:
    """Whether the user or the system has asked the process to end.

    Attributes:
        requested: True after the first signal.
        signal: its number; None before.
    """

    def __init__(self) -> None:
        self.requested = False
        self.signal: int | None = None

    def __bool__(self) -> bool:
        return self.requested

    @property
    def error(self) -> KeyboardInterrupt:
        """What to raise in the end; it holds the signal's number if that is no Ctrl-C.

        >>> interruption = Interruption()
        >>> interruption.requested, interruption.signal = True, int(signal.SIGTERM)
        >>> interruption.error
        KeyboardInterrupt(15)
        """
        return KeyboardInterrupt() if self.signal in (None, signal.SIGINT) else KeyboardInterrupt(self.signal)


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

    for number in _handled("SIGINT", *_ENDING):
        before[number] = signal.signal(number, first)
    try:
        yield interruption
    finally:
        restore()


@contextlib.contextmanager
def ending(act: Callable[[int], None]) -> Iterator[None]:
    """Calls a function at each signal but Ctrl-C that asks the process to end, instead of ending it.

    These are the signals of `interruptible`, and those that the process was started to ignore stay ignored. Outside
    the main thread nothing changes.

    Args:
        act: given the signal's number, in the main thread.

    Example:
        >>> with ending(print):
        ...     signal.raise_signal(signal.SIGTERM)
        15
    """
    before: dict[int, Any] = {}
    if threading.current_thread() is threading.main_thread():
        for number in _handled(*_ENDING):
            before[number] = signal.signal(number, lambda number, _: act(number))
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _handled(*names: str) -> list[int]:
    """The numbers of the signals that exist on this system and are not ignored by this process."""
    numbers = [getattr(signal, name) for name in names if hasattr(signal, name)]
    return [number for number in numbers if signal.getsignal(number) not in (signal.SIG_IGN, None)]

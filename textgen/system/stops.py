"""Stops this process and measures how long it was stopped, as by Ctrl-Z, so that a clock can leave that time out."""

from __future__ import annotations

import contextlib
import os
import signal
import threading
import time
from collections.abc import Callable, Iterator
from types import FrameType


class _Stops:
    """The seconds so far, and when this process was last known to run."""

    seconds = 0.0
    seen = 0.0


def stopped() -> float:
    """Seconds for which this process was stopped within `counting_stops`, over its whole life.

    A stop counts from the last call before it, since a process cannot tell when it is stopped: whoever needs the time
    exactly calls often.
    """
    _Stops.seen = time.monotonic()
    return _Stops.seconds


def asked_to_stop(act: Callable[[], None]) -> contextlib.AbstractContextManager[None]:
    """Calls a function where the process is asked to stop (SIGTSTP), instead of stopping it; see `stop_job`.

    Outside the main thread, and on Windows, nothing changes.
    """
    return _at("SIGTSTP", act)


def continued(act: Callable[[], None]) -> contextlib.AbstractContextManager[None]:
    """Calls a function each time that the process is continued (SIGCONT), however it was stopped.

    Outside the main thread, and on Windows, nothing changes.

    Example:
        >>> with continued(lambda: print("here again")):
        ...     signal.raise_signal(signal.SIGCONT)
        here again
    """
    return _at("SIGCONT", act)


@contextlib.contextmanager
def _at(name: str, act: Callable[[], None]) -> Iterator[None]:
    if not hasattr(signal, name) or threading.current_thread() is not threading.main_thread():
        yield
        return
    number = getattr(signal, name)
    before = signal.signal(number, lambda *_: act())
    try:
        yield
    finally:
        signal.signal(number, before)


def stop_job() -> None:
    """Stops the processes of this job, as a terminal does at Ctrl-Z; returns when this one is continued."""
    before = signal.signal(signal.SIGTSTP, signal.SIG_DFL)
    os.kill(0, signal.SIGTSTP)
    signal.signal(signal.SIGTSTP, before)


@contextlib.contextmanager
def counting_stops() -> Iterator[None]:
    """Counts the time for which the process is stopped in the body, until it is continued (SIGCONT).

    Outside the main thread, which alone receives signals, and on Windows, which stops no processes, nothing is counted.

    Example:
        >>> with counting_stops():
        ...     before = stopped()
        ...     signal.raise_signal(signal.SIGCONT)
        ...     0.0 <= stopped() - before < 60.0
        True
    """
    if not hasattr(signal, "SIGCONT") or threading.current_thread() is not threading.main_thread():
        yield
        return

    def count(number: int, frame: FrameType | None) -> None:
        now = time.monotonic()
        _Stops.seconds += now - _Stops.seen
        _Stops.seen = now
        if callable(before):
            before(number, frame)

    stopped()
    before = signal.signal(signal.SIGCONT, count)
    try:
        yield
    finally:
        signal.signal(signal.SIGCONT, signal.SIG_DFL if before is None else before)

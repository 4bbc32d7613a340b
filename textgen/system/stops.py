"""Measures how long this process was stopped, as by Ctrl-Z, so that a clock can leave that time out."""

from __future__ import annotations

import contextlib
import signal
import threading
import time
from collections.abc import Iterator
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

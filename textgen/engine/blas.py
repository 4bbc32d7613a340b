"""How many threads the matrix library takes for a product, where it is OpenBLAS.

Its threads share a product out and wait for one another with a spinning loop. That pays where a step reads weights for
longer than the threads take to meet, and all cores are free. Where a core is busy with something else, each product
waits until the scheduler has given that core back, which may take a hundred times as long as the product. So the engine
has its products made in the calling thread, shares large ones out over its own threads (`textgen.engine.threads`), and
lets OpenBLAS share out a vector's product only while a `Pace` finds that it pays.
"""

from __future__ import annotations

import ctypes
import functools
import os
import threading
import time
from collections.abc import Callable
from types import TracebackType
from typing import Any, NamedTuple, TypeVar

T = TypeVar("T")

_SHARES = (24, 16, 12, 8, 6, 4, 3, 2)
"""Threads that get whole groups of columns of a matrix, which keeps a vector's product the same bit for bit."""


class _Library(NamedTuple):
    get: Callable[[], int]
    set: Callable[[int], None]


@functools.cache
def _library() -> _Library | None:
    """OpenBLAS's own functions for the number of its threads; None where NumPy uses another library."""
    try:
        from numpy.linalg import _umath_linalg

        # A symbol is looked for in what the module was linked with, too.
        linked = ctypes.PyDLL(_umath_linalg.__file__)
    except (ImportError, OSError, TypeError):
        return None
    for prefix, suffix in (("scipy_", "64_"), ("scipy_", ""), ("", "64_"), ("", "")):
        try:
            found = [getattr(linked, f"{prefix}openblas_{verb}_num_threads{suffix}") for verb in ("get", "set")]
        except AttributeError:
            continue
        found[1].restype = None
        return _Library(*found)
    return None


def can_choose_threads() -> bool:
    """Whether OpenBLAS is there to be told how many threads to take."""
    return _library() is not None


class _Claims:
    """The blocks of work in progress, in all threads of the process; the library's own number comes back after them."""

    def __init__(self) -> None:
        self.lock = threading.Lock()
        self.count = 0
        self.before = self.now = 1
        self.many = False
        self.holder: int | None = None

    def take(self, *, many: bool, hold: bool = False) -> None:
        """Begins a block, which gets OpenBLAS's threads if it is the only one; `hold` lets it change that later."""
        library = _library()
        if library is None:
            return
        with self.lock:
            self.count += 1
            only = self.count == 1
            if only:
                self.before = self.now = library.get()
            self.holder = threading.get_ident() if hold and only else None
            self._use(library, many and only)

    def give_back(self) -> None:
        """Ends a block."""
        library = _library()
        if library is None:
            return
        with self.lock:
            # A process that was forked within a block ends one that it never began.
            self.count = max(0, self.count - 1)
            if not self.count:
                self.holder = None
                if self.now != self.before:
                    library.set(self.before)

    def held(self, *, many: bool) -> bool:
        """Whether the calling thread holds the only block, with OpenBLAS's threads from now on or without."""
        if self.holder != threading.get_ident():
            return False
        if self.many == many:
            return True
        library = _library()
        with self.lock:
            if library is None or self.holder is None:
                return False
            self._use(library, many)
        return True

    def _use(self, library: _Library, many: bool) -> None:
        wanted = _share(self.before) if many else 1
        self.many = many
        if self.now != wanted:
            library.set(wanted)
            self.now = wanted


_claims = _Claims()


def _forget() -> None:
    """In a forked process only its own thread goes on."""
    global _claims
    library, left = _library(), _claims
    if library is not None and left.count:
        library.set(left.before)
    _claims = _Claims()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_forget)


class Threads:
    """A block of work in which OpenBLAS makes each product in the calling thread, or shares it out.

    Where several threads of the process are in such blocks, none shares anything out. What the number was before comes
    back when the last one leaves. Does nothing where the library is another one.

    Args:
        many: share products out, over as many threads as OpenBLAS has, but never so many that bits change.
        hold: let a `Pace` decide for the steps in it, as long as no other thread begins a block. Each step outside is
            a block of its own, which takes some microseconds more.

    >>> with Threads():
    ...     engine_step = "made in the calling thread"
    """

    def __init__(self, *, many: bool = False, hold: bool = False) -> None:
        self._many, self._hold = many, hold

    def __enter__(self) -> None:
        _claims.take(many=self._many, hold=self._hold)

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        _claims.give_back()


@functools.cache
def _share(threads: int) -> int:
    return next((share for share in _SHARES if share <= threads), 1)


ALONE = Threads()
"""Each product in the calling thread."""

HELD = Threads(hold=True)
"""Steps of one text, one after the other, with a `Pace`."""

_TRIAL = 8
"""Steps that are measured with one thread at least, and whose time a trial of several may lose at most."""

_BLOCK = 16
"""Steps of a trial, after which it is judged, and goes on or ends."""

_GAIN = 0.9
"""The share of one thread's time that it may take."""

_FIRST, _LONGEST = 0.002, 5.0
"""Seconds with one thread before a trial, at least and at most."""

_WORTH = 10
"""How many times as long as what a trial lost the next one is put off."""


class Pace:
    """Finds out, again and again, whether steps are quicker where OpenBLAS shares their products out.

    One thread is the rule. A trial of several goes on for as long as they are quicker, and ends where it loses time;
    then the next one is put off so far that trials cost at most a tenth of the time.
    What the steps compute does not depend on it. Threads may share a pace.

    >>> Pace().run(1, max, 2, 3)
    3
    """

    def __init__(self) -> None:
        self.many = False
        self._alone = 0.0
        self._wait = _FIRST
        self._steps, self._seconds = 0, 0.0

    def run(self, steps: int, call: Callable[..., T], *arguments: Any) -> T:
        """The result of a call that makes so many steps."""
        claims, now = _claims, time.perf_counter
        held = claims.held(many=self.many)
        if not held:
            claims.take(many=self.many)
        try:
            start = now()
            result = call(*arguments)
            seconds = now() - start
        finally:
            if not held:
                claims.give_back()
        self.add(steps, seconds)
        return result

    def add(self, steps: int, seconds: float) -> None:
        """Hears how long steps took, and decides about the next ones."""
        self._steps += steps
        self._seconds += seconds
        if self.many:
            lost = self._seconds - _GAIN * self._alone * self._steps
            if lost > (_GAIN * self._alone * _TRIAL if self._steps < _BLOCK else 0.0):
                self._wait = min(_LONGEST, max(2 * self._wait, _WORTH * lost))
                self._begin(many=False)
            elif self._steps >= _BLOCK:
                self._wait = _FIRST
                self._begin(many=True)
        elif self._seconds >= self._wait and self._steps >= _TRIAL:
            self._alone = self._seconds / self._steps
            self._begin(many=True)

    def _begin(self, *, many: bool) -> None:
        self.many = many
        self._steps, self._seconds = 0, 0.0

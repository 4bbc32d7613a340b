"""The process's own threads, which work on parts of a product side by side.

All engines of a process share them. They are started when they are first needed; a forked process, in which none of
them goes on, starts its own.
"""

from __future__ import annotations

import functools
import itertools
import os
from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TypeVar

from textgen.system import cores

T = TypeVar("T")

_WORTH = 4
"""Chunks that are worth a thread of their own."""


def side_by_side(calls: Sequence[Callable[[], T]]) -> list[T]:
    """The results of `calls`, made at the same time by this thread and the others.

    What no other thread has begun when this one is free, as where all cores are busy, this one does itself.

    >>> side_by_side([lambda: 1, lambda: 2])
    [1, 2]
    """
    others = [_submit(call) for call in calls[1:]]
    results = [call() for call in calls[:1]]
    for call, other in zip(calls[1:], others, strict=True):
        results.append(call() if other is None or other.cancel() else other.result())
    return results


def in_chunks(length: int, call: Callable[[slice], object], *, chunk: int = 1 << 16) -> None:
    """Calls `call` with slices that cover `length` numbers, so short that they stay in the cache, on several threads.

    >>> import numpy as np
    >>> total = np.zeros(3)
    >>> in_chunks(3, lambda part: np.add(total[part], 1, total[part]), chunk=2)
    >>> total
    array([1., 1., 1.])
    """
    chunks = -(-length // chunk)
    parts = max(1, min(cores(), chunks // _WORTH))

    def run(first: int, last: int) -> None:
        for number in range(first, last):
            call(slice(number * chunk, (number + 1) * chunk))

    cuts = [chunks * part // parts for part in range(parts + 1)]
    side_by_side([functools.partial(run, *pair) for pair in itertools.pairwise(cuts)])


def _submit(call: Callable[[], T]) -> Future[T] | None:
    """The call's result to come; None where no more threads can be started, as at the end of the process."""
    try:
        return _pool().submit(call)
    except RuntimeError:
        return None


@functools.cache
def _pool() -> ThreadPoolExecutor:
    return ThreadPoolExecutor(max(1, cores() - 1), thread_name_prefix="textgen-engine")


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_pool.cache_clear)

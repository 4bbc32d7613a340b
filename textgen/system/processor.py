"""Counts the processor's cores."""

from __future__ import annotations

import os
from pathlib import Path

_CORES = Path("/sys/devices/system/cpu")


def cores() -> int:
    """The cores this process may use, as the system counts them: with two hardware threads a core counts twice."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def whole_cores() -> int | None:
    """The same with each core counted once, whatever its hardware threads; None where the system does not say."""
    if not hasattr(os, "sched_getaffinity"):
        return None
    try:
        siblings = {
            (_CORES / f"cpu{number}" / "topology" / "thread_siblings_list").read_text()
            for number in os.sched_getaffinity(0)
        }
    except OSError:
        return None
    return len(siblings)

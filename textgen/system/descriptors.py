"""Raises the number of files and connections that the process may have open."""

from __future__ import annotations

import contextlib


def allow_descriptors(count: int) -> int | None:
    """Lets the process have `count` files and connections open at once, as far as it may decide that.

    Many systems begin with 1,024 and allow thousands to those that ask. Windows has no such limit.

    Returns:
        How many there may be now; None without a limit.

    >>> known = allow_descriptors(64)
    >>> known is None or known >= 64
    True
    """
    try:
        import resource
    except ImportError:
        return None
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft != resource.RLIM_INFINITY and soft < count:
        wanted = count if hard == resource.RLIM_INFINITY else min(count, hard)
        with contextlib.suppress(OSError, ValueError):
            resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))
    soft = resource.getrlimit(resource.RLIMIT_NOFILE)[0]
    return None if soft == resource.RLIM_INFINITY else soft

"""Arrays that stay in their file, and how to keep them from filling the memory.

An open file goes in and an array comes out whose pages the operating system reads when they are looked at.
The module knows nothing of what the numbers mean.
"""

from __future__ import annotations

import mmap
from typing import Any, BinaryIO

import numpy as np
from numpy.typing import NDArray


def map_array(file: BinaryIO, dtype: np.dtype[Any], *, offset: int, count: int) -> NDArray[Any]:
    """The `count` numbers at `offset` bytes of an open file, `(count,)`, read-only; the file may then be closed.

    Raises:
        OSError: the file cannot be mapped.
        ValueError: the file is shorter than that.
    """
    return np.frombuffer(mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ), dtype, count=count, offset=offset)


def release_pages(array: NDArray[Any]) -> bool:
    """Gives back the memory that a mapped array has come to take, and tells whether there was any to give.

    Pages that were looked at count as the process's own until it lets them go: a pass over a text of 1 GB would end
    with 1 GB resident. The numbers stay what they are and are read again when they are looked at. An array that is
    not mapped is left alone, as is every array on Windows, which trims such pages by itself.

    >>> release_pages(np.arange(3))
    False
    """
    base: Any = array
    while isinstance(base, (np.ndarray, memoryview)):
        base = base.base if isinstance(base, np.ndarray) else base.obj
    if not isinstance(base, mmap.mmap) or not hasattr(mmap, "MADV_DONTNEED"):
        return False
    base.madvise(mmap.MADV_DONTNEED)
    return True

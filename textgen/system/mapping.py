"""Memory-maps arrays and releases their resident pages."""

from __future__ import annotations

import mmap
from typing import Any, BinaryIO

import numpy as np
from numpy.typing import NDArray


def map_array(file: BinaryIO, dtype: np.dtype[Any], *, offset: int, count: int) -> NDArray[Any]:
    """Maps `count` numbers at `offset` bytes of an open file, `(count,)`, read-only; the file may be closed afterwards.

    Raises:
        OSError: the file cannot be mapped.
        ValueError: the file is too short.
    """
    return np.frombuffer(mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ), dtype, count=count, offset=offset)


def release_pages(array: NDArray[Any]) -> bool:
    """Releases the resident pages of a memory-mapped array; returns whether the array is one that can be released.

    Pages that were read count as the process's memory until it releases them: a pass over a text of 1 GB would end with
    1 GB resident. Released pages are read again on access. An array that is not mapped is left alone, as is every array
    on Windows, which trims such pages by itself.

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

"""Arrays as JSON values that stay small: their bytes in base64. `unpack` in `reader.js` is the way back."""

from __future__ import annotations

import base64
from typing import Any

import numpy as np
from numpy.typing import NDArray


def packed(values: NDArray[Any]) -> dict[str, str]:
    """An array for a page: its type and its values one after the other, little-endian.

    Args:
        values: whole numbers of 8, 16 or 32 bits, or 32-bit floating point, of any shape.

    >>> packed(np.array([1, 258], np.uint16))
    {'type': 'u2', 'data': 'AQACAQ=='}
    """
    little = np.ascontiguousarray(values, values.dtype.newbyteorder("<"))
    return {"type": little.dtype.str[1:], "data": base64.b64encode(little.tobytes()).decode("ascii")}


def smallest(values: NDArray[np.integer]) -> NDArray[Any]:
    """Whole numbers of at least 0 in the smallest type that holds them.

    >>> smallest(np.array([3, 300])).dtype
    dtype('uint16')
    """
    return values.astype(np.min_scalar_type(int(values.max(initial=0))))

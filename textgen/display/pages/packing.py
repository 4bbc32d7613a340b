"""Encodes arrays as compact JSON values, in base64. `unpack` in `reader.js` decodes them."""

from __future__ import annotations

import base64
from typing import Any

import numpy as np
from numpy.typing import NDArray


def packed(values: NDArray[Any]) -> dict[str, str]:
    """An array as a JSON value: its type, and its values in C order, little-endian.

    Args:
        values: 8, 16 or 32-bit integers, or float32, of any shape.

    >>> packed(np.array([1, 258], np.uint16))
    {'type': 'u2', 'data': 'AQACAQ=='}
    """
    little = np.ascontiguousarray(values, values.dtype.newbyteorder("<"))
    return {"type": little.dtype.str[1:], "data": base64.b64encode(little.tobytes()).decode("ascii")}


def smallest(values: NDArray[np.integer]) -> NDArray[Any]:
    """Non-negative integers converted to the smallest type that holds them.

    >>> smallest(np.array([3, 300])).dtype
    dtype('uint16')
    """
    return values.astype(np.min_scalar_type(int(values.max(initial=0))))

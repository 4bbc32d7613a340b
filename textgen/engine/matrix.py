"""A weight matrix in the memory layout in which its products with vectors and batches are fastest.

A product takes `(inputs,)` or `(rows, inputs)` and writes `(columns,)` or `(rows, columns)` to a given buffer.

Columns are contiguous in memory. The product of one vector is bound by memory bandwidth; BLAS divides it among its
threads where `textgen.engine.blas` lets it. That of several rows is one matrix product; where BLAS has small-matrix
kernels it is divided into small products of at most `ROWS` rows and as many columns as stay in the cache. BLAS then
neither repacks the weights nor starts threads, which makes a batch up to three times as fast, and the engine's threads
never wait for each other.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterator
from typing import Self

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float32]

ROWS = 16
"""Rows of a small product; callers that divide rows among threads do so at multiples of it."""

COLUMNS = 96
"""The width of a matrix is a multiple of this."""

_WIDTH = 32
"""Columns of a small product."""

_UNTHREADED = 2**18
"""Multiplications up to which OpenBLAS computes a matrix product in the calling thread."""

_QUIET = 9216
"""Multiplications below which it computes a matrix-vector product in the calling thread."""

FEW = 7
"""Rows up to which matrix-vector products one by one are faster than a matrix product, which repacks the weights."""


@functools.cache
def has_small_kernels() -> bool:
    """Whether BLAS multiplies small matrices without repacking them: OpenBLAS does with AVX-512."""
    about = np.show_config(mode="dicts")
    blas = about.get("Build Dependencies", {}).get("blas", {}).get("name", "")
    found = about.get("SIMD Extensions", {}).get("found", [])
    return "openblas" in blas and any(name == "X86_V4" or name.startswith("AVX512") for name in found)


def padded(columns: int) -> int:
    """The width of a matrix for `columns` columns.

    >>> padded(65), padded(96), padded(2048)
    (96, 96, 2112)
    """
    return -(-columns // COLUMNS) * COLUMNS


class Matrix:
    """Weights `(inputs, columns)`, float32, in column-major order; `columns` is `padded`.

    >>> matrix = Matrix.zeros(2, 3)
    >>> matrix.values[:, :3] = [[1, 2, 3], [4, 5, 6]]
    >>> out = np.empty(matrix.columns, np.float32)
    >>> multiply = matrix.bind(np.array([1, 10], np.float32), out)
    >>> _ = multiply()
    >>> out[:3]
    array([41., 52., 63.], dtype=float32)
    """

    def __init__(self, values: Array) -> None:
        self.values = values

    @classmethod
    def zeros(cls, inputs: int, columns: int) -> Self:
        """A matrix of zeros for `columns` columns, padded."""
        return cls(np.zeros((padded(columns), inputs), np.float32).T)

    @property
    def inputs(self) -> int:
        """The number of rows of the matrix."""
        return int(self.values.shape[0])

    @property
    def columns(self) -> int:
        """The number of columns, padding included."""
        return int(self.values.shape[1])

    def part(self, start: int, stop: int) -> Self:
        """The matrix for the inputs from `start` to `stop`; shares this one's memory."""
        return type(self)(self.values[start:stop])

    def bind(self, x: Array, out: Array, *, quietly: bool = False) -> Callable[[], object]:
        """A function that writes the product of `x` and the weights to `out` whenever it is called.

        Args:
            x: `(inputs,)` or `(rows, inputs)`; what it holds at the time of the call counts.
            out: `(columns,)` or `(rows, columns)`.
            quietly: compute a vector's product without the threads of BLAS, which keep cores busy for a while after.
        """
        if x.ndim == 1:
            return self._bind_vector(x, out, quietly)
        calls: list[Callable[[], object]]
        if has_small_kernels():
            calls = [functools.partial(np.matmul, *parts) for parts in self._parts(x, out)]
        elif len(x) <= FEW:
            calls = [self._bind_vector(*each, quietly) for each in zip(x, out, strict=True)]
        else:
            calls = [functools.partial(np.matmul, x, self.values, out)]
        if len(calls) == 1:
            return calls[0]

        def product() -> None:
            for call in calls:
                call()

        return product

    def times(self, x: Array, out: Array) -> None:
        """Writes the product of `x`, `(rows, inputs)`, and the weights to `out`, `(rows, columns)`, in small parts."""
        for parts in self._parts(x, out):
            np.matmul(*parts)

    def _bind_vector(self, x: Array, out: Array, quietly: bool) -> Callable[[], object]:
        if quietly:
            width = next((width for width in (32, 16, 8) if width * self.inputs < _QUIET), 4)
            weights = self.values.reshape(self.inputs, -1, width).transpose(1, 0, 2)
            return functools.partial(np.matmul, x[None], weights, out.reshape(-1, 1, width))
        return functools.partial(np.dot if self.values.flags.f_contiguous else np.matmul, x, self.values, out)

    def _parts(self, x: Array, out: Array) -> Iterator[tuple[Array, Array, Array]]:
        """Views of `x`, the weights and `out` whose products are small."""
        inputs, columns = self.values.shape
        height = ROWS
        while height * _WIDTH * inputs > _UNTHREADED and height > 2:
            height //= 2
        weights = self.values.reshape(inputs, -1, _WIDTH).transpose(1, 0, 2)[:, None]
        full = len(x) // height * height
        for start, stop, high in ((0, full, height), (full, len(x), len(x) - full)):
            if start < stop:
                rows = x[start:stop].reshape(1, -1, high, inputs)
                written = out[start:stop].reshape(-1, high, columns // _WIDTH, _WIDTH)
                yield rows, weights, written.transpose(2, 0, 1, 3)

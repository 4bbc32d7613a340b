"""Lays packed records one per row, for Keras's layers, which cannot start a sequence anew within a row."""

from __future__ import annotations

from typing import Any

import tensorflow as tf

Tensor = Any


class Rows:
    """The rows of a batch of streams: a new one at each stream's first position and wherever the state starts anew.

        keep [[1 1 0 1]], a stream of four positions: two rows of two; the first continues the stream's state

    Rows are padded at their end to the longest one, so that the number of rows and their length vary with the batch.

    Args:
        keep: `(batch, time)` booleans: False where the state is zero before the position's step.
    """

    def __init__(self, keep: Tensor) -> None:
        self._batch, self._time = keep.shape
        begins = tf.concat([tf.ones((self._batch, 1), tf.bool), tf.logical_not(keep[:, 1:])], 1)
        begins = tf.reshape(begins, (-1,))
        row = tf.cumsum(tf.cast(begins, tf.int32)) - 1
        positions = tf.range(self._batch * self._time)
        first = tf.boolean_mask(positions, begins)
        lengths = tf.concat([first[1:], [self._batch * self._time]], 0) - first
        self._shape = (tf.size(first), tf.reduce_max(lengths))
        self._places = tf.stack([row, positions - tf.gather(first, row)], 1)
        self._stream = first // self._time
        continues = tf.logical_and(first % self._time == 0, tf.gather(tf.reshape(keep, (-1,)), first))
        self._continues = tf.cast(continues, tf.float32)[:, None]
        self._last = tf.reshape(row, (self._batch, self._time))[:, -1]
        self.mask = tf.sequence_mask(lengths, self._shape[1])

    def lay(self, streams: Tensor) -> Tensor:
        """The rows, `(rows, longest, features)`, of `(batch, time, features)`; padding is zero."""
        features = streams.shape[-1]
        values = tf.reshape(streams, (-1, features))
        rows = tf.scatter_nd(self._places, values, (*self._shape, features))
        return tf.ensure_shape(rows, (None, None, features))

    def join(self, rows: Tensor) -> Tensor:
        """The inverse of `lay`."""
        return tf.reshape(tf.gather_nd(rows, self._places), (self._batch, self._time, rows.shape[-1]))

    def entering(self, state: Tensor) -> Tensor:
        """The state before each row, `(rows, units)`, from that before each stream, `(batch, units)`."""
        return tf.gather(state, self._stream) * self._continues

    def leaving(self, state: Tensor) -> Tensor:
        """The state after each stream, `(batch, units)`, from that after each row, `(rows, units)`."""
        return tf.ensure_shape(tf.gather(state, self._last), (self._batch, state.shape[-1]))

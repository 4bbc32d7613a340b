"""TensorFlow's cluster, and sums over all workers by its collective operations: a ring on CPUs, NCCL on GPUs."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import tensorflow as tf
from numpy.typing import NDArray
from tensorflow.core.protobuf import tensorflow_server_pb2
from tensorflow.python.eager import context

from textgen.errors import TrainingError
from textgen.training.framework import quiet_errors
from textgen.training.workers.channel import listen
from textgen.training.workers.cluster import Cluster

Tensor = Any

FAILURES = (
    tf.errors.AbortedError,
    tf.errors.CancelledError,
    tf.errors.DeadlineExceededError,
    tf.errors.FailedPreconditionError,
    tf.errors.InternalError,
    tf.errors.UnavailableError,
    tf.errors.UnknownError,
)
"""What a collective raises that another worker does not take part in any more."""

_PATIENCE = 5.0
"""A collective that takes this many times the timeout has failed. The watch over the workers notices most before that;
this one is for what it cannot see."""

REACH = "Each must reach the address of each other one, not only worker 0's."

_GROUPS = {"/CPU:0": 1, "/GPU:0": 2}
"""The group of workers by the device: TensorFlow refuses one whose members are on devices of different kinds."""

_GRADIENTS, _CHANGES, _NUMBER = 1, 2, 3

_joined: Cluster | None = None


def check_port(cluster: Cluster) -> None:
    """Sees that this worker's port is free, before anybody waits for it.

    Raises:
        TrainingError: it is not.
    """
    if _joined != cluster:
        listen(cluster.port, "of this worker").close()


def join(cluster: Cluster) -> None:
    """Makes this process part of TensorFlow's cluster, for good.

    `tf.distribute.MultiWorkerMirroredStrategy` would do so, too, but Keras 3's optimizers do not work in its scope, and
    its coordination service ends the process where another one dies.

    Raises:
        TrainingError: the process is part of another cluster, or its server cannot start.
    """
    global _joined
    if _joined is not None:
        if _joined != cluster:
            raise TrainingError(
                "This process has trained with other workers before, and TensorFlow cannot change them. Start it anew."
            )
        return
    leader = "/job:worker/replica:0/task:0"
    own = context.context()
    config = own.config
    config.experimental.collective_group_leader = leader
    server = tensorflow_server_pb2.ServerDef(
        cluster=tf.train.ClusterSpec({"worker": list(cluster.addresses)}).as_cluster_def(),
        default_session_config=config,
        job_name="worker",
        task_index=cluster.index,
        protocol="grpc",
        port=cluster.port,
    )
    try:
        with quiet_errors():
            own.ensure_initialized()
            own.enable_collective_ops(server)
        # The names that devices had before are remembered, and would be refused.
        context._device_parsing_cache.clear()
    except (tf.errors.OpError, RuntimeError, ValueError) as error:
        raise TrainingError(
            f"TensorFlow's server cannot start on port {cluster.port}: {_first_line(error)}. Choose other ports."
        ) from error
    _joined = cluster


def abort(reason: str) -> None:
    """Has all collectives of this process, also those that wait, fail at once; from any thread."""
    context.context().abort_collective_ops(tf.errors.UNAVAILABLE, reason)


class Collectives:
    """Sums over the workers of a cluster that this process has joined.

    Args:
        workers: their number.
        timeout: the seconds of silence after which a worker counts as lost.
        gpu: sum on the GPU, in a group of its own.
        precision: the type in which `total` sends.
        key: names the vectors of `total`, which all have one length.
    """

    def __init__(
        self, workers: int, *, timeout: float, gpu: bool = False, precision: str = "float32", key: int = _CHANGES
    ) -> None:
        self.workers = workers
        self._timeout = _PATIENCE * timeout
        self._device, self._hint = ("/GPU:0", "nccl") if gpu else ("/CPU:0", "ring")
        self._type, self._key = tf.as_dtype(precision), key
        self._total = tf.function(self._summed_changes, autograph=False)

    def check(self) -> None:
        """Sums a number, to see that the workers reach one another.

        Raises:
            TrainingError: they do not.
        """
        try:
            with quiet_errors():
                found = tf.function(lambda: self._reduce(tf.ones(2), _NUMBER), autograph=False)().numpy()
        except tf.errors.OpError as error:
            otherwise = " If they do, train on CPUs: give all workers --device cpu." if self._hint == "nccl" else ""
            raise TrainingError(
                f"The workers cannot exchange with one another ({_first_line(error)}). {REACH}{otherwise}"
            ) from error
        if float(found[0]) != self.workers:
            raise TrainingError("The workers cannot exchange with one another: their sums are wrong.")

    def sum_gradients(self, gradients: Sequence[Tensor], loss: Tensor) -> tuple[list[Tensor], Tensor]:
        """Within a graph: the sums over the workers of some tensors and a number, as one vector."""
        shapes = [gradient.shape for gradient in gradients]
        flat = tf.concat([*(tf.reshape(each, (-1,)) for each in gradients), tf.reshape(loss, (1,))], 0)
        parts = tf.split(self._reduce(flat, _GRADIENTS), [*(int(np.prod(shape)) for shape in shapes), 1])
        return [tf.reshape(part, shape) for part, shape in zip(parts[:-1], shapes, strict=True)], parts[-1][0]

    def total(self, vector: NDArray[np.float32]) -> NDArray[np.float32]:
        """The sum of a vector over the workers, the same on each to the last bit.

        Raises:
            tf.errors.OpError: one of `FAILURES`.
        """
        summed: NDArray[np.float32] = self._total(tf.constant(vector)).numpy()
        return summed

    def _summed_changes(self, vector: Tensor) -> Tensor:
        return tf.cast(self._reduce(tf.cast(vector, self._type), self._key), tf.float32)

    def _reduce(self, vector: Tensor, key: int) -> Tensor:
        # The device is not the caller's: a thread in the background has none.
        with tf.device(self._device):
            return tf.raw_ops.CollectiveReduceV2(
                input=vector,
                group_size=self.workers,
                group_key=_GROUPS[self._device],
                instance_key=key,
                ordering_token=[],
                merge_op="Add",
                final_op="Id",
                communication_hint=self._hint,
                timeout_seconds=self._timeout,
            )


def _first_line(error: Exception) -> str:
    return (str(error).splitlines() or [type(error).__name__])[0][:200]

"""Chooses the device, threads, shards and matrix product dtype of training.

TensorFlow's threads can only be set before its runtime starts; if it has started already, they are left alone.
"""

from __future__ import annotations

import contextlib
import os
import time
from collections.abc import Iterator
from dataclasses import dataclass

import tensorflow as tf

from textgen.config import Device, Precision
from textgen.errors import ConfigError, TrainingError
from textgen.training.framework import quiet_errors

_UNITS, _COLUMNS = 512, 32
_SHARE = 0.75
"""The share of the measured product rate that a training step reaches, without its overhead (see `recipe`)."""
_GPU_SPEED = 5e12


@dataclass(frozen=True, kw_only=True)
class Placement:
    """The result of `place`.

    Args:
        name: for people, such as "CPU, 2 cores, bfloat16 products".
        device: TensorFlow's name of the device, such as "/CPU:0".
        kernels: whether the recurrent layers run through `textgen.training.kernels`.
        threads: operations that run in parallel, each on one thread; 1 where TensorFlow decides.
        compute_dtype: type of the matrix products' factors.
        speed: multiply-adds per second that training may reach, from a short measurement.
    """

    name: str
    device: str
    kernels: bool
    threads: int
    compute_dtype: tf.DType
    speed: float

    def shards(self, batch_size: int, asked: int | None = None) -> int:
        """The number of shards of a batch: one per thread if each keeps 8 streams; always a divisor.

        Args:
            batch_size: streams in a batch.
            asked: the number that the user gave; None for threads and batch to decide.
        """
        wanted = asked if asked is not None else min(self.threads, max(1, batch_size // 8))
        return max(count for count in range(1, min(wanted, batch_size) + 1) if batch_size % count == 0)


def cores() -> int:
    """The processor cores this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def place(device: Device, precision: Precision) -> Placement:
    """Chooses the device and its settings, and sets TensorFlow's threads where that is still possible.

    On a CPU each shard of a batch runs on one thread, so that shards never wait for one another inside a small
    product; on a GPU Keras's own layers use cuDNN and the batch is not split.

    Args:
        device: "auto" takes a GPU if TensorFlow has one.
        precision: "auto" takes bfloat16 where the processor has the instructions and a short measurement shows
            it to be faster.

    Raises:
        ConfigError: a GPU was asked for and TensorFlow has none.
        TrainingError: this process was forked from one in which TensorFlow was at work.
    """
    _require_own_runtime()
    with quiet_errors():
        gpus = tf.config.list_physical_devices("GPU")
    if device == "gpu" and not gpus:
        raise ConfigError(
            "device must be cpu or auto here, because TensorFlow sees no GPU. "
            "Use --device auto, or install the extra: pip install 'textgen-chars[gpu]'.",
            field="device",
        )
    if gpus and device != "cpu":
        details = tf.config.experimental.get_device_details(gpus[0])
        name = f"GPU, {details.get('device_name', gpus[0].name)}, Keras's own layers"
        dtype = tf.bfloat16 if precision == "bfloat16" else tf.float32
        return Placement(name=name, device="/GPU:0", kernels=False, threads=1, compute_dtype=dtype, speed=_GPU_SPEED)
    own = _one_thread_an_operation()
    dtypes = {"float32": [tf.float32], "bfloat16": [tf.bfloat16]}.get(precision, [tf.float32, tf.bfloat16])
    if len(dtypes) > 1 and not _has_bfloat16():
        dtypes = [tf.float32]
    with quiet_errors():
        seconds = {dtype: _product_seconds(dtype) for dtype in dtypes}
    dtype = dtypes[-1] if seconds[dtypes[-1]] < 0.8 * seconds[dtypes[0]] else dtypes[0]
    count = cores()
    name = f"CPU, {count} core{'s'[: count != 1]}, {dtype.name} products"
    speed = _SHARE * count * 2.0 * 4.0 * _UNITS**2 * _COLUMNS / seconds[dtype]
    return Placement(
        name=name, device="/CPU:0", kernels=True, threads=count if own else 1, compute_dtype=dtype, speed=speed
    )


_process = os.getpid()
"""The process in which TensorFlow's runtime has started, or may start."""


def _require_own_runtime() -> None:
    """Refuses a fork's copy of TensorFlow's runtime: its threads are not there, and a call would wait for ever.

    Raises:
        TrainingError: this is such a fork.
    """
    global _process
    if (os.getpid() != _process or _is_single_thread()) and _runtime_started():
        raise TrainingError(
            "Training must not go on in a fork of a process that has used TensorFlow, whose threads a fork does not "
            "have. Start the process anew: multiprocessing.get_context('spawn'), or mp_context= of a "
            "ProcessPoolExecutor."
        )
    _process = os.getpid()


def _is_single_thread() -> bool:
    """Whether no thread is there that TensorFlow's runtime would have; False where the system does not say."""
    try:
        return len(os.listdir("/proc/self/task")) == 1  # noqa: PTH208
    except OSError:
        return False


def _runtime_started() -> bool:
    threads = tf.config.threading.get_inter_op_parallelism_threads()
    try:
        # The number that is set already would be taken at any time.
        tf.config.threading.set_inter_op_parallelism_threads(threads + 1)
    except RuntimeError:
        return True
    tf.config.threading.set_inter_op_parallelism_threads(threads)
    return False


@contextlib.contextmanager
def enough_memory() -> Iterator[None]:
    """Turns an out-of-memory error of the device into a `TrainingError`.

    Raises:
        TrainingError: the body ran out of memory.
    """
    try:
        yield
    except tf.errors.ResourceExhaustedError as error:
        raise TrainingError(
            "There is not enough memory for this training. Choose fewer units or layers, a smaller batch size or "
            "sequence length, or close other programs."
        ) from error


def _one_thread_an_operation() -> bool:
    """Gives each operation one thread and runs one operation per core; False if the runtime has started."""
    try:
        tf.config.threading.set_intra_op_parallelism_threads(1)
        tf.config.threading.set_inter_op_parallelism_threads(cores())
    except RuntimeError:
        return bool(tf.config.threading.get_intra_op_parallelism_threads() == 1)
    return True


def _has_bfloat16() -> bool:
    """Whether the processor has bfloat16 instructions; False on unknown systems."""
    try:
        with open("/proc/cpuinfo", encoding="ascii", errors="replace") as file:  # noqa: PTH123
            flags = next((line for line in file if line.startswith(("flags", "Features"))), "")
    except OSError:
        return False
    return any(flag in flags.split() for flag in ("avx512_bf16", "amx_bf16", "avx_ne_convert", "bf16"))


def _product_seconds(dtype: tf.DType, repeats: int = 15) -> float:
    """The minimum time in seconds of one step's product, `(4 units, units)` by `(units, columns)`, on one thread."""
    with tf.device("/CPU:0"):
        weights = tf.cast(tf.ones((4 * _UNITS, _UNITS)), dtype)
        state = tf.cast(tf.ones((_UNITS, _COLUMNS)), dtype)
        times = []
        for _ in range(repeats + 2):
            start = time.perf_counter()
            tf.matmul(weights, state).numpy()
            times.append(time.perf_counter() - start)
    return min(times)

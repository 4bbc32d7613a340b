"""Where training runs, and how: CPU or GPU, threads, shards, and the type of the matrix products.

TensorFlow's threads can only be set before its runtime starts; where someone else has started it, they stay as they are.
"""

from __future__ import annotations

import os
import time
from dataclasses import dataclass

import tensorflow as tf

from textgen.config import Device, Precision
from textgen.errors import ConfigError


@dataclass(frozen=True, kw_only=True)
class Placement:
    """What `place` found.

    Args:
        name: for people, such as "2 CPU cores, bfloat16 products".
        device: TensorFlow's name of the device, such as "/CPU:0".
        kernels: whether the recurrent layers run through `textgen.kernels`.
        shards: parts of a batch worked on side by side.
        compute_dtype: type of the matrix products' factors.
    """

    name: str
    device: str
    kernels: bool
    shards: int
    compute_dtype: tf.DType


def cores() -> int:
    """The processor cores this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def place(
    device: Device, precision: Precision, *, batch_size: int, units: int, shards: int | None = None
) -> Placement:
    """Decides where and how a model trains, and sets TensorFlow's threads where that is still possible.

    On a CPU each shard of a batch is worked on by one thread, since shards then never wait for one another inside a
    small product; on a GPU Keras's own layers use cuDNN and the batch stays whole.

    Args:
        device: "auto" takes a GPU if TensorFlow has one.
        precision: "auto" takes bfloat16 where the processor has the instructions and a short measurement shows
            it to be quicker.
        batch_size: streams in a batch.
        units: the state size for the measurement.
        shards: parts of a batch; None lets cores and batch decide.

    Raises:
        ConfigError: a GPU was asked for and TensorFlow has none.
    """
    gpus = tf.config.list_physical_devices("GPU")
    if device == "gpu" and not gpus:
        raise ConfigError(
            "device must be cpu or auto here, because TensorFlow sees no GPU. "
            "Use --device auto, or install the extra: pip install 'textgen-chars[gpu]'."
        )
    if gpus and device != "cpu":
        details = tf.config.experimental.get_device_details(gpus[0])
        dtype = tf.bfloat16 if precision == "bfloat16" else tf.float32
        name = f"GPU {details.get('device_name', gpus[0].name)}, {dtype.name} products, Keras's own layers"
        return Placement(name=name, device="/GPU:0", kernels=False, shards=1, compute_dtype=dtype)
    own = _one_thread_an_operation()
    if shards is None:
        shards = min(cores(), max(1, batch_size // 8)) if own else 1
    shards = max(count for count in range(1, shards + 1) if batch_size % count == 0)
    dtype = tf.bfloat16 if precision == "bfloat16" or (precision == "auto" and _bfloat16_pays(units)) else tf.float32
    count = cores()
    name = f"CPU, {count} core{'s' if count != 1 else ''}, {dtype.name} products, {shards} shard{'s'[: shards != 1]}"
    return Placement(name=name, device="/CPU:0", kernels=True, shards=shards, compute_dtype=dtype)


def _one_thread_an_operation() -> bool:
    """Gives each operation one thread and lets as many run as there are cores; False if the runtime has started."""
    try:
        tf.config.threading.set_intra_op_parallelism_threads(1)
        tf.config.threading.set_inter_op_parallelism_threads(cores())
    except RuntimeError:
        return tf.config.threading.get_intra_op_parallelism_threads() == 1
    return True


def _bfloat16_pays(units: int) -> bool:
    """Whether bfloat16 products of a step's shape take under 0.8 of float32's time, in a few milliseconds of trying."""
    if not _has_bfloat16():
        return False
    times = {dtype: _product_seconds(dtype, units) for dtype in (tf.float32, tf.bfloat16)}
    return times[tf.bfloat16] < 0.8 * times[tf.float32]


def _has_bfloat16() -> bool:
    """Whether the processor multiplies bfloat16 itself; unknown systems count as not."""
    try:
        with open("/proc/cpuinfo", encoding="ascii", errors="replace") as file:  # noqa: PTH123
            flags = next((line for line in file if line.startswith(("flags", "Features"))), "")
    except OSError:
        return False
    return any(flag in flags.split() for flag in ("avx512_bf16", "amx_bf16", "avx_ne_convert", "bf16"))


def _product_seconds(dtype: tf.DType, units: int, columns: int = 16, repeats: int = 8) -> float:
    """Median seconds of one step's product, `(4 units, units)` by `(units, columns)`."""
    with tf.device("/CPU:0"):
        weights = tf.cast(tf.ones((4 * units, units)), dtype)
        state = tf.cast(tf.ones((units, columns)), dtype)
        times = []
        for _ in range(repeats + 2):
            start = time.perf_counter()
            tf.matmul(weights, state).numpy()
            times.append(time.perf_counter() - start)
    return sorted(times[2:])[repeats // 2]

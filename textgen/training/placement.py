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

from textgen.config import Device, ModelConfig, Precision, TrainingConfig
from textgen.errors import ConfigError, TrainingError
from textgen.system import cores, whole_cores
from textgen.training.framework import quiet_errors
from textgen.training.shards import FEW_CORES, choose_shards, divisors, speed_up, why_not_more

_UNITS, _COLUMNS = 512, 32
_SHARE = 0.75
"""The share of the measured product rate that a training step reaches, without its overhead (see `recipe`)."""
_GPU_SPEED = 3.6e13
"""Operations a second of a GPU, measured on an H100 (`benchmarks/README.md`). In a small model's step they take less
time than the starts of its operations do, so that a slower GPU makes little difference."""


@dataclass(frozen=True, kw_only=True)
class Placement:
    """The result of `place`.

    Args:
        name: for people, such as "CPU, bfloat16 products".
        device: TensorFlow's name of the device, such as "/CPU:0".
        kernels: whether the recurrent layers run through `textgen.training.kernels`.
        cores: processor cores that this process may use, as the system counts them; 1 on a GPU.
        whole: those of them that are not second hardware threads of others; None where the system does not say.
        threads: operations that run in parallel, each on one thread; 1 where TensorFlow decides.
        compute_dtype: type of the matrix products' factors.
        core_speed: operations per second that training may reach on one core, or on the GPU, from a short
            measurement.
    """

    name: str
    device: str
    kernels: bool
    cores: int
    whole: int | None
    threads: int
    compute_dtype: tf.DType
    core_speed: float

    @property
    def usable(self) -> int:
        """Cores that shards are meant for: of more than four, second threads of a core are left out."""
        known = self.threads if self.whole is None else self.whole
        return self.threads if self.threads <= FEW_CORES else min(max(known, FEW_CORES), self.threads)

    def shards(self, model: ModelConfig, training: TrainingConfig) -> int:
        """The number of shards of a batch: that which the settings have, or else as `choose_shards` finds; a divisor.

        On a GPU a batch is never split.

        Args:
            model: the network's shape.
            training: batch size, sequence length and, where it was asked for, the number of shards.
        """
        if not self.kernels:
            return 1
        if training.shards is not None:
            return max(count for count in divisors(training.batch_size) if count <= training.shards)
        return choose_shards(
            model.forwards,
            training.batch_size,
            training.sequence_length,
            self.usable,
            narrow=self.whole is not None,
            negatives=training.negatives,
        )

    def speed(self, model: ModelConfig, training: TrainingConfig) -> float:
        """Operations per second that training may reach with the cores that its shards use."""
        if self.threads == 1:
            return self.core_speed * self.cores
        return self.core_speed * speed_up(
            model.forwards,
            training.batch_size,
            training.sequence_length,
            shards=self.shards(model, training),
            cores=self.usable,
            negatives=training.negatives,
        )

    def description(self, batch_size: int, shards: int, *, given: bool) -> str:
        """For people: the device, how many cores a run uses, and why not all of them.

        Args:
            batch_size: streams in a batch.
            shards: parts of the batch.
            given: whether the run's settings had the number of shards.
        """
        if not self.kernels:
            return self.name
        parts = f"{batch_size} streams in {shards} shards of {batch_size // shards}"
        if shards == 1:
            parts = f"{batch_size} stream{'s'[: batch_size != 1]} in one shard"
        if self.threads == 1 < self.cores:
            parts += ", with the threads that TensorFlow was started with"
            return f"{self.name}, {self.cores} cores: {parts}"
        used = min(shards, self.cores)
        if given:
            parts += ", as set"
        elif used == self.usable < self.cores:
            parts += ", one a core, as its two threads share what computes"
        elif used < self.cores:
            parts += f", {why_not_more(batch_size, shards, self.usable, narrow=self.whole is not None)}"
        count = f"{used} of {self.cores}" if used < self.cores else f"{used}"
        return f"{self.name}, {count} core{'s'[: self.cores != 1]}: {parts}"


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
        return Placement(
            name=name,
            device="/GPU:0",
            kernels=False,
            cores=1,
            whole=1,
            threads=1,
            compute_dtype=dtype,
            core_speed=_GPU_SPEED,
        )
    own = _one_thread_an_operation()
    dtypes = {"float32": [tf.float32], "bfloat16": [tf.bfloat16]}.get(precision, [tf.float32, tf.bfloat16])
    if len(dtypes) > 1 and not has_bfloat16():
        dtypes = [tf.float32]
    with quiet_errors():
        seconds = {dtype: _product_seconds(dtype) for dtype in dtypes}
    dtype = dtypes[-1] if seconds[dtypes[-1]] < 0.8 * seconds[dtypes[0]] else dtypes[0]
    # Where the processor has units for them, bfloat16 products are many times as quick; the rest of a step is not.
    product = max(seconds[dtype], seconds.get(tf.float32, 0.0) / 2.0)
    count = cores()
    return Placement(
        name=f"CPU, {dtype.name} products",
        device="/CPU:0",
        kernels=True,
        cores=count,
        whole=whole_cores(),
        threads=count if own else 1,
        compute_dtype=dtype,
        core_speed=_SHARE * 2.0 * 4.0 * _UNITS**2 * _COLUMNS / product,
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


def has_bfloat16() -> bool:
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

"""Brings in TensorFlow and Keras without their chatter, and lends them to training as they are by default.

What others set in the same process, Keras's data type policy, its default types, a distribution, TensorFlow's eager
functions or compiler, would change what a run computes. Training works with the defaults, and afterwards everything is
as it was.
"""

from __future__ import annotations

import contextlib
import gc
import inspect
import logging
import os
import random
import sys
import threading
import warnings
from collections.abc import Callable, Collection, Iterator
from typing import Any

from textgen.errors import TrainingError

_OFF = {
    "auto_mixed_precision",
    "auto_mixed_precision_mkl",
    "auto_mixed_precision_onednn_bfloat16",
    "auto_parallel",
    "debug_stripper",
    "disable_meta_optimizer",
    "disable_model_pruning",
    "pin_to_host_optimization",
    "scoped_allocator_optimization",
}
"""What TensorFlow's graph optimizer does not do by default."""

_lock = threading.RLock()
_users = 0
_before: list[tuple[Callable[[Any], object], Any]] = []
_names: set[str] = set()
_speak: list[Callable[[], None]] = []


@contextlib.contextmanager
def default_framework() -> Iterator[None]:
    """Imports TensorFlow and Keras where they are not there yet, and gives the body their defaults.

    Raises:
        TrainingError: TensorFlow is not installed, or Keras or TensorFlow is in a mode that training cannot leave.
    """
    load_framework()
    _check_modes()
    with _own_settings(), _own_scopes():
        yield


def load_framework() -> None:
    """Imports TensorFlow and Keras without a word, and leaves the environment as it was.

    Raises:
        TrainingError: TensorFlow is not installed.
    """
    if sys.modules.get("keras") and sys.modules.get("tensorflow"):
        return
    ours = {"KERAS_BACKEND": "tensorflow", "TF_CPP_MIN_LOG_LEVEL": os.environ.get("TF_CPP_MIN_LOG_LEVEL", "3")}
    before = {name: os.environ.get(name) for name in ours}
    os.environ.update(ours)
    try:
        with quiet_errors():
            import keras  # noqa: F401
            import tensorflow  # noqa: F401
    except ModuleNotFoundError as error:
        if (error.name or "").split(".")[0] not in ("tensorflow", "keras"):
            raise
        raise TrainingError("Training needs TensorFlow, which is not installed here: pip install tensorflow") from error
    finally:
        for name, value in before.items():
            del os.environ[name]
            if value is not None:
                os.environ[name] = value


def _check_modes() -> None:
    """Refuses what cannot be left for the time of a training."""
    import keras
    import tensorflow as tf

    if keras.config.backend() != "tensorflow":
        raise TrainingError(
            f"Training needs Keras on TensorFlow, and this process has it on {keras.config.backend()}. "
            "Train in a process of its own, or set KERAS_BACKEND=tensorflow before Keras is imported."
        )
    if not tf.executing_eagerly():
        raise TrainingError(
            "Training needs TensorFlow's eager mode, which is off here. Call it outside graphs and tf.function, or in "
            "a process of its own."
        )
    if tf.distribute.has_strategy():
        raise TrainingError("Training cannot be distributed by a tf.distribute strategy. Call it outside its scope.")


@contextlib.contextmanager
def _own_settings() -> Iterator[None]:
    """Settings of the whole process; of several trainings at once the last one puts them back."""
    global _users
    with _lock:
        if _users == 0:
            _before[:] = [(put, value) for value, put, default in _settings() if value != default]
            for value, put, default in _settings():
                if value != default:
                    put(default)
            _names.update(_registered())
            _speak[:] = [_hush()]
        _users += 1
    try:
        yield
    finally:
        with _lock:
            _users -= 1
            if _users == 0:
                for put, value in _before:
                    put(value)
                _before.clear()
                _speak.pop()()
                _release_gradients(_names)
                _names.clear()


def _settings() -> list[tuple[Any, Callable[[Any], object], Any]]:
    """What each setting is, how it is set, and the value that training needs: the default, but on a GPU."""
    import keras
    import tensorflow as tf
    from tensorflow.python.framework import config

    def be_deterministic(on: bool) -> None:
        (config.enable_op_determinism if on else config.disable_op_determinism)()

    with quiet_errors():
        has_gpu = bool(tf.config.list_physical_devices("GPU"))
    optimizer = tf.config.optimizer
    options = optimizer.get_experimental_options()
    by_default = {name: name not in _OFF if isinstance(value, bool) else value for name, value in options.items()}
    return [
        (keras.config.floatx(), keras.config.set_floatx, "float32"),
        (keras.config.epsilon(), keras.config.set_epsilon, 1e-7),
        (keras.config.image_data_format(), keras.config.set_image_data_format, "channels_last"),
        (tf.config.functions_run_eagerly(), tf.config.run_functions_eagerly, False),
        (optimizer.get_jit(), optimizer.set_jit, ""),
        (options, optimizer.set_experimental_options, by_default),
        # On a GPU sums come out in any order otherwise, and a run could not be continued bit for bit.
        (config.is_op_determinism_enabled(), be_deterministic, has_gpu),
    ]


@contextlib.contextmanager
def _own_scopes() -> Iterator[None]:
    """Settings of this thread."""
    import keras
    import numpy as np

    policy, distribution = keras.config.dtype_policy(), keras.distribution.distribution()
    keras.config.set_dtype_policy("float32")
    keras.distribution.set_distribution(None)
    try:
        with np.errstate(divide="warn", over="warn", under="ignore", invalid="warn"):
            yield
    finally:
        keras.config.set_dtype_policy(policy)
        keras.distribution.set_distribution(distribution)


def _hush() -> Callable[[], None]:
    """Keeps back what Keras and TensorFlow say about their own ways; returns how to let them speak again.

    Warnings that their modules cause, which would be errors where warnings are, and TensorFlow's advice against several
    short trainings in one process.
    """
    logger = logging.getLogger("tensorflow")

    def is_none(record: logging.LogRecord) -> bool:
        return "triggered tf.function retracing" not in record.getMessage()

    warnings.filterwarnings("ignore", module=r"(keras|tensorflow|h5py)(\.|$)")
    ours = warnings.filters[0]
    logger.addFilter(is_none)

    def speak() -> None:
        logger.removeFilter(is_none)
        # Whoever has put other filters in place has taken this one away.
        with contextlib.suppress(ValueError):
            warnings.filters.remove(ours)  # type: ignore[attr-defined]

    return speak


@contextlib.contextmanager
def untouched_random_numbers() -> Iterator[None]:
    """Lets Keras draw the seeds of layers that get none, without a trace in Python's random numbers."""
    state = random.getstate()
    try:
        yield
    finally:
        random.setstate(state)


def _registered() -> dict[str, Any]:
    """The gradients that TensorFlow knows by a name."""
    from tensorflow.python.framework import ops

    return getattr(getattr(ops, "gradient_registry", None), "_registry", {})


def _release_gradients(before: Collection[str]) -> None:
    """Lets go of the graphs of a training, which TensorFlow would keep for good.

    `tf.custom_gradient` registers each of its uses in a graph under a name of its own, and never takes it back; Keras's
    optimizers use it, too.

    Args:
        before: the names that were there before the training.
    """
    registry = _registered()
    for name in [name for name in registry if name.startswith("CustomGradient-") and name not in before]:
        if any(map(_is_of_training, registry[name].values())):
            del registry[name]
    gc.collect()


def _is_of_training(gradient: Any, depth: int = 3) -> bool:
    """Whether a function is one that training defines, or encloses one."""
    if not inspect.isfunction(gradient):
        return False
    inner = [cell.cell_contents for cell in gradient.__closure__ or ()] if depth else []
    ours = gradient.__module__.startswith(("textgen.", "tensorflow.python.distribute."))
    return ours or any(_is_of_training(each, depth - 1) for each in inner)


@contextlib.contextmanager
def quiet_errors() -> Iterator[None]:
    """Leads the process's standard error, below Python's, into a file, and shows it if the body fails.

    TensorFlow's libraries log there before anything can tell them not to.
    """
    import tempfile

    with _lock:
        try:
            kept = os.dup(2)
        except OSError:
            yield
            return
        if sys.stderr is not None:
            sys.stderr.flush()
        with tempfile.TemporaryFile() as aside:
            os.dup2(aside.fileno(), 2)
            try:
                yield
            except Exception:
                os.dup2(kept, 2)
                aside.seek(0)
                os.write(2, aside.read())
                raise
            finally:
                os.dup2(kept, 2)
                os.close(kept)

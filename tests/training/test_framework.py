"""Global settings of Keras and TensorFlow neither change a run nor are changed by it; nothing piles up."""

import logging
import os
import random
import subprocess
import sys
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest
import tensorflow as tf
from tensorflow.python.framework import config
from tiny_runs import TINY, WHOLE, everything

from textgen.errors import TrainingError
from textgen.runs.run import Run
from textgen.training.framework import default_framework
from textgen.training.start import train

ROOT = Path(__file__).resolve().parent.parent.parent
SETTINGS: dict[str, tuple[Callable[[], Any], Callable[[Any], object], Any]] = {
    "policy": (keras.config.dtype_policy, keras.config.set_dtype_policy, "mixed_float16"),
    "pure policy": (keras.config.dtype_policy, keras.config.set_dtype_policy, "bfloat16"),
    "floatx": (keras.config.floatx, keras.config.set_floatx, "float64"),
    "epsilon": (keras.config.epsilon, keras.config.set_epsilon, 0.01),
    "image format": (keras.config.image_data_format, keras.config.set_image_data_format, "channels_first"),
    "distribution": (
        keras.distribution.distribution,
        keras.distribution.set_distribution,
        keras.distribution.DataParallel(devices=["cpu:0"]),
    ),
    "eager functions": (tf.config.functions_run_eagerly, tf.config.run_functions_eagerly, True),
    "compiler": (tf.config.optimizer.get_jit, tf.config.optimizer.set_jit, "autoclustering"),
    "deterministic operations": (
        config.is_op_determinism_enabled,
        lambda on: (config.enable_op_determinism if on else config.disable_op_determinism)(),
        True,
    ),
    "floating-point errors": (np.geterr, lambda kinds: np.seterr(**kinds), dict.fromkeys(np.geterr(), "raise")),
}


@pytest.fixture(
    params=[
        pytest.param(["policy", "floatx", "epsilon", "image format", "compiler", "floating-point errors"], id="most"),
        pytest.param(["pure policy", "distribution", "eager functions", "deterministic operations"], id="the others"),
        *(pytest.param([name], id=name, marks=pytest.mark.slow) for name in SETTINGS),
    ]
)
def settings(request: pytest.FixtureRequest) -> Iterator[list[str]]:
    """Settings that are not at their defaults, at the same time where they can be."""
    before = {name: SETTINGS[name][0]() for name in request.param}
    for name in request.param:
        SETTINGS[name][1](SETTINGS[name][2])
    yield request.param
    for name, value in before.items():
        SETTINGS[name][1](value)


def seen() -> dict[str, Any]:
    """All settings, for a comparison."""
    return {name: getattr(get(), "name", None) or get() for name, (get, _, _) in SETTINGS.items()}


def test_the_same_run_comes_out_and_the_settings_stay(settings: list[str], uncut: Run, tmp_path: Path) -> None:
    before = seen()
    run = train(uncut.path.parent / "haven.txt", name="run", checkpoints=tmp_path, **WHOLE)
    assert seen() == before
    assert everything(run) == everything(uncut)


def test_a_setting_is_put_back_where_training_fails(uncut: Run, tmp_path: Path) -> None:
    keras.config.set_dtype_policy("mixed_bfloat16")
    try:
        with pytest.raises(ZeroDivisionError):
            train(uncut.path.parent / "haven.txt", checkpoints=tmp_path, callbacks=[_Failing()], **TINY)
        assert keras.config.dtype_policy().name == "mixed_bfloat16"
    finally:
        keras.config.set_dtype_policy("float32")


@pytest.mark.parametrize("gpus", [[], ["a GPU"]], ids=["CPU", "GPU"])
def test_operations_are_deterministic_on_a_gpu_and_as_they_were_afterwards(
    gpus: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tf.config, "list_physical_devices", lambda kind: gpus)
    with default_framework():
        assert config.is_op_determinism_enabled() == bool(gpus)
    assert not config.is_op_determinism_enabled()


class _Failing(keras.callbacks.Callback):
    def on_train_batch_end(self, batch: int, logs: Any = None) -> None:
        del batch, logs
        raise ZeroDivisionError


@pytest.mark.slow
def test_random_numbers_go_on_as_if_nothing_had_been_trained(uncut: Run, tmp_path: Path) -> None:
    def draw() -> list[Any]:
        return [random.random(), np.random.rand(), float(tf.random.uniform(())), float(keras.random.uniform(()))]

    keras.utils.set_random_seed(7)
    expected = [draw(), draw()]
    keras.utils.set_random_seed(7)
    first = draw()
    run = train(uncut.path.parent / "haven.txt", name="run", checkpoints=tmp_path, **WHOLE)
    assert [first, draw()] == expected
    assert everything(run) == everything(uncut)


# TensorFlow's advice comes from the sixth run on.
@pytest.mark.parametrize("number_of_runs", [1, pytest.param(6, marks=pytest.mark.slow)])
def test_warnings_of_keras_are_nobody_s_errors(
    number_of_runs: int, uncut: Run, tmp_path: Path, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    text = uncut.path.parent / "haven.txt"
    monkeypatch.setattr(tf.get_logger(), "propagate", True)
    monkeypatch.setattr(tf.get_logger(), "level", logging.WARNING)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        before = list(warnings.filters)
        for number in range(number_of_runs):
            train(text, name=f"run{number}", checkpoints=tmp_path, epochs=0.02, **TINY)
        assert list(warnings.filters) == before
        with pytest.raises(DeprecationWarning):
            warnings.warn("mine", DeprecationWarning, stacklevel=1)
    assert not [record for record in caplog.records if "retracing" in record.getMessage()]


def test_what_cannot_be_left_is_a_sentence(uncut: Run, tmp_path: Path) -> None:
    text = uncut.path.parent / "haven.txt"
    with tf.Graph().as_default(), pytest.raises(TrainingError, match="eager mode"):
        train(text, checkpoints=tmp_path, **TINY)
    with tf.distribute.OneDeviceStrategy("/cpu:0").scope(), pytest.raises(TrainingError, match="strategy"):
        train(text, checkpoints=tmp_path, **TINY)
    assert not list(tmp_path.iterdir())


PROGRAM = """
import os, sys
before = dict(os.environ)
import textgen
settings = {settings!r}
try:
    run = textgen.train({text!r}, name="run", checkpoints={folder!r}, **settings)
except textgen.TextgenError as error:
    sys.exit(str(error))
for name in ("KERAS_BACKEND", "TF_CPP_MIN_LOG_LEVEL", "CUDA_VISIBLE_DEVICES"):
    assert os.environ.get(name) == before.get(name), name
{then}
"""

AGAIN = """
import gc
from tensorflow.python.framework.func_graph import FuncGraph
def graphs():
    return sum(isinstance(each, FuncGraph) for each in gc.get_objects())
def memory():
    with open("/proc/self/statm") as file:
        return int(file.read().split()[1]) * os.sysconf("SC_PAGE_SIZE")
assert graphs() == 0, graphs()
if sys.platform == "linux":
    first = memory()
    settings["epochs"] = 0.1
    for n in range(3):
        textgen.train({text!r}, name=f"again-{{n}}", checkpoints={folder!r}, **settings)
    assert graphs() == 0, graphs()
    grown = memory() - first
    assert grown < 3 * 5e6, grown
"""


def program(text: Path, folder: Path, *, then: str = "", **environment: str) -> Any:
    """What a program of its own that trains says."""
    code = PROGRAM.format(then=then, settings=WHOLE, text=str(text), folder=str(folder))
    known = {n: v for n, v in os.environ.items() if n not in ("KERAS_BACKEND", "TF_CPP_MIN_LOG_LEVEL")}
    return subprocess.run(
        [sys.executable, "-c", code],
        env={**known, "PYTHONPATH": str(ROOT), **environment},
        capture_output=True,
        text=True,
        check=False,
    )


@pytest.mark.slow
def test_a_user_s_own_keras_does_not_matter_nothing_is_said_and_nothing_is_left(uncut: Run, tmp_path: Path) -> None:
    """What a training makes goes when it ends: no graph is left, and memory does not grow from one to the next."""
    (tmp_path / "keras.json").write_text(
        '{"backend": "jax", "floatx": "float16", "epsilon": 0.1, "image_data_format": "channels_first"}'
    )
    text = uncut.path.parent / "haven.txt"
    then = AGAIN.format(text=str(text), folder=str(tmp_path))
    done = program(text, tmp_path, then=then, KERAS_HOME=str(tmp_path), KERAS_BACKEND="jax")
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
    assert everything(Run(tmp_path / "run")) == everything(uncut)


def test_keras_on_another_backend_is_a_sentence(uncut: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(keras.config, "backend", lambda: "jax")
    with pytest.raises(TrainingError, match="this process has it on jax"):
        train(uncut.path.parent / "haven.txt", checkpoints=tmp_path, **TINY)

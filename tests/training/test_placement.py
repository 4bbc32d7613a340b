"""Where training runs: threads, shards and the products' type."""

import dataclasses
import os
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest
import tensorflow as tf

from textgen.config import ModelConfig, TrainingConfig
from textgen.errors import ConfigError
from textgen.training import placement as device


def placed(**changes: object) -> device.Placement:
    arguments = {"device": "cpu", "precision": "float32", **changes}
    return device.place(**arguments)


MODEL = ModelConfig(vocab_size=65, layers=2, units=256)


def test_the_shards_divide_the_batch() -> None:
    for batch, asked in ((32, 2), (30, 4), (7, 3), (1, 8)):
        shards = placed().shards(MODEL, TrainingConfig(batch_size=batch, shards=asked))
        assert batch % shards == 0
        assert shards <= asked


def test_a_gpu_that_is_not_there_is_refused_with_the_remedy(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tf.config, "list_physical_devices", lambda kind: [])
    with pytest.raises(ConfigError, match="--device auto"):
        placed(device="gpu")


def test_precision_is_taken_as_asked() -> None:
    assert placed(precision="bfloat16").compute_dtype == tf.bfloat16
    assert placed(precision="float32").compute_dtype == tf.float32


@pytest.mark.parametrize(
    ("has", "ratio", "expected"), [(False, 0.1, "float32"), (True, 0.9, "float32"), (True, 0.5, "bfloat16")]
)
def test_auto_takes_bfloat16_where_the_processor_has_it_and_it_is_quicker(
    has: bool, ratio: float, expected: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(device, "has_bfloat16", lambda: has)
    monkeypatch.setattr(device, "_product_seconds", lambda dtype: ratio if dtype == tf.bfloat16 else 1.0)
    assert placed(precision="auto").compute_dtype.name == expected


@pytest.mark.parametrize(("ratio", "times"), [(0.7, 1 / 0.7), (0.5, 2.0), (0.1, 2.0)])
def test_a_step_is_at_most_twice_as_quick_for_its_products(
    ratio: float, times: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(device, "has_bfloat16", lambda: True)
    monkeypatch.setattr(device, "_product_seconds", lambda dtype: ratio if dtype == tf.bfloat16 else 1.0)
    single = placed(precision="float32").core_speed
    assert placed(precision="auto").core_speed == pytest.approx(times * single)


def test_a_runtime_that_runs_already_keeps_its_threads(monkeypatch: pytest.MonkeyPatch) -> None:
    def started(count: int) -> None:
        raise RuntimeError("Intra op parallelism cannot be modified after initialization.")

    monkeypatch.setattr(tf.config.threading, "set_intra_op_parallelism_threads", started)
    monkeypatch.setattr(tf.config.threading, "get_intra_op_parallelism_threads", lambda: 0)
    placement = placed()
    assert placement.shards(MODEL, TrainingConfig()) == 1
    assert placement.kernels
    cores = dataclasses.replace(placement, cores=4)
    assert cores.speed(MODEL, TrainingConfig()) == 4 * cores.core_speed
    assert cores.description(64, 1, given=False) == (
        "CPU, float32 products, 4 cores: 64 streams in one shard, with the threads that TensorFlow was started with"
    )


@pytest.mark.parametrize(
    ("cores", "batch", "shards", "given", "expected"),
    [
        (1, 32, 1, False, "1 core: 32 streams in one shard"),
        (2, 32, 2, False, "2 cores: 32 streams in 2 shards of 16"),
        (4, 16, 2, False, "2 of 4 cores: 16 streams in 2 shards of 8, which must be equal and have 8 streams or more"),
        (16, 32, 4, False, "4 of 16 cores: 32 streams in 4 shards of 8, more shards would gain too little"),
        (
            16,
            32,
            8,
            False,
            "8 of 16 cores: 32 streams in 8 shards of 4, which must be equal and have 4 streams or more",
        ),
        (16, 32, 2, True, "2 of 16 cores: 32 streams in 2 shards of 16, as set"),
        (2, 32, 4, True, "2 cores: 32 streams in 4 shards of 8, as set"),
    ],
)
def test_the_description_tells_type_cores_shards_and_why_not_all(
    cores: int, batch: int, shards: int, given: bool, expected: str
) -> None:
    placement = dataclasses.replace(placed(), cores=cores, whole=cores, threads=cores)
    assert placement.description(batch, shards, given=given).startswith(f"CPU, float32 products, {expected}")


@pytest.mark.parametrize(
    ("cores", "whole", "batch", "shards"),
    [(4, 2, 32, 4), (8, 4, 32, 4), (8, 4, 64, 4), (8, None, 32, 4), (8, None, 64, 8), (16, 8, 64, 8), (12, 2, 64, 4)],
)
def test_of_many_cores_the_second_threads_get_no_shard(cores: int, whole: int | None, batch: int, shards: int) -> None:
    placement = dataclasses.replace(placed(), cores=cores, whole=whole, threads=cores)
    assert placement.shards(MODEL, TrainingConfig(batch_size=batch)) == shards
    if whole == 8:
        text = placement.description(batch, shards, given=False)
        assert text.endswith(
            "8 of 16 cores: 64 streams in 8 shards of 8, one a core, as its two threads share what computes"
        )


def test_the_speed_counts_the_cores_that_are_used() -> None:
    placement = dataclasses.replace(placed(), cores=4, threads=4)
    assert placement.speed(MODEL, TrainingConfig()) == pytest.approx(4 * placement.core_speed)
    assert placement.speed(MODEL, TrainingConfig(batch_size=8)) == pytest.approx(placement.core_speed)
    assert placement.speed(MODEL, TrainingConfig(shards=2)) == pytest.approx(2 * placement.core_speed)
    many = dataclasses.replace(placed(), cores=16, whole=16, threads=16)
    assert 2 < many.speed(MODEL, TrainingConfig()) / many.core_speed < 8


@pytest.mark.parametrize("asked", ["auto", "gpu"])
def test_a_gpu_is_taken_and_named(asked: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tf.config, "list_physical_devices", lambda kind: [SimpleNamespace(name="/gpu")])
    monkeypatch.setattr(tf.config.experimental, "get_device_details", lambda gpu: {"device_name": "Quick 9"})
    placement = placed(device=asked, precision="auto")
    assert (placement.device, placement.kernels) == ("/GPU:0", False)
    assert placement.description(32, 1, given=False) == "GPU, Quick 9, Keras's own layers"
    assert placement.shards(MODEL, TrainingConfig(shards=4)) == 1, "a run that began on a CPU has a number"
    assert placed(device="cpu").device == "/CPU:0"


PROGRAM = """
import os
import textgen

def train():
    textgen.train("text.txt", size="tiny", units=8, embedding=4, layers=1, epochs=0.1)

def in_a_fork(call):
    child = os.fork()
    if not child:
        try:
            call()
            print("trained", flush=True)
        except textgen.errors.TextgenError as error:
            print(error, flush=True)
        finally:
            os._exit(0)
    os.waitpid(child, 0)

import textgen.training.start
in_a_fork(train)
train()
in_a_fork(train)
in_a_fork(lambda: textgen.resume("checkpoints/text"))
"""


@pytest.mark.skipif(not hasattr(os, "fork"), reason="forks")
@pytest.mark.slow
def test_a_fork_of_a_process_that_trained_is_told_to_start_anew_and_others_train(tmp_path: Path) -> None:
    (tmp_path / "text.txt").write_text("the sea and the ship went on to the land of the free\n" * 100)
    environment = os.environ | {"PYTHONPATH": str(Path(__file__).parents[2])}
    run = subprocess.run(
        [sys.executable, "-c", PROGRAM], cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=300
    )
    assert run.returncode == 0, run.stderr
    first, *others = run.stdout.splitlines()
    assert first == "trained"
    assert len(others) == 2
    assert all("multiprocessing.get_context('spawn')" in each for each in others)


OWN = """
import os, sys, tensorflow
tensorflow.zeros(2) + 1
child = os.fork()
if child:
    sys.exit(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))
import textgen
textgen.train("text.txt", name="text", epochs=0.1, layers=1, units=8)
"""


@pytest.mark.skipif(not Path("/proc/self/task").is_dir(), reason="the system tells a process's threads")
@pytest.mark.slow
def test_a_fork_that_brings_another_s_tensorflow_along_is_told_so_too(tmp_path: Path) -> None:
    (tmp_path / "text.txt").write_text("the sea and the ship went on to the land of the free\n" * 100)
    environment = os.environ | {"PYTHONPATH": str(Path(__file__).parents[2]), "TF_CPP_MIN_LOG_LEVEL": "3"}
    run = subprocess.run(
        [sys.executable, "-c", OWN], cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=300
    )
    assert run.returncode != 0
    assert "multiprocessing.get_context('spawn')" in run.stderr.splitlines()[-1]

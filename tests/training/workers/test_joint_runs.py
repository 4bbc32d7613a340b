"""Two processes train one run together: by steps as one process would, and by rounds that can be cut anywhere.

What trains is `joint_worker`, a program: nothing here imports TensorFlow.
"""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import joint_worker
import numpy as np
import pytest
from ports import free_ports
from tiny_runs import everything

from textgen.corpus.batches import HeldOut
from textgen.model.read import read_checkpoint, read_training_state
from textgen.runs.run import Run
from textgen.sampling.loading import load

HERE = Path(joint_worker.__file__).parent


@pytest.fixture(scope="module")
def text(tmp_path_factory: pytest.TempPathFactory, bundled_corpus: Path) -> Path:
    path = tmp_path_factory.mktemp("text") / "haven.txt"
    path.write_bytes((bundled_corpus / "marrow_haven.txt").read_bytes()[:4000])
    path.with_name("part.txt").write_text("The other part has a character of its own: \u00df.\n" * 40)
    return path


def together(text: Path, folder: Path, *runs: str) -> tuple[Path, list[dict[str, Any]]]:
    """Has two workers train; the folder of the runs, and what each worker tells."""
    first = free_ports(3)
    addresses = f"127.0.0.1:{first},127.0.0.1:{first + 1}"
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join([str(HERE), *sys.path[1:]])}
    command = [sys.executable, "-P", HERE / "joint_worker.py", addresses, text, folder, *runs]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=400)
    assert done.returncode == 0, done.stderr
    return folder / "checkpoints", [json.loads(each.read_text()) for each in sorted(folder.glob("*.json"))]


@pytest.fixture(scope="module")
def quick(tmp_path_factory: pytest.TempPathFactory, text: Path) -> dict[str, Any]:
    """What two workers did in a few seconds, and the folder of their runs."""
    checkpoints, told = together(text, tmp_path_factory.mktemp("quick"), "short", "timed")
    return {"told": told, "checkpoints": checkpoints}


def test_two_workers_that_tf_config_starts_in_a_thread_train_by_rounds(text: Path, quick: dict[str, Any]) -> None:
    checkpoints, told = quick["checkpoints"], quick["told"]
    assert [each["files"] for each in told] == [True, False], "only worker 0 writes files"
    run = Run(checkpoints / "short")
    last = read_checkpoint(run.last).metadata
    # 3,600 characters train; both workers' batches are of 4 streams of 16.
    assert last.metrics.step == 28 and last.metrics.characters_seen == 28 * 2 * 4 * 16
    assert last.progress is not None and last.progress.workers is not None and last.progress.workers["count"] == 2
    assert {"workers/0001", "workers/velocity"} <= set(read_training_state(run.last))
    # The held-out text was shared out, and scored as a whole.
    writer = load(run.path)
    assert last.history[-1].val_loss == last.metrics.best_val_loss
    ids = writer.tokenizer.encode(text.read_text(encoding="utf-8"))[3600:]
    held = HeldOut(ids, streams=2, sequence_length=128)
    total, state = 0.0, writer.engine.initial_state(2)
    for batch in held:
        logits, state = writer.engine.read(batch.inputs, state)
        logs = logits - np.log(np.exp(logits).sum(-1, keepdims=True))
        total -= float((np.take_along_axis(logs, batch.targets[..., None], -1)[..., 0] * batch.weights).sum())
    assert total / held.targets == pytest.approx(last.metrics.best_val_loss, abs=1e-5)


def test_a_budget_of_time_goes_by_worker_0s_clock_on_all(quick: dict[str, Any]) -> None:
    """Worker 1's clock goes three times as fast, and only worker 0 has the budget."""
    last = read_checkpoint(Run(quick["checkpoints"] / "timed").last).metadata
    assert last.progress is not None and last.progress.plan.steps == last.metrics.step
    left = joint_worker.BUDGET - last.metrics.step * joint_worker.SECOND
    assert 0.0 <= left <= joint_worker.SECOND, "as many steps as fit"
    first, second = (each["seen"]["timed"]["rates"] for each in quick["told"])
    assert first == second and len(first) == last.metrics.step
    assert first[-1] < 0.2 * max(first), "the rate falls to the end"


@pytest.fixture(scope="module")
def troubled(tmp_path_factory: pytest.TempPathFactory, text: Path) -> dict[str, Any]:
    """What became of two workers of which one diverges, or which learn nothing, and of two that Slurm starts."""
    checkpoints, told = together(text, tmp_path_factory.mktemp("troubled"), "idle", "poisoned", "slurm")
    return {"told": told, "checkpoints": checkpoints}


@pytest.mark.slow
def test_all_stop_early_where_worker_0_has_no_better_loss(troubled: dict[str, Any]) -> None:
    run = Run(troubled["checkpoints"] / "idle")
    assert "No better loss in 2 validations: stopped early." in troubled["told"][0]["ends"]
    steps = run.history[-1].step
    assert steps < 100 and steps % 5 == 0, "of 1,400, after a validation"
    assert [len(each["seen"]["idle"]["rates"]) for each in troubled["told"]] == [steps, steps]


@pytest.mark.slow
def test_where_one_worker_diverges_all_go_back_at_the_end_of_the_round_and_lower_the_rate(
    troubled: dict[str, Any],
) -> None:
    for told in troubled["told"]:
        (warning,) = told["warnings"]
        assert "diverged at step 20; training continues from the best weights with 0.5 of the learning rate" in warning
    run = Run(troubled["checkpoints"] / "poisoned")
    progress = read_checkpoint(run.last).metadata.progress
    assert progress is not None and (progress.step, progress.rescues, progress.rate_factor) == (28, 1, 0.5)
    assert (
        all(np.isfinite(each).all() for each in weights(run)) and np.isfinite([r.val_loss for r in run.history]).all()
    )
    first, second = (each["seen"]["poisoned"]["rates"] for each in troubled["told"])
    assert first == second and len(first) == 28
    assert 0.4 < first[20] / first[19] < 0.5, "half, and what the schedule takes"


@pytest.mark.slow
def test_slurms_tasks_are_the_workers(troubled: dict[str, Any]) -> None:
    run = Run(troubled["checkpoints"] / "slurm")
    last = read_checkpoint(run.last).metadata
    assert last.metrics.step == 28 and last.metrics.characters_seen == 28 * 2 * 4 * 16
    assert last.progress is not None and last.progress.workers is not None and last.progress.workers["count"] == 2
    assert "workers/0001" in read_training_state(run.last)
    assert not (troubled["checkpoints"].parent / "nothing").exists(), "only worker 0 writes files"


@pytest.fixture(scope="module")
def pair(tmp_path_factory: pytest.TempPathFactory, text: Path) -> dict[str, Any]:
    """What two workers did, and the folder of their runs."""
    runs = ("steps", "whole", "cut", "again", "continued", "one", "alone")
    checkpoints, told = together(text, tmp_path_factory.mktemp("pair"), *runs)
    return {"told": told, "checkpoints": checkpoints}


def weights(run: Run) -> list[np.ndarray]:
    return list(read_checkpoint(run.last).weights.arrays())


@pytest.mark.slow
def test_a_run_on_two_parts_that_one_worker_interrupts_twice_is_continued_bit_for_bit(pair: dict[str, Any]) -> None:
    for told in pair["told"][:2]:
        interrupted = {"cut": "interrupted", "again": "interrupted"}
        assert told["outcomes"] == {"steps": "done", "whole": "done", **interrupted, "continued": "done"}
        assert told["warnings"] == []
    whole, cut = (everything(Run(pair["checkpoints"] / name)) for name in ("whole", "cut"))
    assert "workers/0001" in whole and whole["progress"]["workers"]["count"] == 2
    assert cut == whole
    last = read_checkpoint(Run(pair["checkpoints"] / "whole").last).metadata
    assert last.metrics.characters_seen == 28 * 2 * 4 * 16
    assert "\u00df" in last.tokenizer.characters, "it is in worker 1's part only"
    assert [Path(*part["sources"]).name for part in last.progress.workers["parts"]] == ["haven.txt", "part.txt"]
    assert last.corpus.sha256 == last.progress.workers["parts"][0]["sha256"]


@pytest.mark.slow
def test_steps_are_those_of_one_process_with_twice_the_shards_to_the_last_bit(pair: dict[str, Any]) -> None:
    """Where its sums are made in the same order."""
    one, two = Run(pair["checkpoints"] / "one"), Run(pair["checkpoints"] / "steps")
    assert one.summary()["steps"] == two.summary()["steps"] == 28
    for ours, theirs in zip(weights(one), weights(two), strict=True):
        np.testing.assert_array_equal(ours, theirs)
    assert one.summary()["val_loss"] == pytest.approx(two.summary()["val_loss"], abs=1e-5)


@pytest.mark.slow
def test_the_run_goes_on_alone_and_says_so(pair: dict[str, Any]) -> None:
    run = Run(pair["checkpoints"] / "alone")
    assert ["was trained by 2 workers: alone it goes on" in each for each in pair["told"][2]["warnings"]] == [True]
    assert run.summary()["steps"] > 28
    progress = read_checkpoint(run.last).metadata.progress
    assert progress is not None and progress.workers is None
    assert not [name for name in read_training_state(run.last) if name.startswith("workers/")]

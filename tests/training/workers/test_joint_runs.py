"""Two processes train one run together: by steps as one process would, and by rounds that can be cut anywhere."""

import json
import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import joint_worker
import numpy as np
import pytest
import tensorflow as tf
from ports import free_ports
from tiny_runs import everything

from textgen.corpus.batches import HeldOut
from textgen.model.read import read_checkpoint, read_training_state
from textgen.runs.run import Run
from textgen.sampling.writer import load
from textgen.training import session
from textgen.training.keras_model import build_model
from textgen.training.network import Network
from textgen.training.resume import resume
from textgen.training.start import train
from textgen.training.trainer import Trainer

HERE = Path(joint_worker.__file__).parent


@pytest.fixture(scope="module")
def text(tmp_path_factory: pytest.TempPathFactory, bundled_corpus: Path) -> Path:
    path = tmp_path_factory.mktemp("text") / "haven.txt"
    path.write_bytes((bundled_corpus / "marrow_haven.txt").read_bytes()[:4000])
    return path


def together(text: Path, folder: Path, *runs: str) -> tuple[Path, list[dict[str, Any]]]:
    """Has two workers train; the folder of the runs, and what each worker tells."""
    first = free_ports(3)
    addresses = f"127.0.0.1:{first},127.0.0.1:{first + 1}"
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join([str(HERE), *sys.path[1:]])}
    command = [sys.executable, "-P", HERE / "joint_worker.py", addresses, text, folder, *runs]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=400)
    assert done.returncode == 0, done.stderr
    return folder / "checkpoints", [json.loads((folder / f"{index}.json").read_text()) for index in range(2)]


def test_two_workers_train_by_rounds(text: Path, tmp_path: Path) -> None:
    checkpoints, told = together(text, tmp_path, "whole")
    assert [each["files"] for each in told] == [True, False], "only worker 0 writes files"
    run = Run(checkpoints / "whole")
    last = read_checkpoint(run.last).metadata
    # 3,600 characters train; both workers' batches are of 4 streams of 16.
    assert last.metrics.step == 28 and last.metrics.characters_seen == 28 * 2 * 4 * 16
    assert last.progress is not None and last.progress.workers is not None and last.progress.workers["count"] == 2
    assert {"workers/0001", "workers/velocity"} <= set(read_training_state(run.last))
    # The held-out text was shared out, and scored as a whole.
    writer = load(run.path)
    assert last.history[-1].val_loss == last.metrics.best_val_loss
    ids = writer.tokenizer.encode(text.read_text(encoding="utf-8"))[3600:]
    model = build_model(last.model, seed=0)
    model.set_weights(read_checkpoint(run.best).weights.arrays())
    network = Network(model, last.model)
    held = HeldOut(ids, streams=2, sequence_length=128)
    total, state = 0.0, network.zero_state(2)
    for inputs, targets, weights in held:
        logits, state = network.logits(tf.constant(inputs), state)
        losses = tf.nn.sparse_softmax_cross_entropy_with_logits(tf.reshape(tf.transpose(targets), (-1,)), logits)
        total += float(tf.reduce_sum(losses * np.reshape(weights.T, -1)))
    assert total / held.targets == pytest.approx(last.metrics.best_val_loss, abs=1e-5)


@pytest.fixture(scope="module")
def pair(tmp_path_factory: pytest.TempPathFactory, text: Path) -> dict[str, Any]:
    """What two workers did, and the folder of their runs."""
    runs = ("steps", "whole", "cut", "continued")
    checkpoints, told = together(text, tmp_path_factory.mktemp("pair"), *runs)
    return {"told": told, "checkpoints": checkpoints, "text": text}


def weights(run: Run) -> list[np.ndarray]:
    return list(read_checkpoint(run.last).weights.arrays())


@pytest.mark.slow
def test_an_interruption_of_one_worker_stops_both_and_the_run_is_continued_bit_for_bit(pair: dict[str, Any]) -> None:
    for told in pair["told"]:
        assert told["outcomes"] == {"steps": "done", "whole": "done", "cut": "done"}
        assert told["warnings"] == []
    whole, cut = (everything(Run(pair["checkpoints"] / name)) for name in ("whole", "cut"))
    assert "workers/0001" in whole and whole["progress"]["workers"]["count"] == 2
    assert cut == whole


class EachShard(Trainer):
    """Computes the gradients of each shard by itself, and adds them in the order of the shards."""

    def _learn(self, inputs: Any, targets: Any, state: Any, part: Any = 0, labels: Any = None) -> Any:
        from textgen.training.coupling import free_gradients, tied_gradients

        config, batch = self.network.config, inputs.shape[0]
        masks, width = self.network.masks(self.steps_done, batch, part), batch // 2
        sums, totals, lasts = None, 0.0, []
        for start in (0, width):
            cut = slice(start, start + width)
            with tf.GradientTape() as tape:
                variables = [variable.value for variable in self.plain.trainable_variables]
                before = [[tensor[:, cut] for tensor in layer] for layer in state]
                columns, last = self.network.columns(inputs[cut], before, masks.shard(start, start + width))
                total, scaled = self._training_losses(columns, targets[cut], None)
                objective = scaled / tf.cast(tf.size(targets), tf.float32)
            found = free_gradients(config, [tf.convert_to_tensor(g) for g in tape.gradient(objective, variables)])
            sums = found if sums is None else [a + b for a, b in zip(sums, found, strict=True)]
            totals, lasts = totals + total, [*lasts, last]
        assert sums is not None
        norm = tf.linalg.global_norm(sums)
        scale = tf.minimum(1.0, self._clip_norm / norm)
        self.optimizer.apply(tied_gradients(config, [g * scale for g in sums]), self.plain.trainable_variables)
        layers = zip(*lasts, strict=True)
        self._state.write([[tf.concat(parts, 1) for parts in zip(*layer, strict=True)] for layer in layers])
        return totals / tf.cast(tf.size(targets), tf.float32), norm


@pytest.fixture
def alone(pair: dict[str, Any], tmp_path: Path) -> dict[str, Any]:
    batch = 2 * joint_worker.STEPS["batch_size"]
    return {**joint_worker.STEPS, "batch_size": batch, "shards": 2, "checkpoints": tmp_path}


@pytest.mark.slow
def test_steps_of_two_workers_are_those_of_one_process_with_twice_the_shards(
    pair: dict[str, Any], alone: dict[str, Any]
) -> None:
    one, two = train(pair["text"], **alone), Run(pair["checkpoints"] / "steps")
    assert one.summary()["steps"] == two.summary()["steps"] == 28
    for ours, theirs in zip(weights(one), weights(two), strict=True):
        np.testing.assert_allclose(ours, theirs, rtol=2e-3, atol=2e-5)
    assert one.summary()["val_loss"] == pytest.approx(two.summary()["val_loss"], abs=1e-5)


@pytest.mark.slow
def test_steps_are_equal_to_the_last_bit_where_the_sums_are_made_in_the_same_order(
    pair: dict[str, Any], alone: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(session, "Trainer", EachShard)
    one, two = train(pair["text"], **alone), Run(pair["checkpoints"] / "steps")
    for ours, theirs in zip(weights(one), weights(two), strict=True):
        np.testing.assert_array_equal(ours, theirs)


@pytest.mark.slow
def test_the_run_goes_on_alone_and_says_so(pair: dict[str, Any], tmp_path: Path) -> None:
    import shutil

    shutil.copytree(pair["checkpoints"] / "cut", tmp_path / "cut")
    told = joint_worker.Told()
    run = resume("cut", checkpoints=tmp_path, sources=pair["text"], epochs=1.2, reporter=told)
    assert ["was trained by 2 workers: alone it goes on" in each for each in told.warnings] == [True]
    assert run.summary()["steps"] > 28
    progress = read_checkpoint(run.last).metadata.progress
    assert progress is not None and progress.workers is None
    assert not [name for name in read_training_state(run.last) if name.startswith("workers/")]


def test_a_run_of_one_machine_keeps_no_word_of_workers(uncut: Run) -> None:
    progress = read_checkpoint(uncut.last).metadata.progress
    assert progress is not None and "workers" not in progress.to_json()
    assert replace(progress, workers={"count": 2}).to_json()["workers"] == {"count": 2}

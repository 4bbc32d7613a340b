"""A run's folder: its summary, its lock, and its history."""

import csv
import errno
import json
import os
import signal
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from placed import CONFIG, HISTORY, put_checkpoint

from textgen import system
from textgen.errors import CheckpointError, RunError
from textgen.model.results import Validation
from textgen.runs.create import create_run
from textgen.runs.find import find_run, list_runs
from textgen.runs.history import COLUMNS
from textgen.runs.run import Run

ROOT = Path(__file__).resolve().parents[2]
ROWS = [Validation(**row) for row in HISTORY]


def refusal(kind: type[Exception], action: Any) -> str:
    with pytest.raises(kind) as caught:
        action()
    assert "\n" not in str(caught.value)
    return str(caught.value)


class TestTelling:
    def test_summaries_take_the_loss_from_the_best_and_the_progress_from_the_last(self, checkpoints: Path) -> None:
        summary = find_run("poems", checkpoints=checkpoints).summary()
        assert 199 < summary.pop("age") < 260
        assert summary == {
            "name": "poems",
            "path": str(checkpoints / "poems"),
            "corpus": "sea",
            "characters": 5000,
            "cell": "lstm",
            "layers": 1,
            "units": 8,
            "sides": "forwards",
            "pairs": False,
            "task": None,
            "weights": CONFIG.weights,
            "epochs": 4.5,
            "steps": 90,
            "val_loss": 1.5,
            "bits_per_character": 2.164,
            "seconds": 13.5,
            "created": "2026-01-31T12:00:00+00:00",
            "live": False,
            "problem": None,
        }

    def test_a_damaged_run_has_a_summary_of_what_is_left(self, checkpoints: Path) -> None:
        summary = Run(checkpoints / "torn").summary()
        assert summary["name"] == "torn"
        assert "it is damaged" in summary["problem"]
        assert summary["val_loss"] is summary["corpus"] is summary["weights"] is None
        json.dumps([run.summary() for run in list_runs(checkpoints)], allow_nan=False)

    @pytest.mark.parametrize(
        "changes",
        [
            {"metrics": {"val_loss": "low", "epoch": [], "bits_per_character": True}, "corpus": {"name": 7}},
            {"metrics": {}, "corpus": {}, "model": {}},
            {"model": {"cell": 5, "layers": "x", "units": None}, "created": ""},
        ],
    )
    def test_odd_values_are_unknown_ones(self, tmp_path: Path, changes: dict[str, Any]) -> None:
        put_checkpoint(tmp_path / "a" / "best.keras", **changes)
        summary = Run(tmp_path / "a").summary()
        kinds = {"corpus": str, "cell": str, "weights": int, "val_loss": float, "epochs": float, "units": int}
        for name, kind in kinds.items():
            assert summary[name] is None or isinstance(summary[name], kind)
        assert summary["val_loss"] is None or changes.get("metrics") is None

    def test_a_damaged_last_state_leaves_the_best_model(self, checkpoints: Path) -> None:
        (checkpoints / "poems" / "last.keras").write_bytes(b"")
        summary = Run(checkpoints / "poems").summary()
        assert (summary["steps"], summary["problem"]) == (20, None)

    def test_details_tell_everything(self, checkpoints: Path) -> None:
        run = Run(checkpoints / "poems")
        run.write_history(ROWS)
        details = run.details()
        assert details["checkpoint"] == str(run.best)
        assert details["vocabulary"] == {"size": 6, "characters": " aehst", "has_unknown": False, "has_end": False}
        assert details["model"] == CONFIG.to_json()
        assert details["training"]["epochs"] == 2.0
        assert details["history"] == HISTORY
        assert set(details["files"]) == {"best.keras", "last.keras", "metrics.csv", "samples.txt"}
        assert all(size == (run.path / name).stat().st_size for name, size in details["files"].items())
        assert set(run.summary()) <= set(details)


class TestLocking:
    def test_the_second_writer_is_refused_while_the_first_lives(self, tmp_path: Path) -> None:
        second = Run(tmp_path / "poems")
        with create_run("poems", checkpoints=tmp_path) as first:
            assert first.live
            assert second.live
            text = refusal(RunError, lambda: second.locked().__enter__())
            assert text.endswith(". Wait for it or stop it.")
        assert not second.live
        with second.locked():
            pass
        assert list(first.path.iterdir()) == []

    def test_an_error_in_training_gives_the_lock_up(self, tmp_path: Path) -> None:
        with pytest.raises(ZeroDivisionError), create_run("poems", checkpoints=tmp_path) as run:
            raise ZeroDivisionError
        assert not run.live

    @pytest.mark.skipif(sys.platform == "win32", reason="SIGKILL")
    def test_a_killed_trainer_frees_the_run_and_its_leftovers_go(self, tmp_path: Path) -> None:
        code = """
import sys, time
from textgen.runs.create import create_run
from textgen.system import atomic_write
with create_run("poems", checkpoints=sys.argv[1]) as run, atomic_write(run.last) as file:
    file.write(b"half")
    file.flush()
    print("training", flush=True)
    time.sleep(60)
"""
        run = Run(tmp_path / "poems")
        with subprocess.Popen([sys.executable, "-c", code, tmp_path], cwd=ROOT, stdout=subprocess.PIPE) as trainer:
            assert trainer.stdout is not None
            trainer.stdout.readline()
            assert f"process {trainer.pid} on " in refusal(RunError, lambda: run.locked().__enter__())
            assert [found.live for found in list_runs(tmp_path)] == [True]
            os.kill(trainer.pid, signal.SIGKILL)
        assert len(list(run.path.iterdir())) == 2
        assert not run.live
        with run.locked():
            assert [path.name for path in run.path.iterdir()] == ["run.lock"]
        assert list(run.path.iterdir()) == []

    def test_a_missing_folder_is_explained(self, tmp_path: Path) -> None:
        text = refusal(RunError, lambda: Run(tmp_path / "gone").locked().__enter__())
        assert "cannot be locked in" in text
        assert "there is no such file or folder" in text


class TestHistory:
    def test_metrics_are_a_table_and_samples_a_text(self, tmp_path: Path) -> None:
        run = Run(tmp_path)
        first, second = ROWS
        rows = [replace(first, sample="the sea"), replace(second, sample='a, "b"\nc \ud800'), Validation(step=30)]
        run.write_history(rows)
        with run.metrics.open(newline="") as file:
            table = list(csv.DictReader(file))
        assert tuple(table[0]) == COLUMNS
        for row, written in zip(rows, table, strict=True):
            for name in COLUMNS:
                assert written[name] == ("" if getattr(row, name) is None else str(getattr(row, name)))
        assert run.samples.read_text("utf-8") == (
            '--- step 10, loss 2.5000 ---\nthe sea\n\n--- step 20, loss 2.0000 ---\na, "b"\nc \\ud800\n\n'
        )

    def test_it_is_written_anew_each_time(self, tmp_path: Path) -> None:
        run = Run(tmp_path)
        run.write_history(ROWS)
        before = run.metrics.read_bytes()
        run.write_history(ROWS[:1])
        run.write_history(ROWS)
        assert run.metrics.read_bytes() == before
        assert sorted(path.name for path in run.path.iterdir()) == ["metrics.csv", "samples.txt"]

    def test_a_full_disk_is_explained_and_keeps_the_old(self, tmp_path: Path, monkeypatch: Any) -> None:
        run = Run(tmp_path)
        run.write_history(ROWS[:1])
        before = run.metrics.read_bytes()

        def refuse(descriptor: int) -> None:
            raise OSError(errno.ENOSPC, "No space left on device")

        monkeypatch.setattr(os, "fsync", refuse)
        text = refusal(CheckpointError, lambda: run.write_history(ROWS))
        assert text.endswith("metrics.csv cannot be written: the disk is full. Free some space.")
        assert run.metrics.read_bytes() == before

    def test_it_is_read_from_the_newest_state(self, checkpoints: Path) -> None:
        put_checkpoint(checkpoints / "poems" / "last.keras", history=[*HISTORY, {"step": 30}])
        assert Run(checkpoints / "poems").history == [*ROWS, Validation(step=30)]
        (checkpoints / "poems" / "last.keras").unlink()
        assert Run(checkpoints / "poems").history == ROWS
        assert system.remove_leftovers(checkpoints / "poems") == 0

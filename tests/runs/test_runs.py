import csv
import errno
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from placed import CONFIG, HISTORY, put_checkpoint

from textgen import system
from textgen.errors import CheckpointError, RunError
from textgen.runs.create import create_run
from textgen.runs.find import find_run, list_runs, resolve_checkpoint
from textgen.runs.history import COLUMNS
from textgen.runs.naming import check_name, safe_name
from textgen.runs.run import Run

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture
def checkpoints(tmp_path: Path) -> Path:
    """Three runs of different ages, a damaged one, and things that are none."""
    folder = tmp_path / "checkpoints"
    put_checkpoint(folder / "poems" / "best.keras", age=300)
    put_checkpoint(folder / "poems" / "last.keras", age=200, metrics={"step": 90, "epoch": 4.5, "seconds": 13.5})
    put_checkpoint(folder / "letters" / "best.keras", age=100)
    put_checkpoint(folder / "songs" / "last.keras", age=400)
    put_checkpoint(folder / "torn" / "best.keras", age=50).write_bytes(b"PK\x03\x04")
    os.utime(folder / "torn" / "best.keras", (time.time() - 500,) * 2)
    put_checkpoint(folder / ".hidden" / "best.keras")
    (folder / "other").mkdir()
    (folder / "README.md").write_text("notes")
    return folder


def refusal(kind: type[Exception], action: Any) -> str:
    with pytest.raises(kind) as caught:
        action()
    assert "\n" not in str(caught.value)
    return str(caught.value)


class TestListing:
    def test_newest_first_with_the_damaged_one(self, checkpoints: Path) -> None:
        runs = list_runs(checkpoints)
        assert [run.name for run in runs] == ["letters", "poems", "songs", "torn"]
        assert [run.problem is None for run in runs] == [True, True, True, False]
        assert "torn/best.keras cannot be read: it is damaged" in str(runs[-1].problem).replace("\\", "/")

    def test_a_missing_folder_holds_no_runs(self, tmp_path: Path) -> None:
        assert list_runs(tmp_path / "missing") == []

    def test_a_file_in_the_folder_s_place_is_an_error(self, tmp_path: Path) -> None:
        (tmp_path / "file").write_text("")
        assert "cannot be listed: a part of the path is a file" in refusal(
            RunError, lambda: list_runs(tmp_path / "file")
        )

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
        run.write_history(HISTORY)
        details = run.details()
        assert details["checkpoint"] == str(run.best)
        assert details["vocabulary"] == {"size": 6, "characters": " aehst", "has_unknown": False}
        assert details["model"] == CONFIG.to_json()
        assert details["training"]["epochs"] == 2.0
        assert details["history"] == HISTORY
        assert set(details["files"]) == {"best.keras", "last.keras", "metrics.csv", "samples.txt"}
        assert all(size == (run.path / name).stat().st_size for name, size in details["files"].items())
        assert set(run.summary()) <= set(details)


class TestFinding:
    def test_no_name_is_the_newest_that_has_a_checkpoint(self, checkpoints: Path) -> None:
        (checkpoints / "new").mkdir()
        (checkpoints / "new" / "metrics.csv").write_text("")
        assert next(run.name for run in list_runs(checkpoints)) == "new"
        assert find_run(checkpoints=checkpoints).name == "letters"
        assert resolve_checkpoint(checkpoints=checkpoints) == checkpoints / "letters" / "best.keras"

    def test_by_name_by_folder_and_by_file(self, checkpoints: Path, monkeypatch: Any) -> None:
        monkeypatch.chdir(checkpoints.parent)
        for name in (
            "poems",
            "checkpoints/poems",
            "checkpoints/poems/",
            checkpoints / "poems",
            "./checkpoints/poems/.",
        ):
            run = find_run(name)
            assert (run.name, run.path.resolve()) == ("poems", checkpoints / "poems")
            assert resolve_checkpoint(name).resolve() == checkpoints / "poems" / "best.keras"
        file = Path("checkpoints/poems/last.keras")
        assert resolve_checkpoint(str(file)) == resolve_checkpoint(file) == file
        assert resolve_checkpoint("missing.keras") == Path("missing.keras")
        monkeypatch.chdir(checkpoints / "poems")
        assert find_run(".", checkpoints=checkpoints.parent).name == "poems"

    def test_without_a_best_model_the_last_state_serves(self, checkpoints: Path) -> None:
        assert resolve_checkpoint("songs", checkpoints=checkpoints) == checkpoints / "songs" / "last.keras"

    def test_a_slip_is_answered_with_what_is_near(self, checkpoints: Path) -> None:
        text = refusal(RunError, lambda: find_run("peoms", checkpoints=checkpoints))
        assert text == f"There is no run 'peoms' in {checkpoints}. Did you mean 'poems'?"

    def test_an_unknown_name_is_answered_with_what_there_is(self, checkpoints: Path) -> None:
        for n in range(3):
            put_checkpoint(checkpoints / f"x{n}" / "best.keras", age=1000 + n)
        text = refusal(RunError, lambda: find_run("Zarathustra", checkpoints=checkpoints))
        assert text.endswith("There are 'letters', 'poems', 'songs', 'torn', 'x0' and 2 more.")

    @pytest.mark.parametrize("name", ["", "a\0b", "n" * 5000, "..", "a/b/c", "\ud800"])
    def test_impossible_names_are_unknown_runs(self, checkpoints: Path, name: str) -> None:
        folder = checkpoints / "poems" / "runs"
        folder.mkdir()
        for ask in (find_run, resolve_checkpoint):
            refusal(RunError, lambda ask=ask: ask(name, checkpoints=folder))

    def test_without_any_run_the_first_command_is_named(self, tmp_path: Path) -> None:
        for name in (None, "poems"):
            assert "Start one: textgen train TEXT" in refusal(
                RunError, lambda name=name: find_run(name, checkpoints=tmp_path)
            )

    def test_a_run_that_has_saved_nothing_says_so(self, tmp_path: Path) -> None:
        run = create_run("poems", checkpoints=tmp_path)
        assert "holds no checkpoint" in refusal(RunError, lambda: find_run("poems", checkpoints=tmp_path))
        with run.locked():
            text = refusal(RunError, lambda: find_run("poems", checkpoints=tmp_path))
        assert text == "The run 'poems' has saved nothing yet. Wait for its first save."


class TestCreating:
    def test_a_new_run_has_an_empty_folder(self, tmp_path: Path) -> None:
        run = create_run("poems of the sea", checkpoints=tmp_path / "deep" / "checkpoints")
        assert run.path == tmp_path / "deep" / "checkpoints" / "poems of the sea"
        assert list(run.path.iterdir()) == []
        assert repr(run) == f"Run({str(run.path)!r})"

    def test_an_existing_run_is_refused_and_left_alone(self, checkpoints: Path) -> None:
        before = (checkpoints / "poems" / "best.keras").read_bytes()
        text = refusal(RunError, lambda: create_run("poems", checkpoints=checkpoints))
        assert text.endswith("Continue it with --resume poems, or choose another --name.")
        assert (checkpoints / "poems" / "best.keras").read_bytes() == before

    def test_any_content_counts_as_existing(self, tmp_path: Path) -> None:
        (tmp_path / "my poems").mkdir()
        (tmp_path / "my poems" / "diary.txt").write_text("dear diary")
        text = refusal(RunError, lambda: create_run("my poems", checkpoints=tmp_path))
        assert "--resume 'my poems'" in text
        (tmp_path / "file").write_text("")
        assert "exists already" in refusal(RunError, lambda: create_run("file", checkpoints=tmp_path))

    def test_an_empty_folder_and_a_dead_lock_are_free(self, tmp_path: Path) -> None:
        (tmp_path / "poems").mkdir()
        (tmp_path / "poems" / "run.lock").write_text("process 1 on sea")
        assert create_run("poems", checkpoints=tmp_path).name == "poems"

    def test_a_run_that_is_just_starting_is_refused(self, tmp_path: Path) -> None:
        with create_run("poems", checkpoints=tmp_path).locked():
            text = refusal(RunError, lambda: create_run("poems", checkpoints=tmp_path))
        assert f"is being trained by process {os.getpid()} on " in text

    def test_unnamed_runs_count_up(self, tmp_path: Path) -> None:
        names = []
        for _ in range(3):
            run = create_run("poems", checkpoints=tmp_path, exact=False)
            put_checkpoint(run.best)
            names.append(run.name)
        assert names == ["poems", "poems-2", "poems-3"]
        assert create_run("../ö: the \n sea?", checkpoints=tmp_path, exact=False).path.parent == tmp_path

    def test_a_folder_that_cannot_be_made_is_explained(self, tmp_path: Path, monkeypatch: Any) -> None:
        def refuse(*_: Any, **__: Any) -> None:
            raise OSError(errno.EROFS, "Read-only file system")

        monkeypatch.setattr(Path, "mkdir", refuse)
        for exact in (True, False):
            text = refusal(RunError, lambda exact=exact: create_run("poems", checkpoints=tmp_path, exact=exact))
            assert "cannot be made: the disk is read-only. Choose another place." in text

    @pytest.mark.parametrize(
        ("name", "reason"),
        [
            ("", "it is empty"),
            ("poems/sea", "it holds '/'"),
            ("..\\poems", "it holds '\\\\'"),
            ("what?", "it holds '?'"),
            ("a\nb", "cannot be printed"),
            ("a\0b", "cannot be printed"),
            ("\udce9", "cannot be printed"),
            ("..", "it begins with '.'"),
            ("-poems", "it begins with '-'"),
            (" poems", "begins or ends with a space"),
            ("poems.", "a full stop"),
            ("é" * 100, "it is too long"),
            ("NUL", "Windows keeps that name"),
            ("com1.txt", "Windows keeps that name"),
            ("poems.keras", "looks like a checkpoint"),
        ],
    )
    def test_names_that_cannot_be_folders_are_refused(self, tmp_path: Path, name: str, reason: str) -> None:
        text = refusal(RunError, lambda: create_run(name, checkpoints=tmp_path))
        assert reason in text
        assert "Use for instance '" in text
        assert list(tmp_path.iterdir()) == []

    @given(st.text(max_size=200) | st.text(" .-/\\:a\n", max_size=12))
    @example("con")
    @example("é" * 90)
    @example(". -")
    @example("a.keras.keras")
    @example("com1 .txt")
    def test_any_text_makes_a_name_that_is_one(self, text: str) -> None:
        name = safe_name(text)
        check_name(name)
        assert safe_name(name) == name

    @given(st.text("poemsé漢🌊_ 09", min_size=1, max_size=20).map(str.strip).filter(bool))
    def test_ordinary_names_are_accepted(self, name: str) -> None:
        check_name(name)


class TestLocking:
    def test_the_second_writer_is_refused_while_the_first_lives(self, tmp_path: Path) -> None:
        first = create_run("poems", checkpoints=tmp_path)
        second = Run(first.path)
        with first.locked():
            assert first.live
            assert second.live
            text = refusal(RunError, lambda: second.locked().__enter__())
            assert text.endswith("Wait for it, stop it, or choose another --name.")
        assert not second.live
        with second.locked():
            pass
        assert list(first.path.iterdir()) == []

    def test_an_error_in_training_gives_the_lock_up(self, tmp_path: Path) -> None:
        run = create_run("poems", checkpoints=tmp_path)
        with pytest.raises(ZeroDivisionError), run.locked():
            raise ZeroDivisionError
        assert not run.live

    @pytest.mark.skipif(sys.platform == "win32", reason="SIGKILL")
    def test_a_killed_trainer_frees_the_run_and_its_leftovers_go(self, tmp_path: Path) -> None:
        code = """
import sys, time
from textgen.runs.create import create_run
from textgen.system import atomic_write
run = create_run("poems", checkpoints=sys.argv[1])
with run.locked(), atomic_write(run.last) as file:
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
        run = create_run("poems", checkpoints=tmp_path)
        rows = [{**HISTORY[0], "sample": "the sea"}, {**HISTORY[1], "sample": 'a, "b"\nc \ud800'}, {"step": 30}]
        run.write_history(rows)
        with run.metrics.open(newline="") as file:
            table = list(csv.DictReader(file))
        assert tuple(table[0]) == COLUMNS
        for row, written in zip(rows, table, strict=True):
            for name in COLUMNS:
                assert written[name] == ("" if row.get(name) is None else str(row[name]))
        assert run.samples.read_text("utf-8") == (
            '--- step 10, loss 2.5000 ---\nthe sea\n\n--- step 20, loss 2.0000 ---\na, "b"\nc \\ud800\n\n'
        )

    def test_it_is_written_anew_each_time(self, tmp_path: Path) -> None:
        run = create_run("poems", checkpoints=tmp_path)
        run.write_history(HISTORY)
        before = run.metrics.read_bytes()
        run.write_history(HISTORY[:1])
        run.write_history(HISTORY)
        assert run.metrics.read_bytes() == before
        assert sorted(path.name for path in run.path.iterdir()) == ["metrics.csv", "samples.txt"]

    def test_a_full_disk_is_explained_and_keeps_the_old(self, tmp_path: Path, monkeypatch: Any) -> None:
        run = create_run("poems", checkpoints=tmp_path)
        run.write_history(HISTORY[:1])
        before = run.metrics.read_bytes()

        def refuse(descriptor: int) -> None:
            raise OSError(errno.ENOSPC, "No space left on device")

        monkeypatch.setattr(os, "fsync", refuse)
        text = refusal(CheckpointError, lambda: run.write_history(HISTORY))
        assert text.endswith("metrics.csv cannot be written: the disk is full. Free some space.")
        assert run.metrics.read_bytes() == before

    def test_it_is_read_from_the_newest_state(self, checkpoints: Path) -> None:
        longer = [*HISTORY, {"step": 30}]
        put_checkpoint(checkpoints / "poems" / "last.keras", history=longer)
        assert Run(checkpoints / "poems").history == longer
        (checkpoints / "poems" / "last.keras").unlink()
        assert Run(checkpoints / "poems").history == HISTORY
        assert system.remove_leftovers(checkpoints / "poems") == 0

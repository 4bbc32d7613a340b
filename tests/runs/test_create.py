"""Creating the folders of new runs."""

import errno
import multiprocessing
import os
import shutil
from collections import Counter
from multiprocessing.synchronize import Barrier
from pathlib import Path
from typing import Any

import pytest
from placed import put_checkpoint

from textgen.errors import RunError
from textgen.runs.create import create_run
from textgen.runs.run import Run


def created(name: str, checkpoints: Path, **options: bool) -> Run:
    """A new run that nobody trains any more."""
    with create_run(name, checkpoints=checkpoints, **options) as run:
        return run


def refusal(kind: type[Exception], action: Any) -> str:
    with pytest.raises(kind) as caught:
        action()
    assert "\n" not in str(caught.value)
    return str(caught.value)


class TestCreating:
    def test_a_new_run_has_an_empty_folder(self, tmp_path: Path) -> None:
        run = created("poems of the sea", tmp_path / "deep" / "checkpoints")
        assert run.path == tmp_path / "deep" / "checkpoints" / "poems of the sea"
        assert list(run.path.iterdir()) == []
        assert repr(run) == f"Run({str(run.path)!r})"

    def test_an_existing_run_is_refused_and_left_alone(self, checkpoints: Path) -> None:
        before = (checkpoints / "poems" / "best.keras").read_bytes()
        text = refusal(RunError, lambda: created("poems", checkpoints))
        assert text.endswith("Continue it with --resume poems, or choose another --name.")
        assert (checkpoints / "poems" / "best.keras").read_bytes() == before

    def test_any_content_counts_as_existing(self, tmp_path: Path) -> None:
        (tmp_path / "my poems").mkdir()
        (tmp_path / "my poems" / "diary.txt").write_text("dear diary")
        text = refusal(RunError, lambda: created("my poems", tmp_path))
        assert "--resume 'my poems'" in text
        (tmp_path / "file").write_text("")
        assert "exists already" in refusal(RunError, lambda: created("file", tmp_path))

    def test_an_empty_folder_and_a_dead_lock_are_free(self, tmp_path: Path) -> None:
        (tmp_path / "poems").mkdir()
        (tmp_path / "poems" / "run.lock").write_text("process 1 on sea")
        assert created("poems", tmp_path).name == "poems"

    def test_a_run_that_is_just_starting_is_refused(self, tmp_path: Path) -> None:
        with create_run("poems", checkpoints=tmp_path):
            text = refusal(RunError, lambda: created("poems", tmp_path))
        assert f"is being trained by process {os.getpid()} on " in text
        assert text.endswith(". Wait for it, stop it, or choose another --name.")

    def test_unnamed_runs_count_up(self, tmp_path: Path) -> None:
        names = []
        for _ in range(3):
            run = created("poems", tmp_path, exact=False)
            put_checkpoint(run.best)
            names.append(run.name)
        assert names == ["poems", "poems-2", "poems-3"]
        assert created("../ö: the \n sea?", tmp_path, exact=False).path.parent == tmp_path

    def test_a_folder_goes_if_nothing_comes_into_it(self, tmp_path: Path) -> None:
        with pytest.raises(ZeroDivisionError), create_run("poems", checkpoints=tmp_path) as run:
            (run.path / "tensorboard").mkdir()
            raise ZeroDivisionError
        assert list(tmp_path.iterdir()) == []
        with pytest.raises(ZeroDivisionError), create_run("poems", checkpoints=tmp_path) as run:
            put_checkpoint(run.last)
            raise ZeroDivisionError
        assert [path.name for path in run.path.iterdir()] == ["last.keras"]

    def test_several_that_start_at_once_get_a_folder_each(self, tmp_path: Path) -> None:
        """Also where some of them fail at once and take their folders away again."""
        spawn = multiprocessing.get_context("spawn")
        barrier, told = spawn.Barrier(_PROCESSES, timeout=120), spawn.Queue()
        arguments = (barrier, told, tmp_path)
        processes = [spawn.Process(target=_start_runs, args=(*arguments, number)) for number in range(_PROCESSES)]
        for process in processes:
            process.start()
        got = Counter(told.get(timeout=120) for _ in range(_PROCESSES * _ROUNDS))
        for process in processes:
            process.join()
        assert set(got.values()) == {1}
        assert not [text for _, text in got if not text.startswith("poems")], got

    def test_a_folder_that_cannot_be_made_is_explained(self, tmp_path: Path, monkeypatch: Any) -> None:
        def refuse(*_: Any, **__: Any) -> None:
            raise OSError(errno.EROFS, "Read-only file system")

        monkeypatch.setattr(Path, "mkdir", refuse)
        for exact in (True, False):
            text = refusal(RunError, lambda exact=exact: created("poems", tmp_path, exact=exact))
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
        text = refusal(RunError, lambda: created(name, tmp_path))
        assert reason in text
        assert "Use for instance '" in text
        assert list(tmp_path.iterdir()) == []


_PROCESSES, _ROUNDS = 4, 20


def _start_runs(barrier: Barrier, told: Any, checkpoints: Path, number: int) -> None:
    """In each round: the name that this process gets when all ask for one at once, or what it is told instead."""
    for n in range(_ROUNDS):
        folder = checkpoints / str(n)
        barrier.wait()
        try:
            if number == 0 and n % 2:
                with pytest.raises(ZeroDivisionError), create_run("poems", checkpoints=folder, exact=False):
                    raise ZeroDivisionError
                told.put((n, "poems failed"))
            else:
                with create_run("poems", checkpoints=folder, exact=False) as run:
                    told.put((n, run.name))
                    put_checkpoint(run.best)
        except BaseException as error:
            told.put((n, f"{number}: {error}"))
        barrier.wait()
        if number == 0:
            shutil.rmtree(folder)

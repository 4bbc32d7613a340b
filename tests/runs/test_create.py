"""Creating the folders of new runs."""

import errno
import os
from pathlib import Path
from typing import Any

import pytest
from placed import put_checkpoint

from textgen.errors import RunError
from textgen.runs.create import create_run


def refusal(kind: type[Exception], action: Any) -> str:
    with pytest.raises(kind) as caught:
        action()
    assert "\n" not in str(caught.value)
    return str(caught.value)


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

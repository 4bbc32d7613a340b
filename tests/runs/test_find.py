"""Finding runs by name."""

from pathlib import Path
from typing import Any

import pytest
from placed import put_checkpoint

from textgen.errors import RunError
from textgen.runs.create import create_run
from textgen.runs.find import find_run, list_runs, resolve_checkpoint


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

    def test_a_run_is_found_from_a_folder_that_has_been_deleted(
        self, checkpoints: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        gone = tmp_path / "gone"
        gone.mkdir()
        monkeypatch.chdir(gone)
        gone.rmdir()
        assert find_run(checkpoints / "poems").path == checkpoints / "poems"
        assert find_run("poems", checkpoints=checkpoints).path == checkpoints / "poems"
        assert "There is no run 'poems'" in refusal(RunError, lambda: find_run("poems"))

    def test_a_file_in_a_run_s_place_is_called_one(self, checkpoints: Path) -> None:
        file = checkpoints / "poems" / "last.keras"
        assert (
            refusal(RunError, lambda: find_run(file)) == f"{file} is a file, not a run. Give the run's name or folder."
        )

    def test_without_any_run_the_first_command_is_named(self, tmp_path: Path) -> None:
        for name in (None, "poems"):
            assert "Start one: textgen train TEXT" in refusal(
                RunError, lambda name=name: find_run(name, checkpoints=tmp_path)
            )

    def test_a_run_that_has_saved_nothing_says_so(self, tmp_path: Path) -> None:
        with create_run("poems", checkpoints=tmp_path):
            pass
        assert "holds no checkpoint" in refusal(RunError, lambda: find_run("poems", checkpoints=tmp_path))
        with create_run("poems", checkpoints=tmp_path):
            text = refusal(RunError, lambda: find_run("poems", checkpoints=tmp_path))
        assert text == "The run 'poems' has saved nothing yet. Wait for its first save."

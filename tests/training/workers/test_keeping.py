"""Where worker 1 saves a run whose worker 0 was lost: never over what is newer, another run's, or being trained."""

import shutil
from pathlib import Path

import pytest

from textgen.model.read import read_metadata
from textgen.runs.run import Run
from textgen.training.workers.keeping import kept_run


@pytest.fixture
def trained(home: Path, tmp_path: Path) -> tuple[Path, str, int]:
    """A folder with a run, "poems", when that was started, and its step."""
    source = next((home / "checkpoints").glob("*/last.keras"))
    (tmp_path / "poems").mkdir()
    shutil.copy(source, tmp_path / "poems" / "last.keras")
    progress = read_metadata(source).progress
    assert progress is not None and progress.step > 0
    return tmp_path, progress.created, progress.step


def test_a_folder_is_made_where_there_is_none(tmp_path: Path) -> None:
    with kept_run("poems", tmp_path, created="now", step=5) as (run, there):
        assert run.path == tmp_path / "poems" and run.live and there == 0
        run.last.write_bytes(b"x")
    assert not run.live


def test_the_same_run_is_brought_up_to_date_where_it_is_older(trained: tuple[Path, str, int]) -> None:
    folder, created, step = trained
    with kept_run("poems", folder, created=created, step=step + 1) as (run, there):
        assert run.path == folder / "poems" and run.live and there == step
    assert not run.live


def test_nothing_is_replaced_by_what_is_no_newer(trained: tuple[Path, str, int]) -> None:
    folder, created, step = trained
    with kept_run("poems", folder, created=created, step=step) as (run, there):
        assert run.path == folder / "poems" and there == step


def test_another_run_keeps_its_folder(trained: tuple[Path, str, int]) -> None:
    folder, _, step = trained
    with kept_run("poems", folder, created="at another time", step=step + 1) as (run, there):
        assert run.path == folder / "poems-2" and there == 0


def test_a_run_that_is_trained_keeps_its_folder(trained: tuple[Path, str, int]) -> None:
    folder, created, step = trained
    with (
        Run(folder / "poems").locked(),
        kept_run("poems", folder, created=created, step=step + 1) as (run, there),
    ):
        assert run.path == folder / "poems-2" and there == 0

"""Where worker 1 saves a run whose worker 0 was lost: never over what is newer, another run's, or being trained.

And how worker 0 gets it back.
"""

import shutil
from pathlib import Path
from typing import Any

import pytest
from small_checkpoints import forge, setting
from teams import as_threads

from textgen.model.read import read_metadata, read_training_state
from textgen.runs.run import Run
from textgen.training.workers.keeping import State, kept_run, newest
from textgen.training.workers.team import Team


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


def brought_back(
    home: Path, folder: Path, *, kept: dict[int, tuple[str, int]], best: float | None = None, **asked: Any
) -> tuple[State | None, list[str], Path]:
    """Has worker 0 of three continue the run "poems" at step 5, with the best loss 2.0.

    Args:
        home: has a run.
        folder: for all workers.
        kept: what others have: a folder's name, and its step.
        best: the loss of the best model in these folders; None for none.
        asked: `created` of what is kept, if it is another run's.

    Returns:
        What worker 0 got and was told, and its folder.
    """
    source = next((home / "checkpoints").glob("*/last.keras"))
    own = folder / "0" / "poems"
    own.mkdir(parents=True)
    forge(source, own / "last.keras", change=lambda values: values["progress"].update(step=5, best=2.0))
    shutil.copy(source.with_name("best.keras"), own / "best.keras")
    for index, (name, step) in kept.items():
        there = folder / str(index) / name
        there.mkdir(parents=True)
        more = {"step": step, "best": None, **asked}
        forge(source, there / "last.keras", change=lambda values, more=more: values["progress"].update(more))
        if best is not None:
            forge(
                source.with_name("best.keras"),
                there / "best.keras",
                change=setting("metrics", "best_val_loss", value=best),
            )
    told: list[str] = []

    def act(team: Team) -> Any:
        return newest(team, folder / str(team.index), Run(own) if team.leads else None, told.append)

    state, *others = as_threads(3, act)
    assert others == [None, None]
    return state, told, own


@pytest.mark.parametrize(("best", "expected"), [(None, 2.0), (1.5, 1.5), (2.5, 2.0)])
def test_worker_0_goes_on_from_the_newest_state_that_another_worker_has_kept(
    best: float | None, expected: float, home: Path, tmp_path: Path
) -> None:
    before = next((home / "checkpoints").glob("*/best.keras")).read_bytes()
    state, told, own = brought_back(home, tmp_path, kept={1: ("poems-2", 7), 2: ("poems", 9)}, best=best)
    assert state is not None and state.progress.step == 9 and state.progress.best == expected
    kept = tmp_path / "2" / "poems"
    assert state.last.metadata == read_metadata(kept / "last.keras")
    assert {name: each.tobytes() for name, each in state.arrays.items()} == {
        name: each.tobytes() for name, each in read_training_state(kept / "last.keras").items()
    }
    (sentence,) = told
    assert "Worker 2 (127.0.0.1:" in sentence and "up to step 9, and step 5 is saved here" in sentence
    progress = read_metadata(own / "last.keras").progress
    assert progress is not None and progress.step == 5, "it is replaced by the next save"
    taken = (kept if expected == best else own) / "best.keras"
    assert (own / "best.keras").read_bytes() == taken.read_bytes()
    assert (taken.read_bytes() == before) == (expected == 2.0)


@pytest.mark.parametrize(
    ("kept", "asked"),
    [({}, {}), ({1: ("poems", 5)}, {}), ({1: ("poetry", 9)}, {}), ({2: ("poems", 9)}, {"created": "at another time"})],
)
def test_worker_0_keeps_its_own_state_where_no_other_is_newer(
    kept: dict[int, tuple[str, int]], asked: dict[str, Any], home: Path, tmp_path: Path
) -> None:
    assert brought_back(home, tmp_path, kept=kept, **asked)[:2] == (None, [])


def test_a_state_that_is_damaged_is_not_taken(home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Path, "read_bytes", lambda path: b"PK")
    assert brought_back(home, tmp_path, kept={1: ("poems", 9)})[:2] == (None, [])


def test_a_new_run_takes_nothing_over() -> None:
    assert as_threads(2, lambda team: newest(team, "nowhere")) == [None, None]

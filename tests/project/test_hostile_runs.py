"""A run folder from a stranger, whose files are links, pipes or folders: continuing it harms nothing outside it."""

import os
import shutil
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from front_door import Outcome, judge, run

from textgen.corpus.cache import KEPT, CorpusCache

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="links need rights and pipes are others on Windows")

FILES = ("best.keras", "last.keras", "metrics.csv", "samples.txt")


@pytest.fixture
def folder(home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder of a run that can be continued."""
    monkeypatch.chdir(home)
    shutil.copytree(home / "checkpoints" / "tiny", tmp_path / "checkpoints" / "tiny")
    return tmp_path / "checkpoints" / "tiny"


@pytest.fixture
def victims(folder: Path, tmp_path: Path) -> Path:
    """What must stay as it is: a text, a folder with a text, and a checkpoint that could be gone on from."""
    place = tmp_path / "victims"
    (place / "folder").mkdir(parents=True)
    (place / "diary.txt").write_text("precious")
    (place / "folder" / "diary.txt").write_text("precious")
    shutil.copy(folder / "last.keras", place / "last.keras")
    return place


def contents(place: Path) -> dict[str, bytes | None]:
    return {str(path): path.read_bytes() if path.is_file() else None for path in sorted(place.rglob("*"))}


def go_on(folder: Path, *options: str) -> Outcome:
    return run("train", "--resume=tiny", "--epochs=0.3", f"--checkpoints={folder.parent}", "--quiet", *options)


def put(path: Path, kind: str, victims: Path) -> None:
    """Puts something in a file's place."""
    path.unlink(missing_ok=True)
    file = victims / (path.name if path.name == "last.keras" else "diary.txt")
    if kind == "link":
        path.symlink_to(file)
    elif kind == "dangling link":
        path.symlink_to(victims / "nowhere")
    elif kind == "link to a folder":
        path.symlink_to(victims / "folder", target_is_directory=True)
    elif kind == "link to a device":
        path.symlink_to("/dev/zero")
    elif kind == "second name":
        os.link(file, path)
    elif kind == "pipe":
        os.mkfifo(path)
    else:
        path.mkdir()


KINDS = ("link", "dangling link", "link to a folder", "link to a device", "second name", "pipe", "folder")
LINKS = KINDS[:5]


@pytest.mark.parametrize(
    "kinds",
    [
        *([kind] * 4 for kind in ("link", "second name")),
        ["dangling link", "link", "link to a folder", "link to a device"],
        ["link to a device", "second name", "dangling link", "link to a folder"],
        *(pytest.param([kind] * 4, marks=pytest.mark.slow) for kind in LINKS if kind not in ("link", "second name")),
    ],
    ids=lambda kinds: kinds[0] if len(set(kinds)) == 1 else ", ".join(kinds),
)
def test_links_in_the_place_of_files_are_replaced(kinds: list[str], folder: Path, victims: Path) -> None:
    for name, kind in zip(FILES, kinds, strict=True):
        if name != "last.keras" or kind in ("link", "second name"):
            put(folder / name, kind, victims)
    before = contents(victims)
    judge(go_on(folder), 0)
    assert contents(victims) == before
    assert sorted(path.name for path in folder.iterdir()) == sorted(FILES)
    assert all(path.is_file() and not path.is_symlink() and path.stat().st_nlink == 1 for path in folder.iterdir())


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        *((name, kind) for name in FILES for kind in ("pipe", "folder")),
        *(("run.lock", kind) for kind in KINDS if kind != "second name"),
        *(("tensorboard", kind) for kind in KINDS if kind != "folder"),
    ],
)
def test_what_cannot_be_replaced_is_told_before_training(name: str, kind: str, folder: Path, victims: Path) -> None:
    put(folder / name, kind, victims)
    before, files = contents(victims), {path: path.lstat().st_mtime_ns for path in folder.iterdir()}
    assert name in judge(go_on(folder, *["--tensorboard"] * (name == "tensorboard")), 1).err
    assert contents(victims) == before
    assert {path: path.lstat().st_mtime_ns for path in folder.iterdir()} == files
    for command in (["info", "tiny"], ["runs"]):
        judge(run(*command, f"--checkpoints={folder.parent}"), 0, 1)


def test_a_lock_with_a_second_name_locks_and_is_not_written(folder: Path, victims: Path) -> None:
    put(folder / "run.lock", "second name", victims)
    before = contents(victims)
    judge(go_on(folder), 0)
    assert contents(victims) == before
    assert sorted(path.name for path in folder.iterdir()) == sorted(FILES)


def test_metrics_that_never_end_are_not_read(folder: Path) -> None:
    for name in ("best.keras", "last.keras", "metrics.csv"):
        (folder / name).unlink()
    for make in (os.mkfifo, lambda path: path.symlink_to("/dev/zero")):
        make(folder / "metrics.csv")
        judge(run("plot", "tiny", f"--checkpoints={folder.parent}"), 1)
        (folder / "metrics.csv").unlink()


def test_event_files_that_are_none_are_left_alone(folder: Path, victims: Path) -> None:
    (folder / "tensorboard").mkdir()
    events = [folder / "tensorboard" / f"events.out.tfevents.{n}.sea.1.0.textgen" for n in range(len(KINDS))]
    for event, kind in zip(events, KINDS, strict=True):
        put(event, kind, victims)
    before = contents(victims)
    judge(go_on(folder, "--tensorboard"), 0)
    assert contents(victims) == before


@pytest.mark.parametrize("kind", KINDS)
def test_a_cached_text_that_is_none_is_replaced_or_told(kind: str, tmp_path: Path) -> None:
    from textgen.errors import CorpusError

    victims, folder = tmp_path / "victims", tmp_path / ".cache"
    (victims / "folder").mkdir(parents=True)
    CorpusCache(victims).write("poems", [np.array([1, 0, 2], np.uint8)], np.dtype(np.uint8), dict)
    (victims / "poems.ids").rename(victims / "diary.txt")
    folder.mkdir()
    put(folder / "poems.ids", kind, victims)
    before = contents(victims)
    cache = CorpusCache(folder)
    if kind != "second name":
        assert cache.read("poems") is None
    write: Any = lambda: cache.write("poems", [np.array([2, 2], np.uint8)], np.dtype(np.uint8), dict)  # noqa: E731
    if kind in ("pipe", "folder"):
        with pytest.raises(CorpusError, match="Cannot write the encoded text"):
            write()
    else:
        assert write().ids.tolist() == [2, 2]
        assert cache.read("poems").ids.tolist() == [2, 2]
    assert contents(victims) == before


def test_a_cache_in_a_linked_folder_removes_only_its_own(tmp_path: Path) -> None:
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    for n in range(KEPT + 2):
        (elsewhere / f"diary-{n}.ids").write_text("precious")
    (tmp_path / ".cache").symlink_to(elsewhere, target_is_directory=True)
    cache = CorpusCache(tmp_path / ".cache")
    for n in range(KEPT + 2):
        cache.write(f"poems{n}", [np.array([n], np.uint8)], np.dtype(np.uint8), dict)
    assert len(list(elsewhere.glob("diary-*.ids"))) == KEPT + 2
    assert len(list(elsewhere.glob("poems*.ids"))) == KEPT

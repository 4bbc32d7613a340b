"""Hostile folders, devices, links and checkpoints: each gives its result or one sentence, and nothing is left."""

import errno
import io
import json
import os
import random
import shutil
import sys
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from front_door import judge, nothing_left_in, run

from textgen.runs.run import Run


@pytest.fixture(autouse=True)
def at_home(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(home)


@pytest.mark.parametrize("number", [errno.EACCES, errno.EROFS, errno.ENOSPC, errno.EIO, errno.ELOOP])
def test_a_folder_that_takes_nothing_is_named_in_one_sentence(
    number: int, home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(path: Any, *_: Any, **__: Any) -> None:
        raise OSError(number, os.strerror(number), os.fspath(path))

    with nothing_left_in(home):
        with monkeypatch.context() as patch:
            patch.setattr(Path, "mkdir", refuse)
            assert "new" in judge(run("train", "haven.txt", "--device=cpu", "--name=new"), 1).err
        with monkeypatch.context() as patch:
            patch.setattr("textgen.system.files.os.open", refuse)
            judge(run("train", "haven.txt", "--device=cpu", "--name=new"), 1)
        with monkeypatch.context() as patch:
            patch.setattr(Path, "open", refuse)
            judge(run("sample", "--length=1"), 1)
            judge(run("score", "haven.txt"), 1)
        with monkeypatch.context() as patch:
            patch.setattr("textgen.system.files.Path.open", lambda path, *given: _open(path, *given, refuse=refuse))
            assert "page.html" in judge(run("score", "-", "--html=page.html", stdin=b"the"), 1).err
        with monkeypatch.context() as patch:
            patch.setattr(Path, "iterdir", refuse)
            for arguments in (["runs"], ["info"], ["sample"]):
                judge(run(*arguments), 1)


def _open(path: Path, mode: str = "r", *given: Any, refuse: Any) -> Any:
    return refuse(path) if "x" in mode else open(path, mode, *given)  # noqa: PTH123


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no such files")
def test_devices_and_pipes_are_left_as_they_are(home: Path, tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    for place in (os.devnull, str(tmp_path / "pipe")):
        assert place in judge(run("score", "-", f"--html={place}", stdin=b"the"), 1).err
        assert not Path(place).is_file()
    judge(run("train", os.devnull), 1)
    judge(run("sample", "--run", os.devnull), 1)


@pytest.mark.skipif(sys.platform == "win32", reason="links need rights on Windows")
def test_links_lead_where_they_lead(home: Path, tmp_path: Path) -> None:
    (tmp_path / "loop").symlink_to(tmp_path / "loop")
    (tmp_path / "gone").symlink_to(tmp_path / "nowhere")
    (tmp_path / "a link").symlink_to(home / "checkpoints" / "tiny", target_is_directory=True)
    (tmp_path / "linked.txt").symlink_to(home / "haven.txt")
    place = f"--checkpoints={tmp_path}"
    expected = run("sample", "--run=tiny", "--seed=1").out
    for name in ("a link", str(tmp_path / "a link"), str(tmp_path / "a link" / "best.keras")):
        assert judge(run("sample", f"--run={name}", "--seed=1", place), 0).out == expected
    judge(run("score", str(tmp_path / "linked.txt"), "--run=a link", place), 0)
    with nothing_left_in(tmp_path):
        for name in ("loop", "gone"):
            for arguments in (["train", str(tmp_path / name)], ["sample", f"--run={name}", place]):
                judge(run(*arguments), 1)
            judge(run("train", "haven.txt", f"--name={name}", "--device=cpu", place), 1)
        judge(run("runs", place), 0)
    page = tmp_path / "page.html"
    page.symlink_to(tmp_path / "kept.html")
    judge(run("score", "-", f"--html={page}", stdin=b"the sea"), 0)
    assert page.is_symlink()
    assert (tmp_path / "kept.html").is_file()


def rewritten(data: bytes, place: tuple[Any, ...], value: Any) -> bytes:
    """A checkpoint with another value at one place of its metadata, everything else being right."""
    out = io.BytesIO()
    with zipfile.ZipFile(io.BytesIO(data)) as old, zipfile.ZipFile(out, "w") as new:
        for name in old.namelist():
            member = old.read(name)
            if name == "textgen.json":
                document = spot = json.loads(member)
                for key in place[:-1]:
                    spot = spot[key]
                spot[place[-1]] = value
                member = json.dumps(document).encode()
            new.writestr(zipfile.ZipInfo(name), member)
    return out.getvalue()


def places(value: Any, before: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """Where values are in a JSON document, at most two of each list."""
    keys = (
        list(value) if isinstance(value, dict) else list(range(min(len(value), 2))) if isinstance(value, list) else []
    )
    for key in keys:
        yield (*before, key)
        yield from places(value[key], (*before, key))


def test_a_stranger_s_metadata_is_told_or_refused(home: Path, tmp_path: Path) -> None:
    values = [
        None,
        True,
        -1,
        1e308,
        float("nan"),
        float("inf"),
        10**400,
        "\ud800\x1b[31m\n",
        [],
        [1],
        {},
        {"a": 1},
        "9" * 300,
    ]
    data = (home / "checkpoints" / "tiny" / "last.keras").read_bytes()
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        document = json.loads(archive.read("textgen.json"))
    strange = Run(tmp_path / "strange")
    strange.path.mkdir()
    chance = random.Random(0)
    for place in places(document):
        changed = rewritten(data, place, chance.choice(values))
        strange.best.write_bytes(changed)
        strange.last.write_bytes(changed)
        for line in (
            ["info"],
            ["info", "--json"],
            ["runs"],
            ["runs", "--json"],
            ["sample", "--length=1"],
            ["score", "-"],
        ):
            done = run(*line, f"--checkpoints={tmp_path}", stdin=b"the sea")
            if line[0] == "runs":
                assert (done.code, "Traceback" in done.err) == (0, False), (place, done)
            else:
                judge(done, 0, 1)


def test_a_last_state_without_its_progress_cannot_be_continued(home: Path, tmp_path: Path) -> None:
    shutil.copytree(home / "checkpoints" / "tiny", tmp_path / "tiny")
    data = (tmp_path / "tiny" / "last.keras").read_bytes()
    for place in (
        ("progress",),
        ("progress", "sources"),
        ("progress", "created"),
        ("progress", "plan"),
        ("corpus", "settings"),
    ):
        for value in (None, [], [1]):
            (tmp_path / "tiny" / "last.keras").write_bytes(rewritten(data, place, value))
            with nothing_left_in(tmp_path):
                judge(run("train", "--resume=tiny", f"--checkpoints={tmp_path}"), 1)
    (tmp_path / "tiny" / "last.keras").write_bytes((tmp_path / "tiny" / "best.keras").read_bytes())
    judge(run("train", "--resume=tiny", f"--checkpoints={tmp_path}"), 1)

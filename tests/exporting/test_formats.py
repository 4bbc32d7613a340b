"""Exporting a run by its name: where the file goes, and what is refused."""

from pathlib import Path

import pytest
from pages import data_of

import textgen
from textgen.exporting import FORMATS


def test_a_run_is_exported_to_a_file_of_its_name_in_this_folder(
    home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    path = textgen.export(home / "checkpoints" / "tiny")
    assert path == Path("tiny.html")
    assert data_of(path.read_text(encoding="utf-8"))["name"] == "tiny"


def test_a_file_outside_a_run_gives_its_own_name(home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    copy = tmp_path / "sea.keras"
    copy.write_bytes((home / "checkpoints" / "tiny" / "best.keras").read_bytes())
    assert textgen.export(copy) == Path("sea.html")
    assert textgen.export(copy, output=tmp_path / "other.html") == tmp_path / "other.html"


def test_what_is_there_stays_when_the_export_fails(home: Path, tmp_path: Path) -> None:
    there = tmp_path / "page.html"
    there.write_text("mine")
    with pytest.raises(
        textgen.ConfigError, match="weights must be int8 or int6 or float16 or float32 for html; got 'int4'"
    ):
        textgen.export(home / "checkpoints" / "tiny", output=there, weights="int4")
    assert there.read_text() == "mine"
    assert list(tmp_path.iterdir()) == [there]


def test_a_format_that_does_not_exist_is_refused() -> None:
    with pytest.raises(textgen.ConfigError, match="to must be one of html, "):
        textgen.export("poems", to="pdf")


def test_the_checkpoint_is_not_overwritten(home: Path, tmp_path: Path) -> None:
    copy = tmp_path / "sea.keras"
    copy.write_bytes((home / "checkpoints" / "tiny" / "best.keras").read_bytes())
    before = copy.read_bytes()
    with pytest.raises(textgen.ConfigError, match="output must be another file than the checkpoint"):
        textgen.export(copy, output=copy)
    assert copy.read_bytes() == before


def test_a_folder_that_is_missing_is_named_before_anything_is_made(home: Path, tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        textgen.export(home / "checkpoints" / "tiny", output=tmp_path / "no" / "page.html")


@pytest.mark.parametrize("name", FORMATS)
def test_each_format_has_its_function(name: str) -> None:
    assert callable(FORMATS[name].make)
    assert FORMATS[name].ending.startswith(".")

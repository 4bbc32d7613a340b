"""A text whose frame is left out, or whose lines are joined, is the same text for every command, and to resume."""

import shlex
from pathlib import Path
from types import SimpleNamespace

import pytest
from front_door import run

from textgen.config import CorpusConfig
from textgen.model.read import read_metadata
from textgen.runs.provenance import read_run_text

LINE = "The sea, the sea, said Nan, and went along the quay to look\n"
BOOK = f"{LINE}at the boats, which lay still.\n\n" * 40
BEFORE = "Title: Nan\n\n*** START OF THE PROJECT GUTENBERG EBOOK NAN ***\n\nProduced by A. Reader\n\n"
AFTER = "\n\n*** END OF THE PROJECT GUTENBERG EBOOK NAN ***\n\nThe licence.\n"
TINY = shlex.split("--units 8 --layers 1 --embedding 4 --epochs 0.2 --batch-size 2 --sequence-length 16")


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "nan.txt").write_text(BEFORE + BOOK + AFTER)
    return tmp_path


def test_a_stripped_and_unwrapped_text_is_read_again_by_every_command(folder: Path) -> None:
    done = run("train", "nan.txt", "--unwrap", *TINY)
    assert done.code == 0, done.err
    (note,) = [line for line in done.err.splitlines() if line.startswith("Note: ")]
    assert "nan.txt is a book of Project Gutenberg" in note and "--strip none keeps them" in note
    best = folder / "checkpoints" / "nan" / "best.keras"
    described = read_metadata(best).corpus
    book = BOOK.replace("to look\nat", "to look at").rstrip() + "\n"
    assert (described.config.strip, described.config.unwrap, described.characters) == ("gutenberg", True, len(book))
    assert read_run_text(described, best, keep=10_000).characters == len(book)
    assert run("eval", "nan", "--json").code == 0
    assert run("score", "nan.txt").code == 0
    resumed = run("train", "--resume", "nan", "--epochs", "0.3")
    assert resumed.code == 0, resumed.err
    assert "strip" in run("info", "nan").out


def test_strip_none_keeps_all_and_says_nothing(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    calls: list[CorpusConfig] = []
    training = SimpleNamespace(train=lambda sources, **options: calls.append(options["corpus"]))
    monkeypatch.setattr("textgen.cli.framework.load_training", lambda device: training)
    done = run("train", "nan.txt", "--strip", "none", "--quiet", *TINY)
    assert (done.code, done.err) == (0, "")
    assert [config.strip for config in calls] == ["none"]


def test_too_much_is_refused_before_anything_is_begun(folder: Path) -> None:
    (folder / "short.txt").write_text(BEFORE + BOOK[:200] + AFTER)
    done = run("train", "short.txt", "--strip", "gutenberg", *TINY)
    assert (done.code, done.out) == (1, "")
    assert "short.txt has markers of Project Gutenberg by which" in done.err
    assert not (folder / "checkpoints").exists()


def test_a_run_of_an_earlier_version_strips_nothing() -> None:
    earlier = {name: value for name, value in CorpusConfig().to_json().items() if name not in ("strip", "unwrap")}
    assert CorpusConfig.from_json(earlier).strip == "none"
    assert CorpusConfig.from_json(CorpusConfig().to_json()).strip is None
    assert "strip" not in CorpusConfig(strip="none").to_json()

"""The text of a run: found, verified and split as in training."""

import hashlib
import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

import textgen
from textgen.config import CorpusConfig
from textgen.corpus import encode_corpus, open_corpus, sources
from textgen.errors import RunError
from textgen.model.description import CorpusDescription
from textgen.model.read import read_metadata
from textgen.runs.provenance import OwnTextError, read_run_text

TEXT = "Das Wäßrige wallt,\r\nund 海 wogt; e\u0301 o weh. " * 20
POEM = TEXT.replace("\r\n", "\n")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for n in range(3):
        (tmp_path / f"part{n}.txt").write_bytes(f"{n} {TEXT}".encode())
    return tmp_path


def described(path: Path, **settings: Any) -> CorpusDescription:
    return CorpusDescription.of(encode_corpus(open_corpus(path, config=CorpusConfig(**settings))))


@pytest.mark.parametrize("chunk", [7, 1 << 20])
@pytest.mark.parametrize("settings", [{}, {"normalize": "nfc", "validation": 0.3}, {"keep_newlines": True}])
def test_it_is_parted_where_training_parted_it(
    folder: Path, monkeypatch: pytest.MonkeyPatch, chunk: int, settings: dict[str, Any]
) -> None:
    encoded = encode_corpus(open_corpus(folder, config=CorpusConfig(**settings)))
    monkeypatch.setattr(sources, "CHUNK", chunk)
    found = read_run_text(CorpusDescription.of(encoded), None, keep=10**9)
    training = encoded.tokenizer.decode(encoded.training)
    assert found.held_out == encoded.tokenizer.decode(encoded.held_out)
    assert found.training.decode() == training
    assert found.training_bytes == len(training.encode())
    assert found.before == training[-1]
    assert found.counts.to_dict() == {character: training.count(character) for character in set(training)}
    assert (found.characters, found.split) == (encoded.characters, encoded.split)
    assert len(found.sources) == 3


@pytest.mark.parametrize("settings", [{"records": "lines"}, {"text_field": "text", "label_field": "kind"}])
def test_records_are_the_text_that_their_ids_decode_to(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, bundled_corpus: Path, settings: dict[str, Any]
) -> None:
    path = Path(shutil.copy(bundled_corpus / "short_texts.csv", tmp_path))
    encoded = encode_corpus(open_corpus(path, config=CorpusConfig(**settings)), seed=7)
    monkeypatch.setattr(sources, "CHUNK", 1000)
    found = read_run_text(CorpusDescription.of(encoded), None, keep=10**9)
    training = encoded.tokenizer.decode(encoded.training)
    assert found.held_out == encoded.tokenizer.decode(encoded.held_out)
    assert found.training.decode() == training
    assert found.counts.to_dict() == {character: training.count(character) for character in set(training)}
    assert (found.characters, found.split, found.before) == (encoded.characters, encoded.split, "\n")
    path.write_text(path.read_text().replace(",riddle", ",proverb", 1))
    with pytest.raises(OwnTextError, match="has changed since"):
        read_run_text(CorpusDescription.of(encoded), None, keep=10**9)


@pytest.mark.parametrize("keep", [1, *range(100, 140), 1009])
def test_of_what_was_trained_on_the_end_is_kept(folder: Path, monkeypatch: pytest.MonkeyPatch, keep: int) -> None:
    corpus = described(folder)
    whole = read_run_text(corpus, None, keep=10**9)
    monkeypatch.setattr(sources, "CHUNK", 50)
    found = read_run_text(corpus, None, keep=keep)
    assert whole.training.endswith(found.training)
    assert keep - 3 < len(found.training.decode().encode()) <= keep
    assert found.training_bytes == whole.training_bytes


def test_progress_rises_to_the_size_of_the_files(folder: Path) -> None:
    calls: list[tuple[int, int]] = []
    read_run_text(described(folder), None, keep=1, progress=lambda *call: calls.append(call))
    size = sum(path.stat().st_size for path in folder.iterdir())
    assert calls[-1] == (size, size)


def test_a_run_knows_its_text_from_any_folder(home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    checkpoint = home / "checkpoints" / "tiny" / "best.keras"
    corpus = read_metadata(checkpoint).corpus
    expected = (home / "haven.txt").read_text(encoding="utf-8")
    assert read_run_text(corpus, checkpoint, keep=1).held_out == expected[corpus.split :]

    # The best model alone knows the place as it was named; the last state beside it knows the whole path.
    named = replace(corpus, sources=("haven.txt",))
    assert read_run_text(named, checkpoint, keep=1).held_out
    alone = tmp_path / "best.keras"
    shutil.copy(checkpoint, alone)
    with pytest.raises(RunError, match="not there any more"):
        read_run_text(named, alone, keep=1)
    shutil.copy(home / "haven.txt", tmp_path)
    assert read_run_text(named, alone, keep=1).held_out


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """A project's folder with a run of which only the description of its text matters, and its text in data/."""
    project = tmp_path / "old" / "project"
    (project / "data" / "sea").mkdir(parents=True)
    (project / "checkpoints" / "run").mkdir(parents=True)
    (project / "data" / "sea" / "poem.txt").write_bytes(POEM.encode())
    return project


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ("data/sea/poem.txt", "data/sea/poem.txt"),
        ("data/sea/poem.txt", "sea/poem.txt"),
        ("data/sea/poem.txt", "poem.txt"),
        ("data/sea/poem.txt", "checkpoints/poem.txt"),
        ("data/sea/poem.txt", "checkpoints/run/poem.txt"),
        ("data/sea/poem.txt", "checkpoints/run/renamed.md"),
        ("data/sea/poem.txt", "renamed.md"),
        ("data/sea", "data/sea/poem.txt"),
        ("data/sea", "sea/poem.txt"),
    ],
)
@pytest.mark.parametrize("absolute", [True, False])
def test_a_text_is_found_where_a_moved_project_has_it(
    project: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, before: str, after: str, absolute: bool
) -> None:
    corpus = described(project / before)
    places = (str(project / before),) if absolute else (before,)
    moved = tmp_path / "new"
    project.rename(moved)
    text = moved / "data" / "sea" / "poem.txt"
    (moved / after).parent.mkdir(exist_ok=True)
    text.rename(moved / after)
    # Others of that name, or that length, are not it.
    for name in ("checkpoints/data/sea/poem.txt", "checkpoints/run/a.txt", "a.txt"):
        (moved / name).parent.mkdir(parents=True, exist_ok=True)
        (moved / name).write_bytes(b"x" * len(POEM.encode()))
    monkeypatch.chdir(tmp_path)
    checkpoint = moved / "checkpoints" / "run" / "best.keras"
    for path in (checkpoint, checkpoint.relative_to(tmp_path)):
        found = read_run_text(replace(corpus, sources=places), path, keep=1)
        assert (found.sha256, found.characters) == (corpus.sha256, corpus.characters)


def test_several_files_move_together(project: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (project / "data" / "b.txt").write_bytes(b"another\n")
    corpus = described(project / "data")
    assert len(corpus.sources) == 2
    project.rename(tmp_path / "new")
    monkeypatch.chdir(tmp_path)
    checkpoint = tmp_path / "new" / "checkpoints" / "run" / "best.keras"
    assert read_run_text(corpus, checkpoint, keep=1).characters == corpus.characters


def test_a_changed_text_beside_a_moved_run_is_said_to_have_changed(project: Path, tmp_path: Path) -> None:
    corpus = described(project / "data" / "sea" / "poem.txt")
    project.rename(tmp_path / "new")
    (tmp_path / "new" / "data" / "sea" / "poem.txt").write_bytes(b"changed")
    with pytest.raises(OwnTextError, match=r"has changed since \(sha256 ") as caught:
        read_run_text(corpus, tmp_path / "new" / "checkpoints" / "run" / "best.keras", keep=1)
    assert caught.value.now == hashlib.sha256(b"changed").hexdigest()


def test_a_new_file_in_the_folder_does_not_hide_the_old_ones(folder: Path) -> None:
    corpus = described(folder)
    (folder / "part9.txt").write_text("new\n", encoding="utf-8")
    assert read_run_text(corpus, None, keep=1).characters == corpus.characters


@pytest.mark.parametrize(
    ("corpus", "said"),
    [
        ({}, "The model does not say what text"),
        ({"sha256": "0" * 64, "split": 10, "sources": []}, "The model does not say what text"),
        ({"sha256": "0" * 64, "split": "ten", "sources": ["a"]}, "The model does not say what text"),
        ({"sha256": "0" * 64, "split": 10, "sources": ["-"]}, "was trained on standard input, which is gone"),
        (
            {"sha256": "0" * 64, "split": 10, "sources": ["-"], "name": "texts"},
            "was trained on strings, which are gone",
        ),
        ({"sha256": "0" * 64, "split": 10, "sources": ["no/such.txt"]}, "not there any more: Cannot read no/such.txt"),
    ],
)
def test_what_is_not_to_be_had_is_a_sentence(corpus: dict[str, Any], said: str) -> None:
    with pytest.raises(RunError, match=said):
        read_run_text(CorpusDescription.from_json(corpus), None, keep=1)


def test_a_changed_text_is_never_taken(folder: Path) -> None:
    corpus = described(folder)
    with (folder / "part1.txt").open("a", encoding="utf-8") as file:
        file.write("!")
    with pytest.raises(RunError, match=r"has changed since \(sha256 "):
        read_run_text(corpus, None, keep=1)


def test_the_name_in_a_message_is_the_run_s(home: Path) -> None:
    writer = textgen.load(home / "checkpoints" / "tiny")
    with pytest.raises(RunError, match="The run 'tiny' does not say"):
        read_run_text(CorpusDescription(), writer.path, keep=1)

"""The commands with a run on tunes."""

import json
from pathlib import Path

import pytest
from front_door import run
from pages import data_of
from small_models import random_writer

from textgen.cli import reading
from textgen.corpus.tokenizer import CharTokenizer
from textgen.model.description import CorpusDescription
from textgen.model.metadata import Metadata
from textgen.sampling.writer import Writer

TOKENIZER = CharTokenizer("".join(sorted("\n</>:ABCGKLMRTX|18")), has_end=True)


def placed(monkeypatch: pytest.MonkeyPatch, records: str) -> None:
    """A random model of records that the commands find."""
    plain = random_writer(TOKENIZER, layers=1, units=8)
    corpus = CorpusDescription(settings={"records": records})
    metadata = Metadata(model=plain.config, tokenizer=TOKENIZER, corpus=corpus)
    found = Writer(config=plain.config, weights=plain.weights, tokenizer=TOKENIZER, metadata=metadata)
    monkeypatch.setattr(reading, "load_writer", lambda *_: (found, "tunes"))


@pytest.mark.parametrize("count", [1, 3])
def test_a_page_has_the_tunes_that_are_written(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, count: int) -> None:
    placed(monkeypatch, "tunes")
    path = tmp_path / "tunes.html"
    arguments = ["sample", "--count", str(count), "--seed", "3", "--prompt", "X:1\nK:G\n", "--html", str(path)]
    done = run(*arguments, "--json")
    assert done.code == 0, done.err
    samples = [json.loads(line) for line in done.out.splitlines()]
    shown = [tune["text"] for tune in data_of(path.read_text())["tunes"]]
    assert shown == [each["prompt"] + each["text"] for each in samples]
    assert len(shown) == count
    path.unlink()
    plain = run(*arguments)
    assert plain.out.count("X:1\nK:G\n") >= count
    assert [tune["text"] for tune in data_of(path.read_text())["tunes"]] == shown


def test_a_page_needs_a_run_on_tunes_and_a_folder(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    placed(monkeypatch, "lines")
    done = run("sample", "--html", str(tmp_path / "tunes.html"))
    assert (done.code, done.out) == (1, "")
    assert done.err == (
        "Error: --html needs a run on tunes, and 'model' was not trained on them. Train one on a book in ABC notation: "
        "textgen train tunes.abc --records tunes\n"
    )
    placed(monkeypatch, "tunes")
    done = run("sample", "--html", str(tmp_path / "missing" / "tunes.html"))
    assert (done.code, done.out) == (1, "")
    assert "missing" in done.err


def test_an_evaluation_of_tunes_is_reported(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    placed(monkeypatch, "tunes")
    path = tmp_path / "book.abc"
    path.write_text("X:1\nM:1/8\nL:1/8\nK:G\n|:A|B|G:|\n\nX:8\nM:1/8\nK:C\nA|B8|\n")
    done = run("eval", str(path))
    assert done.code == 0, done.err
    lines = [line.split("  ") for line in done.out.splitlines()]
    found = {cells[0]: [cell.strip() for cell in cells[1:] if cell.strip()] for cells in lines}
    assert found["tunes"] == ["200", "2"]
    assert found["read without a complaint"][1] == "100.0 %"
    assert found["bars that fill their metre"][-1] == "60.0 %"
    assert found["repeats that close"][-1] == "100.0 %"
    assert found["end on the tonic"][-1] == "50.0 %"
    assert "Without the training tunes no copies were looked for." in done.out

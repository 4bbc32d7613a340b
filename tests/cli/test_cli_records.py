"""`textgen sample` and the other commands with a run on records."""

import csv
import io
import json
from pathlib import Path

import numpy as np
import pytest
from front_door import Outcome, run
from small_models import random_writer

import textgen
from textgen.cli import reading
from textgen.config import CorpusConfig
from textgen.corpus import encode_corpus, open_corpus
from textgen.corpus.tokenizer import CharTokenizer
from textgen.model.description import CorpusDescription
from textgen.model.metadata import Metadata
from textgen.runs.run import Run
from textgen.sampling.writer import Writer

LETTERS = CharTokenizer('",abc', has_end=True)


@pytest.fixture
def writer(monkeypatch: pytest.MonkeyPatch) -> Writer:
    return placed(monkeypatch, LETTERS, {"records": "lines"})


def placed(monkeypatch: pytest.MonkeyPatch, tokenizer: CharTokenizer, settings: dict[str, str]) -> Writer:
    """A random model of records that the commands find."""
    plain = random_writer(tokenizer)
    metadata = Metadata(model=plain.config, tokenizer=tokenizer, corpus=CorpusDescription(settings=settings))
    found = Writer(config=plain.config, weights=plain.weights, tokenizer=tokenizer, metadata=metadata)
    monkeypatch.setattr(reading, "load_writer", lambda *_: (found, "letters"))
    return found


def sample(*arguments: str, code: int = 0) -> Outcome:
    done = run("sample", "--seed", "3", "--temperature", "1", *arguments)
    assert done.code == code, done.err
    return done


def test_any_label_needs_labels(writer: Writer) -> None:
    done = sample("--any-label", code=1)
    assert done.err == (
        "Error: --any-label needs a run whose records have labels, and 'model' has none. Leave it out, or train one on "
        "records with labels.\n"
    )
    done = sample("--any-label", "--label", "a", code=2)
    assert "--any-label and --label cannot be given together." in done.err


def test_records_stand_on_a_line_each(writer: Writer) -> None:
    expected = [each.text for each in writer.generate_records(20, seed=3, temperature=1.0)]
    done = sample("--count", "20")
    assert done.out.splitlines() == expected
    assert done.err == "(letters, --seed 3)\n"
    assert sample("--count", "1").out == expected[0] + "\n"
    begun = sample("--count", "4", "--prompt", "ab").out.splitlines()
    assert all(each.startswith("ab") for each in begun)
    rest = sample("--count", "4", "--prompt", "ab", "--no-echo").out.splitlines()
    assert ["ab" + each for each in rest] == begun


@pytest.mark.parametrize(("records", "separator"), [("paragraphs", "-----\n"), ("tunes", "\n")])
def test_records_with_line_breaks_are_set_apart(monkeypatch: pytest.MonkeyPatch, records: str, separator: str) -> None:
    found = placed(monkeypatch, CharTokenizer("\nabc", has_end=True), {"records": records})
    texts = [each.text for each in found.generate_records(3, seed=3, temperature=1.0)]
    ended = [text if text.endswith("\n") else text + "\n" for text in texts]
    assert sample("--count", "3").out == separator.join(ended)


@pytest.mark.parametrize("settings", [{"records": "lines"}, {"text_field": "title"}])
def test_csv_reads_back_as_the_records(monkeypatch: pytest.MonkeyPatch, settings: dict[str, str]) -> None:
    found = placed(monkeypatch, CharTokenizer('\n",abc', has_end=True), settings)
    expected = [each.text for each in found.generate_records(30, seed=3, temperature=1.0)]
    assert any({'"', ",", "\n"} & set(text) for text in expected)
    header, *rows = csv.reader(io.StringIO(sample("--count", "30", "--csv").out))
    assert header == [settings.get("text_field", "text")]
    assert rows == [[text] for text in expected]


def test_json_has_an_object_for_each_record(writer: Writer) -> None:
    lines = sample("--count", "5", "--json", "--unique").out.splitlines()
    found = [json.loads(line) for line in lines]
    assert [each["text"] for each in found] == [
        each.text for each in writer.generate_records(5, unique=True, seed=3, temperature=1.0)
    ]
    assert {each["finish_reason"] for each in found} == {"record"}
    assert found[0]["run"] == "letters"


def test_fewer_records_than_asked_for_are_explained(writer: Writer) -> None:
    done = sample("--count", "9", "--unique", "--length", "1")
    assert sorted(done.out.splitlines()) == sorted(LETTERS.characters)
    assert done.err.startswith("Note: only 5 of 9 records: of 1,")


def test_options_of_records_are_refused_for_running_text(monkeypatch: pytest.MonkeyPatch) -> None:
    running = random_writer()
    monkeypatch.setattr(reading, "load_writer", lambda *_: (running, "model"))
    for option in ("--unique", "--new", "--csv"):
        done = sample(option, code=1)
        assert done.err == (
            f"Error: {option} needs a run on records, and 'model' was trained on running text. Train one on a list or "
            "a table.\n"
        )
    assert "cannot be given together" in sample("--csv", "--json", code=2).err


@pytest.fixture
def here(names: Run, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(names.path.parent)
    return names.path.parent


@pytest.mark.parametrize(
    "line",
    [
        "eval RUN",
        "eval RUN --json",
        "eval RUN some.txt",
        "score some.txt --run RUN --show",
        "score some.txt --run RUN --limit 7",
        "score some.txt --run RUN --html score.html",
        "neurons RUN some.txt --html neurons.html",
        "novelty RUN --count 3",
        "novelty RUN --text some.txt",
        "sample --run RUN --check --count 3",
        "sample --run RUN --count 3 --new --check --json",
        "info RUN",
        "plot RUN",
        "runs",
    ],
)
def test_other_commands_work_with_records(line: str, here: Path) -> None:
    words = (here / "names.txt").read_text().split()
    (here / "some.txt").write_text("\n".join(words[:12]) + "\n")
    done = run(*line.replace("RUN", "names").split(), "--checkpoints", str(here))
    assert done.code == 0, done.err
    assert done.out or "--html" in line


@pytest.mark.parametrize("line", ["sample --adapt some.txt", "score some.txt --adapt some.txt", "eval --dynamic"])
def test_what_does_not_work_with_records_is_said_in_a_sentence(line: str, here: Path) -> None:
    (here / "some.txt").write_text("the\nsea\n")
    done = run(*line.split(), "--run", "names", "--checkpoints", str(here))
    assert done.code == 1
    assert done.err.startswith("Error: ")
    assert len(done.err.splitlines()) == 1


def test_copies_are_found_in_the_records_that_train(here: Path) -> None:
    encoded = encode_corpus(open_corpus(here / "names.txt", config=CorpusConfig(records="lines")))
    records = encoded.records
    assert records is not None
    longest = int(np.argmax(records.lengths[: records.training]))
    text = encoded.tokenizer.decode(encoded.ids[records.starts[longest] : records.starts[longest + 1] - 1])
    assert len(text) >= 8
    (here / "copied.txt").write_text(text)
    found = json.loads(run("novelty", "names", "--text", "copied.txt", "--checkpoints", str(here), "--json").out)
    (span,) = [each for each in found["spans"] if each["text"] == text]
    assert (span["record"], span["line"]) == (longest + 1, 0)
    shown = run("novelty", "names", "--text", "copied.txt", "--checkpoints", str(here)).out
    assert f"names.txt record {longest + 1:,} (character" in shown


def test_lines_of_a_completion_are_records(here: Path) -> None:
    done = run("complete", "--run", "names", "--checkpoints", str(here), "--seed", "1", stdin=b"th\n:line\n:quit\n")
    assert done.code == 0, done.err
    assert done.out.startswith("th\n")


def test_new_records_are_not_in_the_file(here: Path) -> None:
    words = set((here / "names.txt").read_text().split())
    done = run("sample", "--run", "names", "--checkpoints", str(here), "--count", "50", "--new", "--unique")
    written = done.out.splitlines()
    assert len(written) == len(set(written)) == 50
    assert not words & set(written)
    assert textgen.load(here / "names").reading.records == "lines"

"""`textgen novelty` and `textgen sample --check`: what they show, in place, and what they refuse."""

import json
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result
from copied import open_text, prose, write_files
from small_models import random_writer

from textgen.analysis.memorisation import Span, TrainingText
from textgen.cli import cli, copies, reading
from textgen.cli.commands import novelty
from textgen.model.description import CorpusDescription
from textgen.sampling.writer import Writer


@pytest.fixture
def training(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> TrainingText:
    """A corpus of two files in the working folder, the second one half held out."""
    monkeypatch.chdir(tmp_path)
    return open_text(write_files(Path("corpus"), a=prose(1, 40), b=prose(2, 40)), validation=0.25)


@pytest.fixture
def writer(training: TrainingText, monkeypatch: pytest.MonkeyPatch) -> Writer:
    writer = random_writer(training.encoded.tokenizer)
    writer.metadata = replace(writer.metadata, corpus=CorpusDescription.of(training.encoded))
    monkeypatch.setattr(reading, "load_writer", lambda *_: (writer, "harbour"))
    return writer


def run(*arguments: str, code: int = 0, stdin: str | None = None) -> Result:
    result = CliRunner().invoke(cli, arguments, prog_name="textgen", input=stdin)
    assert result.exit_code == code, result.output
    return result


def span(text: str, **changes: Any) -> Span:
    values: dict[str, Any] = {"sample": 0, "start": 0, "before": "", "after": "", "file": "poem.txt", "line": 3}
    return Span(text=text, **{**values, "offset": 1234, "occurrences": 1, **changes})


def test_a_copy_is_shown_in_place_with_its_source(writer: Writer) -> None:
    line = prose(2, 40).splitlines()[4]
    Path("text.txt").write_text(f"??{prose(7, 30)}<{line}>{prose(8, 1)}", encoding="utf-8")
    shown = run("novelty", "--text", "text.txt", "--spans", "1").stdout
    assert "run            harbour, trained on " in shown
    assert "characters of text.txt" in shown
    assert f"\n  {len(line)} characters, {Path('corpus/b.txt')} line 5 (character " in shown
    assert f"<[{line}]>" in shown
    assert "[" not in shown.partition("The longest copies:")[0]
    assert len(max(shown.partition("The longest copies:")[0].splitlines(), key=len)) <= 80


def test_the_figures_stand_beside_those_of_the_held_out_text(writer: Writer) -> None:
    shown = run("novelty", "--count", "4", "--length", "200", "--seed", "3", "--spans", "0").stdout
    assert "sample         800 characters in 4 pieces, temperature 0.8, seed 3" in shown
    assert "held-out text  800 characters in 4 pieces" in shown
    rows = [line.split() for line in shown.splitlines() if "%" in line and line.startswith(("sample", "held-out"))]
    assert [(row[0], len(row)) for row in rows] == [("sample", 5), ("held-out", 6)]
    assert "The longest copies" not in shown


def test_the_report_as_json_is_one_object(writer: Writer) -> None:
    arguments = ("novelty", "--count", "2", "--length", "90", "--seed", "3", "--temperature", "0.5,1", "--json")
    result = run(*arguments)
    values = json.loads(result.stdout)
    assert (values["run"], values["seed"], values["temperature"], values["written"]) == ("", 3, [0.5, 1.0], True)
    assert values["sample"]["passages"] == 2
    assert "known_records" not in values
    assert result.stderr == ""
    assert run(*arguments).stdout == result.stdout


def test_a_text_from_standard_input_and_a_corpus_that_moved(writer: Writer) -> None:
    Path("corpus").rename("elsewhere")
    assert "--corpus" in run("novelty", "--text", "-", stdin="the sea", code=1).stderr
    shown = run("novelty", "--text", "-", "--corpus", "elsewhere", stdin=prose(1, 3)).stdout
    assert "characters of standard input" in shown
    assert f"{Path('elsewhere/a.txt')} line 1 (character 0 of the text" in shown


def test_characters_that_the_model_never_saw_are_new(writer: Writer) -> None:
    values = json.loads(run("novelty", "--text", "-", "--json", stdin="海" * 700).stdout)
    assert values["sample"]["new"] == {"8": 1.0, "16": 1.0, "32": 1.0}
    assert (values["spans"], values["excess"]) == ([], 0)


def test_a_run_without_held_out_text(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    training = open_text(write_files(Path("corpus"), a=prose(1, 40)), validation=0.0)
    writer = random_writer(training.encoded.tokenizer)
    writer.metadata = replace(writer.metadata, corpus=CorpusDescription.of(training.encoded))
    monkeypatch.setattr(reading, "load_writer", lambda *_: (writer, "harbour"))
    shown = run("novelty", "--text", "-", stdin=prose(1, 20)).stdout
    assert "held-out text  none: the run was trained on its whole text" in shown
    assert "There is no held-out text to compare with" in shown


def test_known_records_of_a_run_on_records_are_counted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    lines = prose(1, 40).splitlines()
    training = open_text(write_files(Path("corpus"), a="\n".join(lines)), validation=0.25, records="lines")
    records, tokenizer = training.encoded.records, training.encoded.tokenizer
    assert records is not None
    trained = tokenizer.decode(training.encoded.training).splitlines()
    held_out = next(line for line in lines if line not in trained)
    writer = random_writer(tokenizer)
    writer.metadata = replace(writer.metadata, corpus=CorpusDescription.of(training.encoded))
    monkeypatch.setattr(reading, "load_writer", lambda *_: (writer, "lines"))
    given = [trained[3], trained[3], held_out, trained[0] + " sea", trained[0][:-1]]
    text = "\n".join(given) + "\n\n"
    shown = run("novelty", "--text", "-", "--spans", "0", stdin=text).stdout
    assert "known records  2 of 5 (40.0%) are records of the training text\n" in shown
    values = json.loads(run("novelty", "--text", "-", "--json", stdin=text).stdout)
    assert (values["records"], values["known_records"]) == (5, 2)
    written = json.loads(run("novelty", "--count", "30", "--seed", "1", "--json").stdout)
    assert (written["records"], written["known_records"]) == (30, 0)


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        (["novelty", "--text", "-", "--seed", "3", "--length", "9"], 2, "--length, --seed cannot be given with --text"),
        (["novelty", "--text", "-", "--corpus", "-"], 2, "cannot both be standard input"),
        (["novelty", "--text", "missing.txt"], 1, "Cannot read missing.txt"),
        (["novelty", "--text", "-"], 1, "There is nothing to judge: the text is empty."),
        (["novelty", "--count", "0"], 1, "count must be"),
        (["novelty", "--spans", "-1"], 1, "spans must be"),
        (["novelty", "--corpus", "missing"], 1, "Cannot read missing"),
        (["sample", "--corpus", "corpus"], 2, "--corpus needs --check"),
        (["sample", "--check", "--corpus", "missing"], 1, "Cannot read missing"),
    ],
)
def test_what_cannot_be_done_is_said(writer: Writer, arguments: list[str], code: int, message: str) -> None:
    result = run(*arguments, code=code, stdin="")
    assert message in result.stderr
    assert result.stdout == ""
    assert result.stderr.count("\n") == 1 or code == 2


@pytest.mark.parametrize("arguments", [["novelty"], ["sample", "--check"]])
def test_without_the_library_nothing_is_written(
    writer: Writer, monkeypatch: pytest.MonkeyPatch, arguments: list[str]
) -> None:
    monkeypatch.setitem(sys.modules, "pydivsufsort", None)
    result = run(*arguments, code=1)
    assert result.stdout == ""
    assert result.stderr == (
        "Error: Finding copies needs pydivsufsort, which is not installed here: pip install 'textgen-chars[novelty]'\n"
    )


@pytest.fixture
def copying(writer: Writer, monkeypatch: pytest.MonkeyPatch) -> str:
    """Has the model write a line that it was trained on."""
    from small_models import script

    line = prose(1, 40).splitlines()[9]
    engine = script(f"{line}zz")
    engine.tokenizer = writer.tokenizer
    engine.config = writer.config
    engine.odds = {ending: odds for ending, odds in engine.odds.items() if ending} | {"": {"\n": 1.0}}
    monkeypatch.setattr(writer, "engine", engine)
    return line


def test_sample_names_what_it_copied(writer: Writer, copying: str) -> None:
    plain = run("sample", "--length", str(len(copying)), "--seed", "1")
    result = run("sample", "--length", str(len(copying)), "--seed", "1", "--check")
    assert result.stdout == plain.stdout == f"{copying}\n"
    assert result.stderr.startswith(plain.stderr)
    notes = result.stderr.removeprefix(plain.stderr).splitlines()
    assert notes[0] == "The longest spans copied from the training text:"
    assert notes[1].startswith(f"  {len(copying)} characters, {Path('corpus/a.txt')} line 10 (character ")
    assert len(notes) == 2


def test_several_samples_are_checked_together(writer: Writer, copying: str) -> None:
    result = run("sample", "--length", "30", "--count", "2", "--seed", "1", "--check")
    assert result.stdout == f"{copying[:30]}\n-----\n{copying[:30]}\n"
    assert result.stderr.count("  30 characters, ") == 1


def test_copies_are_part_of_each_sample_in_json(writer: Writer, copying: str) -> None:
    result = run("sample", "--length", "30", "--count", "2", "--seed", "1", "--check", "--json")
    samples = [json.loads(line) for line in result.stdout.splitlines()]
    assert [[(each["text"], each["line"]) for each in sample["copies"]] for sample in samples] == [
        [(copying[:30], 10)]
    ] * 2
    assert "stand in the training text" not in result.stderr
    assert "copies" not in json.loads(run("sample", "--length", "3", "--json").stdout)


def test_a_sample_that_copies_nothing(writer: Writer) -> None:
    result = run("sample", "--length", "5", "--seed", "1", "--check")
    assert result.stderr.endswith("No span of 8 characters or more is copied from the training text.\n")


def test_copies_are_marked_by_colour_line_by_line() -> None:
    shown = list(copies.in_place(span("the sea\nthe land", start=60, before="by ", after=" and\x1b[2J"), colours=True))
    red, reset = "\x1b[31m\x1b[1m", "\x1b[0m"
    assert shown[0] == "16 characters, poem.txt line 3 (character 1,234 of the text)"
    assert shown[1:] == [f"    ...by {red}the sea{reset}", f"    {red}the land{reset} and\\x1b[2J"]


def test_a_very_long_copy_is_shortened_and_repeated_ones_are_counted() -> None:
    shown = list(copies.in_place(span("a" * 5000, occurrences=7), colours=False))
    assert shown[0].endswith("(character 1,234 of the text, one of 7 occurrences)")
    assert shown[1] == f"    [{'a' * 500} ... 4,300 characters ... {'a' * 200}]"
    (short,) = list(copies.in_short([span("word " * 60)]))[1:]
    assert len(short) < 150


def test_files_are_named_from_here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "here").mkdir()
    monkeypatch.chdir(tmp_path / "here")
    assert copies.shown_file(str(tmp_path / "here" / "poem.txt")) == "poem.txt"
    assert copies.shown_file(str(tmp_path / "poem.txt")) == str(tmp_path / "poem.txt")
    assert copies.shown_file("-") == "standard input"


def test_its_own_run_knows_its_text(home: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """A real run, from another folder than the one it was trained in."""
    monkeypatch.chdir(tmp_path)
    arguments = ("--checkpoints", str(home / "checkpoints"), "--seed", "1", "--count", "2", "--length", "300")
    values = json.loads(run("novelty", "tiny", *arguments, "--json").stdout)
    assert (values["run"], values["training_characters"]) == ("tiny", 3600)
    assert values["held_out"]["characters"] == 400
    assert values["held_out"]["whole"]
    assert novelty.novelty.name == "novelty"

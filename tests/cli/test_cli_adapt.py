"""`--adapt`: writing, scoring and completing with a model that has read a text first."""

import json
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result
from small_models import random_writer

from textgen.cli import cli, reading
from textgen.corpus.tokenizer import CharTokenizer
from textgen.sampling.writer import Writer

LETTERS = CharTokenizer("\n abcdefghijklmnopqrstuvwxyzé")
PLAY = "mirabel said to rosalba that mirabel had wept\n" * 20


@pytest.fixture
def writer(monkeypatch: pytest.MonkeyPatch) -> Writer:
    writer = random_writer(LETTERS)
    monkeypatch.setattr(reading, "load_writer", lambda *_: (writer, "letters"))
    return writer


@pytest.fixture
def play(tmp_path: Path) -> Path:
    path = tmp_path / "play.txt"
    path.write_bytes(PLAY.replace("\n", "\r\n").encode())
    return path


def run(*arguments: str, input: str | None = None, code: int = 0) -> Result:  # noqa: A002
    result = CliRunner().invoke(cli, [*map(str, arguments)], input=input)
    assert result.exit_code == code, result.output
    return result


def test_a_sample_is_what_the_adapted_writer_writes(writer: Writer, play: Path) -> None:
    adapted = writer.adapt(PLAY)
    line = ("sample", "--adapt", str(play), "--prompt", "said ", "--seed", "3", "--length", "40")
    result = run(*line)
    expected = adapted.generate("said ", seed=3, max_new_tokens=40).text
    assert result.stdout == f"said {expected}\n"
    assert expected != writer.generate("said ", seed=3, max_new_tokens=40).text
    assert result.stderr.splitlines() == [
        "Note: The model does not say what text it was trained on. "
        "The gradient statistics come from the text itself instead.",
        "(letters, adapted, --seed 3)",
    ]
    values = json.loads(run(*line, "--json").stdout)
    assert (values["text"], values["run"], values["adapt"]) == (expected, "letters", str(play))
    assert "adapt" not in json.loads(run("sample", "--json", "--length", "3").stdout)


def test_standard_input_is_the_text_and_not_the_prompt(writer: Writer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("textgen.cli.reading.is_piped", lambda: True)
    expected = writer.adapt(PLAY).generate(seed=3, max_new_tokens=40).text
    assert run("sample", "--adapt", "-", "--seed", "3", "--length", "40", input=PLAY).stdout == f"{expected}\n"


def test_a_score_is_that_of_the_adapted_writer(writer: Writer, play: Path) -> None:
    values = json.loads(run("score", "-", "--adapt", str(play), "--json", input="mirabel wept\n").stdout)
    assert values["bits_per_character"] == pytest.approx(writer.adapt(PLAY).score("mirabel wept\n").bits_per_character)
    assert values["bits_per_character"] < writer.score("mirabel wept\n").bits_per_character
    assert values["adapt"] == str(play)


def test_completions_are_those_of_the_adapted_writer(writer: Writer, play: Path) -> None:
    def suggestions(*arguments: str) -> Any:
        return json.loads(run("complete", "--json", *arguments, input="said mir\n").stdout)["suggestions"]

    expected = [each.text for each in writer.adapt(PLAY).suggest("said mir")]
    assert [each["text"] for each in suggestions("--adapt", str(play))] == expected
    assert [each["text"] for each in suggestions()] != expected


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["sample", "--adapt", "-", "--prompt-file", "-"], "cannot both be standard input"),
        (["score", "-", "--adapt", "-"], "cannot both be standard input"),
        (["complete", "--adapt", "-"], "--adapt must be a file here"),
        (["sample", "--corpus", "a.txt"], "--corpus needs --check or --adapt"),
    ],
)
def test_wrong_usage_is_a_sentence(writer: Writer, arguments: list[str], sentence: str) -> None:
    assert sentence in run(*arguments, code=2).stderr


@pytest.mark.parametrize(
    ("content", "sentence"),
    [
        (b"", "There is nothing to adapt to: the text is empty."),
        (b"MIRA", "never saw: 'A' (U+0041)"),
        (b"\xff\xfe\x00", "adapt.txt"),
        (None, "Cannot read"),
        (b"a" * 1_000_001, "text must be of at most 1,000,000 characters; got 1000001. Adapt to a part"),
    ],
)
def test_a_text_that_cannot_be_read_is_a_sentence(
    writer: Writer, tmp_path: Path, content: bytes | None, sentence: str
) -> None:
    path = tmp_path / "adapt.txt"
    if content is not None:
        path.write_bytes(content)
    result = run("sample", "--adapt", str(path), code=1)
    assert (result.stdout, result.stderr.count("\n")) == ("", 1)
    assert sentence in result.stderr


def test_unknown_characters_can_be_left_out(writer: Writer, tmp_path: Path) -> None:
    path = tmp_path / "play.txt"
    path.write_text("MIRA said no\n" * 30, encoding="utf-8")
    result = run("sample", "--adapt", str(path), "--unknown", "skip", "--seed", "3", "--length", "20")
    assert result.stdout == writer.adapt(" said no\n" * 30).generate(seed=3, max_new_tokens=20).text + "\n"


@pytest.mark.parametrize("wrong", [["--temperature", "-1"], ["--prompt", "MIRA"]])
def test_other_mistakes_are_told_before_the_text_is_read(
    writer: Writer, play: Path, monkeypatch: pytest.MonkeyPatch, wrong: list[str]
) -> None:
    def never(*_: Any, **__: Any) -> Any:
        raise AssertionError

    monkeypatch.setattr(Writer, "adapt", never)
    run("sample", "--adapt", str(play), *wrong, code=1)


def test_the_runs_own_text_can_be_named(home: Path, play: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(home)
    line = ("sample", "--adapt", str(play), "--length", "5", "--run", "tiny", "--unknown", "skip")
    assert "Note" not in run(*line).stderr
    assert "Note" not in run(*line, "--corpus", "haven.txt").stderr
    assert "has changed" in run(*line, "--corpus", str(play), code=1).stderr

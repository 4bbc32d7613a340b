"""Characters that a run with `--min-count` has no id of their own for, in every command that reads a text."""

import json
from pathlib import Path

import pytest
from click.testing import CliRunner, Result
from small_models import random_writer

from textgen.cli import cli, reading
from textgen.corpus.tokenizer import CharTokenizer
from textgen.sampling.drafts import Draft
from textgen.sampling.writer import Writer

TEXT = "a cab, a bac\n" * 30 + "Zoë\n"
NOTE = (
    "Note: 3 characters are outside the vocabulary and read as the run's rare characters, which share one id: "
    "'Z' (U+005A), 'o' (U+006F) and 'ë' (U+00EB)."
)


@pytest.fixture
def rare(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Writer:
    """The writer that every command loads; its text is in rare.txt of the working folder."""
    writer = random_writer(CharTokenizer.from_text(TEXT, min_count=2))
    monkeypatch.setattr(reading, "load_writer", lambda *_: (writer, "rare"))
    monkeypatch.chdir(tmp_path)
    Path("rare.txt").write_text(TEXT, encoding="utf-8")
    return writer


def run(*arguments: str, input: str | None = None, code: int = 0) -> Result:  # noqa: A002
    result = CliRunner().invoke(cli, [*arguments], input=input)
    assert result.exit_code == code, result.output
    return result


@pytest.mark.parametrize(
    "line",
    [
        ("score", "rare.txt"),
        ("score", "rare.txt", "--adapt", "rare.txt"),
        ("score", "rare.txt", "--html", "page.html"),
        ("neurons", "rare", "rare.txt"),
        ("sample", "--adapt", "rare.txt", "--prompt", "Zoë", "--length", "5"),
        ("sample", "--prompt", "Zoë", "--length", "5", "--count", "2"),
        ("complete", "--plain", "--adapt", "rare.txt"),
    ],
    ids=" ".join,
)
def test_a_run_reads_its_own_rare_characters_and_says_so_once(rare: Writer, line: tuple[str, ...]) -> None:
    result = run(*line, input="Zoë\n")
    assert result.stderr.splitlines().count(NOTE) == 1
    assert result.stderr.count("Note: 3 char") == 1


def test_what_was_asked_for_is_not_said(rare: Writer) -> None:
    expected = rare.score(TEXT).nats_per_character
    for unknown in ("auto", "replace"):
        result = run("score", "rare.txt", "--json", "--unknown", unknown)
        assert json.loads(result.stdout)["nats_per_character"] == expected
        assert (NOTE in result.stderr) == (unknown == "auto")
    assert "3 characters that the model never saw" in run("score", "rare.txt", "--unknown", "error", code=1).stderr


def test_characters_beyond_the_limit_are_not_spoken_of(rare: Writer) -> None:
    assert run("score", "rare.txt", "--limit", "30").stderr == ""


def test_eval_counts_them_in_its_report(rare: Writer) -> None:
    result = run("eval", "rare", "rare.txt", "--json")
    assert json.loads(result.stdout)["text"]["unknown"] == 3
    assert "Note:" not in result.stderr


def test_a_draft_takes_them_and_names_them_the_first_time(rare: Writer) -> None:
    draft = Draft(rare, temperature=0.5, seed=1, choices=3)
    assert "1 character is outside the vocabulary" in draft.add("ë")
    assert draft.add("Zo") == ""
    assert draft.text == "ëZo"
    result = run("complete", "--plain", "--json", "--seed", "1", input="Zoë\n+o\n")
    assert [json.loads(answer)["text"] for answer in result.stdout.splitlines()] == ["Zoë", "Zoëo"]
    assert result.stderr.splitlines() == [NOTE]

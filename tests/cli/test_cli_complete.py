"""`textgen complete`: the draft, and the way to work on it line by line."""

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result
from hypothesis import given, settings
from hypothesis import strategies as st
from small_models import ALPHABET, random_writer

from textgen.cli import cli
from textgen.config import CorpusConfig, ModelConfig, SamplingConfig
from textgen.errors import UnknownCharacterError
from textgen.model.description import CorpusDescription
from textgen.model.metadata import Metadata
from textgen.sampling.drafts import Draft
from textgen.sampling.suggestions import Suggestion


class Storyteller:
    """A writer that knows one story: after "the se" an a or an e, then " is", and a paragraph of "a"."""

    tokenizer = ALPHABET

    def as_trained(self, text: str) -> str:
        return text

    def controls_as_trained(self, config: SamplingConfig) -> SamplingConfig:
        return config

    def suggest(self, text: str, *, n: int, **_: Any) -> list[Suggestion]:
        return [Suggestion("a", 0.75), Suggestion("e", 0.25)][:n] if text.endswith("the se") else []

    def stream(self, prompt: str, *, until: str, **_: Any) -> Iterator[str]:
        yield from " is\n" if until == "line" else " is\na\n\n"


def draft(writer: Any = None) -> Draft:
    return Draft(writer or Storyteller(), temperature=0.0, seed=1, choices=5)


@pytest.fixture
def story(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("textgen.cli.reading.load_writer", lambda *_: (Storyteller(), "story"))


def answer(requests: str, *arguments: str) -> Result:
    result = CliRunner().invoke(cli, ["complete", "--temperature", "0", *arguments], input=requests)
    assert result.exit_code == 0, result.output
    return result


def test_suggestions_are_endings_of_the_word_with_their_probabilities() -> None:
    made = draft()
    made.add("the se")
    assert [(s.text, round(s.probability, 2)) for s in made.suggestions] == [("a", 0.75), ("e", 0.25)]


def test_picking_a_suggestion_finishes_the_word_and_undo_takes_it_back() -> None:
    made = draft()
    made.add("the se")
    assert made.pick(2)
    assert made.text == "the see"
    made.undo()
    assert made.text == "the se"
    assert not made.pick(3)


def test_the_model_writes_to_the_end_of_the_line_and_of_the_paragraph() -> None:
    made = draft()
    made.add("the sea")
    assert "".join(made.write("line")) == " is\n"
    made.undo()
    assert "".join(made.write("paragraph")) == " is\na\n\n"


def test_writing_twice_differs_and_follows_from_the_seed() -> None:
    made, same = (Draft(random_writer(), temperature=1.0, seed=7, choices=3) for _ in range(2))
    for each in (made, same):
        each.add("the ")
        list(each.write("line"))
    first = made.text
    for each in (made, same):
        each.undo()
        list(each.write("line"))
    assert made.text != first
    assert made.text.startswith("the ")
    assert same.text == made.text


def test_an_accent_typed_by_itself_is_known_with_its_letter() -> None:
    tokenizer = type(ALPHABET)("\n aeé")
    corpus = CorpusDescription(settings=CorpusConfig(normalize="nfc").to_json())
    metadata = Metadata(model=ModelConfig(vocab_size=5), tokenizer=tokenizer, corpus=corpus)
    made = draft(random_writer(tokenizer, metadata=metadata))
    made.add("e")
    made.add("\N{COMBINING ACUTE ACCENT}")
    assert made.text == "e\N{COMBINING ACUTE ACCENT}"


def test_a_character_the_model_never_saw_leaves_the_draft_as_it_was() -> None:
    made = draft()
    made.add("the ")
    with pytest.raises(UnknownCharacterError, match="É"):
        made.add("É")
    assert made.text == "the "


def test_a_pipe_takes_a_request_a_line(story: None) -> None:
    output = answer("the se\n1\n:line\n+a\n:text\n").stdout
    assert output == (
        "the se\n  1  sea 75%\n  2  see 25%\n\n"  # the se
        "the sea\n\n"  # 1
        "the sea is\n\n\n"  # :line
        "a\n\n"  # +a
        "the sea is\na\n\n"  # :text
    )


def test_each_line_of_text_is_a_line_of_the_draft(story: None) -> None:
    lines = answer("the\nsea\n\n+s\n", "--json").stdout.splitlines()
    assert [json.loads(line)["text"] for line in lines] == ["the", "the\nsea", "the\nsea\n", "the\nsea\ns"]


def test_json_answers_hold_the_text_what_was_written_and_the_suggestions(story: None) -> None:
    asked, written = answer("the se\n:paragraph\n", "--json").stdout.splitlines()
    assert json.loads(asked)["suggestions"] == [
        {"text": "a", "probability": pytest.approx(0.75, abs=1e-6)},
        {"text": "e", "probability": pytest.approx(0.25, abs=1e-6)},
    ]
    assert json.loads(written)["written"] == " is\na\n\n"


@pytest.mark.parametrize(
    ("request_line", "said"),
    [("9", "There is no suggestion 9"), (":dance", "is not a request"), (":", "is not a request"), ("É", "never saw")],
)
def test_what_cannot_be_done_is_said_and_the_session_goes_on(story: None, request_line: str, said: str) -> None:
    result = answer(f"the se\n{request_line}\n:text\n:quit\nnot read\n", "--json")
    assert said in result.stderr
    first, wrong, last = map(json.loads, result.stdout.splitlines())
    assert said in wrong["error"]
    assert wrong["text"] == last["text"] == first["text"] == "the se"


@settings(max_examples=50)
@given(st.lists(st.sampled_from(["the se", "+a", "1", ":line", ":p", ":undo", ":new", "\\z", "", "7", "É", ":x"])))
def test_no_order_of_requests_breaks_the_session(requests: list[str]) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("textgen.cli.reading.load_writer", lambda *_: (Storyteller(), "story"))
        result = answer("".join(f"{line}\n" for line in requests), "--json")
    assert len(result.stdout.splitlines()) == len(requests)


@pytest.mark.parametrize("kind", ["dumb", "unknown"])
def test_a_terminal_that_cannot_move_its_cursor_gets_lines(
    story: None, monkeypatch: pytest.MonkeyPatch, kind: str
) -> None:
    monkeypatch.setattr("textgen.cli.commands.complete.is_terminal", lambda stream: True)
    monkeypatch.setenv("TERM", kind)
    result = answer("the se\n")
    assert result.stderr.count("> ") == 2
    assert result.stdout.startswith("the se\n  1  sea 75%")


@pytest.mark.parametrize("options", [[], ["--json"], ["--plain"]])
def test_without_the_editor_s_package_one_sentence_says_how_to_get_it(
    story: None, monkeypatch: pytest.MonkeyPatch, options: list[str]
) -> None:
    monkeypatch.setattr("textgen.cli.commands.complete.is_terminal", lambda stream: True)
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    monkeypatch.setenv("TERM", "xterm")
    result = answer("the se\n", *options)
    assert result.stderr.count("pip install 'textgen-chars[complete]'") == (not options)
    assert "the se" in result.stdout


def test_a_pipe_does_without_the_editor_s_package() -> None:
    code = """
import sys
from textgen.cli import cli
sys.modules["prompt_toolkit"] = None
import textgen.cli.commands.complete, textgen.cli.reading
from test_cli_complete import Storyteller
textgen.cli.reading.load_writer = lambda *_: (Storyteller(), "story")
cli(["complete"])
"""
    here = Path(__file__).parent
    paths = os.pathsep.join(map(str, (here, here.parent / "support", here.parents[1])))
    environment = {**os.environ, "PYTHONPATH": paths}
    done = subprocess.run([sys.executable, "-c", code], input=b"the se\n1\n", capture_output=True, env=environment)
    assert (done.returncode, done.stdout) == (0, b"the se\n  1  sea 75%\n  2  see 25%\n\nthe sea\n\n"), done.stderr


def test_banned_characters_are_neither_written_nor_suggested(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("textgen.cli.reading.load_writer", lambda *_: (random_writer(), "random"))
    asked = "".join(["the se\n", ":line\n"])
    arguments = ("complete", "--json", "--seed", "1", "--temperature", "1")
    result = CliRunner().invoke(cli, [*arguments, "--ban", "aeo", "--allow", "aeioutsh \n"], input=asked)
    assert result.exit_code == 0, result.output
    first, second = map(json.loads, result.stdout.splitlines())
    written = second["written"] + "".join(each["text"] for each in first["suggestions"])
    assert first["suggestions"]
    assert set(written) <= set("iutsh \n")
    result = CliRunner().invoke(cli, [*arguments, "--allow", "é"], input=asked)
    assert (result.exit_code, result.stdout) == (1, "")
    assert "allow must be made of characters" in result.stderr


def test_constraints_are_for_whole_texts(story: None) -> None:
    for flag in ("--match", "--starts-with", "--ends-with", "--contains", "--min-length", "--max-length"):
        result = CliRunner().invoke(cli, ["complete", flag, "9"], input="")
        assert result.exit_code == 2
        assert result.stderr.endswith(
            f"Error: {flag} is about a text as a whole, of which you write a part here. Use it with textgen sample, or "
            "--ban and --allow here.\n"
        )

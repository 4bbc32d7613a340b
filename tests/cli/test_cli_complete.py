"""`textgen complete`: the draft, the screen, and both ways to work with them."""

import json
import os
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result
from hypothesis import given, settings
from hypothesis import strategies as st
from small_models import ALPHABET, random_writer
from terminal import Terminal

from textgen.cli import cli
from textgen.cli.commands.complete import _by_key
from textgen.cli.screen import Screen
from textgen.errors import UnknownCharacterError
from textgen.sampling.drafts import Draft
from textgen.sampling.suggestions import Suggestion


class Storyteller:
    """A writer that knows one story: after "the se" an a or an e, then " is", and a paragraph of "a"."""

    tokenizer = ALPHABET

    def suggest(self, text: str, *, n: int) -> list[Suggestion]:
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


def test_writing_anew_replaces_what_was_written_and_follows_from_the_seed() -> None:
    made, same = (Draft(random_writer(), temperature=1.0, seed=7, choices=3) for _ in range(2))
    for each in (made, same):
        each.add("the ")
        list(each.write("line"))
    first = made.text
    list(made.again())
    assert made.text != first
    assert made.text.startswith("the ")
    list(same.again())
    assert same.text == made.text


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
    [("9", "There is no suggestion 9"), (":dance", "is no request"), (":", "is no request"), ("É", "never saw")],
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


def test_the_screen_keeps_one_line_that_changes() -> None:
    terminal = Terminal()
    screen = Screen(terminal, columns=40)
    for text in ("the", "the s", "the se", "the sea is\na", "the sea is\nab"):
        screen.show(text, "1 sea  2 see")
    assert terminal.lines == ["the sea is", "ab   1 sea  2 see"]
    screen.show("the sea is\n", "")
    screen.close()
    assert terminal.lines == ["the sea is", "", ""]


def test_the_screen_shows_the_end_of_a_long_line_and_all_of_it_in_the_end() -> None:
    terminal = Terminal()
    screen = Screen(terminal, columns=20)
    screen.show("abcdefghijklmnopqrstuvwxyz", "1 one  2 two")
    assert terminal.lines == ["..stuvwxyz   1 one"]
    screen.show("abcdefghijklmnopqrstuvwxyz\n")
    assert terminal.lines == ["abcdefghijklmnopqrstuvwxyz", ""]


def test_going_back_over_a_line_shows_the_text_anew() -> None:
    terminal = Terminal()
    screen = Screen(terminal, columns=40)
    screen.show("one\ntwo\nthree")
    screen.show("one\ntw")
    assert terminal.lines == ["one", "two", "----", "one", "tw"]


@given(st.lists(st.text(alphabet="ab \n", max_size=12), max_size=8), st.text(alphabet="xy ", max_size=30))
def test_the_last_line_is_always_the_end_of_the_text(texts: list[str], note: str) -> None:
    terminal = Terminal()
    screen = Screen(terminal, columns=60)
    for text in texts:
        screen.show(text, note)
        screen.show(text)
        assert terminal.lines[-1] == text.rpartition("\n")[2].rstrip()


@pytest.mark.parametrize(
    ("keys", "text"),
    [
        (["the se", "1"], "the sea"),
        (["the se", "\t"], "the sea"),
        (["the se", "2", "\x15", "\t"], "the sea"),
        (["the sea", "\x0c"], "the sea is\n"),
        (["the sea", "\x10", "\x12"], "the sea is\na\n\n"),
        (["one two", "\x7f", "\x17"], "one "),
        (["one", "\r", "two"], "one\ntwo"),
        (["É", "a"], "a"),
    ],
)
def test_keys_do_what_they_should(monkeypatch: pytest.MonkeyPatch, keys: list[str], text: str) -> None:
    made, terminal = draft(), Terminal()
    press(monkeypatch, [*keys, "\x04"])
    _by_key(made, terminal)
    assert made.text == text
    assert terminal.lines[1] == "Ctrl-R writes it anew, Ctrl-U undoes, Ctrl-D ends."


def test_pasted_and_quoted_digits_are_digits(monkeypatch: pytest.MonkeyPatch) -> None:
    made = draft(random_writer(type(ALPHABET)("\n 123abc")))
    press(monkeypatch, ["ab 12", "\x161", "\x04"])
    _by_key(made, Terminal())
    assert made.text == "ab 121"


def test_ctrl_c_stops_the_model_and_not_the_session(monkeypatch: pytest.MonkeyPatch) -> None:
    class Endless(Storyteller):
        def stream(self, prompt: str, **_: Any) -> Any:
            yield "x"
            raise KeyboardInterrupt

    made = draft(Endless())
    press(monkeypatch, ["a", "\x0c", "b", "\x04"])
    _by_key(made, Terminal())
    assert made.text == "axb"


def press(monkeypatch: pytest.MonkeyPatch, keys: list[str]) -> None:
    import contextlib

    left = iter(keys)
    monkeypatch.setattr("textgen.system.keys.key_presses", lambda: contextlib.nullcontext(lambda: next(left)))


def test_keys_come_from_a_terminal_as_they_are_pressed(monkeypatch: pytest.MonkeyPatch) -> None:
    termios = pytest.importorskip("termios")
    from textgen.system.keys import END, key_presses

    ours, theirs = os.openpty()
    with os.fdopen(theirs, "r", closefd=True) as stream:
        monkeypatch.setattr(sys, "stdin", stream)
        before = termios.tcgetattr(theirs)
        with key_presses() as read:
            os.write(ours, "s\x1b[De海".encode())
            assert read() == "se海"
            os.write(ours, b"\x04")
            assert read() == END
        assert termios.tcgetattr(theirs) == before
    os.close(ours)


def test_without_a_terminal_keys_cannot_be_taken(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    pytest.importorskip("termios")
    from textgen.system.keys import key_presses

    (tmp_path / "file").touch()
    with (tmp_path / "file").open() as stream:
        monkeypatch.setattr(sys, "stdin", stream)
        with pytest.raises(OSError), key_presses():
            pass


def test_a_terminal_that_cannot_move_its_cursor_gets_lines(story: None, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("textgen.cli.commands.complete.is_terminal", lambda stream: True)
    monkeypatch.setenv("TERM", "dumb")
    result = answer("the se\n")
    assert result.stderr.count("> ") == 2
    assert result.stdout.startswith("the se\n  1  sea 75%")

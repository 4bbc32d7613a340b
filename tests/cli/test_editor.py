"""The editor of `textgen complete`: keys from a pipe, and what a terminal would show."""

from __future__ import annotations

import asyncio
import io
import threading
from collections.abc import Callable, Iterator
from typing import Any

import pyte
import pytest
from prompt_toolkit.data_structures import Size
from prompt_toolkit.input import create_pipe_input
from prompt_toolkit.output import DummyOutput
from prompt_toolkit.output.vt100 import Vt100_Output

from textgen.cli.editor import Editor
from textgen.config import SamplingConfig
from textgen.corpus.tokenizer import CharTokenizer
from textgen.sampling.drafts import Draft
from textgen.sampling.suggestions import Suggestion

ALT, LEFT, RIGHT, UP, DOWN, DELETE, SHIFT_TAB = "\x1b", "\x1b[D", "\x1b[C", "\x1b[A", "\x1b[B", "\x1b[3~", "\x1b[Z"
UNDO, REDO, LINE, PARAGRAPH, ANEW, END, STOP = "\x15", "\x19", "\x0c", "\x10", "\x12", "\x04", "\x03"


class Storyteller:
    """Knows one story: after "the se" an a or an e, then " is" and a line of the number of the writing."""

    tokenizer = CharTokenizer.from_text("\n\t abcdefghijklmnopqrstuvwxyz0123456789海é\N{COMBINING ACUTE ACCENT}")

    def __init__(self) -> None:
        self.asked: list[str] = []
        self.released = threading.Event()
        self.released.set()

    def as_trained(self, text: str) -> str:
        return text

    def controls_as_trained(self, config: SamplingConfig) -> SamplingConfig:
        return config

    def suggest(self, text: str, *, n: int, **_: Any) -> list[Suggestion]:
        self.asked.append(text)
        if text.endswith("end"):
            return [Suggestion("\n\nthe", 0.5)]
        found = [Suggestion("a", 0.75), Suggestion("eing", 0.25), Suggestion("海", 0.125)]
        return found[:n] if text.endswith("the se") else []

    def stream(self, prompt: str, *, until: str, seed: int, **_: Any) -> Iterator[str]:
        assert seed > 0
        yield " is"
        self.released.wait(30)
        yield f" {seed}\n" if until == "line" else f" {seed}\na\n\n"


def edited(*keys: str, text: str = "", writer: Any = None) -> str:
    """The text after keys that come at once, as fast as they can be read."""
    draft = Draft(writer or Storyteller(), temperature=0.0, seed=0, choices=5)
    draft.text = text
    with create_pipe_input() as keyboard:
        keyboard.send_text("".join(keys) + END)
        assert Editor(draft, input=keyboard, output=DummyOutput()).run() == 0
    return draft.text


@pytest.mark.parametrize(
    ("keys", "text"),
    [
        (["the se", "\t"], "the sea"),
        (["the se", ALT + "2"], "the seeing"),
        (["the se", ALT + "9"], "the se"),
        (["the se", "\t", UNDO, ALT + "1"], "the sea"),
        (["one two 12", "\r", "3"], "one two 12\n3"),
        (["the sa", LEFT, "e"], "the sea"),
        (["sea", LEFT, LEFT, LEFT, "the ", RIGHT, RIGHT, RIGHT, RIGHT, "s"], "the seas"),
        (["sea", "\x01", "the ", "\x05", "s"], "the seas"),
        (["one\rtwo", UP, "a", DOWN, "b"], "onea\ntwob"),
        (["one\rtwo", LEFT, LEFT, LEFT, LEFT, "a"], "onea\ntwo"),
        (["one two", "\x1b[1;5D", "a"], "one atwo"),
        (["one two", "\x7f", "\x17"], "one "),
        (["one", LEFT, DELETE, DELETE], "on"),
        (["one two three", UNDO], "one two"),
        (["one two three", UNDO, UNDO, REDO], "one two"),
        (["one", UNDO, "two", REDO], "two"),
        (["\x1b[200~the\r\nsea\t1\rb\x1b[201~", "a"], "the\nsea\t1\nba"),
        (["É", "a"], "a"),
        (["\x1b[200~sea\x07É\x1b[201~", "a"], "a"),
        (["e\N{COMBINING ACUTE ACCENT}", "a", LEFT, LEFT, "b"], "be\N{COMBINING ACUTE ACCENT}a"),
        (["海e\N{COMBINING ACUTE ACCENT}", "\x7f"], "海"),
        (["ae\N{COMBINING ACUTE ACCENT}", LEFT, DELETE], "a"),
        ([ANEW, "a"], "a"),
    ],
)
def test_keys_do_what_they_should(keys: list[str], text: str) -> None:
    assert edited(*keys) == text


def test_a_suggestion_goes_where_the_cursor_is() -> None:
    assert edited(*[LEFT] * 4, "\t", text="the se is") == "the se is"
    assert edited(*[LEFT] * 3, "\t", text="the se is") == "the sea is"


def test_nothing_is_suggested_within_a_word() -> None:
    writer = Storyteller()
    assert edited(LEFT, "\t", text="the sea", writer=writer) == "the sea"
    assert "the se" not in writer.asked


class Session:
    """An editor that runs while a test presses keys and looks at the screen."""

    def __init__(self, writer: Any, *, columns: int = 40, rows: int = 8) -> None:
        self.sent = io.StringIO()
        self.size = Size(rows=rows, columns=columns)
        self.screen = pyte.Screen(columns, rows)
        self.draft = Draft(writer, temperature=0.0, seed=0, choices=5)
        self.output = Vt100_Output(self.sent, lambda: self.size, term="xterm-256color")

    def play(self, *acts: str | Callable[[], None] | tuple[str, ...]) -> int:
        """Presses keys, calls functions, and waits until the screen shows all texts of a tuple; then ends."""
        with create_pipe_input() as keyboard:
            self.editor = Editor(self.draft, input=keyboard, output=self.output)

            async def perform() -> None:
                for act in acts:
                    if isinstance(act, str):
                        keyboard.send_text(act)
                    elif callable(act):
                        act()
                    else:
                        await self._see(act)
                self.editor.leave()

            start = self.editor._start

            def begin() -> None:
                start()
                self.editor.app.create_background_task(perform())

            self.editor._start = begin  # type: ignore[method-assign]
            return self.editor.run()

    async def _see(self, wanted: tuple[str, ...]) -> None:
        for _ in range(1000):
            if all(each in self.shown for each in wanted):
                return
            await asyncio.sleep(0.01)
        raise AssertionError(f"{wanted} never came; the screen shows\n{self.shown}")

    @property
    def shown(self) -> str:
        pyte.Stream(self.screen).feed(self.sent.getvalue())
        self.sent.seek(0)
        self.sent.truncate()
        return "\n".join(line.rstrip() for line in self.screen.display)

    def cursor(self) -> tuple[int, int]:
        _ = self.shown
        return self.screen.cursor.x, self.screen.cursor.y

    def resize(self, columns: int, rows: int) -> None:
        self.size = Size(rows=rows, columns=columns)
        _ = self.shown
        self.screen.resize(rows, columns)
        self.editor.app._on_resize()


def test_the_ghost_stands_behind_the_cursor_and_the_menu_below() -> None:
    session, seen = Session(Storyteller()), {}

    def look() -> None:
        seen["cursor"] = session.cursor()
        seen["ghost"] = session.screen.buffer[0][6].fg

    session.play("the se", ("the sea\n", "1 sea 75%  2 seeing 25%  3 se海 12%", "Tab word"), look)
    assert seen["cursor"] == (6, 0)
    assert seen["ghost"] != "default"
    assert session.draft.text == "the se"


def test_another_suggestion_can_be_chosen_and_taken() -> None:
    session = Session(Storyteller())
    session.play("the se", ("the sea\n",), SHIFT_TAB, ("the seeing\n",), "\tx", ("the seeingx\n",))
    assert session.draft.text == "the seeingx"


def test_the_ghost_stands_in_the_middle_of_a_text_too() -> None:
    session, seen = Session(Storyteller()), {}
    session.draft.text = "a\nthe se is\nb"
    keys = UP + "\x05" + LEFT * 3
    session.play(keys, ("a\nthe sea is\nb",), lambda: seen.update(at=session.cursor()))
    assert seen["at"] == (6, 1)


def test_what_is_typed_of_a_suggestion_leaves_the_rest_of_it() -> None:
    writer, seen = Storyteller(), threading.Event()
    suggest = writer.suggest

    def wait(text: str, *, n: int, **_: Any) -> list[Suggestion]:
        if text == "the see":
            seen.wait(30)
        return suggest(text, n=n)

    writer.suggest = wait  # type: ignore[method-assign]
    session = Session(writer)
    session.play("the se", ("1 sea",), "e", ("the seeing\n", "1 seeing 25%"), seen.set, ("the see\n",))
    assert session.draft.text == "the see"


def test_a_new_line_in_a_suggestion_is_a_sign_on_the_same_line() -> None:
    session = Session(Storyteller())
    session.play("the end", ("the end↵↵the\n", "1 end↵↵the 50%"), "\t", ("the end\n\nthe\n",))
    assert session.draft.text == "the end\n\nthe"


def test_wide_and_combining_characters_keep_the_cursor_in_its_place() -> None:
    session, seen = Session(Storyteller()), {}
    session.play("海e\N{COMBINING ACUTE ACCENT}x", ("海", "x"), lambda: seen.update(at=session.cursor()))
    assert seen["at"] == (4, 0)


def test_unknown_characters_are_named_until_the_next_key() -> None:
    session = Session(Storyteller(), columns=100)
    session.play("É", ("É",), "a", ("a\n", "Tab word"))
    assert session.draft.text == "a"


def test_the_model_writes_a_line_and_a_paragraph_at_the_cursor() -> None:
    session = Session(Storyteller())
    session.play("one" + LEFT, LINE, ("on is 1\ne",), PARAGRAPH, ("on is 1\n is 2\na\n\ne",))
    assert session.draft.text == "on is 1\n is 2\na\n\ne"


def test_writing_anew_replaces_the_last_writing_and_undo_goes_back_through_all() -> None:
    session = Session(Storyteller())
    session.play(
        "a", LINE, ("a is 1\n",), ANEW, ("a is 2\n",), UNDO, ("a is 1\n",), UNDO, ("a\n\n",), REDO, ("a is 1\n",), ANEW,
        ("a is 3\n",), "b", ("\nb\n",), ANEW, ("nothing to rewrite",),
    )  # fmt: skip
    assert session.draft.text == "a is 3\nb"


def test_ctrl_c_stops_the_model_and_keeps_what_it_wrote() -> None:
    writer = Storyteller()
    writer.released.clear()
    session = Session(writer)
    session.play(
        "a", LINE, ("a is\n", "Ctrl-C stops it"), "x", STOP, ("Tab word",), writer.released.set, "b", ("a isb",)
    )
    assert session.draft.text == "a isb"


def test_ctrl_c_ends_where_the_model_does_not_write() -> None:
    assert Session(Storyteller()).play("a", ("a",), STOP, ("never",)) == 2


def test_ctrl_c_a_moment_late_does_not_end_the_editor() -> None:
    session = Session(Storyteller())
    assert session.play("a", LINE, ("a is", "Tab word"), STOP, ("had finished",), STOP, ("never",)) == 2
    session = Session(Storyteller())
    assert session.play("a", LINE, ("a is", "Tab word"), "b", STOP, ("never",)) == 2


def test_leaving_while_the_model_writes_keeps_the_text() -> None:
    writer = Storyteller()
    writer.released.clear()
    session = Session(writer)
    session.play("a", LINE, ("a is",), threading.Timer(0.2, writer.released.set).start)
    assert session.draft.text == "a is"


def test_typing_does_not_wait_for_suggestions() -> None:
    writer = Storyteller()
    slow = threading.Event()
    suggest = writer.suggest

    def wait(text: str, *, n: int, **_: Any) -> list[Suggestion]:
        slow.wait(30)
        return suggest(text, n=n)

    writer.suggest = wait  # type: ignore[method-assign]
    session = Session(writer)
    session.play("the se", ("the se\n",), "x\x7f", ("the se\n",), slow.set, ("the sea\n",))
    assert session.draft.text == "the se"
    assert len(writer.asked) <= 3


def test_another_size_shows_the_same_text() -> None:
    session = Session(Storyteller(), columns=40, rows=8)
    session.play(
        "abcdefghijklmnopqrstuvwxyz", ("abcdefghijklmnopqrstuvwxyz\n",), lambda: session.resize(20, 6),
        ("abcdefghijklmnopqrst\nuvwxyz",), lambda: session.resize(50, 4), ("abcdefghijklmnopqrstuvwxyz\n",),
    )  # fmt: skip
    assert session.draft.text == "abcdefghijklmnopqrstuvwxyz"


def test_an_error_of_the_model_ends_the_editor_and_keeps_the_text() -> None:
    class Broken(Storyteller):
        def suggest(self, text: str, *, n: int, **_: Any) -> list[Suggestion]:
            if text == "ab":
                raise ZeroDivisionError
            return []

    session = Session(Broken())
    with pytest.raises(ZeroDivisionError):
        session.play("a", ("a",), "b", ("never",))
    assert session.draft.text == "ab"


def test_a_keyboard_that_ends_is_the_end() -> None:
    draft = Draft(Storyteller(), temperature=0.0, seed=0, choices=5)  # type: ignore[arg-type]
    with create_pipe_input() as keyboard:
        keyboard.send_text("sea")
        keyboard.close()
        assert Editor(draft, input=keyboard, output=DummyOutput()).run() == 0

"""The editor of `textgen complete` on a terminal: the model suggests words and writes on request.

It needs the package `prompt_toolkit`. The model runs in its own thread, so that typing never waits; only accepting a
suggestion that is not computed yet does.
"""

from __future__ import annotations

import asyncio
import contextlib
import signal
import sys
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any, TextIO

from prompt_toolkit.application import Application, run_in_terminal
from prompt_toolkit.buffer import Buffer
from prompt_toolkit.document import Document
from prompt_toolkit.filters import Condition
from prompt_toolkit.formatted_text import StyleAndTextTuples
from prompt_toolkit.input import Input, create_input
from prompt_toolkit.layout import BufferControl, FormattedTextControl, HSplit, Layout, Window
from prompt_toolkit.layout.processors import TabsProcessor
from prompt_toolkit.output import Output, create_output
from prompt_toolkit.styles import Style

from textgen.cli.command import told, visible
from textgen.cli.ghost import Ghost, on_one_line
from textgen.cli.keys import bindings
from textgen.config import Until
from textgen.errors import TextgenError
from textgen.sampling.drafts import Draft, label
from textgen.sampling.suggestions import Suggestion, is_whole_word, is_word
from textgen.system import asked_to_stop, colours, continued, ending, stop_job, width

_HELP = "Tab word  Alt-2 other  ^L line  ^P paragraph  ^R anew  ^U undo  ^Y redo  ^D end"
_WRITING = "The model is writing. Ctrl-C stops it."
_LATE = "The model had finished already. Ctrl-C again ends."
_STYLE = Style.from_dict({"ghost": "ansibrightblack", "chosen": "reverse", "help": "ansibrightblack"})


class Editor:
    """Edits a draft's text.

    Args:
        draft: the text and the model.
        input: the keyboard.
        output: the terminal.
        ghost: show the selected suggestion behind the cursor, too; for a terminal with colours.
    """

    def __init__(self, draft: Draft, *, input: Input, output: Output, ghost: bool = True) -> None:  # noqa: A002
        self._draft, self._ghost = draft, ghost
        self._found: tuple[str, list[Suggestion]] = ("", [])
        self._chosen = 0
        self._message = ""
        self._writing: threading.Event | None = None
        self._asked_to: tuple[Document, Until] | None = None
        self._left: list[str] = []
        self._signal: int | None = None
        self._just_written, self._late = False, False
        self._asked = asyncio.Event()
        self._model = ThreadPoolExecutor(max_workers=1)
        self.buffer = Buffer(
            document=Document(draft.text),
            multiline=True,
            read_only=Condition(lambda: self._writing is not None),
            on_text_changed=lambda _: self._moved(),
            on_cursor_position_changed=lambda _: self._moved(),
        )
        text = Window(
            BufferControl(self.buffer, input_processors=[TabsProcessor(), Ghost(lambda: self.ghost)]), wrap_lines=True
        )
        menu = Window(FormattedTextControl(self._menu), height=1)
        line = Window(FormattedTextControl(self._line), height=1, style="class:help")
        self.app: Application[int] = Application(
            layout=Layout(HSplit([text, menu, line])),
            key_bindings=bindings(self),
            style=_STYLE,
            full_screen=True,
            input=input,
            output=output,
        )

    def run(self, keep: Callable[[], None] = lambda: None) -> int:
        """Handles keys until the user ends the editor; the text is then in the draft, after errors too.

        Args:
            keep: called at the end, before another signal can end the process.

        Returns:
            The number of the signal that ended it, 0 for none.

        Raises:
            OSError: the terminal is gone.
        """
        with ending(self._end), asked_to_stop(self._stop), continued(self._continue):
            try:
                return self.app.run(pre_run=self._start, set_exception_handler=False)
            except EOFError:
                return self._signal or 0
            except OSError:
                if self._signal is None:
                    raise
                return self._signal
            finally:
                self.stop()
                self._model.shutdown()
                self._draft.text = self.buffer.text
                keep()

    @property
    def suggestions(self) -> list[Suggestion]:
        """The suggestions at the cursor that are computed by now."""
        asked, found = self._found
        now = self._place()
        if now is None or not now.startswith(asked):
            return []
        typed = now[len(asked) :]
        return [
            Suggestion(each.text.removeprefix(typed), each.probability)
            for each in found
            if each.text.startswith(typed) and each.text != typed
        ]

    @property
    def ghost(self) -> str:
        """The text behind the cursor: the selected suggestion."""
        found = self.suggestions
        return on_one_line(found[self._chosen % len(found)].text) if found and self._ghost else ""

    def insert(self, text: str) -> None:
        """Inserts the user's text at the cursor, if the model knows its characters."""
        try:
            note = self._draft.check(self.buffer.document.text_before_cursor, text)
        except TextgenError as error:
            self._message = told(error, None)
        else:
            self.buffer.insert_text(text)
            self._message = note

    def take(self, number: int | None = None) -> None:
        """Accepts a suggestion, counted from 0; None for the selected one. Waits until it is computed."""
        place = self._place()
        if place is None:
            return
        number = self._chosen if number is None else number
        if number >= len(self.suggestions):
            self._found = (place, self._model.submit(self._draft.suggest, place).result())
        if number < len(self.suggestions):
            self.buffer.insert_text(self.suggestions[number].text)

    def choose_next(self) -> None:
        """Selects the next suggestion."""
        self._chosen = (self._chosen + 1) % max(len(self.suggestions), 1)

    def write(self, until: Until) -> None:
        """Lets the model write at the cursor."""
        if self._writing is None:
            self._left = [self.buffer.text]
            self._write(self.buffer.document, until)

    def write_anew(self) -> None:
        """Lets the model rewrite what it wrote last, if the text has not changed since."""
        if self._writing is not None:
            return
        if self._asked_to is None or self.buffer.text not in self._left:
            self._message = "There is nothing to rewrite."
        else:
            self._write(*self._asked_to)

    def stop(self) -> bool:
        """Stops the model and keeps what it has written; False if it is not writing."""
        if self._writing is None:
            return False
        self._writing.set()
        self._writing = None
        self._left.append(self.buffer.text)
        self._moved()
        return True

    def undo(self) -> None:
        """Undoes the last change."""
        self.stop()
        self.buffer.undo()

    def redo(self) -> None:
        """Redoes the last undone change."""
        self.stop()
        self.buffer.redo()

    def interrupt(self) -> None:
        """Stops the model, or ends the editor if the model is not writing."""
        if self.stop():
            return
        if self._late:
            self._message = _LATE
        else:
            self.leave(signal.SIGINT)

    def leave(self, number: int = 0) -> None:
        """Ends the editor; `number` is that of a signal, 0 for none."""
        if self.app.is_running and not self.app.is_done:
            self.app.exit(result=number)

    def hush(self) -> None:
        """Removes the last message; notes whether this key is the first since the model stopped writing by itself."""
        self._message = ""
        self._just_written, self._late = False, self._just_written

    def suspend(self) -> None:
        """Stops the job, with the terminal as it was, and shows the editor again when it is continued."""
        if self.app.is_running and not self.app.is_done:
            run_in_terminal(stop_job)

    def _write(self, before: Document, until: Until) -> None:
        self.buffer.save_to_undo_stack()
        self._asked_to, self._writing = (before, until), threading.Event()
        self._show(before, "")
        self.app.create_background_task(self._let_write(before, until, self._writing))

    async def _let_write(self, before: Document, until: Until, stopped: threading.Event) -> None:
        loop = asyncio.get_running_loop()
        written = ""

        def add(piece: str) -> None:
            nonlocal written
            if not stopped.is_set():
                written += piece
                self._show(before, written)

        def work() -> None:
            for piece in self._draft.stream(before.text_before_cursor, until):
                if stopped.is_set():
                    return
                loop.call_soon_threadsafe(add, piece)

        try:
            await loop.run_in_executor(self._model, work)
        except TextgenError as error:
            self._message = str(error)
        if self._writing is stopped:
            self.stop()
            self._just_written = True

    def _show(self, before: Document, written: str) -> None:
        """Sets the text to the one before with the model's text inserted."""
        start = before.text_before_cursor + written
        document = Document(start + before.text_after_cursor, len(start))
        self.buffer.set_document(document, bypass_readonly=True)

    def _place(self) -> str | None:
        """The text before the cursor, to suggest from; None within a word and while the model writes."""
        document = self.buffer.document
        after = document.text_after_cursor[:1]
        within = bool(after) and is_word(after) and not is_whole_word(after)
        return None if within or self._writing is not None else document.text_before_cursor

    def _moved(self) -> None:
        """Requests suggestions for the new position."""
        self._chosen = 0
        self._asked.set()
        self.app.invalidate()

    async def _suggest(self) -> None:
        """Computes suggestions as long as the editor runs; only the last request counts."""
        while True:
            await self._asked.wait()
            self._asked.clear()
            place = self._place()
            if place is not None:
                found = await asyncio.get_running_loop().run_in_executor(self._model, self._draft.suggest, place)
                if place == self._place():
                    self._found = (place, found)
                    self.app.invalidate()

    def _start(self) -> None:
        asyncio.get_running_loop().set_exception_handler(self._fail)
        self._asked.set()
        self.app.create_background_task(self._suggest())
        if self._signal is not None:
            self.leave(self._signal)

    def _fail(self, _: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
        """Ends the editor with an unhandled error, which is reported once the terminal is restored."""
        if self.app.is_running and not self.app.is_done:
            self.app.exit(exception=context.get("exception") or RuntimeError(context["message"]))

    def _end(self, number: int) -> None:
        """Ends the editor because of a signal."""
        self._signal = number
        if self.app.is_running and self.app.loop is not None:
            self.app.loop.call_soon_threadsafe(self.leave, number)

    def _stop(self) -> None:
        """Stops the job because of a signal."""
        if self.app.is_running and self.app.loop is not None:
            self.app.loop.call_soon_threadsafe(self.suspend)

    def _continue(self) -> None:
        """Takes the terminal again because of a signal."""
        if self.app.is_running and self.app.loop is not None:
            self.app.loop.call_soon_threadsafe(self._take_terminal)

    def _take_terminal(self) -> None:
        """Shows the editor again after a stop that could not be prepared (SIGSTOP)."""
        import termios

        if self.app.is_running and not self.app.is_done:
            # In the background this stops the job once more, and fails when it is continued: it is then asked again.
            with contextlib.suppress(termios.error):
                self.app.input.raw_mode().__enter__()
            self.app.renderer.reset()
            self.app.invalidate()

    def _menu(self) -> StyleAndTextTuples:
        """The suggestions that fit the width, with the selected one marked."""
        room = self.app.output.get_size().columns
        fragments: StyleAndTextTuples = []
        begun = self.buffer.document.text_before_cursor
        for n, each in enumerate(self.suggestions):
            entry = f"{n + 1} {label(begun, each)}"
            room -= width(entry) + 2
            if room < 0:
                break
            fragments += [("class:chosen" if n == self._chosen else "", entry), ("", "  ")]
        return fragments

    def _line(self) -> str:
        return visible(self._message) or (_WRITING if self._writing is not None else _HELP)


def edit(draft: Draft, terminal: TextIO, *, keep: Callable[[], None]) -> int:
    """Edits a draft on a terminal; the keys come from standard input.

    Args:
        draft: the text and the model.
        terminal: where the editor is shown.
        keep: called at the end, when the terminal is restored and no signal can end the process.

    Returns:
        The number of the signal that ended it, 0 for none.
    """
    editor = Editor(
        draft, input=create_input(sys.stdin), output=create_output(stdout=terminal), ghost=bool(colours(terminal))
    )
    return editor.run(keep)

"""The key bindings of the editor of `textgen complete`; needs the package `prompt_toolkit`."""

from __future__ import annotations

import unicodedata
from collections.abc import Callable
from typing import TYPE_CHECKING

from prompt_toolkit.buffer import Buffer
from prompt_toolkit.key_binding import KeyBindings, KeyPressEvent
from prompt_toolkit.keys import Keys
from prompt_toolkit.utils import suspend_to_background_supported

if TYPE_CHECKING:
    from textgen.cli.editor import Editor

_JOINER = "\u200d"


def bindings(editor: Editor) -> KeyBindings:
    """The editor's key bindings, in addition to those of Emacs and the shell."""
    keys = KeyBindings()

    def on(
        *names: str, act: Callable[[KeyPressEvent], object], save: Callable[[KeyPressEvent], bool] = lambda _: True
    ) -> None:
        def handle(event: KeyPressEvent) -> None:
            editor.hush()
            act(event)

        keys.add(*names, save_before=save)(handle)

    def never(_: KeyPressEvent) -> bool:
        return False

    def starts_a_word(event: KeyPressEvent) -> bool:
        return not event.is_repeat or event.data.isspace()

    buffer = editor.buffer
    on(Keys.Any, act=lambda event: editor.insert(event.data), save=starts_a_word)
    on("enter", act=lambda _: editor.insert("\n"))
    on("c-j", act=lambda _: editor.insert("\n"))
    on(Keys.BracketedPaste, act=lambda event: editor.insert(event.data.replace("\r\n", "\n").replace("\r", "\n")))
    on("tab", act=lambda _: editor.take())
    on("s-tab", act=lambda _: editor.choose_next(), save=never)
    for number in range(9):
        on("escape", str(number + 1), act=lambda _, number=number: editor.take(number))  # type: ignore[misc]
    on("c-l", act=lambda _: editor.write("line"), save=never)
    on("c-p", act=lambda _: editor.write("paragraph"), save=never)
    on("c-r", act=lambda _: editor.write_anew(), save=never)
    for name in ("c-u", "c-_"):
        on(name, act=lambda _: editor.undo(), save=never)
    on("c-y", act=lambda _: editor.redo(), save=never)
    on("c-d", act=lambda _: editor.leave(), save=never)
    for name in ("c-c", "<sigint>"):
        on(name, act=lambda _: editor.interrupt(), save=never)
    if suspend_to_background_supported():
        on("c-z", act=lambda _: editor.suspend(), save=never)
    else:
        on("c-z", act=lambda _: editor.undo(), save=never)
    on("left", act=lambda _: _go(buffer, _before(buffer.text, buffer.cursor_position)), save=never)
    on("right", act=lambda _: _go(buffer, _after(buffer.text, buffer.cursor_position)), save=never)
    for name in ("backspace", "c-h"):
        on(name, act=lambda _: buffer.delete_before_cursor(_size(buffer, _before)), save=_once)
    on("delete", act=lambda _: buffer.delete(_size(buffer, _after)), save=_once)
    return keys


def _once(event: KeyPressEvent) -> bool:
    return not event.is_repeat


def _go(buffer: Buffer, position: int) -> None:
    buffer.cursor_position = position


def _size(buffer: Buffer, move: Callable[[str, int], int]) -> int:
    return abs(move(buffer.text, buffer.cursor_position) - buffer.cursor_position)


def _after(text: str, position: int) -> int:
    r"""The position after a character and its combining marks.

    >>> _after("e\N{COMBINING ACUTE ACCENT}a", 0), _after("sea", 1), _after("sea", 3)
    (2, 2, 3)
    """
    position = min(position + 1, len(text))
    while position < len(text) and (_joins(text[position]) or text[position - 1] == _JOINER):
        position += 1
    return position


def _before(text: str, position: int) -> int:
    r"""The position before a character and its combining marks.

    >>> _before("ae\N{COMBINING ACUTE ACCENT}", 3), _before("sea", 2), _before("sea", 0)
    (1, 1, 0)
    """
    position = max(position - 1, 0)
    while position > 0 and (_joins(text[position]) or text[position - 1] == _JOINER):
        position -= 1
    return position


def _joins(character: str) -> bool:
    tone = "\N{EMOJI MODIFIER FITZPATRICK TYPE-1-2}" <= character <= "\N{EMOJI MODIFIER FITZPATRICK TYPE-6}"
    return character == _JOINER or tone or unicodedata.category(character).startswith("M")

"""`textgen complete`: writing together with a model, key by key on a terminal or line by line at a pipe."""

from __future__ import annotations

import contextlib
import json
import os
import re
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any, TextIO

import click

from textgen.cli.command import command, visible
from textgen.cli.options import adapt_option, checkpoints_option, json_option, run_option, setting, wish
from textgen.cli.screen import Screen
from textgen.config import CorpusConfig, SamplingConfig
from textgen.errors import UnknownCharacterError
from textgen.sampling.drafts import Draft
from textgen.system import colours, is_terminal

if TYPE_CHECKING:
    from textgen.sampling.suggestions import Suggestion

_KEYS = (
    "Tab or a number takes a word. Ctrl-L writes a line, Ctrl-P a paragraph,",
    "Ctrl-R writes it anew, Ctrl-U undoes, Ctrl-D ends.",
)
_HELP = """\
TEXT        a new line of the text; the first starts it
+TEXT       goes on in the same line
NUMBER      takes that suggestion
:line       lets the model write to the end of the line
:paragraph  lets it write to the end of the paragraph
:undo       takes the last change back
:text       shows the whole text
:new        starts afresh
:quit       ends, as the end of the input does
\\TEXT       a line that begins with one of these signs"""


@command(
    "complete",
    examples=(
        "textgen complete",
        "textgen complete --run marrow_haven --temperature 0.5",
        "printf 'The captain lo\\n1\\n:line\\n' | textgen complete --seed 1",
        "printf 'The captain lo\\n' | textgen complete --json",
    ),
)
@run_option
@checkpoints_option
@setting(
    "--temperature",
    config=SamplingConfig,
    type=float,
    help="How freely lines and paragraphs are written; lower is safer.",
)
@wish("--seed", config=SamplingConfig, otherwise="drawn anew")
@adapt_option
@setting("--encoding", config=CorpusConfig, help="The encoding of --adapt's file.")
@click.option("--choices", type=click.IntRange(1, 9), default=5, show_default=True, help="How many suggestions.")
@click.option("--plain", is_flag=True, help="Work line by line on a terminal too.")
@json_option("Line by line, with one JSON object for each: text, written, suggestions.")
def complete(
    run: str | None,
    checkpoints: Path,
    temperature: float,
    seed: int | None,
    adapt: str | None,
    encoding: str,
    choices: int,
    plain: bool,
    as_json: bool,
) -> None:
    """Write together with a model, with suggestions as you type.

    On a terminal each key shows suggestions behind the text: Tab takes the first, a number another (Ctrl-V before a
    digit types it). Ctrl-L writes a line, Ctrl-P a paragraph, Ctrl-R writes it differently, Ctrl-U undoes, Ctrl-D ends.
    If standard output is a file or a pipe, it gets the whole text at the end.

    Anywhere else each line is a request: a text, the number of a suggestion, :line, :paragraph, :undo, :text, :new or
    :quit; +TEXT goes on in the same line.
    """
    SamplingConfig(temperature=temperature, seed=seed)
    if adapt == "-":
        raise click.UsageError("--adapt must be a file here: standard input is what you write.")

    from textgen.cli import reading

    writer, _ = reading.load_writer(run, checkpoints)
    if adapt is not None:
        writer = reading.adapt(writer, adapt, encoding=encoding, unknown="replace")
    draft = Draft(
        writer, temperature=temperature, seed=int.from_bytes(os.urandom(4)) if seed is None else seed, choices=choices
    )
    terminal = next((stream for stream in (sys.stderr, sys.stdout) if is_terminal(stream)), None)
    if plain or as_json or terminal is None or not is_terminal(sys.stdin) or os.environ.get("TERM") == "dumb":
        for request in _requests():
            _answer(draft, request, as_json=as_json)
        return
    _by_key(draft, terminal)
    if not is_terminal(sys.stdout):
        click.echo(draft.text)


def _requests() -> Iterator[str]:
    """The lines of standard input, with a prompt on a terminal."""
    asking = is_terminal(sys.stdin)
    while True:
        if asking:
            click.echo("> ", nl=False, err=True)
        line = sys.stdin.buffer.readline().decode("utf-8", "replace")
        if not line or line.strip() in (":quit", ":q"):
            return
        yield line.rstrip("\r\n")


def _answer(draft: Draft, request: str, *, as_json: bool) -> None:
    """Does what a line asks for and shows the outcome on standard output."""
    before = draft.text
    try:
        problem = _obey(draft, request)
    except UnknownCharacterError as error:
        problem = str(error)
    if problem:
        click.echo(f"Error: {visible(problem)}", err=True)
    if as_json:
        written = draft.text[len(before) :] if draft.text.startswith(before) else ""
        suggestions = [{"text": s.text, "probability": s.probability} for s in draft.suggestions]
        answer = {"text": draft.text, "written": written, "suggestions": suggestions}
        click.echo(json.dumps(answer if not problem else {**answer, "error": problem}, ensure_ascii=False))
    elif not problem:
        start = 0 if request.strip() in (":text", ":t") else before.rfind("\n") + 1
        click.echo(visible(draft.text[start:] if draft.text.startswith(before) else draft.line))
        for n, suggestion in enumerate(draft.suggestions, 1):
            click.echo(f"  {n}  {visible(_word(draft.line, suggestion))}")
        click.echo()
    sys.stdout.flush()


def _obey(draft: Draft, request: str) -> str | None:
    """Changes the draft; returns what is wrong with the request."""
    asked = request.strip()
    if asked.isascii() and asked.isdecimal() and draft.text:
        return None if draft.pick(int(asked)) else f"There is no suggestion {asked}. Write \\{asked} for the text."
    commands: dict[str, Any] = {
        ":line": lambda: list(draft.write("line")),
        ":paragraph": lambda: list(draft.write("paragraph")),
        ":undo": draft.undo,
        ":text": lambda: None,
        ":new": lambda: draft.erase(draft.text),
        ":help": lambda: click.echo(_HELP, err=True),
    }
    if asked.startswith(":"):
        name = next((name for name in commands if len(asked) > 1 and name.startswith(asked)), None)
        if name is None:
            return f"{asked} is no request; :help lists them. Write \\{asked} for the text."
        commands[name]()
    elif request.startswith("+"):
        draft.add(request[1:])
    else:
        text = request.removeprefix("\\")
        draft.add(f"\n{text}" if draft.line else text or "\n" * bool(draft.text))
    return None


def _word(line: str, suggestion: Suggestion) -> str:
    """The word that a suggestion makes, and its probability."""
    begun = re.search(r"\S*$", line)
    word = ((begun[0] if begun else "") + suggestion.text).strip(" ").replace("\n", "\u21b5")
    chance = suggestion.probability
    return f"{word} {chance:.0%}" if chance >= 0.005 else f"{word} <1%"


def _by_key(draft: Draft, terminal: TextIO) -> None:
    """Takes keys until the end of input."""
    from textgen.system.keys import END, key_presses

    dim = ("\x1b[2m", "\x1b[22m") if colours(terminal) else ("", "")
    screen = Screen(terminal, dim=dim)
    for line in _KEYS:
        screen.say(line)
    with contextlib.ExitStack() as stack:
        stack.callback(screen.close)
        read = stack.enter_context(key_presses())
        screen.show("", _note(draft))
        while True:
            keys = read()
            if END in keys:
                _press(draft, screen, keys[: keys.index(END)])
                screen.show(draft.text)
                return
            _press(draft, screen, keys)
            screen.show(draft.text, _note(draft))


def _note(draft: Draft) -> str:
    return "  ".join(f"{n} {_word(draft.line, each)}" for n, each in enumerate(draft.suggestions, 1))


def _press(draft: Draft, screen: Screen, keys: str) -> None:
    """Does what keys ask for; several at once are pasted text, whose digits are digits."""
    pasted = len(keys) > 1
    literal = False
    for key in keys:
        if literal or key.isprintable() or key in "\r\n":
            number = int(key) if key in "123456789" and not (literal or pasted) else 0
            if not (number and draft.pick(number)):
                _type(draft, screen, "\n" if key == "\r" else key)
            literal = False
        elif key == "\t":
            draft.pick(1)
        elif key in "\x7f\b":
            draft.erase(draft.text[-1:])
        elif key == "\x17":
            draft.erase(draft.text[len(re.sub(r"\S+\s*$", "", draft.text)) :])
        elif key == "\x15":
            draft.undo()
        elif key == "\x16":
            literal = True
        elif key in "\x0c\x10\x12":
            _write(draft, screen, key)


def _type(draft: Draft, screen: Screen, text: str) -> None:
    try:
        draft.add(text)
    except UnknownCharacterError as error:
        screen.say(visible(str(error)))


def _write(draft: Draft, screen: Screen, key: str) -> None:
    """Lets the model write while the user watches; Ctrl-C stops it."""
    pieces = draft.again() if key == "\x12" else draft.write("line" if key == "\x0c" else "paragraph")
    with contextlib.suppress(KeyboardInterrupt):
        for _ in pieces:
            screen.show(draft.text)

"""`textgen complete`: writing together with a model, in an editor on a terminal or line by line at a pipe."""

from __future__ import annotations

import contextlib
import importlib.util
import json
import os
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any, TextIO

import click
from click.exceptions import Exit

from textgen.cli.command import command, visible
from textgen.cli.options import adapt_option, checkpoints_option, json_option, run_option, setting, wish
from textgen.config import CorpusConfig, SamplingConfig
from textgen.errors import UnknownCharacterError
from textgen.sampling.drafts import Draft, label
from textgen.system import is_terminal

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

    On a terminal you edit the text with the usual keys, and the likeliest end of the word stands behind the cursor: Tab
    takes it, Shift-Tab goes to the next, Alt-1 to Alt-9 take one by its number. Ctrl-L lets the model write a line at
    the cursor, Ctrl-P a paragraph, Ctrl-R writes that differently, Ctrl-C stops it. Ctrl-U undoes, Ctrl-Y redoes,
    Ctrl-D ends. If standard output is a file or a pipe, it gets the whole text at the end. This needs the package
    prompt_toolkit: pip install 'textgen-chars[complete]'.

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
    terminal = None if plain or as_json else _terminal()
    if terminal is not None:
        _edit(draft, terminal)
        return
    for request in _requests():
        interruption = _answer(draft, request, as_json=as_json)
        # At a terminal Ctrl-C ends what the model is writing; what is no Ctrl-C has a number and ends the command.
        if interruption is not None and (interruption.args or not is_terminal(sys.stdin)):
            raise interruption


def _terminal() -> TextIO | None:
    """The terminal to edit on; None where there is none, or none that an editor can be shown on."""
    terminal = next((stream for stream in (sys.stderr, sys.stdout) if is_terminal(stream)), None)
    if terminal is None or not is_terminal(sys.stdin) or os.environ.get("TERM") == "dumb":
        return None
    if importlib.util.find_spec("prompt_toolkit") is None:
        click.echo(
            "Note: this goes line by line, as the package prompt_toolkit is missing. "
            "Get the editor with: pip install 'textgen-chars[complete]'",
            err=True,
        )
        return None
    return terminal


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


def _answer(draft: Draft, request: str, *, as_json: bool) -> KeyboardInterrupt | None:
    """Does what a line asks for and shows what came of it on standard output; returns what interrupted it."""
    before, problem, interruption = draft.text, None, None
    try:
        problem = _obey(draft, request)
    except UnknownCharacterError as error:
        problem = str(error)
    except KeyboardInterrupt as error:
        interruption = error
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
            click.echo(f"  {n}  {visible(label(draft.line, suggestion))}")
        click.echo()
    sys.stdout.flush()
    return interruption


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
        ":new": draft.clear,
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


def _edit(draft: Draft, terminal: TextIO) -> None:
    """Lets the user edit the text on a terminal, and leaves it there and on standard output, whatever ended it."""
    from textgen.cli.editor import edit

    def keep() -> None:
        if not is_terminal(sys.stdout):
            click.echo(draft.text)
            sys.stdout.flush()
        # The terminal may be what has gone.
        with contextlib.suppress(OSError):
            click.echo(visible(draft.text), file=terminal)

    number = edit(draft, terminal, keep=keep)
    if number:
        raise Exit(128 + number)

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

from textgen.cli.command import command, told, visible
from textgen.cli.options import (
    F,
    adapt_option,
    checkpoints_option,
    errors_option,
    json_option,
    optional,
    run_option,
    setting,
)
from textgen.config import CONSTRAINTS, CorpusConfig, SamplingConfig, Unknown
from textgen.config.corpus import DecodingErrors
from textgen.errors import UnknownCharacterError
from textgen.sampling.drafts import Draft, label
from textgen.system import is_dumb, is_terminal

_HELP = """\
TEXT        adds a line
+TEXT       continues the last line
NUMBER      accepts that suggestion
:line       lets the model finish the line
:paragraph  lets the model finish the paragraph
:undo       undoes the last change
:text       shows the whole text
:new        starts a new text
:quit       exits, as the end of input does
\\TEXT       adds a line that looks like one of these"""


def _refuse_constraint(ctx: click.Context, param: click.Parameter, value: Any) -> None:
    if value not in (None, ()):
        flag = max(param.opts, key=len)
        raise click.UsageError(
            f"{flag} is about a text as a whole, of which you write a part here. Use it with textgen sample, or --ban "
            "and --allow here.",
            ctx,
        )


def _no_constraints(function: F) -> F:
    """The constraints of `textgen sample` as options that are refused, and not shown in the help."""
    for name in CONSTRAINTS:
        option: dict[str, Any] = {
            "hidden": True,
            "expose_value": False,
            "callback": _refuse_constraint,
            "multiple": name == "contains",
        }
        function = click.option(f"--{name.replace('_', '-')}", **option)(function)
    return function


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
    help="Softmax temperature of written lines and paragraphs; lower is safer.",
)
@optional("--seed", config=SamplingConfig, otherwise="random")
@setting("--ban", config=SamplingConfig, metavar="CHARACTERS", show_default=False)
@setting("--allow", config=SamplingConfig, metavar="CHARACTERS", show_default=False)
@setting(
    "--label",
    metavar="NAME[:WEIGHT]",
    config=SamplingConfig,
    show_default=False,
    help="Write and suggest as in records with this label; can be given several times, with weights.",
)
@_no_constraints
@adapt_option
@setting("--encoding", config=CorpusConfig, help="The encoding of --adapt's file.")
@errors_option
@click.option("--choices", type=click.IntRange(1, 9), default=5, show_default=True, help="Number of suggestions.")
@click.option("--plain", is_flag=True, help="Use the line mode on a terminal, too.")
@json_option("Use the line mode, with a JSON object for each line: text, written, suggestions.")
def complete(
    runs: tuple[str, ...],
    checkpoints: Path,
    temperature: float,
    seed: int | None,
    ban: str,
    allow: str,
    label: tuple[str, ...],
    adapt: str | None,
    encoding: str,
    errors: DecodingErrors | None,
    choices: int,
    plain: bool,
    as_json: bool,
) -> None:
    """Write together with a model, with suggestions as you type.

    On a terminal you edit the text with the usual keys, and the likeliest end of the word is shown behind the cursor:
    Tab accepts it, Shift-Tab selects the next, Alt-1 to Alt-9 accept one by number. Ctrl-L lets the model write a line
    at the cursor, Ctrl-P a paragraph; Ctrl-R rewrites that, Ctrl-C stops it. Ctrl-U undoes, Ctrl-Y redoes, Ctrl-D
    exits. If standard output is a file or a pipe, the whole text is written to it at the end. This needs the package
    prompt_toolkit: pip install 'textgen-chars[complete]'.

    Elsewhere, in the line mode, each line is a request: a text, the number of a suggestion, :line, :paragraph, :undo,
    :text, :new or :quit; +TEXT continues the last line.

    Several runs with one vocabulary are mixed, as in textgen sample. Its constraints, such as --match, are not for this
    command: they are about a text as a whole, of which you write a part yourself.
    """
    config = SamplingConfig(temperature=temperature, seed=seed, ban=ban, allow=allow, label=label)
    if adapt == "-":
        raise click.UsageError("--adapt must be a file here: standard input is your text.")

    from textgen.cli import reading
    from textgen.cli.hints import hint
    from textgen.sampling.labels import labels_of

    writer, _ = reading.load_writer(runs, checkpoints)
    hint(config, writer.tokenizer.characters)
    reading.check_characters(writer, config)
    labels_of(writer, label)
    if adapt is not None:
        unknown: Unknown = "auto" if writer.tokenizer.has_unknown else "replace"
        writer = reading.adapt(writer, adapt, encoding=encoding, errors=errors, unknown=unknown)
    draft = Draft(
        writer,
        temperature=temperature,
        seed=int.from_bytes(os.urandom(4)) if seed is None else seed,
        choices=choices,
        ban=ban,
        allow=allow,
        label=label,
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
    """The terminal to edit on; None if there is none, or none that can show the editor."""
    terminal = next((stream for stream in (sys.stderr, sys.stdout) if is_terminal(stream)), None)
    if terminal is None or not is_terminal(sys.stdin) or is_dumb():
        return None
    if importlib.util.find_spec("prompt_toolkit") is None:
        click.echo(
            "Note: using the line mode, because the package prompt_toolkit is not installed. "
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
    """Executes a request and writes the result to standard output; returns what interrupted it."""
    before, problem, interruption = draft.text, None, None
    try:
        problem = _obey(draft, request)
    except UnknownCharacterError as error:
        problem = told(error, complete)
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
    """Changes the draft; returns an error message, or None."""
    asked = request.strip()
    if asked.isascii() and asked.isdecimal() and draft.text:
        return None if draft.pick(int(asked)) else f"There is no suggestion {asked}. Write \\{asked} to add it as text."
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
            return f"{asked} is not a request; :help lists them. Write \\{asked} to add it as text."
        commands[name]()
    elif request.startswith("+"):
        _add(draft, request[1:])
    else:
        text = request.removeprefix("\\")
        _add(draft, f"\n{text}" if draft.line else text or "\n" * bool(draft.text))
    return None


def _add(draft: Draft, text: str) -> None:
    """Adds the user's text, and says which characters are replaced."""
    from textgen.cli.reading import say_once

    say_once(draft.add(text))


def _edit(draft: Draft, terminal: TextIO) -> None:
    """Edits the text on a terminal, and writes it there and to standard output at the end."""
    from textgen.cli.editor import edit

    def keep() -> None:
        if not is_terminal(sys.stdout):
            click.echo(draft.text)
            sys.stdout.flush()
        # The terminal may be gone.
        with contextlib.suppress(OSError):
            click.echo(visible(draft.text), file=terminal)

    number = edit(draft, terminal, keep=keep)
    if number:
        raise Exit(128 + number)

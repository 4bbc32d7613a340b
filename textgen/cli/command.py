"""Click command and group classes: examples in the help, error messages and exit codes.

Exit codes: 0; 1 for a `TextgenError` or an error of the operating system; 2 for wrong usage; 130 after Ctrl-C, 143
after SIGTERM, 129 after SIGHUP.
"""

from __future__ import annotations

import contextlib
import importlib
import re
import signal
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, NoReturn

import click
from click.exceptions import Exit

from textgen.errors import ConfigError, TextgenError, UnknownCharacterError
from textgen.system import abandon_output, ending, explain, is_closed_pipe, is_terminal

_DEBUG, _COMMAND = "textgen.debug", "textgen.command"


class Command(click.Command):
    """A command with `--debug` and examples in its help.

    Args:
        examples: command lines that work on the bundled corpus.
    """

    def __init__(self, *args: Any, examples: Sequence[str] = (), **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.examples = tuple(examples)
        self.params.append(debug_option())

    def invoke(self, ctx: click.Context) -> Any:
        """Runs the command; errors are told in its words."""
        ctx.meta[_COMMAND] = self
        return super().invoke(ctx)

    def format_options(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Writes the options by section."""
        sections: dict[str, list[tuple[str, str]]] = {"Options": []}
        for param in self.get_params(ctx):
            record = param.get_help_record(ctx) if isinstance(param, click.Option) else None
            if record is not None:
                sections.setdefault(getattr(param, "section", "Options"), []).append(record)
        for title, records in sections.items():
            with formatter.section(title):
                formatter.write_dl(records)

    def format_epilog(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Adds the examples."""
        write_examples(self.examples, formatter)
        super().format_epilog(ctx, formatter)


class Option(click.Option):
    """An option with a section in its command's help.

    Args:
        section: title of the section.
    """

    def __init__(self, *args: Any, section: str = "Options", **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.section = section


class Group(click.Group):
    """A group that imports commands lazily, and turns errors into one sentence and an exit code.

    Args:
        sections: for each section of the help, the names of its commands and their modules.
        aliases: former names of commands, each with its module; not shown in the help.
        examples: command lines for the help.
    """

    def __init__(
        self,
        *args: Any,
        sections: Mapping[str, Mapping[str, str]],
        aliases: Mapping[str, str] | None = None,
        examples: Sequence[str] = (),
        **kwargs: Any,
    ) -> None:
        super().__init__(*args, **kwargs)
        self.examples = tuple(examples)
        self._sections = sections
        self._modules = {name: module for commands in sections.values() for name, module in commands.items()}
        self._aliases = dict(aliases or {})
        self.params.append(debug_option())

    def list_commands(self, ctx: click.Context) -> list[str]:
        """The commands in the order of the help."""
        del ctx
        return list(self._modules)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Imports a command."""
        del ctx
        module = self._modules.get(cmd_name) or self._aliases.get(cmd_name)
        return None if module is None else getattr(importlib.import_module(module), cmd_name)

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Writes the commands by section."""
        width = max(map(len, self._modules))
        for title, names in self._sections.items():
            commands = [(name, self.get_command(ctx, name)) for name in names]
            with formatter.section(title):
                rows = [(f"{name:{width}}", command.get_short_help_str(100)) for name, command in commands if command]
                formatter.write_dl(rows)

    def format_epilog(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Adds the examples."""
        write_examples(self.examples, formatter)
        super().format_epilog(ctx, formatter)

    def make_context(self, *args: Any, **kwargs: Any) -> click.Context:
        """Parses the arguments; `--help` and `--version` write their text and exit here."""
        with _ending():
            return super().make_context(*args, **kwargs)

    def invoke(self, ctx: click.Context) -> Any:
        """Runs the command, and exits with the documented code for any error."""
        with _ending(ctx):
            result = super().invoke(ctx)
            if sys.stdout is not None:
                sys.stdout.flush()
        return result


@contextlib.contextmanager
def _ending(ctx: click.Context | None = None) -> Iterator[None]:
    """Turns what the body raises into one sentence and an exit code.

    Every signal that asks the process to end is a `KeyboardInterrupt` in the body, as Ctrl-C is, so that a command
    writes what it has before it leaves.
    """
    received = signal.SIGINT.value

    def interrupt(number: int) -> None:
        nonlocal received
        received = number
        raise KeyboardInterrupt(number)

    try:
        with ending(interrupt):
            try:
                yield
            finally:
                # What is still held back must reach a full disk or a closed pipe here, not when the interpreter ends.
                sys.stdout.flush()
    except (TextgenError, OSError, MemoryError) as error:
        if isinstance(error, OSError) and not error.filename:
            abandon_output()
            # A terminal that hung up takes no last words.
            if received != signal.SIGINT:
                raise Exit(128 + received) from None
        if isinstance(error, OSError) and is_closed_pipe(error):
            raise Exit(0) from None
        fail(ctx, error)
    except KeyboardInterrupt as error:
        raise Exit(128 + next(iter(error.args), received)) from None


def fail(ctx: click.Context | None, error: BaseException) -> NoReturn:
    """Writes an error to standard error and exits with code 1."""
    if ctx is not None and ctx.meta.get(_DEBUG):
        import traceback

        click.echo("".join(traceback.format_exception(error)), err=True, nl=False)
    sentence = visible(_sentence(error, None if ctx is None else ctx.meta.get(_COMMAND))).replace("\n", "\\n")
    click.echo(f"Error: {sentence}", err=True)
    raise Exit(1) from None


def _sentence(error: BaseException, command: click.Command | None) -> str:
    if isinstance(error, OSError):
        why = explain(error)
        return f"{error.filename}: {why}" if error.filename else why[:1].upper() + why[1:]
    if isinstance(error, MemoryError):
        return "There is not enough memory. Close other programs, or use a smaller model or text."
    return told(error, command)


def told(error: BaseException, command: click.Command | None) -> str:
    """An error's text in the words of a command: its options stand for the settings, and no option that it lacks."""
    params: Sequence[click.Parameter] = () if command is None else command.params
    options = {each.name: max(each.opts, key=len) for each in params if isinstance(each, click.Option)}
    if isinstance(error, ConfigError) and error.field in options and str(error).startswith(error.field):
        sentence = f"{options[error.field]}{str(error).removeprefix(error.field)}"
        for name in error.others:
            sentence = re.sub(rf"(?<![\w-]){name}\b", options.get(name, name), sentence, count=1)
        return sentence
    if isinstance(error, UnknownCharacterError) and error.remedy:
        them = "them" if len(error.characters) > 1 else "it"
        flag = options.get("unknown")
        copied = f" {options['copy_unknown']} to copy {them}," if "copy_unknown" in options else ""
        others = f", or pass{copied} {flag} skip to drop {them} or {flag} replace to replace {them}" if flag else ""
        return f"{error.message} Remove {them}{others}."
    return str(error)


def visible(text: str) -> str:
    r"""Escapes control characters of untrusted text for a terminal.

    >>> visible("one\ntwo\tthree \x1b[31mred")
    'one\ntwo\tthree \\x1b[31mred'
    """
    if text.isprintable():
        return text
    return "".join(c if c.isprintable() or c in "\n\t" or not _steers(c) else ascii(c)[1:-1] for c in text)


def echo_unchanged(text: str) -> None:
    """Writes a text to standard output, in UTF-8, with its own newlines and end; on a terminal, fit for one."""
    if is_terminal(sys.stdout):
        click.echo(visible(text), nl=not text.endswith("\n"))
    else:
        # A text stream would write other newlines on Windows.
        click.echo(text.encode("utf-8", "backslashreplace"), nl=False)


def on_one_line(text: str) -> str:
    r"""A text without the characters that part lines and columns.

    >>> print(on_one_line("The sea,\nthe\tsea"))
    The sea,\nthe\tsea
    """
    return text.replace("\n", r"\n").replace("\r", r"\r").replace("\t", r"\t")


def _steers(character: str) -> bool:
    """Whether a character is a control character or a lone surrogate."""
    code = ord(character)
    return code < 0x20 or 0x7F <= code < 0xA0 or 0xD800 <= code < 0xE000


def write_examples(examples: Sequence[str], formatter: click.HelpFormatter) -> None:
    """Writes the examples section of the help, unwrapped so that they can be copied."""
    if examples:
        with formatter.section("Examples"):
            for example in examples:
                formatter.write(f"{'':{formatter.current_indent}}{example}\n")


def debug_option() -> click.Option:
    """`--debug`, on the group and on every command."""

    def remember(ctx: click.Context, _: click.Parameter, value: bool) -> None:
        if value:
            ctx.meta[_DEBUG] = True

    return click.Option(
        ["--debug"], is_flag=True, expose_value=False, callback=remember, help="Show the traceback of an error."
    )


def command(name: str, *, examples: Sequence[str]) -> Callable[[Callable[..., Any]], Command]:
    """Decorator that makes a function a command; its docstring is the help."""
    return click.command(name, cls=Command, examples=examples)

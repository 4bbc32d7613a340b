"""Click parameter types and options that commands share, most of them made from configurations' fields."""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, TypeVar

import click
from click.shell_completion import CompletionItem

from textgen.cli.command import Option
from textgen.config import Config, CorpusConfig, FillConfig, SamplingConfig, Setting
from textgen.display.format import short_duration

F = TypeVar("F", bound=Callable[..., Any])

CHECKPOINTS = Path("checkpoints")


class Duration(click.ParamType):  # type: ignore[type-arg]
    """A duration with units, such as 90s, 3m or 1h30m, in seconds."""

    name = "duration"
    _PARTS = re.compile(r"(?:(\d+(?:\.\d+)?)h)?(?:(\d+(?:\.\d+)?)m)?(?:(\d+(?:\.\d+)?)s)?")

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> float:
        """Parses a duration.

        >>> [Duration().convert(text, None, None) for text in ("90s", "3m", "1h30m", "1.5h", "2m 30s")]
        [90.0, 180.0, 5400.0, 5400.0, 150.0]
        """
        if isinstance(value, (int, float)):
            return float(value)
        text = "".join(str(value).lower().split())
        parts = self._PARTS.fullmatch(text)
        if not text or parts is None:
            unit = f" Write {text}s, {text}m or {text}h." if re.fullmatch(r"\d+(\.\d+)?", text) else ""
            self.fail(f"{value!r} is not a duration such as 90s, 3m or 1h30m.{unit}", param, ctx)
        hours, minutes, seconds = (float(part or 0.0) for part in parts.groups())
        return 3600.0 * hours + 60.0 * minutes + seconds


class DurationOrSteps(Duration):
    """A duration or a number of steps, such as 30s, 200 or 200steps."""

    name = "pace"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> float:
        """Parses either: seconds as a float, steps as an int.

        >>> [DurationOrSteps().convert(text, None, None) for text in ("30s", "1.5m", "200", "200 steps", "1step")]
        [30.0, 90.0, 200, 200, 1]
        """
        steps = re.fullmatch(r"\s*(\d{1,18})\s*(steps?)?\s*", str(value), re.IGNORECASE | re.ASCII)
        return int(steps[1]) if steps else super().convert(value, param, ctx)


class Text(click.ParamType):  # type: ignore[type-arg]
    """A text that a model is to read, in UTF-8 whatever the locale."""

    name = "text"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> str:
        """Decodes bytes that Python could not decode in the locale's encoding, and kept as surrogates."""
        text = str(value)
        try:
            text.encode()
        except UnicodeEncodeError:
            try:
                return os.fsencode(text).decode()
            except UnicodeError:
                self.fail(f"{text!r} is not valid UTF-8. Give it in UTF-8, or leave out what is invalid.", param, ctx)
        return text


class AnyPath(click.Path):
    """A path that need not exist; only impossible ones are errors.

    One that cannot be read is none of usage: what reads it says so.
    """

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(readable=False, **kwargs)

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        """Parses a path."""
        try:
            return super().convert(value, param, ctx)
        except ValueError:
            self.fail(f"{value!r} cannot be a path.", param, ctx)


class OutputPath(AnyPath):
    """The path of a file to write."""

    def __init__(self) -> None:
        super().__init__(path_type=Path)

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        """Parses a path; refuses -, which means standard output elsewhere and would become a file of that name."""
        if str(value) == "-":
            self.fail("standard output is not for a file; give the file a name.", param, ctx)
        return super().convert(value, param, ctx)


class Numbers(click.ParamType):  # type: ignore[type-arg]
    """One number, or several separated by commas."""

    name = "numbers"

    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> float | tuple[float, ...]:
        """Parses one or several.

        >>> Numbers().convert("0.8", None, None), Numbers().convert("0.2, 0.5,1", None, None)
        (0.8, (0.2, 0.5, 1.0))
        """
        if not isinstance(value, str):
            return value  # type: ignore[no-any-return]
        try:
            numbers = tuple(float(part) for part in value.split(","))
        except ValueError:
            self.fail(f"{value!r} is not a number or a comma-separated list of numbers.", param, ctx)
        if re.fullmatch(r"\d,\d+", value):
            flag = f"{max(param.opts, key=len)} " if param is not None else ""
            number = value.replace(",", ".")
            click.echo(
                f"Note: {flag}{value} is {' and '.join(value.split(','))} in turn; type {number} for the number.",
                err=True,
            )
        return numbers[0] if len(numbers) == 1 else numbers


def setting(*flags: str, config: type[Config], **kwargs: Any) -> Callable[[F], F]:
    """An option for a configuration's field, with the field's name, type, default and help.

    Args:
        flags: the option, and the field's name if it differs.
        config: the configuration.
        kwargs: arguments of `click.option` that override the field's.
    """
    declared = config.declared[_field(flags)]
    return click.option(
        *_named(flags),
        cls=Option,
        **{
            **_type(declared, config),
            "default": _default(declared),
            "show_default": True,
            "help": declared.line,
            **kwargs,
        },
    )


def optional(
    *flags: str, config: type[Config] | None = None, otherwise: str | None = None, **kwargs: Any
) -> Callable[[F], F]:
    """An option that is None unless given; the help describes the default.

    Args:
        flags: the option, and the field's name if it differs.
        config: the configuration whose field has type, help and default; None for no field.
        otherwise: the default, in words.
        kwargs: arguments of `click.option` that override the field's.
    """
    if config is not None:
        declared = config.declared[_field(flags)]
        kwargs = {**_type(declared, config), "help": declared.line, **kwargs}
        otherwise = _default_text(declared) if otherwise is None else otherwise
    note = f"  [default: {otherwise}]" if otherwise else ""
    return click.option(*_named(flags), cls=Option, default=None, **{**kwargs, "help": kwargs["help"] + note})


def optional_settings(
    config: type[Config], *fields: str, section: str = "Options", **special: Mapping[str, Any]
) -> Callable[[F], F]:
    """Options that are None unless given, for several fields of a configuration, in this order.

    Args:
        config: the configuration.
        fields: their names.
        section: title of their section.
        special: for a field, arguments of `click.option` that override its own.
    """

    def decorate(function: F) -> F:
        for name in reversed(fields):
            more = {"section": section, **special.get(name, {})}
            function = optional(_flag(config.declared[name]), config=config, **more)(function)
        return function

    return decorate


def _flag(declared: Setting) -> str:
    """The option for a field; one that is on by default can be turned off."""
    flag = "--" + declared.name.replace("_", "-")
    both = declared.kind is bool and declared.default_text == "on"
    return f"{flag}/--no-{flag.removeprefix('--')}" if both else flag


def _default(declared: Setting) -> Any:
    """A field's default; a duration as it is typed, since a number without a unit is refused."""
    is_duration = declared.unit == "seconds" and isinstance(declared.default, (int, float))
    return short_duration(declared.default) if is_duration else declared.default


def _default_text(declared: Setting) -> str:
    """A field's default in words, a duration as it is typed."""
    default = _default(declared)
    return declared.default_text if declared.otherwise or default is declared.default else str(default)


def _type(declared: Setting, config: type[Config]) -> dict[str, Any]:
    """The arguments of `click.option` for a field's type."""
    if declared.kind is bool:
        return {} if declared.default_text == "on" else {"is_flag": True}
    if declared.choices:
        return {"type": click.Choice(declared.choices)}
    if declared.unit == "seconds":
        return {"type": Duration()}
    kind = Text() if config in (FillConfig, SamplingConfig) and declared.kind is str else declared.kind
    if declared.several:
        return {"type": Numbers()} if declared.kind is float else {"type": kind, "multiple": True}
    return {"type": kind}


def _named(flags: Sequence[str]) -> tuple[str, ...]:
    """The flags and the parameter's name."""
    return (*[flag for flag in flags if flag.startswith("-")], _field(flags))


def _field(flags: Sequence[str]) -> str:
    name = next((flag for flag in flags if not flag.startswith("-")), flags[0])
    return name.split("/")[0].removeprefix("--").replace("-", "_")


def checkpoints_option(function: F) -> F:
    """`--checkpoints`."""
    return click.option(
        "--checkpoints",
        type=AnyPath(path_type=Path),
        default=CHECKPOINTS,
        show_default=True,
        metavar="FOLDER",
        help="Folder that holds the runs.",
    )(function)


def run_names(ctx: click.Context, _: click.Parameter, incomplete: str) -> Sequence[CompletionItem]:
    """The names of the runs, for shell completion."""
    try:
        places = list(Path(ctx.params.get("checkpoints") or CHECKPOINTS).iterdir())
    except OSError:
        places = []
    folders = sorted(path.name for path in places if path.is_dir() and not path.name.startswith("."))
    names = [CompletionItem(name) for name in folders if name.startswith(incomplete)]
    return names or [CompletionItem(incomplete, type="file")]


def run_option(function: F) -> F:
    """`--run`, as the parameter `runs`: those to mix, each perhaps with a weight."""
    return click.option(
        "--run",
        "runs",
        metavar="NAME[:WEIGHT]",
        multiple=True,
        shell_complete=run_names,
        help="A run's name or folder, or a .keras file; several are mixed by their weights, 1 unless given.  "
        "[default: the newest run]",
    )(function)


def adapt_option(function: F) -> F:
    """`--adapt`."""
    return click.option(
        "--adapt",
        metavar="FILE",
        type=AnyPath(allow_dash=True),
        help="First adapt the model to this text, its names and style; - is standard input.",
    )(function)


def errors_option(function: F) -> F:
    """`--errors`, for the texts that a command reads."""
    return optional("--errors", config=CorpusConfig, otherwise="as in training")(function)


def json_option(help: str) -> Callable[[F], F]:  # noqa: A002
    """`--json`."""
    return click.option("--json", "as_json", is_flag=True, help=help)


def text_field_option(function: F) -> F:
    """`--text-field`, for a FILE that may be a table."""
    return optional(
        "--text-field",
        metavar="NAME",
        otherwise="for a .csv, .tsv or .jsonl file the run's",
        help="Column or field of FILE, a table, that holds the text; each row is a record.",
    )(function)


def label_field_option(help: str, otherwise: str | None = None) -> Callable[[F], F]:  # noqa: A002
    """`--label-field`, for a FILE that may be a table."""
    return optional("--label-field", metavar="NAME,...", otherwise=otherwise, help=help)

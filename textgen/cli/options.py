"""Types of values and options that commands share; what configurations declare makes most of the options."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, TypeVar

import click
from click.shell_completion import CompletionItem

from textgen.cli.command import Option
from textgen.config import Config, CorpusConfig, Setting

F = TypeVar("F", bound=Callable[..., Any])

CHECKPOINTS = Path("checkpoints")


class Duration(click.ParamType):  # type: ignore[type-arg]
    """Seconds, written with their units: 90s, 3m, 1h30m."""

    name = "duration"
    _PARTS = re.compile(r"(?:(\d+(?:\.\d+)?)h)?(?:(\d+(?:\.\d+)?)m)?(?:(\d+(?:\.\d+)?)s)?")

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> float:
        """Reads a duration.

        >>> [Duration().convert(text, None, None) for text in ("90s", "3m", "1h30m", "1.5h", "2m 30s")]
        [90.0, 180.0, 5400.0, 5400.0, 150.0]
        """
        if isinstance(value, (int, float)):
            return float(value)
        text = "".join(str(value).lower().split())
        parts = self._PARTS.fullmatch(text)
        if not text or parts is None:
            unit = f" Write {text}s, {text}m or {text}h." if re.fullmatch(r"\d+(\.\d+)?", text) else ""
            self.fail(f"{value!r} is no duration such as 90s, 3m or 1h30m.{unit}", param, ctx)
        hours, minutes, seconds = (float(part or 0.0) for part in parts.groups())
        return 3600.0 * hours + 60.0 * minutes + seconds


class Pace(Duration):
    """A time as `Duration` reads it, or a number of steps: 30s, 200, 200steps."""

    name = "pace"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> float:
        """Reads a pace: seconds are a float, steps an int.

        >>> [Pace().convert(text, None, None) for text in ("30s", "1.5m", "200", "200 steps", "1step")]
        [30.0, 90.0, 200, 200, 1]
        """
        steps = re.fullmatch(r"\s*(\d{1,18})\s*(steps?)?\s*", str(value), re.IGNORECASE | re.ASCII)
        return int(steps[1]) if steps else super().convert(value, param, ctx)


class Place(click.Path):
    """A path of any kind, refused only where no system could have it."""

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        """Reads a path."""
        try:
            return super().convert(value, param, ctx)
        except ValueError:
            self.fail(f"{value!r} cannot be a path.", param, ctx)


class Numbers(click.ParamType):  # type: ignore[type-arg]
    """One number, or several parted by commas."""

    name = "numbers"

    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> float | tuple[float, ...]:
        """Reads them.

        >>> Numbers().convert("0.8", None, None), Numbers().convert("0.2, 0.5,1", None, None)
        (0.8, (0.2, 0.5, 1.0))
        """
        if not isinstance(value, str):
            return value  # type: ignore[no-any-return]
        try:
            numbers = tuple(float(part) for part in value.split(","))
        except ValueError:
            self.fail(f"{value!r} is no number, and no numbers parted by commas.", param, ctx)
        return numbers[0] if len(numbers) == 1 else numbers


def setting(*flags: str, config: type[Config], **kwargs: Any) -> Callable[[F], F]:
    """An option for a configuration's field: name, type, default and help are those that the field declares.

    Args:
        flags: the option, and the field's name where that differs.
        config: the configuration.
        kwargs: arguments of `click.option` that differ from what the field declares.
    """
    declared = config.declared[_field(flags)]
    return click.option(
        *_named(flags),
        cls=Option,
        **{**_type(declared), "default": declared.default, "show_default": True, "help": declared.line, **kwargs},
    )


def wish(
    *flags: str, config: type[Config] | None = None, otherwise: str | None = None, **kwargs: Any
) -> Callable[[F], F]:
    """An option that is None unless it is given; the help tells what holds otherwise.

    Args:
        flags: the option, and the field's name where that differs.
        config: the configuration whose field declares type, help and what holds otherwise; None for no field.
        otherwise: what holds otherwise, in words.
        kwargs: arguments of `click.option` that differ from what the field declares.
    """
    if config is not None:
        declared = config.declared[_field(flags)]
        kwargs = {**_type(declared), "help": declared.line, **kwargs}
        otherwise = declared.default_text if otherwise is None else otherwise
    note = f"  [default: {otherwise}]" if otherwise else ""
    return click.option(*_named(flags), cls=Option, default=None, **{**kwargs, "help": kwargs["help"] + note})


def wishes(
    config: type[Config], *fields: str, section: str = "Options", **special: Mapping[str, Any]
) -> Callable[[F], F]:
    """An option that is None unless it is given for each of some fields, in this order.

    Args:
        config: the configuration that declares them.
        fields: their names.
        section: the title they stand under.
        special: for a field, arguments of `click.option` that differ from what it declares.
    """

    def decorate(function: F) -> F:
        for name in reversed(fields):
            more = {"section": section, **special.get(name, {})}
            function = wish(_flag(config.declared[name]), config=config, **more)(function)
        return function

    return decorate


def _flag(declared: Setting) -> str:
    """The option for a field; what is on, or turned on by training's recipe, can be turned off."""
    flag = "--" + declared.name.replace("_", "-")
    both = declared.kind is bool and declared.default_text == "on"
    return f"{flag}/--no-{flag.removeprefix('--')}" if both else flag


def _type(declared: Setting) -> dict[str, Any]:
    """What Click is told about the type of a field."""
    if declared.kind is bool:
        return {} if declared.default_text == "on" else {"is_flag": True}
    if declared.choices:
        return {"type": click.Choice(declared.choices)}
    if declared.unit == "seconds":
        return {"type": Duration()}
    if declared.several:
        return {"type": Numbers()} if declared.kind is float else {"type": declared.kind, "multiple": True}
    return {"type": declared.kind}


def _named(flags: Sequence[str]) -> tuple[str, ...]:
    """Flags with the name of their parameter."""
    return (*[flag for flag in flags if flag.startswith("-")], _field(flags))


def _field(flags: Sequence[str]) -> str:
    name = next((flag for flag in flags if not flag.startswith("-")), flags[0])
    return name.split("/")[0].removeprefix("--").replace("-", "_")


def checkpoints_option(function: F) -> F:
    """`--checkpoints`."""
    return click.option(
        "--checkpoints",
        type=Place(path_type=Path),
        default=CHECKPOINTS,
        show_default=True,
        metavar="FOLDER",
        help="The folder of the run folders.",
    )(function)


def run_names(ctx: click.Context, _: click.Parameter, incomplete: str) -> Sequence[CompletionItem]:
    """The runs' names, for shell completion."""
    try:
        folders = [path.name for path in Path(ctx.params.get("checkpoints") or CHECKPOINTS).iterdir() if path.is_dir()]
    except OSError:
        folders = []
    names = [CompletionItem(name) for name in sorted(folders) if name.startswith(incomplete)]
    return names or [CompletionItem(incomplete, type="file")]


def run_option(function: F) -> F:
    """`--run`."""
    return click.option(
        "--run",
        metavar="NAME",
        shell_complete=run_names,
        help="A run's name or folder, or a .keras file.  [default: the newest run]",
    )(function)


def adapt_option(function: F) -> F:
    """`--adapt`."""
    return click.option(
        "--adapt",
        metavar="FILE",
        type=Place(allow_dash=True),
        help="First read this text and learn from it: its names, its manner; - is standard input.",
    )(function)


def errors_option(function: F) -> F:
    """`--errors`, for the texts that a command reads."""
    return wish("--errors", config=CorpusConfig, otherwise="as in training")(function)


def json_option(help: str) -> Callable[[F], F]:  # noqa: A002
    """`--json`."""
    return click.option("--json", "as_json", is_flag=True, help=help)

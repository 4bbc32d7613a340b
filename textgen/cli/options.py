"""Kinds of values and options that several commands share; every default is read from the configurations."""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, TypeVar

import click
from click.shell_completion import CompletionItem

from textgen.cli.command import Option

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


def default(config: type, field: str) -> Any:
    """A field's default, from the configuration that owns it."""
    return next(f.default for f in dataclasses.fields(config) if f.name == field)


def setting(*flags: str, config: type, help: str, **kwargs: Any) -> Callable[[F], F]:  # noqa: A002
    """An option for a configuration's field, from which it has its name and its default."""
    field = _field(flags)
    return click.option(
        *_named(flags), cls=Option, default=default(config, field), show_default=True, help=help, **kwargs
    )


def wish(
    *flags: str,
    config: type | None = None,
    otherwise: str | None = None,
    help: str,  # noqa: A002
    **kwargs: Any,
) -> Callable[[F], F]:
    """An option that is None unless it is given; the help tells what holds otherwise.

    Args:
        flags: the option, and the field's name where that differs.
        config: the configuration whose default holds otherwise.
        otherwise: what holds otherwise, in words.
        help: the help.
        kwargs: further arguments of `click.option`.
    """
    field = _field(flags)
    if otherwise is None and config is not None:
        otherwise = _shown(default(config, field))
    note = f"  [default: {otherwise}]" if otherwise else ""
    return click.option(*_named(flags), cls=Option, default=None, help=help + note, **kwargs)


def _named(flags: Sequence[str]) -> tuple[str, ...]:
    """Flags with the name of their parameter."""
    return (*[flag for flag in flags if flag.startswith("-")], _field(flags))


def _field(flags: Sequence[str]) -> str:
    name = next((flag for flag in flags if not flag.startswith("-")), flags[0])
    return name.split("/")[0].removeprefix("--").replace("-", "_")


def _shown(value: Any) -> str | None:
    if isinstance(value, bool):
        return "on" if value else "off"
    return None if value is None else f"{value:g}" if isinstance(value, float) else str(value)


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


def json_option(help: str) -> Callable[[F], F]:  # noqa: A002
    """`--json`."""
    return click.option("--json", "as_json", is_flag=True, help=help)

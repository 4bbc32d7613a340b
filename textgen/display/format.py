"""Figures as people read them, and tables of them."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import Any

from textgen.config import cell_name
from textgen.system import width


def number(value: Any, form: str, unit: str = "") -> str:
    """A number in a format, with its unit; nothing where there is none.

    >>> number(1.4171, ".3f", " nats"), number(None, ".3f", " nats")
    ('1.417 nats', '')
    """
    return f"{value:{form}}{unit}" if _is_number(value) else ""


def duration(seconds: Any) -> str:
    """Seconds for people.

    >>> [duration(value) for value in (0.4, 59.7, 90, 5400, 200_000, None)]
    ['0s', '1m 00s', '1m 30s', '1h 30m', '55h 33m', '']
    """
    if not _is_number(seconds):
        return ""
    whole = round(seconds)
    if whole < 60:
        return f"{whole}s"
    if whole < 3600:
        return f"{whole // 60}m {whole % 60:02}s"
    return f"{whole // 3600}h {whole % 3600 // 60:02}m"


def short_duration(seconds: float) -> str:
    """Seconds for people, in whole units: what a budget is called.

    >>> short_duration(90), short_duration(180), short_duration(5400)
    ('1m 30s', '3m', '1h 30m')
    """
    whole = round(seconds)
    parts = [(whole // 3600, "h"), (whole % 3600 // 60, "m"), (whole % 60, "s")]
    return " ".join(f"{value}{unit}" for value, unit in parts if value) or "0s"


def _is_number(value: Any) -> bool:
    """Whether a value from a stranger's file can be shown as a number."""
    return isinstance(value, (int, float)) and not isinstance(value, bool) and abs(value) < 1e300


def age(seconds: float) -> str:
    """How long ago something was.

    >>> [age(value) for value in (3, 61, 7300, 86_400, 200_000)]
    ['just now', '1 minute ago', '2 hours ago', '1 day ago', '2 days ago']
    """
    for unit, length in (("day", 86_400), ("hour", 3600), ("minute", 60)):
        if seconds >= length:
            count = int(seconds // length)
            return f"{count} {unit}{'s' if count > 1 else ''} ago"
    return "just now"


def size(model: Mapping[str, Any]) -> str:
    """A model's shape.

    >>> size({"layers": 2, "units": 384, "cell": "lstm"})
    '2 x 384 LSTM'
    """
    return f"{model.get('layers')} x {model.get('units')} {cell_name(model.get('cell'))}"


def table(rows: Sequence[Sequence[str]], *, right: Collection[int] = ()) -> list[str]:
    """Lines of a table in columns, the first row being its head.

    Args:
        rows: texts, as many in each row.
        right: the columns that stand to the right.

    Example:
        >>> table([("run", "loss"), ("poems", "1.4"), ("sea", "12.25")], right=(1,))
        ['run     loss', 'poems    1.4', 'sea    12.25']
    """
    widths = [max(map(width, column)) for column in zip(*rows, strict=True)]
    return ["  ".join(_cell(text, widths[n], n in right) for n, text in enumerate(row)).rstrip() for row in rows]


def _cell(text: str, columns: int, right: bool) -> str:
    space = " " * (columns - width(text))
    return space + text if right else text + space

"""Human-readable numbers, durations and tables."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import Any

from textgen.config import cell_name
from textgen.system import width


def number(value: Any, form: str, unit: str = "") -> str:
    """A formatted number with its unit; empty if the value is not a number.

    >>> number(1.4171, ".3f", " nats"), number(None, ".3f", " nats")
    ('1.417 nats', '')
    """
    return f"{value:{form}}{unit}" if _is_number(value) else ""


def duration(seconds: Any) -> str:
    """A measured duration in its two largest units; empty if the value is not a number.

    Zeros stay, so that columns are even and a progress bar is not resized by each of its figures.

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
    """A chosen duration, such as a time budget: to the second, as it was given, and without units that are zero.

    >>> short_duration(90), short_duration(180), short_duration(5400), short_duration(3725)
    ('1m 30s', '3m', '1h 30m', '1h 2m 5s')
    """
    whole = round(seconds)
    parts = [(whole // 3600, "h"), (whole % 3600 // 60, "m"), (whole % 60, "s")]
    return " ".join(f"{value}{unit}" for value, unit in parts if value) or "0s"


def _is_number(value: Any) -> bool:
    """Whether a value from an untrusted file can be shown as a number."""
    return isinstance(value, (int, float)) and not isinstance(value, bool) and abs(value) < 1e300


def age(seconds: float) -> str:
    """A time span as an age.

    >>> [age(value) for value in (3, 61, 7300, 86_400, 200_000)]
    ['just now', '1 minute ago', '2 hours ago', '1 day ago', '2 days ago']
    """
    for unit, length in (("day", 86_400), ("hour", 3600), ("minute", 60)):
        if seconds >= length:
            count = int(seconds // length)
            return f"{count} {unit}{'s' if count > 1 else ''} ago"
    return "just now"


def size(model: Mapping[str, Any]) -> str:
    """A model's size: layers, units and cell; whether there is as much again for the other side, or it is of pairs.

    Args:
        model: the fields of `ModelConfig`, or what `Run.summary` tells, with the task that made the pairs.

    >>> size({"layers": 2, "units": 384, "cell": "lstm"})
    '2 x 384 LSTM'
    >>> size({"layers": 2, "units": 384, "cell": "gru", "sides": "both"})
    '2 x 384 GRU, both sides'
    >>> size({"layers": 1, "units": 256, "cell": "coupled", "pairs": True, "task": "spaces"})
    '1 x 256 coupled LSTM, pairs (spaces)'
    """
    kind = ", both sides" if model.get("sides") == "both" else ""
    if model.get("pairs") or model.get("encoder_layers"):
        kind = ", pairs" + (f" ({model['task']})" if model.get("task") else "")
    return f"{model.get('layers')} x {model.get('units')} {cell_name(model.get('cell'))}{kind}"


def table(rows: Sequence[Sequence[str]], *, right: Collection[int] = ()) -> list[str]:
    """The lines of a table in columns, with the first row as its header.

    Args:
        rows: the cells, as many in each row.
        right: the indices of right-aligned columns.

    Example:
        >>> table([("run", "loss"), ("poems", "1.4"), ("sea", "12.25")], right=(1,))
        ['run     loss', 'poems    1.4', 'sea    12.25']
    """
    widths = [max(map(width, column)) for column in zip(*rows, strict=True)]
    return ["  ".join(_cell(text, widths[n], n in right) for n, text in enumerate(row)).rstrip() for row in rows]


def _cell(text: str, columns: int, right: bool) -> str:
    space = " " * (columns - width(text))
    return space + text if right else text + space

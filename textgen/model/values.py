"""Checks single values of an untrusted `textgen.json`: each has the expected type, or becomes None."""

from __future__ import annotations

from typing import Any

METADATA = "textgen.json"


def number(value: Any) -> float | None:
    """Returns a finite number unchanged, and None for anything else.

    >>> number(1.5), number(2), number(True), number("1.5"), number(float("nan"))
    (1.5, 2, None, None, None)
    """
    known = isinstance(value, (int, float)) and not isinstance(value, bool) and abs(value) < 1e300
    return value if known else None


def count(value: Any) -> int | None:
    """Returns a whole number of at least 0 unchanged, and None for anything else.

    >>> count(7), count(-1), count(7.0), count(True), count(10**400)
    (7, None, None, None, None)
    """
    return value if type(value) is int and 0 <= value < 2**63 else None


def text(value: Any) -> str | None:
    """Returns a string unchanged, and None for anything else."""
    return value if isinstance(value, str) else None


def is_texts(value: Any) -> bool:
    """Whether a value is a list of strings, which may be empty."""
    return isinstance(value, list) and all(isinstance(each, str) for each in value)


def not_as_written(section: str) -> ValueError:
    """The error about an invalid section; its message is a clause about the file."""
    return ValueError(f"its {METADATA} is not as textgen writes it at {section!r}")

"""Single values of `textgen.json`, which may come from a stranger: each is of the expected kind, or unknown."""

from __future__ import annotations

from typing import Any

METADATA = "textgen.json"


def number(value: Any) -> float | None:
    """A finite number as it is, anything else as None.

    >>> number(1.5), number(2), number(True), number("1.5"), number(float("nan"))
    (1.5, 2, None, None, None)
    """
    known = isinstance(value, (int, float)) and not isinstance(value, bool) and abs(value) < 1e300
    return value if known else None


def count(value: Any) -> int | None:
    """A whole number of at least 0 as it is, anything else as None.

    >>> count(7), count(-1), count(7.0), count(True), count(10**400)
    (7, None, None, None, None)
    """
    return value if type(value) is int and 0 <= value < 2**63 else None


def text(value: Any) -> str | None:
    """A text as it is, anything else as None."""
    return value if isinstance(value, str) else None


def is_texts(value: Any) -> bool:
    """Whether a value is a list of texts, which may be empty."""
    return isinstance(value, list) and all(isinstance(each, str) for each in value)


def not_as_written(section: str) -> ValueError:
    """The error about a section that no textgen wrote so: a clause about the file."""
    return ValueError(f"its {METADATA} is not as textgen writes it at {section!r}")

"""What tables of all kinds share: the fields to read, rows of them, labels, and errors about missing fields."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from textgen.errors import CorpusError

_SHOWN = 12
_LONGEST = 40


class Fields(NamedTuple):
    """The fields of a table to read.

    Attributes:
        text: the field that holds the text.
        labels: the fields that hold labels.
        option: the option that names the field of the text, for messages.
        names: the fields of a table whose first row does not name them; empty where it does.
    """

    text: str
    labels: tuple[str, ...] = ()
    option: str = "--text-field"
    names: tuple[str, ...] = ()


class Rows(NamedTuple):
    """Some rows of a table, in their order.

    Attributes:
        texts: their texts; "" where there is none.
        labels: for each row its distinct labels, sorted.
    """

    texts: list[str]
    labels: list[tuple[str, ...]]


def labels_of(value: str) -> tuple[str, ...]:
    """The labels in a cell: what commas separate, without the spaces around it, each once, sorted.

    >>> labels_of("sea, poe,,sea")
    ('poe', 'sea')
    """
    return tuple(sorted({label.strip() for label in value.split(",")} - {""}))


def missing_field(name: str, option: str, field: str, found: Sequence[str]) -> CorpusError:
    """The error for a table that lacks the field that an option names.

    >>> print(missing_field("poems.csv", "--text-field", "verse", ["text", "author"]))
    poems.csv has no field 'verse'; it has 'text' and 'author'. Name one of them with --text-field.
    """
    return CorpusError(f"{name} has no field {field!r}; it has {show_names(found)}. Name one of them with {option}.")


def show_names(names: Sequence[str]) -> str:
    """The names of fields for a message, at most a dozen.

    >>> show_names(["id", "text", "author"]), show_names(["text"]), show_names([])
    ("'id', 'text' and 'author'", "'text'", 'none')
    """
    if not names:
        return "none"
    shown = [repr(name if len(name) <= _LONGEST else f"{name[:_LONGEST]}...") for name in names[:_SHOWN]]
    if len(names) > _SHOWN:
        return f"{', '.join(shown)} and {len(names) - _SHOWN:,} more"
    return " and ".join(filter(None, [", ".join(shown[:-1]), shown[-1]]))

r"""A regular expression as a position automaton: which characters may come first, and which after which.

Python's own `re` parses the pattern, and compiles each set of characters in it, so that `\w`, `[^a-z]` and `(?i)` mean
what they mean there. From the parse tree follows Glushkov's automaton (1961): each occurrence of a character or a set
in the pattern is a position, and a text matches if its characters can be read at positions that follow one another.
Sets of positions are the bits of an integer.
"""

from __future__ import annotations

import importlib
import re
import warnings
from collections.abc import Callable, Iterator
from typing import Any

from textgen.errors import ConfigError

# The tree is what Python's `re` compiles from; it has no public name.
_parser: Any = importlib.import_module("re._parser")

LONGEST = 20_000
"""Maximum length of a pattern in characters."""

POSITIONS = 10_000
"""Maximum number of positions; those of a repetition count as often as it can be written."""

_KEPT = re.IGNORECASE | re.DOTALL | re.ASCII
_CATEGORIES = {"DIGIT": r"\d", "NOT_DIGIT": r"\D", "SPACE": r"\s", "NOT_SPACE": r"\S", "WORD": r"\w", "NOT_WORD": r"\W"}
_UNSUPPORTED = {
    "ASSERT": "a lookahead or lookbehind",
    "ASSERT_NOT": "a lookahead or lookbehind",
    "FAILURE": "a lookahead or lookbehind",
    "GROUPREF": "a backreference",
    "GROUPREF_EXISTS": "a conditional group",
    "ATOMIC_GROUP": "an atomic group",
    "POSSESSIVE_REPEAT": "a possessive quantifier",
}
_WORDS = {
    "AT_BOUNDARY": r"\b",
    "AT_NON_BOUNDARY": r"\B",
    "AT_BEGINNING": "^",
    "AT_BEGINNING_STRING": r"\A",
    "AT_END": "$",
    "AT_END_STRING": r"\Z",
}
_STARTS, _ENDS = ("AT_BEGINNING", "AT_BEGINNING_STRING"), ("AT_END", "AT_END_STRING")

Spend = Callable[[int], None]
"""Is told of work before it is done; raises an error where all of it is too much."""


def without_limit(amount: int) -> None:
    """Allows any `amount` of work."""


class Pattern:
    """The position automaton of a regular expression, for whole texts (as `re.fullmatch`).

    Its last position is the end: it is read after the last character.

    Args:
        source: the regular expression, in the syntax of Python's `re`.
        spend: is told of the work, so that a limit can be set.

    Attributes:
        first: the positions that may come first.
        follow: for each position those that may come next; the end's are none.
        sets: for each position but the end, the number of its set of characters in `characters`.
        characters: the distinct sets, each a compiled pattern of one character.

    Raises:
        ConfigError: it is not a regular expression, or holds something that no automaton can check.

    >>> pattern = Pattern("ab?")
    >>> f"{pattern.first:b}", [f"{each:03b}" for each in pattern.follow], [each.pattern for each in pattern.characters]
    ('1', ['110', '100', '000'], ['a', 'b'])
    """

    def __init__(self, source: str, spend: Spend = without_limit) -> None:
        self.follow: list[int] = []
        self.sets: list[int] = []
        self.characters: list[re.Pattern[str]] = []
        self._numbers: dict[tuple[str, int], int] = {}
        self._source, self._spend = source, spend
        tree = _parsed(source)
        try:
            nullable, self.first, last = self._sequence(list(tree), tree.state.flags, True, True)
        except RecursionError:
            raise _refused(source, "has groups that are nested too deeply", "Nest fewer of them.") from None
        end = 1 << len(self.follow)
        self.first |= end if nullable else 0
        self._connect(last, end)
        self.follow.append(0)

    @property
    def end(self) -> int:
        """The end's bit."""
        return 1 << (len(self.follow) - 1)

    def _sequence(self, items: list[Any], flags: int, start: bool, end: bool) -> tuple[bool, int, int]:
        """Whether items one after the other may be empty, and their first and last positions.

        `start` and `end` say whether the items stand at the beginning and the end of the whole pattern, where the
        anchors change nothing.
        """
        while start and items and self._anchor(items[0], flags) in _STARTS:
            items = items[1:]
        while end and items and self._anchor(items[-1], flags) in _ENDS:
            items = items[:-1]
        nullable, first, last = True, 0, 0
        for n, item in enumerate(items):
            empty, head, tail = self._item(item, flags, start and n == 0, end and n == len(items) - 1)
            self._connect(last, head)
            first |= head if nullable else 0
            last = tail | (last if empty else 0)
            nullable = nullable and empty
        return nullable, first, last

    def _item(self, item: tuple[Any, Any], flags: int, start: bool, end: bool) -> tuple[bool, int, int]:
        self._spend(1)
        name, value = str(item[0]), item[1]
        if name == "SUBPATTERN":
            _, added, removed, inner = value
            if added & re.UNICODE:
                removed |= re.ASCII
            return self._sequence(list(inner), (flags | added) & ~removed, start, end)
        if name == "BRANCH":
            parts = [self._sequence(list(each), flags, start, end) for each in value[1]]
            nullable, first, last = False, 0, 0
            for empty, head, tail in parts:
                nullable, first, last = nullable or empty, first | head, last | tail
            return nullable, first, last
        if name in ("MAX_REPEAT", "MIN_REPEAT"):
            low, high, inner = value
            return self._repeat(int(low), None if high is _parser.MAXREPEAT else int(high), list(inner), flags)
        if name == "AT":
            anchor = _WORDS.get(str(value), str(value))
            where = " except at its beginning" if str(value) in _STARTS else ""
            where = " except at its end" if str(value) in _ENDS else where
            raise _refused(self._source, f"holds {anchor}, which is not supported{where}", "Leave it out.")
        if name in _UNSUPPORTED:
            raise _refused(self._source, f"holds {_UNSUPPORTED[name]}, which is not supported", "Leave it out.")
        return self._position(_set_source(name, value), flags)

    def _anchor(self, item: tuple[Any, Any], flags: int) -> str:
        return str(item[1]) if str(item[0]) == "AT" and not flags & re.MULTILINE else ""

    def _repeat(self, low: int, high: int | None, items: list[Any], flags: int) -> tuple[bool, int, int]:
        """Items from `low` to `high` times; None is without limit."""
        first = last = before = 0
        opened = True
        for n in range(max(low, 1) if high is None else high):
            made = len(self.follow)
            empty, head, tail = self._sequence(items, flags, False, False)
            if made == len(self.follow):
                # It reads no character, however often it is repeated.
                break
            self._connect(before, head)
            if high is None and n + 1 >= low:
                self._connect(tail, head)
            first |= head if opened else 0
            opened = opened and empty
            before = tail | (before if empty else 0)
            # An optional copy is left out together with all that come after it.
            last = before if n < low else last | tail
        return opened or low == 0, first, last

    def _position(self, source: str, flags: int) -> tuple[bool, int, int]:
        if len(self.follow) >= POSITIONS:
            raise _refused(
                self._source, f"has more than {POSITIONS:,} characters with its repetitions written out", "Shorten it."
            )
        key = (source, flags & _KEPT)
        if key not in self._numbers:
            self._numbers[key] = len(self.characters)
            self.characters.append(re.compile(*key))
        self.sets.append(self._numbers[key])
        bit = 1 << len(self.follow)
        self.follow.append(0)
        return False, bit, bit

    def _connect(self, before: int, after: int) -> None:
        if after:
            self._spend(before.bit_count() * weight(len(self.follow)))
            for each in bits(before):
                self.follow[each] |= after


def weight(positions: int) -> int:
    """The work of an operation on a set of so many positions, in that on a small one."""
    return 1 + positions // 1000


def bits(positions: int) -> Iterator[int]:
    """The numbers of the bits that are set, ascending.

    >>> list(bits(0b10110))
    [1, 2, 4]
    """
    while positions:
        lowest = positions & -positions
        yield lowest.bit_length() - 1
        positions ^= lowest


def _parsed(source: str) -> Any:
    if len(source) > LONGEST:
        raise _refused(source, f"is longer than {LONGEST:,} characters", "Shorten it.")
    try:
        with warnings.catch_warnings():
            # What may mean something else in a later version of Python is taken as this version takes it.
            warnings.simplefilter("ignore")
            return _parser.parse(source)
    except re.error as error:
        raise _refused(
            source,
            f"is not a regular expression: {error}",
            r"A backslash takes a character literally, such as \( or \+.",
        ) from error
    except (OverflowError, RecursionError, ValueError) as error:
        raise _refused(source, "repeats or nests too much", "Shorten it.") from error


def _refused(source: str, problem: str, remedy: str) -> ConfigError:
    shown = source if len(source) <= 100 else f"{source[:100]} ..."
    return ConfigError(f"match {problem}; got {shown!r}. {remedy}", field="match")


def _set_source(name: str, value: Any) -> str:
    """The source of a pattern of one character from an item of a parse tree."""
    if name == "ANY":
        return "."
    if name == "LITERAL":
        return re.escape(chr(value))
    if name == "NOT_LITERAL":
        return f"[^{re.escape(chr(value))}]"
    if name != "IN":
        raise ConfigError(f"match holds {name}, which is not supported. Leave it out.", field="match")
    parts = []
    for kind, what in value:
        kind = str(kind)
        if kind == "NEGATE":
            parts.append("^")
        elif kind == "RANGE":
            parts.append(f"{re.escape(chr(what[0]))}-{re.escape(chr(what[1]))}")
        elif kind == "CATEGORY":
            parts.append(_CATEGORIES[str(what).removeprefix("CATEGORY_")])
        else:
            parts.append(re.escape(chr(what)))
    return f"[{''.join(parts)}]"

"""Declares a setting's default, range, unit and help, from which validation and documentation follow."""

from __future__ import annotations

import dataclasses
import math
import numbers
import types
from collections.abc import Collection
from dataclasses import MISSING, dataclass
from typing import Any, Literal, TypeVar, Union, get_args, get_origin, overload

from textgen.errors import ConfigError

T = TypeVar("T")


def require(
    condition: bool, name: str, expected: str, got: object, remedy: str = "", *, others: tuple[str, ...] = ()
) -> None:
    """Raises `ConfigError`, in the form common to all settings, unless `condition` holds; `others` are its own.

    >>> require(False, "top_p", "in (0, 1]", 1.5, "Use 1.0 to switch it off.")
    Traceback (most recent call last):
    ...
    textgen.errors.ConfigError: top_p must be in (0, 1]; got 1.5. Use 1.0 to switch it off.
    """
    if not condition:
        raise ConfigError(f"{name} must be {expected}; got {_shown(got)}. {remedy}".rstrip(), field=name, others=others)


def plain(value: Any) -> Any:
    """A number of another library, such as NumPy's, as Python's own; anything else as it is.

    >>> import numpy as np
    >>> plain(np.int64(3)), plain(np.float32(0.5)), plain(np.bool_(True)), plain(np.array(2)), plain("3")
    (3, 0.5, True, 2, '3')
    """
    if value is None or type(value) in (bool, str, int, float):
        return value
    if isinstance(value, str):
        return value
    if not isinstance(value, numbers.Number) and getattr(value, "shape", None) == () and hasattr(value, "item"):
        value = value.item()
    if isinstance(value, numbers.Integral) and not isinstance(value, bool):
        return int(value)
    return float(value) if isinstance(value, numbers.Real) and not isinstance(value, bool) else value


def _shown(got: object) -> str:
    """A value's repr, truncated to fit into a sentence: it may be a whole text, or an integer of any length."""
    try:
        text = repr(got)
    except ValueError:
        return "a number of too many digits"
    return text if len(text) <= 100 else f"{text[:100]} ..."


@dataclass(frozen=True, kw_only=True)
class Setting:
    """The declaration of one field of a configuration.

    Args:
        name: the field's name.
        default: its default; `dataclasses.MISSING` if a value is required.
        kind: the type of a single value: `bool`, `int`, `float` or `str`.
        choices: the allowed values; those of a `Literal` unless declared.
        optional: whether None is allowed.
        several: whether a tuple of values is allowed.
        help: what it does, in one sentence of plain English.
        details: further sentences for the documentation.
        ge: the inclusive lower bound.
        gt: the exclusive lower bound.
        le: the inclusive upper bound.
        lt: the exclusive upper bound.
        unit: the unit of the number, such as "seconds".
        off: the value that switches it off.
        remedy: advice after a wrong value, instead of the value that switches it off.
        otherwise: what a command does without the setting, in words, where that is not the default.
        expected: what a string must be.
    """

    name: str
    default: Any
    kind: type
    choices: Collection[str] = ()
    optional: bool = False
    several: bool = False
    help: str
    details: str = ""
    ge: float | None = None
    gt: float | None = None
    le: float = math.inf
    lt: float | None = None
    unit: str = ""
    off: float | None = None
    remedy: str = ""
    otherwise: str = ""
    expected: str = ""

    @classmethod
    def of(cls, field: dataclasses.Field[Any], hint: Any) -> Setting:
        """The setting that a dataclass's field declares.

        Args:
            field: a field made by `setting`.
            hint: its annotation, evaluated.
        """
        parts = get_args(hint) if get_origin(hint) in (Union, types.UnionType) else (hint,)
        several = any(get_origin(part) is tuple for part in parts)
        (kind,) = {get_args(part)[0] if get_origin(part) is tuple else part for part in parts} - {types.NoneType}
        declaration = dict(field.metadata)
        choices = declaration.pop("choices", get_args(kind) if get_origin(kind) is Literal else ())
        return cls(
            name=field.name,
            default=field.default,
            kind=str if choices else kind,
            choices=choices,
            optional=types.NoneType in parts,
            several=several,
            **declaration,
        )

    def check(self, value: object) -> None:
        """Refuses a value that is not allowed.

        Raises:
            ConfigError: it is of the wrong type or out of range.
        """
        if value is None and self.optional:
            return
        remedy = self.remedy if self.off is None else f"Use {self.off} to switch it off."
        for each in value if self.several and isinstance(value, tuple) else (value,):
            if not self._allows(each):
                require(False, self.name, self.allowed, each, remedy)

    def _allows(self, value: Any) -> bool:
        if self.choices:
            return value in tuple(self.choices)
        if self.kind in (bool, str):
            return isinstance(value, self.kind)
        number = isinstance(value, int if self.kind is int else (int, float)) and not isinstance(value, bool)
        # An integer may be too large for `math.isnan`; only NaN differs from itself.
        return (
            number
            and value == value
            and (self.ge is None or value >= self.ge)
            and (self.gt is None or value > self.gt)
            and value <= self.le
            and (self.lt is None or value < self.lt)
        )

    @property
    def allowed(self) -> str:
        """The allowed values, as an error message names them.

        >>> Setting(name="top_p", default=1.0, kind=float, gt=0, le=1, help="").allowed
        'in (0, 1]'
        """
        if self.choices:
            return "one of " + ", ".join(self.choices)
        if self.kind is bool:
            return "true or false"
        if self.kind is str:
            return self.expected
        if self.kind is int:
            return f"a whole number in [{self.ge}, {self.le}]"
        low, high = self.ge if self.gt is None else self.gt, self.le if self.lt is None else self.lt
        if math.isinf(high):
            return f"{'at least' if self.gt is None else 'more than'} {low:g}"
        return f"in {'[' if self.gt is None else '('}{low:g}, {high:g}{']' if self.lt is None else ')'}"

    @property
    def line(self) -> str:
        """The help, with the value that switches it off.

        >>> Setting(name="top_k", default=0, kind=int, off=0, help="Only the likeliest.").line
        'Only the likeliest; 0 is off.'
        """
        return self.help if self.off is None else f"{self.help.removesuffix('.')}; {self.off:g} is off."

    @property
    def default_text(self) -> str:
        """The default in words; "" if there is none."""
        if self.otherwise:
            return self.otherwise
        if isinstance(self.default, bool):
            return "on" if self.default else "off"
        if isinstance(self.default, float):
            return f"{self.default:g}"
        return "" if self.default in (MISSING, None, ()) else str(self.default)

    @property
    def description(self) -> str:
        """Its meaning, allowed values, unit and default, in one paragraph."""
        parts = [self.line, self.details, f"Must be {self.allowed}{f', in {self.unit}' if self.unit else ''}."]
        if self.default is not MISSING:
            parts.append(f"Default: {self.default!r}{self._in_words()}.")
        return " ".join(part for part in parts if part)

    def _in_words(self) -> str:
        if not self.otherwise:
            return ""
        return f" ({self.otherwise})" if self.default is None else f"; in `textgen train`: {self.otherwise}"


@overload
def setting(*, default: T, **declaration: Any) -> T: ...


@overload
def setting(**declaration: Any) -> Any: ...


def setting(*, default: Any = MISSING, **declaration: Any) -> Any:
    """Declares a configuration's field.

    Args:
        default: its default; without one a value is required.
        **declaration: the arguments of `Setting` from `help` on, and `choices`.

    Example:
        class Drawing(Config):
            top_p: float = setting(default=1.0, gt=0, le=1, off=1.0, help="Only the likeliest characters.")
    """
    return dataclasses.field(default=default, metadata=declaration)

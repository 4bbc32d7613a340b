"""The base class of all configurations: frozen dataclasses with validation, JSON and generated documentation."""

from __future__ import annotations

import dataclasses
import inspect
import textwrap
from collections.abc import Mapping
from typing import Any, ClassVar, Self, dataclass_transform, get_type_hints

from textgen.config.fields import Setting, plain, require, setting
from textgen.errors import ConfigError


@dataclass_transform(frozen_default=True, kw_only_default=True, field_specifiers=(setting,))
class Config:
    """A frozen dataclass with keyword-only fields, validated and documented from their declarations.

    Attributes:
        declared: each field's `Setting`, by name.

    Example:
        >>> class Drawing(Config):
        ...     '''How a character is drawn.'''
        ...
        ...     top_p: float = setting(default=1.0, gt=0, le=1, off=1.0, help="Only the likeliest characters.")
        >>> Drawing(top_p=0.5)
        Drawing(top_p=0.5)
        >>> Drawing(top_p=1.5)
        Traceback (most recent call last):
        ...
        textgen.errors.ConfigError: top_p must be in (0, 1]; got 1.5. Use 1.0 to switch it off.
    """

    declared: ClassVar[Mapping[str, Setting]]

    def __init_subclass__(cls) -> None:
        dataclasses.dataclass(frozen=True, kw_only=True)(cls)
        hints = get_type_hints(cls)
        cls.declared = {f.name: Setting.of(f, hints[f.name]) for f in dataclasses.fields(cls)}  # type: ignore[arg-type]
        arguments = [
            textwrap.fill(f"{name}: {each.description}", 110, initial_indent="    ", subsequent_indent="        ")
            for name, each in cls.declared.items()
        ]
        cls.__doc__ = "\n".join([inspect.cleandoc(cls.__doc__ or ""), "", "Args:", *arguments])

    def __post_init__(self) -> None:
        for name, each in self.declared.items():
            value = getattr(self, name)
            # Numbers of other libraries would not go into a checkpoint's JSON.
            value = tuple(map(plain, value)) if isinstance(value, tuple) else plain(value)
            object.__setattr__(self, name, value)
            each.check(value)

    @classmethod
    def among(cls, values: Mapping[str, Any]) -> dict[str, Any]:
        """The items of `values` that are fields of this configuration."""
        return {name: value for name, value in values.items() if name in cls.declared}

    def to_json(self) -> dict[str, Any]:
        """The fields as plain JSON values."""
        return dataclasses.asdict(self)  # type: ignore[call-overload,no-any-return]

    @classmethod
    def from_json(cls, values: Mapping[str, Any]) -> Self:
        """The configuration that `to_json` wrote.

        Raises:
            ConfigError: a field is missing, unknown or out of range.
        """
        require(isinstance(values, Mapping), cls.__name__, "made of named fields", values)
        unknown = sorted(set(values) - set(cls.declared))
        require(not unknown, cls.__name__, "made of known fields only", unknown)
        arguments = {k: tuple(v) if isinstance(v, list) else v for k, v in values.items()}
        try:
            return cls(**arguments)
        except TypeError as error:
            raise ConfigError(f"{cls.__name__} must hold all of its fields; got {sorted(values)}.") from error

    def replace(self, **changes: Any) -> Self:
        """A copy with some fields changed, validated again."""
        return dataclasses.replace(self, **changes)  # type: ignore[type-var]

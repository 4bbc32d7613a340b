"""Gives functions that take a configuration's fields as keywords a full signature, and checks the names."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable
from typing import Any, ParamSpec, TypeVar, get_type_hints

from textgen.config.base import Config

P = ParamSpec("P")
R = TypeVar("R")


def keywords(table: type, *, defaults: type[Config] | None = None) -> Callable[[Callable[P, R]], Callable[P, R]]:
    """A decorator that expands `**settings: Unpack[table]` in a function's signature and checks the names.

    Args:
        table: the `TypedDict` of the keywords.
        defaults: the configuration whose defaults the signature shows; None shows None.

    Example:
        >>> from textgen.config import Controls, SamplingConfig
        >>> @keywords(Controls, defaults=SamplingConfig)
        ... def write(**controls):
        ...     return controls
        >>> inspect.signature(write).parameters["top_k"].default
        0
        >>> write(topk=3)
        Traceback (most recent call last):
        ...
        TypeError: write() got an unexpected keyword argument 'topk'. Did you mean 'top_k'?
    """

    def decorate(function: Callable[P, R]) -> Callable[P, R]:
        signature = inspect.signature(function)
        own = [each for each in signature.parameters.values() if each.kind is not inspect.Parameter.VAR_KEYWORD]
        spelled_out = [
            inspect.Parameter(
                name,
                inspect.Parameter.KEYWORD_ONLY,
                default=None if defaults is None else defaults.declared[name].default,
                annotation=hint,
            )
            for name, hint in get_type_hints(table).items()
        ]
        known = [each.name for each in (*own, *spelled_out)]

        @functools.wraps(function)
        def checked(*args: P.args, **kwargs: P.kwargs) -> R:
            for name in kwargs:
                if name not in known:
                    raise TypeError(_refusal(function.__name__, name, known))
            return function(*args, **kwargs)

        checked.__signature__ = signature.replace(parameters=[*own, *spelled_out])  # type: ignore[attr-defined]
        return checked

    return decorate


def _refusal(function: str, name: str, known: list[Any]) -> str:
    import difflib

    close = difflib.get_close_matches(name, known, n=1)
    meant = f" Did you mean {close[0]!r}?" if close else ""
    return f"{function}() got an unexpected keyword argument {name!r}.{meant}"

"""The capabilities of the process's output streams, on every operating system."""

from __future__ import annotations

import contextlib
import errno
import locale
import os
import sys
import unicodedata
from collections.abc import Callable, Mapping
from typing import Any, Literal, TextIO, cast


def is_terminal(stream: Any) -> bool:
    """Whether a stream is a terminal; False for one that is missing, closed or redirected."""
    try:
        return bool(stream.isatty())
    except (AttributeError, ValueError, OSError):
        return False


def is_dumb(environment: Mapping[str, str] | None = None) -> bool:
    """Whether `TERM` says that the terminal takes no escape sequences, as in a shell within Emacs.

    >>> is_dumb({"TERM": "dumb"}), is_dumb({"TERM": "unknown"}), is_dumb({"TERM": "xterm"}), is_dumb({})
    (True, True, False, False)
    """
    values = os.environ if environment is None else environment
    return values.get("TERM") in ("dumb", "unknown")


def colours(stream: Any, *, environment: Mapping[str, str] | None = None) -> Literal[0, 16, 256]:
    """How many colours a stream supports: 0 for a file, a pipe, a dumb terminal or if `NO_COLOR` is set.

    Args:
        stream: the output stream.
        environment: the environment variables; None takes the process's own.
    """
    values = os.environ if environment is None else environment
    if values.get("NO_COLOR") or is_dumb(values) or not is_terminal(stream):
        return 0
    many = sys.platform == "win32" or "256" in values.get("TERM", "") or bool(values.get("COLORTERM"))
    return 256 if many else 16


def can_show(
    text: str, stream: Any, *, locale_encoding: str | None = None, environment: Mapping[str, str] | None = None
) -> bool:
    """Whether a stream can probably display the characters of a text.

    The command line writes UTF-8 whatever the locale, so the locale's encoding must support the text, too, except on
    Windows, whose locales name legacy encodings. The font of the Linux console has few characters.

    Args:
        text: the text to display.
        stream: the output stream.
        locale_encoding: the locale's encoding; None looks it up.
        environment: the environment variables; None takes the process's own.
    """
    values = os.environ if environment is None else environment
    encodings = {getattr(stream, "encoding", None) or "ascii"}
    if sys.platform != "win32" or locale_encoding is not None:
        encodings.add(locale_encoding or locale.getencoding())
    try:
        for encoding in encodings:
            text.encode(encoding)
    except (UnicodeEncodeError, LookupError):
        return False
    return text.isascii() or not (values.get("TERM") == "linux" or is_dumb(values)) or not is_terminal(stream)


def width(text: str) -> int:
    """The width of a text on a terminal in columns: two for a wide character, none for a combining one.

    >>> width("sea"), width("海"), width("e\N{COMBINING ACUTE ACCENT}")
    (3, 2, 1)
    """
    if text.isascii():
        return len(text)
    return sum(
        0
        if unicodedata.combining(c) or unicodedata.category(c) == "Cf"
        else 1 + (unicodedata.east_asian_width(c) in "WF")
        for c in text
    )


def use_utf8(*streams: TextIO | None) -> None:
    """Makes text streams write UTF-8 whatever the locale, for the start of the command line.

    A lone surrogate, which UTF-8 cannot encode, is written as an escape.
    """
    for stream in streams:
        reconfigure = cast("Callable[..., None] | None", getattr(stream, "reconfigure", None))
        if reconfigure is not None:
            with contextlib.suppress(ValueError, OSError):
                reconfigure(encoding="utf-8", errors="backslashreplace")


def is_closed_pipe(error: OSError) -> bool:
    """Whether an error means that the reader of our output has closed the pipe, as `| head` does."""
    return isinstance(error, BrokenPipeError) or (sys.platform == "win32" and error.errno == errno.EINVAL)


def abandon_output(stream: TextIO | None = None) -> None:
    """Redirects a stream to the null device, so that nothing more fails after a closed pipe or a terminal that hung up.

    Args:
        stream: the stream; None for standard output.
    """
    with contextlib.suppress(AttributeError, ValueError, OSError):
        nowhere = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nowhere, (sys.stdout if stream is None else stream).fileno())
        os.close(nowhere)

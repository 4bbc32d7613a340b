"""Notes about sampling controls that can hardly have been meant as they were typed."""

from __future__ import annotations

import shlex

import click

from textgen.cli.command import visible
from textgen.config import SamplingConfig


def hint(config: SamplingConfig, characters: str) -> None:
    """Notes, on standard error, the ends that no text can come to and escapes in texts that are taken literally.

    Args:
        config: the controls as they were typed.
        characters: the model's vocabulary.
    """
    for note in (*_impossible_ends(config, characters), *_escapes(config, characters)):
        click.echo(f"Note: {visible(note)}", err=True)


def _impossible_ends(config: SamplingConfig, characters: str) -> list[str]:
    from textgen.sampling.ending import OVERRUN, impossible

    notes = []
    for field, value in impossible(config, characters):
        if field == "until":
            notes.append(
                f"--until {value} never ends a text of this model, which has no line breaks: it goes on for "
                f"{OVERRUN[value]:,} characters past --length."
            )
        else:
            lacking = " and ".join(repr(each) for each in sorted(set(value) - set(characters)))
            never = f"--stop {value!r} never ends a text of this model, which does not write {lacking}."
            notes.append(never + _advice("--stop", value, characters))
    return notes


def _escapes(config: SamplingConfig, characters: str) -> list[str]:
    r"""Notes on `\n` and the like as they come from a shell: two characters, of which the model knows the second.

    >>> print(*_escapes(SamplingConfig(ban="\\n"), "\n nr"))
    --ban '\\n' bans the backslash, which this model does not write, and 'n'. For what '\n' stands for elsewhere, ...
    >>> _escapes(SamplingConfig(ban="\\n"), "\n \\nr"), _escapes(SamplingConfig(ban="n"), "\n nr")
    ([], [])
    """
    notes = []
    literal = [
        ("--ban", "bans", config.ban),
        ("--allow", "allows", config.allow),
        ("--starts-with", "asks for", config.starts_with),
        ("--ends-with", "asks for", config.ends_with),
        *(("--contains", "asks for", each) for each in config.contains),
    ]
    for flag, verb, value in literal:
        advice = _advice(flag, value, characters)
        if advice and "\\" not in characters:
            letters = " and ".join(f"'{each}'" for each in _ESCAPED if rf"\{each}" in value)
            notes.append(
                f"{flag} {value!r} {verb} the backslash, which this model does not write, and {letters}.{advice}"
            )
    return notes


def _advice(flag: str, value: str, characters: str) -> str:
    """How to type what a value's escapes stand for, if it has any and the model writes that; else nothing."""
    meant = _unescaped(value)
    if meant == value or not set(meant) - set(value) <= set(characters):
        return ""
    return f" For what {shlex.quote(value)} stands for elsewhere, type {flag} ${shlex.quote(value)}."


_ESCAPED = {"n": "\n", "r": "\r", "t": "\t"}


def _unescaped(text: str) -> str:
    r"""A text with line breaks and tabs for what a shell does not take for them.

    >>> _unescaped(r"END\n")
    'END\n'
    """
    for letter, character in _ESCAPED.items():
        text = text.replace(rf"\{letter}", character)
    return text

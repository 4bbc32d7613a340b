"""Named corpora where a command takes a text: downloads them when first used, and says how they are read."""

from __future__ import annotations

import os
import time
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

import click

from textgen.cli.command import visible

if TYPE_CHECKING:
    from pathlib import Path

    from textgen.corpus.named import Entry

_TITLES = ("downloading", "B")


class Resolved(NamedTuple):
    """The sources of a text, with the files of named corpora in place of their names.

    Attributes:
        sources: the paths.
        settings: the settings of `CorpusConfig` that the registry has for the corpus, if it is the only source.
        since: the `time.monotonic()` at which the last of them had come; None if none was downloaded.
    """

    sources: list[str]
    settings: dict[str, Any]
    since: float | None


def fetch(entry: Entry, *, offline: bool) -> Path:
    """The file of a named corpus's text, downloaded with a progress bar unless it is there.

    Raises:
        CorpusError: see `fetch_text`.
    """
    from textgen.cli.bars import bars
    from textgen.corpus.named import fetch_text

    with bars({entry.name: (f"{_TITLES[0]} {entry.name}", _TITLES[1])}) as report:
        return fetch_text(entry, offline=offline, report=report)


def resolve(sources: Sequence[str], *, given: Mapping[str, Any], offline: bool, quiet: bool) -> Resolved:
    """Replaces the names of corpora by their files; a file or folder of such a name comes first.

    Args:
        sources: what was given.
        given: the settings that were; any of `SETTINGS` keeps the registry's from being taken.
        offline: whether to use only what is there.
        quiet: whether to say nothing of what is done.

    Raises:
        CorpusError: see `find_entry` and `fetch_text`.
    """
    from textgen.corpus.named import corpora_folders, named_by
    from textgen.corpus.named.entry import SETTINGS
    from textgen.corpus.named.store import find_text

    paths, settings, since = [], {}, None
    for source in map(os.fspath, sources):
        entry = named_by(source, is_path=os.path.lexists(source))
        if entry is None:
            paths.append(source)
            continue
        there = find_text(entry, corpora_folders())
        if there is None and not quiet:
            click.echo(f"Getting the corpus {entry.name}: {visible(entry.title)} ({entry.licence}).", err=True)
        path = there or fetch(entry, offline=offline)
        since = time.monotonic() if there is None else since
        paths.append(str(path))
        if len(sources) == 1 and not any(given.get(name) is not None for name in SETTINGS):
            settings = dict(entry.settings)
        if not quiet:
            how = "".join(f" --{name.replace('_', '-')} {value}" for name, value in settings.items())
            click.echo(f"Corpus {entry.name}: {visible(str(path))}{f', read with{how}' if how else ''}.", err=True)
    return Resolved(paths, settings, since)

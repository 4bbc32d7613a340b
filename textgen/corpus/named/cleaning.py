"""Makes the text of a named corpus from its raw file, as its recipe says."""

from __future__ import annotations

import fnmatch
import io
import json
import zipfile
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from textgen.corpus.decoding import decode_source
from textgen.corpus.gutenberg import find_cut, keep
from textgen.corpus.lists import lines
from textgen.corpus.named.entry import Entry, Recipe
from textgen.corpus.sources import Source
from textgen.errors import CorpusError


def clean(entry: Entry, raw: Path) -> Iterator[bytes]:
    """The text of a raw file, in UTF-8.

    Args:
        entry: the corpus.
        raw: its raw file, whose checksum is right.

    Yields:
        Pieces, altogether no more than `entry.text_bytes`.

    Raises:
        CorpusError: the file is no archive, has no such members, is no text, or gives a longer text.
    """
    length, recipe = 0, entry.recipe
    pieces = _members(entry, raw) if recipe.members else _decoded(Source(path=raw), recipe)
    if recipe.strip == "gutenberg":
        pieces = keep(pieces, find_cut(_decoded(Source(path=raw), recipe)))
    for piece in _chosen(pieces, recipe):
        data = piece.encode()
        length += len(data)
        if length > entry.text_bytes:
            raise CorpusError(_other(entry))
        yield data


def _chosen(pieces: Iterator[str], recipe: Recipe) -> Iterator[str]:
    if recipe.json_key:
        return _values(json.loads("".join(pieces)), recipe.json_key)
    if recipe.begin:
        return _beginning(pieces, recipe.begin)
    return pieces


def _decoded(source: Source, recipe: Recipe) -> Iterator[str]:
    return decode_source(source, encoding=recipe.encoding, keep_newlines=False, on_read=_ignore)


def _ignore(chunk: bytes) -> None:
    del chunk


def _members(entry: Entry, raw: Path) -> Iterator[str]:
    """The texts of an archive's members, each with a newline at its end; nothing is unpacked to the disk."""
    try:
        with zipfile.ZipFile(raw) as archive:
            found = [each for each in archive.infolist() if fnmatch.fnmatchcase(each.filename, entry.recipe.members)]
            if not found:
                raise CorpusError(_other(entry))
            for member in sorted(found, key=lambda each: each.filename):
                # A member may be larger than its archive says.
                with archive.open(member) as file:
                    data = file.read(entry.text_bytes * 2 + 1)
                last = "\n"
                for piece in _decoded(Source(member.filename, stream=io.BytesIO(data)), entry.recipe):
                    last = piece[-1]
                    yield piece
                if last != "\n":
                    yield "\n"
    except (zipfile.BadZipFile, NotImplementedError, RuntimeError, EOFError, OSError) as error:
        raise CorpusError(_other(entry)) from error


def _beginning(pieces: Iterable[str], begin: str) -> Iterator[str]:
    r"""The lines that begin with something, without it.

    >>> list(_beginning(["# text = The sea\n1\tThe\n# te", "xt = Nan\n"], "# text = "))
    ['The sea\n', 'Nan\n']
    """
    for found in lines(pieces):
        kept = [f"{line.removeprefix(begin)}\n" for line in found if line.startswith(begin)]
        if kept:
            yield "".join(kept)


def _values(value: Any, key: str) -> Iterator[str]:
    r"""The texts under a key, wherever it is, one a line; a blank line ends those of a list.

    >>> list(_values([{"title": "I", "lines": ["The sea,", "the sea"]}, {"more": {"lines": "Nan"}}], "lines"))
    ['The sea,\nthe sea\n\n', 'Nan\n']
    """
    if isinstance(value, list):
        for each in value:
            yield from _values(each, key)
    elif isinstance(value, dict):
        for name, each in value.items():
            if name == key and isinstance(each, str):
                yield f"{each}\n"
            elif name == key and isinstance(each, list) and all(isinstance(line, str) for line in each):
                yield "".join(f"{line}\n" for line in each) + "\n"
            else:
                yield from _values(each, key)


def _other(entry: Entry) -> str:
    return (
        f"The raw file of the corpus {entry.name!r} does not give its text. Install the newest textgen, or choose "
        "another corpus."
    )

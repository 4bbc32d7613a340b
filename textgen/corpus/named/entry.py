"""The entries of the registry of named corpora: where a text is, what it must be, and how it is cleaned."""

from __future__ import annotations

import difflib
import functools
import re
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from importlib import resources
from pathlib import PurePosixPath
from typing import Any
from urllib.parse import urlsplit

from textgen.errors import CorpusError

PREFIX = "corpus:"
"""What stands before the name of a corpus where a path could stand."""

KINDS = ("drama", "novel", "verse", "speeches", "manual", "code", "list", "tunes", "chess", "labelled", "sentences")
"""The kinds of texts in the registry."""

SETTINGS = ("records", "text_field", "label_field")
"""The settings of `CorpusConfig` that an entry may suggest."""

_NAME = re.compile(r"[a-z][a-z0-9_]{1,39}")
_WORD = re.compile(r"\w{3,40}")
"""What may be the misspelt name of a corpus, and is hardly a path."""

_NEARLY = 0.75
_SHA256 = re.compile(r"[0-9a-f]{64}")
_SUFFIXES = ("txt", "abc", "csv", "tsv", "pgn")
_LARGEST = 64 << 20


@dataclass(frozen=True, kw_only=True)
class Recipe:
    """How a raw file becomes the text; all of it is decoded, with LF for CRLF and CR, and written in UTF-8.

    Args:
        encoding: the raw file's encoding.
        strip: "gutenberg" leaves out Project Gutenberg's header and licence; "" nothing.
        members: a pattern for the members of a zip archive that are read, in the order of their names; "" for a file.
        begin: keep only the lines that begin with this, without it; "" keeps all.
        json_key: keep only the texts under this key of a JSON file, one a line; a list's end is a blank line; "" for
            another file.
    """

    encoding: str = "utf-8"
    strip: str = ""
    members: str = ""
    begin: str = ""
    json_key: str = ""


@dataclass(frozen=True, kw_only=True)
class Entry:
    """A named corpus. Every address brings the same bytes.

    Args:
        name: its name: small letters, digits and underscores.
        title: the work and who wrote or collected it.
        language: what it is written in.
        kind: one of `KINDS`.
        licence: under what terms it may be used.
        page: the address of a page about it.
        address: where the raw file is.
        mirrors: further addresses of the same bytes.
        bytes: the raw file's size.
        sha256: the raw file's SHA-256, in hexadecimal.
        text_bytes: the cleaned text's size.
        text_sha256: the cleaned text's SHA-256, in hexadecimal.
        suffix: the cleaned text's suffix; a table's tells how it is read.
        recipe: how the raw file is cleaned.
        settings: the settings of `CorpusConfig` that fit it.
        good_for: what to use it for, in a sentence.
        checked: whether the address was tried where the registry was written; otherwise the checksum is that of the
            same file from a copy of its repository.
    """

    name: str
    title: str
    language: str
    kind: str
    licence: str
    page: str
    address: str
    mirrors: tuple[str, ...] = ()
    bytes: int
    sha256: str
    text_bytes: int
    text_sha256: str
    suffix: str = "txt"
    recipe: Recipe = field(default_factory=Recipe)
    settings: Mapping[str, str] = field(default_factory=dict)
    good_for: str
    checked: bool = False

    def __post_init__(self) -> None:
        addresses = (self.address, *self.mirrors)
        right = (
            _NAME.fullmatch(self.name)
            and self.kind in KINDS
            and self.suffix in _SUFFIXES
            and all(
                urlsplit(address).scheme in ("http", "https") and urlsplit(address).hostname for address in addresses
            )
            and _SHA256.fullmatch(self.sha256)
            and _SHA256.fullmatch(self.text_sha256)
            and 0 < self.bytes <= _LARGEST
            and 0 < self.text_bytes <= _LARGEST
            and set(self.settings) <= set(SETTINGS)
        )
        if not right:
            raise CorpusError(f"The registry's entry {self.name!r} is not valid. Install textgen again.")

    @property
    def file(self) -> str:
        """The name of the text's file."""
        return f"{self.name}.{self.suffix}"

    @property
    def raw_file(self) -> str:
        """The name of the raw file."""
        suffix = PurePosixPath(urlsplit(self.address).path).suffix
        return f"{self.name}{suffix if re.fullmatch(r'[.][a-z0-9]{1,8}', suffix) else '.raw'}"

    @property
    def is_clean(self) -> bool:
        """Whether the raw file is the text already."""
        return self.sha256 == self.text_sha256


@functools.cache
def read_registry() -> Mapping[str, Entry]:
    """The entries of the registry, by name, in its order.

    >>> read_registry()["names"].language
    'English'
    """
    text = resources.files("textgen.corpus.named").joinpath("registry.toml").read_text(encoding="utf-8")
    return {name: _entry(name, values) for name, values in tomllib.loads(text).items()}


def _entry(name: str, values: Mapping[str, Any]) -> Entry:
    known = {each.name for each in fields(Entry)}
    if not set(values) <= known:
        raise CorpusError(f"The registry's entry {name!r} is not valid. Install textgen again.")
    recipe, mirrors = Recipe(**values.get("recipe", {})), tuple(values.get("mirrors", ()))
    return Entry(**{**values, "name": name, "recipe": recipe, "mirrors": mirrors})


def find_entry(name: str) -> Entry:
    """The entry of a name.

    Raises:
        CorpusError: there is none; the message names similar ones.

    >>> find_entry("nmaes")
    Traceback (most recent call last):
    ...
    textgen.errors.CorpusError: There is no corpus named 'nmaes'. Did you mean 'names'? textgen corpora lists all.
    """
    registry = read_registry()
    found = registry.get(name.removeprefix(PREFIX))
    if found is None:
        raise _unknown(name.removeprefix(PREFIX), "corpus")
    return found


def named_by(source: str, *, is_path: bool) -> Entry | None:
    """The entry that a source of a text means; None where it is a path.

    Args:
        source: what was given; `corpus:NAME` is always a named corpus.
        is_path: whether a file or a folder of this name exists, which then comes first.

    Raises:
        CorpusError: there is no corpus of this name, and it begins with `corpus:` or is no path but nearly a name.

    >>> named_by("names", is_path=True) is None, named_by("corpus:names", is_path=True).name
    (True, 'names')
    >>> named_by("sonets", is_path=False)
    Traceback (most recent call last):
    ...
    textgen.errors.CorpusError: There is no file or corpus named 'sonets'. Did you mean 'sonnets'? ...
    """
    if source.startswith(PREFIX):
        return find_entry(source)
    registry = read_registry()
    if is_path or source in registry:
        return None if is_path else registry[source]
    if _WORD.fullmatch(source) and difflib.get_close_matches(source, registry, n=1, cutoff=_NEARLY):
        raise _unknown(source, "file or corpus")
    return None


def _unknown(name: str, kind: str) -> CorpusError:
    close = difflib.get_close_matches(name, read_registry(), n=1)
    meant = f" Did you mean {close[0]!r}?" if close else ""
    return CorpusError(f"There is no {kind} named {name!r}.{meant} textgen corpora lists all.")

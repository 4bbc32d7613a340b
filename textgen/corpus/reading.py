"""Reads a corpus: several sources as one stream of decoded, normalised text."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import BinaryIO

from textgen.config import CorpusConfig
from textgen.corpus import sources
from textgen.corpus.decoding import check_encoding, decode_source
from textgen.corpus.finding import find_sources, is_stream, stream_descriptor
from textgen.corpus.gutenberg import Cut, find_cut, keep
from textgen.corpus.normalization import normalize
from textgen.corpus.rows import Fields
from textgen.corpus.sources import STANDARD_INPUT, Source
from textgen.corpus.tunes import tunes
from textgen.corpus.unwrapping import unwrap

OnRead = Callable[[bytes], None]

_SHORT = 16
"""A file that has less than this part of a chunk is read together with others."""


def _ignore(chunk: bytes) -> None:
    del chunk


class Corpus:
    """Several sources as one text, made by `open_corpus`. The text can be read repeatedly.

    Attributes:
        name: a short name from the first path, for a run.
        config: the settings by which the sources become one text.
        places: the paths that were named, absolute, so that they are found from another folder; "-" for a stream.
        fields: the fields of records that the sources hold as JSON Lines, whatever `config` says; None for files.
    """

    def __init__(
        self,
        name: str,
        found: Sequence[Source],
        config: CorpusConfig,
        *,
        places: Sequence[str] = (),
        fields: Fields | None = None,
    ) -> None:
        self.name = name
        self.config = config
        self.places = tuple(places)
        self.fields = fields
        self._sources = tuple(found)
        self._cuts: dict[int, tuple[Cut | None]] = {}

    @property
    def sources(self) -> tuple[str, ...]:
        """The paths of the sources, in order, and "-" for standard input."""
        return tuple(source.location for source in self._sources)

    @property
    def title(self) -> str:
        """The text's name in messages, for instance "poems.txt and 2 more"."""
        first, *others = (source.name for source in self._sources)
        return f"{first} and {len(others):,} more" if others else first

    @property
    def bytes(self) -> int:
        """The total size of the sources in bytes. Standard input is read to determine it.

        Raises:
            CorpusError: a source cannot be read.
        """
        return sum(source.size for source in self._sources)

    def configured(self, config: CorpusConfig) -> Corpus:
        """The same sources with other settings; which files of a folder they are stays as it is."""
        corpus = Corpus(self.name, self._sources, config, places=self.places, fields=self.fields)
        decoding = [(each.encoding, each.errors, each.keep_newlines) for each in (self.config, config)]
        if decoding[0] == decoding[1]:
            corpus._cuts = self._cuts
        return corpus

    def ready(self, since: float) -> float:
        """The `time.monotonic()` from which the text is there: the end of its last stream, if that is after `since`.

        Raises:
            CorpusError: a stream cannot be read.
        """
        for source in self._sources:
            if source.location == STANDARD_INPUT:
                _ = source.size
        return max([since, *(source.arrived for source in self._sources if source.arrived is not None)])

    def read(self, on_read: OnRead) -> None:
        """Reads the sources' bytes in order, without decoding them.

        Args:
            on_read: called with the bytes as they are read, and with `b""` at each source's end.

        Raises:
            CorpusError: a source cannot be read.
        """
        for source in self._sources:
            for chunk in source.chunks():
                on_read(chunk)
            on_read(b"")

    def pieces(self, *, on_read: OnRead = _ignore) -> Iterator[str]:
        """The text in pieces: decoded, newlines and characters normalised, files joined.

        Between files a newline is added if there is none.

        Args:
            on_read: called with the bytes as they are read, and with `b""` at each source's end.

        Yields:
            Pieces of one to about a million characters.

        Raises:
            CorpusError: a source cannot be read, is not text, or is not valid in its encoding.
        """
        return normalize(self._joined(on_read), self.config.normalize)

    def texts(self, *, on_read: OnRead = _ignore) -> Iterator[tuple[Source, Iterator[str]]]:
        """Each source with its own text in pieces: decoded, newlines normalised.

        Args:
            on_read: called with the bytes as they are read, and with `b""` at each source's end.

        Yields:
            A source, and an iterator over its text that is to be read before the next source's.

        Raises:
            CorpusError: a source cannot be read, is not text, or is not valid in its encoding.
        """
        for source in self._sources:
            yield source, self._decoded(source, on_read)

    def starts(self) -> list[int]:
        """The position in characters of each source's start in the text; all sources but the last are read.

        Raises:
            CorpusError: a source cannot be read, is not text, or is not valid in its encoding.
        """
        starts, length, last = [0], 0, "\n"
        for source in self._sources[:-1]:
            # A source starts after a newline, which never composes, so its text can be normalised alone.
            for number, piece in enumerate(normalize(self._decoded(source, _ignore), self.config.normalize)):
                if number == 0 and last not in "\n\r":
                    length += 1
                length += len(piece)
                last = piece[-1]
            starts.append(length + (last not in "\n\r"))
        return starts

    def cuts(self) -> Iterator[tuple[Source, Cut]]:
        """Where the book begins and ends in each source with markers of Project Gutenberg; each is read once for it.

        Raises:
            CorpusError: a source cannot be read, is not text, or is not valid in its encoding.
        """
        for source in self._sources:
            cut = self._cut(source)
            if cut is not None:
                yield source, cut

    def _cut(self, source: Source) -> Cut | None:
        known = self._cuts.get(id(source))
        if known is None:
            known = self._cuts[id(source)] = (find_cut(self._plain(source, _ignore)),)
        return known[0]

    def _plain(self, source: Source, on_read: OnRead) -> Iterator[str]:
        return decode_source(
            source,
            encoding=self.config.encoding,
            errors=self.config.errors,
            keep_newlines=self.config.keep_newlines,
            on_read=on_read,
        )

    def _decoded(self, source: Source, on_read: OnRead) -> Iterator[str]:
        """A source's text: decoded, and what `strip` and `unwrap` make of it."""
        config, pieces = self.config, self._plain(source, on_read)
        if config.strip == "gutenberg":
            pieces = keep(pieces, self._cut(source))
        elif config.strip == "abc":
            pieces = ("".join(f"{tune}\n\n" for tune in rows.texts) for rows in tunes(pieces))
        return unwrap(pieces) if config.unwrap else pieces

    def _joined(self, on_read: OnRead) -> Iterator[str]:
        """The sources' texts one after the other; those of short ones come together, many of them in a piece."""
        last, held, length = "\n", [""], 0
        for source in self._sources:
            short = source.size < sources.CHUNK // _SHORT
            for number, piece in enumerate(self._decoded(source, on_read)):
                if number == 0 and last not in "\n\r":
                    held.append("\n")
                held.append(piece)
                length += len(piece)
                last = piece[-1]
                if not short or length >= sources.CHUNK // _SHORT:
                    yield "".join(held)
                    held, length = [], 0
        yield "".join(held)


def open_corpus(
    paths: str | os.PathLike[str] | Sequence[str | os.PathLike[str]],
    *,
    config: CorpusConfig | None = None,
    stdin: BinaryIO | None = None,
) -> Corpus:
    r"""Finds the files of a corpus, without reading them.

    Args:
        paths: files, folders (searched recursively for `config.glob`), or "-" for standard input.
        config: the settings by which they become one text; None takes the defaults.
        stdin: standard input; None takes the process's own.

    Raises:
        CorpusError: a path is missing, unreadable or a device, or a folder has no matching file.
        ConfigError: the encoding or the pattern is invalid.

    >>> folder = getfixture("tmp_path")
    >>> _ = (folder / "poem.txt").write_bytes("The sea,\r\nthe séa".encode("latin-1"))
    >>> corpus = open_corpus(folder / "poem.txt", config=CorpusConfig(encoding="latin-1"))
    >>> corpus.name, "".join(corpus.pieces())
    ('poem', 'The sea,\nthe séa')
    """
    listed = [paths] if isinstance(paths, (str, os.PathLike)) else list(paths)
    config = CorpusConfig() if config is None else config
    check_encoding(config.encoding)
    found = find_sources(listed, glob=config.glob, stdin=stdin)
    places = [STANDARD_INPUT if is_stream(path) else str(Path(path).resolve()) for path in listed]
    return Corpus(_name(listed[0]), found, config, places=places)


def _name(path: str | os.PathLike[str]) -> str:
    if stream_descriptor(path) is not None:
        return "stdin"
    resolved = Path(path).resolve()
    name = resolved.name if resolved.is_dir() else resolved.stem
    safe = "".join(character if character.isalnum() or character in "-_." else "-" for character in name)
    return safe.strip("-.") or "corpus"

"""Finds the text that a run was trained on, verifies its SHA-256, and splits it as training did.

The validation text is returned whole, and as much of the training text as is asked for.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import compress
from pathlib import Path, PurePath
from typing import Protocol, TypeVar

from textgen.corpus import Corpus, open_corpus
from textgen.corpus.characters import CharacterCounts
from textgen.corpus.record_reading import RecordReader
from textgen.corpus.sources import STANDARD_INPUT
from textgen.corpus.strings import NAME
from textgen.errors import CheckpointError, CorpusError, RunError
from textgen.model.description import CorpusDescription
from textgen.model.read import read_metadata
from textgen.runs.find import checkpoint_name
from textgen.runs.run import LAST

Progress = Callable[[int, int], None]


_LARGER = 5
"""How many times the text's size files may have: in UTF-32, with CRLF. Others are not read."""

_NEAR = 3
"""The run's folder, that of all runs and the project's, where a renamed text is looked for."""


class OwnTextError(RunError):
    """A run's own text is not available.

    Args:
        message: the sentence for the user, without a remedy.
        streamed: whether no file ever held it, as far as is known.
        now: the SHA-256 of what is in its place; None if nothing is.
    """

    def __init__(self, message: str, *, streamed: bool = False, now: str | None = None) -> None:
        super().__init__(message)
        self.streamed, self.now = streamed, now


class Hashed(Protocol):
    """Something read from a text, with the SHA-256 of that text."""

    @property
    def sha256(self) -> str:
        """The SHA-256 of the normalized text in UTF-8, in hexadecimal."""


Text = TypeVar("Text", bound=Hashed)


@dataclass(frozen=True, eq=False, kw_only=True)
class RunText:
    """The text that a run was trained on.

    Of records it is what their ids decode to, with a newline for each one's end.

    Args:
        name: the corpus's name.
        sources: the files it was read from, in order.
        characters: its length in characters.
        split: the number of characters, from the start, that were trained on.
        sha256: the SHA-256 of the whole normalized text in UTF-8.
        counts: how often each character occurs in the training text.
        training: the end of the training text, in UTF-8, of whole characters.
        training_bytes: the length of the whole training text in UTF-8.
        before: the last character of the training text; "" if there is none.
        held_out: the validation text, never trained on; "" if there is none.
    """

    name: str
    sources: tuple[str, ...]
    characters: int
    split: int
    sha256: str
    counts: CharacterCounts
    training: bytes
    training_bytes: int
    before: str
    held_out: str


def read_run_text(
    corpus: CorpusDescription,
    path: Path | None,
    *,
    keep: int,
    sources: Sequence[str | Path] = (),
    progress: Progress | None = None,
) -> RunText:
    """Reads a run's own text in one pass, from its present place: see `find_run_text`.

    Args:
        corpus: the checkpoint's description of the text.
        path: the checkpoint; `last.keras` beside it records the absolute paths of the text.
        keep: the most bytes of `RunText.training`, at least 1.
        sources: where the text is now, instead of the recorded paths.
        progress: called now and then with the bytes done and the total.

    Raises:
        OwnTextError: the text is not recorded, came from standard input, cannot be read any more, or has changed. The
            message is one sentence, without a remedy, since that depends on the purpose.
    """
    split = corpus.split
    if split is None:
        raise OwnTextError(_unrecorded(path))

    def read(found: Corpus) -> RunText:
        if found.config.by_record:
            return _read_records(found, corpus.seed, split, keep, progress)
        return _read(found, split, keep, progress)

    return find_run_text(corpus, path, read, sources=sources)


def find_run_text(
    corpus: CorpusDescription,
    path: Path | None,
    read: Callable[[Corpus], Text],
    *,
    sources: Sequence[str | Path] = (),
) -> Text:
    """Reads the text of a run with a given function, from the first recorded path where it is unchanged.

    It is looked for where it was; then in the same place relative to the run, if both have moved; then beside the run
    and beside its old place under another name.

    Args:
        corpus: the checkpoint's description of the text.
        path: the checkpoint, as in `read_run_text`.
        read: reads a corpus and returns something with its SHA-256.
        sources: where the text is now, instead of the recorded paths.

    Raises:
        OwnTextError: as in `read_run_text`.
    """
    run = _title(path)
    sha256 = corpus.sha256
    recorded = [list(place) for place in (_last_sources(path), corpus.sources) if place]
    if sha256 is None or not (recorded or sources):
        raise OwnTextError(_unrecorded(path))
    files = [place for place in recorded if STANDARD_INPUT not in place]
    if not (sources or files):
        stream = "strings, which are" if corpus.name == NAME else "standard input, which is"
        raise OwnTextError(f"{run} was trained on {stream} gone.", streamed=True)
    config = corpus.config
    changed, unread = None, ""
    for place, guessed in [(sources, False)] if sources else _places(files, corpus, path):
        try:
            found = open_corpus(place, config=config)
            # A table may have any number of other columns.
            if guessed and config.text_field is None and found.bytes > _LARGER * (corpus.bytes or 0):
                continue
            text = read(found)
        except CorpusError as error:
            unread = unread or str(error)
            continue
        if text.sha256 == sha256:
            return text
        changed = changed or (None if guessed else text.sha256)
    if changed:
        raise OwnTextError(
            f"{run} was trained on a text that has changed since (sha256 {sha256[:12]}, now {changed[:12]}).",
            now=changed,
        )
    raise OwnTextError(f"{run} was trained on a text that is not there any more: {unread}")


def _places(
    recorded: Sequence[Sequence[str]], corpus: CorpusDescription, path: Path | None
) -> Iterator[tuple[Sequence[str | Path], bool]]:
    """Where a run's text may be: as recorded, beside the run, relative to it, and at last under another name.

    A project's folder that has moved keeps what is in it where it was: the end of a recorded path is looked for below
    the run's folder, each folder above it, and the working folder, the longest end first.

    Yields:
        A place, and whether it is a guess, where another text would be no surprise.
    """
    yield from ((place, False) for place in recorded)
    near = _working_folder() if path is None else [*Path(path).resolve().parents, *_working_folder()]
    seen = {tuple(map(str, place)) for place in recorded}
    for place in recorded:
        parts = [PurePath(source).parts for source in place]
        for number, folder in enumerate(near):
            for first in range(min(map(len, parts))):
                moved = [folder.joinpath(*_relative(part[first:])) for part in parts]
                if tuple(map(str, moved)) not in seen and all(map(os.path.exists, moved)):
                    seen.add(tuple(map(str, moved)))
                    yield moved, number >= _NEAR
    if all(len(place) == 1 for place in recorded):
        folders = [Path(place[0]).parent for place in recorded] + near[:_NEAR] + near[-1:]
        yield from (([file], True) for file in _alike(folders, corpus) if (str(file),) not in seen)


def _working_folder() -> list[Path]:
    """The working folder; none if it has been deleted."""
    try:
        return [Path.cwd()]
    except OSError:
        return []


def _relative(parts: Sequence[str]) -> Sequence[str]:
    """The parts of a path without its root."""
    return [part for part in parts if part != PurePath(part).anchor]


def _alike(folders: Sequence[Path], corpus: CorpusDescription) -> Iterator[Path]:
    """The files in some folders that are as long as the text: a renamed one is known again by its fingerprint."""
    for folder in dict.fromkeys(folders):
        with contextlib.suppress(OSError):
            for file in sorted(folder.iterdir()):
                if file.is_file() and file.stat().st_size == corpus.bytes:
                    yield file


def _title(path: Path | None) -> str:
    return "The model" if path is None else f"The run {checkpoint_name(path)!r}"


def _unrecorded(path: Path | None) -> str:
    return f"{_title(path)} does not say what text it was trained on."


def _last_sources(path: Path | None) -> Sequence[str]:
    """The paths that a run's last state records, as absolute paths."""
    if path is None:
        return ()
    try:
        progress = read_metadata(path.with_name(LAST)).progress
    except CheckpointError:
        return ()
    return () if progress is None else progress.sources


def _reporting(corpus: Corpus, progress: Progress | None) -> Callable[[bytes], None]:
    """What counts the bytes read, and reports them."""
    size, taken = corpus.bytes, 0

    def take(chunk: bytes) -> None:
        nonlocal taken
        taken += len(chunk)
        if progress is not None and chunk:
            progress(taken, size)

    return take


def _read_records(corpus: Corpus, seed: int, split: int, keep: int, progress: Progress | None) -> RunText:
    """Records as the text that their ids decode to, with a newline for each one's end."""
    reader, counts, tail, held_out = RecordReader(corpus, seed=seed), CharacterCounts(), _Tail(keep), []
    characters = 0
    for block in reader.blocks(_reporting(corpus, progress)):
        characters += int(block.lengths.sum()) + len(block.texts)
        trained = "".join(f"{text}\n" for text in compress(block.texts, ~block.held_out))
        if trained:
            counts.add(trained)
            tail.add(trained.encode("utf-8", "surrogatepass"))
        held_out += [f"{text}\n" for text in compress(block.texts, block.held_out)]
    return RunText(
        name=corpus.name,
        sources=corpus.sources,
        characters=characters,
        split=split,
        sha256=reader.hexdigest(),
        counts=counts,
        training=tail.data,
        training_bytes=tail.length,
        before="\n" if tail.length else "",
        held_out="".join(held_out),
    )


def _read(corpus: Corpus, split: int, keep: int, progress: Progress | None) -> RunText:
    digest, counts, tail, held_out = hashlib.sha256(), CharacterCounts(), _Tail(keep), []
    characters, before = 0, ""
    for piece in corpus.pieces(on_read=_reporting(corpus, progress)):
        digest.update(piece.encode("utf-8", "surrogatepass"))
        trained, rest = piece[: max(0, split - characters)], piece[max(0, split - characters) :]
        characters += len(piece)
        if trained:
            counts.add(trained)
            tail.add(trained.encode("utf-8", "surrogatepass"))
            before = trained[-1]
        if rest:
            held_out.append(rest)
    return RunText(
        name=corpus.name,
        sources=corpus.sources,
        characters=characters,
        split=split,
        sha256=digest.hexdigest(),
        counts=counts,
        training=tail.data,
        training_bytes=tail.length,
        before=before,
        held_out="".join(held_out),
    )


class _Tail:
    """Collects bytes in pieces and keeps little more than the last `keep` of them."""

    def __init__(self, keep: int) -> None:
        self.length = 0
        self._keep, self._held = keep, 0
        self._pieces: deque[bytes] = deque()

    def add(self, piece: bytes) -> None:
        self.length += len(piece)
        self._held += len(piece)
        self._pieces.append(piece)
        while self._held - len(self._pieces[0]) >= self._keep:
            self._held -= len(self._pieces.popleft())

    @property
    def data(self) -> bytes:
        data = b"".join(self._pieces)[-self._keep :]
        # Bytes from 0x80 to 0xBF continue a character that began before the cut.
        return data.lstrip(bytes(range(0x80, 0xC0))) if len(data) < self.length else data

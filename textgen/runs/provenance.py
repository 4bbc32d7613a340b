"""The text that a run was trained on: found again, checked, and parted as training parted it.

What a checkpoint says about its text goes in and the text comes out: all of what was held out, and of what was trained
on as much as is asked for. It is the very text, by its fingerprint, or there is none. The module knows no network.
"""

from __future__ import annotations

import hashlib
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol, TypeVar

from textgen.corpus import Corpus, open_corpus
from textgen.corpus.characters import CharacterCounts
from textgen.errors import CheckpointError, CorpusError, RunError
from textgen.model.description import CorpusDescription
from textgen.model.read import read_metadata
from textgen.runs.find import checkpoint_name
from textgen.runs.run import LAST

Progress = Callable[[int, int], None]


class Fingerprinted(Protocol):
    """Something that knows the fingerprint of the text it was read from."""

    @property
    def sha256(self) -> str:
        """The fingerprint of the normalised text in UTF-8, in hexadecimal."""


Text = TypeVar("Text", bound=Fingerprinted)


@dataclass(frozen=True, eq=False, kw_only=True)
class RunText:
    """A run's own text.

    Args:
        name: the corpus's name.
        sources: the files it was read from, in order.
        characters: all of them.
        split: how many of them, from the start, were trained on.
        sha256: the fingerprint of the whole, normalised, in UTF-8.
        counts: how often each character occurs in what was trained on.
        training: the end of what was trained on, in UTF-8, of whole characters.
        training_bytes: how long all of what was trained on is, in UTF-8.
        before: the last character that was trained on; "" if there is none.
        held_out: the rest of the text, never trained on; "" if there is none.
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
    """Reads a run's own text in one pass, from where it was when the run was trained.

    Args:
        corpus: what the checkpoint says about the text.
        path: the checkpoint. The last state beside it knows the text's place whatever the working folder is now.
        keep: the most bytes of `RunText.training`, at least 1.
        sources: where the text is now, instead of the recorded places.
        progress: called with the bytes done and all, now and then.

    Raises:
        RunError: the text is not recorded, came from standard input, cannot be read any more, or has changed. The
            message is one sentence, without a remedy: what can be done depends on what the text is wanted for.
    """
    split = corpus.split
    if split is None:
        raise RunError(_unrecorded(path))
    return find_run_text(corpus, path, lambda found: _read(found, split, keep, progress), sources=sources)


def find_run_text(
    corpus: CorpusDescription,
    path: Path | None,
    read: Callable[[Corpus], Text],
    *,
    sources: Sequence[str | Path] = (),
) -> Text:
    """Reads a run's own text in a way of one's own, from the first place where it is still the same.

    Args:
        corpus: what the checkpoint says about the text.
        path: the checkpoint, as in `read_run_text`.
        read: reads a corpus to something with its fingerprint.
        sources: where the text is now, instead of the recorded places.

    Raises:
        RunError: as in `read_run_text`.
    """
    run = _title(path)
    sha256 = corpus.sha256
    places: list[list[str | Path]] = [list(place) for place in (_last_sources(path), corpus.sources) if place]
    if sha256 is None or not (places or sources):
        raise RunError(_unrecorded(path))
    places = [list(sources)] if sources else [place for place in places if "-" not in place]
    if not places:
        raise RunError(f"{run} was trained on standard input, which is gone.")
    config = corpus.config
    changed, unread = "", ""
    for place in places:
        try:
            text = read(open_corpus(place, config=config))
        except CorpusError as error:
            unread = unread or str(error)
            continue
        if text.sha256 == sha256:
            return text
        changed = changed or text.sha256
    if changed:
        raise RunError(
            f"{run} was trained on a text that has changed since (sha256 {sha256[:12]}, now {changed[:12]})."
        )
    raise RunError(f"{run} was trained on a text that is not there any more: {unread}")


def _title(path: Path | None) -> str:
    return "The model" if path is None else f"The run {checkpoint_name(path)!r}"


def _unrecorded(path: Path | None) -> str:
    return f"{_title(path)} does not say what text it was trained on."


def _last_sources(path: Path | None) -> Sequence[str]:
    """The places that a run's last state remembers, as absolute paths."""
    if path is None:
        return ()
    try:
        progress = read_metadata(path.with_name(LAST)).progress
    except CheckpointError:
        return ()
    return () if progress is None else progress.sources


def _read(corpus: Corpus, split: int, keep: int, progress: Progress | None) -> RunText:
    digest, counts, tail, held_out = hashlib.sha256(), CharacterCounts(), _Tail(keep), []
    size, taken, characters, before = corpus.bytes, 0, 0, ""

    def take(chunk: bytes) -> None:
        nonlocal taken
        taken += len(chunk)
        if progress is not None and chunk:
            progress(taken, size)

    for piece in corpus.pieces(on_read=take):
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
    """The end of some bytes that come in pieces; memory for little more than that."""

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
        # Bytes from 0x80 to 0xBF go on with a character that began before the cut.
        return data.lstrip(bytes(range(0x80, 0xC0))) if len(data) < self.length else data

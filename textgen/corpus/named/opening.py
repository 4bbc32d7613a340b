"""Opens named corpora from Python."""

from __future__ import annotations

from typing import TYPE_CHECKING

from textgen.config import CorpusConfig
from textgen.corpus.named.entry import find_entry
from textgen.corpus.named.store import fetch_text
from textgen.corpus.reading import open_corpus

if TYPE_CHECKING:
    from textgen.corpus.reading import Corpus


def named_corpus(name: str, *, config: CorpusConfig | None = None, offline: bool = False) -> Corpus:
    """A named corpus, ready for `textgen.train`; its text is downloaded and checked unless it is there.

    Args:
        name: one of those that `textgen corpora` lists.
        config: how it is read; None takes what the registry suggests, for instance each line as a record.
        offline: use only what is there.

    Raises:
        CorpusError: there is no corpus of this name, it is not there and cannot be had, or it cannot be read.

    >>> run = textgen.train(textgen.named_corpus("names"), time="5m")  # doctest: +SKIP
    >>> named_corpus("shakespear")
    Traceback (most recent call last):
    ...
    textgen.errors.CorpusError: There is no corpus named 'shakespear'. Did you mean 'tiny_shakespeare'? ...
    """
    entry = find_entry(name)
    path = fetch_text(entry, offline=offline)
    return open_corpus([path], config=CorpusConfig().replace(**entry.settings) if config is None else config)

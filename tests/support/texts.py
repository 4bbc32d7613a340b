"""Reads texts as a corpus does, in pieces of any size, and draws awkward ones."""

import io
from typing import Any

import pytest
from hypothesis import strategies as st

from textgen.config import CorpusConfig
from textgen.corpus import Corpus, open_corpus, sources

# Control characters are left out here: a text of little else is refused as binary, which has its own test.
texts = st.text(st.characters(exclude_categories=["Cc", "Cs"]) | st.sampled_from("ab\r\n\t\u0301\u0327"))
awkward = st.lists(
    st.sampled_from(
        ["\r\n", "\r", "\n", "e", "\u0301", "\u0327", "ﬁ", "\u1112\u1161", "\u11ab", "각", "\ufeff", "诗", "😀"]
    )
).map("".join)


def read(*paths: Any, stdin: bytes | None = None, chunk: int | None = None, **settings: Any) -> str:
    return "".join(opened(*paths, stdin=stdin, chunk=chunk, **settings)[1])


def opened(
    *paths: Any, stdin: bytes | None = None, chunk: int | None = None, **settings: Any
) -> tuple[Corpus, list[str]]:
    stream = None if stdin is None else io.BytesIO(stdin)
    with pytest.MonkeyPatch.context() as patch:
        if chunk is not None:
            patch.setattr(sources, "CHUNK", chunk)
        corpus = open_corpus(paths, config=CorpusConfig(**settings), stdin=stream)
        return corpus, list(corpus.pieces())


def piped(data: bytes, *, chunk: int | None = None, **settings: Any) -> str:
    return read("-", stdin=data, chunk=chunk, **settings)


def with_plain_newlines(text: str) -> str:
    return text.replace("\r\n", "\n").replace("\r", "\n")

"""Corpora from strings instead of files."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from texts import awkward, read, texts

from textgen.config import CorpusConfig
from textgen.corpus import encode_corpus, open_corpus, open_texts
from textgen.errors import ConfigError, CorpusError, TextgenError


@given(strings=st.lists(texts | awkward, max_size=4), keep_newlines=st.booleans())
def test_strings_are_the_text_that_files_of_them_are(
    tmp_path_factory: pytest.TempPathFactory, strings: list[str], keep_newlines: bool
) -> None:
    folder = tmp_path_factory.mktemp("strings")
    paths = [folder / f"{n}.txt" for n in range(len(strings))]
    for path, text in zip(paths, strings, strict=True):
        path.write_bytes(text.encode())
    expected = read(*paths, keep_newlines=keep_newlines) if paths else ""
    corpus = open_texts(strings, config=CorpusConfig(keep_newlines=keep_newlines))
    assert "".join(corpus.pieces()) == "".join(corpus.pieces()) == expected


def test_a_generator_is_taken_once_and_the_fingerprint_is_that_of_a_file(tmp_path: Path) -> None:
    taken = []

    def poems() -> Iterator[str]:
        for poem in ("The sea,\r\nthe sea", "Nan Tregear\n"):
            taken.append(poem)
            yield poem

    corpus = open_texts(poems(), config=CorpusConfig(encoding="utf-16", errors="skip"))
    (tmp_path / "poems.txt").write_bytes(b"The sea,\nthe sea\nNan Tregear\n")
    strings, file = encode_corpus(corpus), encode_corpus(open_corpus(tmp_path / "poems.txt"))
    assert len(taken) == 2
    assert (strings.sha256, strings.ids.tolist()) == (file.sha256, file.ids.tolist())
    assert (strings.name, strings.sources, strings.places) == ("texts", ("-",), ("-",))
    # They are no bytes, so these settings mean nothing here.
    assert (corpus.config.encoding, corpus.config.errors) == ("utf-8", "strict")


@pytest.mark.parametrize(
    ("strings", "words"),
    [
        ("the sea", r"texts must be an iterable of strings; got 'the sea'\. .*texts=\[text\]"),
        (b"the sea", "texts must be an iterable of strings"),
        (7, "texts must be an iterable of strings; got 'int'"),
        (["the sea", 7], r"texts\[1\] must be a string; got 'int'"),
        ([b"the sea"], r"texts\[0\] must be a string; got 'bytes'"),
    ],
)
def test_what_is_no_strings_is_a_config_error(strings: Any, words: str) -> None:
    with pytest.raises(ConfigError, match=words):
        open_texts(strings)


def test_half_a_surrogate_pair_is_named_with_its_place() -> None:
    with pytest.raises(CorpusError, match=r"texts\[1\] holds half of a surrogate pair at character 2"):
        open_texts(["the", "se\ud800a"])


@pytest.mark.parametrize("strings", [[], ["", ""]])
def test_no_text_at_all_is_an_empty_corpus(strings: list[str]) -> None:
    with pytest.raises(TextgenError, match="The corpus texts is empty"):
        encode_corpus(open_texts(strings))

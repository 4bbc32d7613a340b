"""One server in this process, and one at a socket, for all tests of a file."""

from collections.abc import Iterator

import pytest
from labelled_models import labelled_writer, write_words
from served import Served, listening_server, served
from small_models import random_writer

from textgen.corpus.tokenizer import CharTokenizer
from textgen.sampling.writer import Writer


@pytest.fixture(scope="session")
def writers(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Writer]:
    """Models of prose, of a text with rare characters, and of labelled records."""
    table = write_words(tmp_path_factory.mktemp("words") / "words.csv")
    rare = random_writer(CharTokenizer("\n abcdeé", has_unknown=True), seed=4)
    return {"prose": random_writer(seed=2), "rare": rare, "words": labelled_writer(table)}


@pytest.fixture(scope="module")
def here(writers: dict[str, Writer]) -> Iterator[Served]:
    with served(writers) as made:
        yield made


@pytest.fixture(scope="module")
def address(writers: dict[str, Writer]) -> Iterator[str]:
    with listening_server(writers) as (found, _):
        yield found

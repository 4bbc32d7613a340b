"""Wrapped prose becomes paragraphs of one line; verse, lists, tables and short lines stay as they are."""

import textwrap
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from texts import read

from textgen.config import CorpusConfig
from textgen.corpus.unwrapping import unwrap
from textgen.errors import ConfigError

PROSE = (
    "The harbour lay still under the hill, and the boats that had come in before the storm were tied two and two along "
    "the wall. Nobody went out that day; the old men said that the glass was falling, and the young ones believed them."
)


def unwrapped(text: str, chunk: int = 1 << 20) -> str:
    return "".join(unwrap([text[n : n + chunk] for n in range(0, len(text), chunk)]))


@pytest.mark.parametrize("width", [55, 65, 70, 78])
@pytest.mark.parametrize("indent", ["", "  ", "    "])
def test_a_wrapped_paragraph_becomes_one_line(width: int, indent: str) -> None:
    wrapped = textwrap.fill(PROSE, width, initial_indent=indent)
    assert unwrapped(f"{wrapped}\n\n{wrapped}\n") == f"{indent}{PROSE}\n\n{indent}{PROSE}\n"
    assert unwrapped(wrapped) == indent + PROSE


LEFT = {
    "verse": "The harbour lay beneath the hill as still as any stone,\nAnd every boat that rode on it was alone,\n",
    "indented verse": "the harbour lay beneath the hill as still as any stone,\n  and every boat was there alone,\n",
    "short lines": "the harbour lay\nunder the hill\nand the boats\n",
    "a list": "- the harbour, which lay still under the high green hill\n- the boats that had come in before\n",
    "a numbered list": "1. the harbour, which lay still under the high green hill\n2. the boats that came in early\n",
    "a table": "the harbour      12 boats in it, and nobody on the quay\nthe other one    13 boats, and nobody\n",
    "a heading": "CHAPTER I\nof how the harbour lay still under the hill, and of the boats\n",
    "one line": PROSE + "\n",
    "an address": "Mrs. Ann Thrupp, the widow of the captain, living at the\nold quay,\nmarrow haven\n",
    "no small letters": f"{'港は丘の下に静かに横たわり、' * 5}\n晴雨計が下がっていると言った。\n",
    "quoted mail": "> the harbour lay still under the hill, and the boats that\n> had come in were tied two and two\n",
}


@pytest.mark.parametrize("kind", LEFT)
def test_what_is_no_wrapped_paragraph_is_left_as_it_is(kind: str) -> None:
    assert unwrapped(LEFT[kind]) == LEFT[kind]
    assert unwrapped(f"\n\n{LEFT[kind]}\n\n\n{LEFT[kind]}") == f"\n\n{LEFT[kind]}\n\n\n{LEFT[kind]}"


def test_dashes_and_parts_of_words_are_joined_without_a_space() -> None:
    first, second = (
        "The harbour lay still under the hill, and the old boat-",
        "builder had gone to look at the weather--",
    )
    text = f"{first}\n{second}\nnobody knew why.\n"
    assert unwrapped(text) == f"{first}{second}nobody knew why.\n"


@given(
    st.lists(st.sampled_from([*LEFT.values(), textwrap.fill(PROSE, 60) + "\n", "\n", "  \n", "x" * 200 + "\n", "end"])),
    st.integers(1, 90),
)
def test_pieces_of_any_size_give_the_same_text(blocks: list[str], chunk: int) -> None:
    text = "\n".join(blocks)
    assert unwrapped(text, chunk) == unwrapped(text)
    assert unwrapped(text).split() == "".join(f"{text}\n").split()


def test_endless_blocks_and_lines_are_passed_on_as_they_come() -> None:
    block = "the harbour lay still under the hill, and the boats were in\n" * 3000
    line = "the sea " * 40_000
    for text in (block, line, f"{line}\n{block}\n\n{textwrap.fill(PROSE, 60)}\n"):
        assert unwrapped(text, 1000) == text.replace(textwrap.fill(PROSE, 60), PROSE)
    most = max(map(len, unwrap([block[n : n + 1000] for n in range(0, len(block), 1000)])))
    assert most <= 70_000


def test_a_corpus_is_unwrapped_after_it_is_stripped(tmp_path: Path) -> None:
    wrapped = textwrap.fill(PROSE, 60)
    text = f"*** START OF THE PROJECT GUTENBERG EBOOK NAN ***\n\n{wrapped}\n\n{wrapped}\n"
    (tmp_path / "nan.txt").write_text(text)
    assert read(tmp_path / "nan.txt", strip="gutenberg", unwrap=True) == f"{PROSE}\n\n{PROSE}\n"
    (tmp_path / "mac.txt").write_bytes(f"{wrapped}\r\n".encode().replace(b"\n", b"\r\n").replace(b"\r\r\n", b"\r\n"))
    assert read(tmp_path / "mac.txt", unwrap=True) == f"{PROSE}\n"


def test_lines_that_are_records_are_not_joined() -> None:
    with pytest.raises(ConfigError, match="unwrap must be given without records lines"):
        CorpusConfig(records="lines", unwrap=True)
    with pytest.raises(ConfigError, match="unwrap must be given without text_field"):
        CorpusConfig(text_field="text", unwrap=True)
    with pytest.raises(ConfigError, match="strip must be given without text_field"):
        CorpusConfig(text_field="text", strip="gutenberg")
    assert CorpusConfig(records="paragraphs", unwrap=True, strip="gutenberg").by_record

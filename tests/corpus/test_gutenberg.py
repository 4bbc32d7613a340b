"""What Project Gutenberg puts around a book, in the forms of fifty years, is found and left out; nothing else is."""

from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from texts import read

from textgen.config import CorpusConfig
from textgen.corpus import encode_corpus, open_corpus, sources
from textgen.corpus.form import notes_on_strip, settle
from textgen.corpus.gutenberg import find_cut, keep
from textgen.errors import CorpusError

BOOK = (
    "CHAPTER I\n\nCall me Nan. Some years ago I went to sea.\n\n"
    + "The sea, the sea, and no land.\n" * 200
    + "THE END\n"
)


def forms(file: str) -> dict[str, str]:
    """The snippets of a file, each after a line with its name."""
    text = (Path(__file__).parents[1] / "data" / file).read_text(encoding="utf-8")
    blocks = [block.partition("\n") for block in text.split("======== ")[1:]]
    return {name: snippet for name, _, snippet in blocks}


HEADERS, FOOTERS = forms("gutenberg_headers.txt"), forms("gutenberg_footers.txt")


def stripped(text: str, chunk: int = 1 << 20) -> str:
    pieces = [text[n : n + chunk] for n in range(0, len(text), chunk)]
    return "".join(keep(pieces, find_cut(pieces)))


@pytest.mark.parametrize("form", HEADERS)
def test_a_header_of_every_form_is_left_out(form: str) -> None:
    text = HEADERS[form] + BOOK + FOOTERS["2021"]
    cut = find_cut([text])
    assert cut is not None and cut.certain and not cut.refused
    assert (cut.first, cut.last) == ("CHAPTER I", "THE END")
    assert stripped(text) == BOOK
    assert stripped(text.replace("\n", "\r\n")) == BOOK.replace("\n", "\r\n")


def test_thirty_headers_are_known() -> None:
    assert len(HEADERS) >= 30


@pytest.mark.parametrize("form", FOOTERS)
def test_a_footer_of_every_form_is_left_out(form: str) -> None:
    assert stripped(HEADERS["2007"] + BOOK + FOOTERS[form]) == BOOK


@pytest.mark.parametrize(("header", "footer"), list(zip(HEADERS, FOOTERS, strict=False)))
@pytest.mark.parametrize("chunk", [1, 7, 100])
def test_pieces_of_any_size_give_the_same_book(header: str, footer: str, chunk: int) -> None:
    text = HEADERS[header] + BOOK[-2000:] + FOOTERS[footer]
    pieces = [text[n : n + chunk] for n in range(0, len(text), chunk)]
    assert find_cut(pieces) == find_cut([text])
    assert "".join(keep(pieces, find_cut([text]))) == "".join(keep([text], find_cut([text])))


NO_MARKERS = [
    BOOK,
    "He spoke of the *** START OF THE PROJECT GUTENBERG EBOOK NAN *** and laughed.\n" * 9,
    "Project Gutenberg is a library.\n\nTranscriber's Note: none.\n" * 5,
    "Produced by A. Reader\n\n" + BOOK,
]


@pytest.mark.parametrize("text", NO_MARKERS)
def test_a_text_without_markers_is_left_alone(text: str) -> None:
    assert find_cut([text]) is None
    assert stripped(text) == text


def test_notes_in_the_book_are_kept() -> None:
    note = (
        "\n[Transcriber's note: a word is missing.]\n\nShe went on.\n\nTranscriber's note of hand in hand, he left.\n\n"
    )
    book = BOOK[:500] + note + BOOK[500:] + note
    assert stripped(HEADERS["2021"] + book + FOOTERS["2021"]) == book.rstrip() + "\n"


def test_more_than_a_fifth_is_never_left_out() -> None:
    short = BOOK[:800] + "\n"
    text = HEADERS["2021"] + short + FOOTERS["2021"] + "The licence goes on.\n" * 100
    cut = find_cut([text])
    assert cut is not None and cut.refused and cut.removed > 0.2 * len(text)
    assert stripped(text) == text


def test_of_several_end_markers_the_first_that_leaves_four_fifths_counts() -> None:
    inner = BOOK[:2000] + "\nEnd of Project Gutenberg's first volume\n\n" + BOOK
    assert stripped(HEADERS["2021"] + inner + FOOTERS["2007"]) == inner


@given(st.text(st.sampled_from("ab \n*"), max_size=300), st.integers(1, 50))
def test_whatever_stands_in_a_book_stays_in_it(text: str, chunk: int) -> None:
    assert stripped(text, chunk) == text
    book = f"{text.strip()}x\n" if text.strip() else "x\n"
    book = f"Book:\n{book}" + BOOK
    assert stripped(HEADERS["2021"] + book + FOOTERS["2021"], chunk) == book


def write(folder: Path, text: str, name: str = "nan.txt", **settings: Any) -> Any:
    (folder / name).write_bytes(text.encode())
    return open_corpus(folder / name, config=CorpusConfig(**settings))


BOOK_FILE = HEADERS["2007"] + BOOK + FOOTERS["2007"]


def test_a_book_is_stripped_unasked_and_that_is_said(tmp_path: Path) -> None:
    corpus = settle(write(tmp_path, BOOK_FILE))
    assert corpus.config.strip == "gutenberg"
    assert "".join(corpus.pieces()) == BOOK
    (note,) = notes_on_strip(corpus, unasked=True)
    for part in (
        "nan.txt is a book of Project Gutenberg",
        "before 'CHAPTER I'",
        "after 'THE END'",
        "--strip none keeps",
    ):
        assert part in note
    assert encode_corpus(write(tmp_path, BOOK_FILE)).config.strip == "gutenberg"


@pytest.mark.parametrize(
    ("text", "settings"),
    [
        (BOOK_FILE, {"strip": "none"}),
        (HEADERS["2021"] + BOOK, {}),
        (BOOK + FOOTERS["2021"], {}),
        (HEADERS["2021"] + BOOK[:300] + FOOTERS["2021"], {}),
    ],
)
def test_what_is_not_asked_for_or_not_certain_is_not_stripped(
    text: str, settings: dict[str, Any], tmp_path: Path
) -> None:
    corpus = settle(write(tmp_path, text, **settings))
    assert corpus.config.strip == "none"
    assert "".join(corpus.pieces()) == text
    assert notes_on_strip(corpus, unasked=True) == []


def test_one_marker_is_enough_where_it_is_asked_for(tmp_path: Path) -> None:
    assert read(write(tmp_path, HEADERS["2021"] + BOOK).sources[0], strip="gutenberg") == BOOK
    assert read(write(tmp_path, BOOK + FOOTERS["2021"]).sources[0], strip="gutenberg") == BOOK


def test_asking_for_it_where_there_is_no_marker_is_said(tmp_path: Path) -> None:
    corpus = settle(write(tmp_path, BOOK, strip="gutenberg"))
    assert notes_on_strip(corpus, unasked=False) == [
        "--strip gutenberg left nothing out: no file has markers of Project Gutenberg."
    ]


def test_asking_to_leave_out_too_much_is_refused(tmp_path: Path) -> None:
    with pytest.raises(CorpusError, match=r"nan\.txt has markers .* \d\d% of it would be left out.*--strip none"):
        encode_corpus(write(tmp_path, HEADERS["2021"] + BOOK[:300] + FOOTERS["2021"], strip="gutenberg"))


def test_each_file_of_a_folder_is_stripped_by_itself(tmp_path: Path) -> None:
    write(tmp_path, BOOK_FILE, "a.txt")
    write(tmp_path, "My own words.\n", "b.txt")
    write(tmp_path, HEADERS["1993"] + BOOK + FOOTERS["1993"], "c.txt")
    corpus = settle(open_corpus(tmp_path))
    assert "".join(corpus.pieces()) == BOOK + "My own words.\n" + BOOK
    assert corpus.starts() == [0, len(BOOK), len(BOOK) + len("My own words.\n")]
    assert len(notes_on_strip(corpus, unasked=False)) == 2


def test_a_book_from_a_pipe_and_in_small_chunks_is_the_same(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sources, "CHUNK", 100)
    assert read("-", stdin=BOOK_FILE.encode(), strip="gutenberg") == BOOK
    assert "".join(settle(write(tmp_path, BOOK_FILE)).pieces()) == BOOK


def test_the_cache_knows_a_stripped_text_from_the_whole(tmp_path: Path) -> None:
    settings: list[dict[str, Any]] = [{}, {"strip": "none"}, {"unwrap": True}, {"strip": "none", "unwrap": True}]
    cache, lengths = tmp_path / "cache", []
    text = BOOK_FILE.replace(
        "the sea, and no land.\n", "the sea, and no land at all, nor anything else\nbut the sea.\n\n"
    )
    for _ in range(2):
        for each in settings:
            encoded = encode_corpus(write(tmp_path, text, **each), cache=cache, in_memory=10)
            lengths.append((encoded.characters, encoded.sha256))
    assert lengths[:4] == lengths[4:]
    assert len(set(lengths)) == 4
    assert len(list(cache.glob("*.npy"))) + len(list(cache.iterdir())) >= 4


def test_abc_files_keep_their_tunes_alone(tmp_path: Path) -> None:
    head, between = "%abc-2.1\nH: of a fair\nZ: Nan\n\n", "Played twice.\n\n"
    book = f"{head}X:1\nT:One\nK:G\nGAB|\n\n{between}X:2\nT:Two\nK:D\nDEF|\nX:3\nK:A\nABc|"
    assert read(write(tmp_path, book, "tunes.abc").sources[0], strip="abc") == (
        "X:1\nT:One\nK:G\nGAB|\n\nX:2\nT:Two\nK:D\nDEF|\n\nX:3\nK:A\nABc|\n\n"
    )

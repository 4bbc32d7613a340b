"""The registry of named corpora, and the recipes that clean what it names."""

import hashlib
import io
import json
import zipfile
from dataclasses import replace
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from named_entries import RAW, entry

from benchmarks.texts import TEXTS
from textgen.config import CorpusConfig
from textgen.corpus.named import Entry, fetch_text, find_entry, named_by, named_corpus, read_registry
from textgen.corpus.named.cleaning import clean
from textgen.corpus.named.entry import KINDS, Recipe
from textgen.corpus.named.store import has_sha256
from textgen.errors import CorpusError

KEPT_BACK = ("war and peace", "anna karenina", "penn treebank", "soseki", "linux", "text8", "hindi", "jahiz")
"""What settings of textgen are judged on is not offered to be trained on."""


def test_there_are_enough_texts_of_every_kind_and_many_languages() -> None:
    entries = read_registry().values()
    assert len(entries) >= 25
    assert len({each.language for each in entries}) >= 10
    assert {each.kind for each in entries} == set(KINDS)


def test_every_entry_is_whole() -> None:
    entries = read_registry().values()
    for each in entries:
        assert all(urlsplit(address).scheme == "https" for address in (each.address, *each.mirrors))
        assert each.licence and each.title and each.good_for and not each.good_for.endswith(".")
        CorpusConfig(**each.settings)
        assert not any(word in f"{each.name} {each.title} {each.address}".lower() for word in KEPT_BACK)
    assert len({each.sha256 for each in entries}) == len({each.text_sha256 for each in entries}) == len(entries)


@pytest.mark.parametrize("name", ["tiny_shakespeare", "names", "nietzsche"])
def test_checksums_are_those_of_the_real_texts(name: str, shared_corpora: Path) -> None:
    found = read_registry()[name]
    assert has_sha256(shared_corpora / found.file, found.text_sha256)
    assert fetch_text(found, folders=[shared_corpora], offline=True) == shared_corpora / found.file


def test_books_are_cleaned_to_what_the_benchmarks_made_of_them_by_hand() -> None:
    made = {text.sha256: text.file for text in TEXTS}
    cleaned = {made.get(each.text_sha256, "") for each in read_registry().values() if each.recipe.strip}
    books = {"bovary_fr.txt", "kalevala_fi.txt", "middlemarch.txt", "quijote_es.txt", "verwandlung_de.txt"}
    assert books <= cleaned


@pytest.mark.parametrize(
    "wrong",
    [
        {"name": "../names"},
        {"name": "Names"},
        {"kind": "mystery"},
        {"suffix": "../txt"},
        {"licence": "", "sha256": "0" * 63},
        {"bytes": 1 << 40},
        {"settings": {"encoding": "utf-8"}},
        {"address": "file:///etc/passwd"},
        {"mirrors": ("ftp://example.org/names.txt",)},
    ],
)
def test_an_entry_that_is_not_valid_is_refused(wrong: dict[str, object]) -> None:
    with pytest.raises(CorpusError, match="not valid"):
        replace(entry("https://example.org/sea.txt"), **wrong)


def test_no_address_leads_out_of_the_folder() -> None:
    for address in ("https://example.org/a/..%2f..", "https://example.org/..", "https://example.org/x.tar/../.."):
        described = entry(address)
        assert Path(described.raw_file).name == described.raw_file
        assert described.raw_file.startswith("sea.")


def test_a_name_is_a_corpus_unless_a_path_has_it() -> None:
    assert named_by("names", is_path=False) == named_by("corpus:names", is_path=True) == find_entry("names")
    assert named_by("names", is_path=True) is None
    for path in ("poems.txt", "poems", "a/sonets", "sonets.txt", ""):
        assert named_by(path, is_path=False) is None
    with pytest.raises(CorpusError, match=r"no file or corpus named 'sonets'\. Did you mean 'sonnets'\?"):
        named_by("sonets", is_path=False)
    with pytest.raises(CorpusError, match=r"no corpus named 'nmes'\. Did you mean 'names'\?"):
        named_by("corpus:nmes", is_path=False)


def cleaned(raw: bytes, folder: Path, *, limit: int = 10_000, **recipe: str) -> bytes:
    path = folder / "raw"
    path.write_bytes(raw)
    described: Entry = replace(entry("https://example.org/sea.zip"), text_bytes=limit, recipe=Recipe(**recipe))
    return b"".join(clean(described, path))


def archive(**members: bytes) -> bytes:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as packed:
        for name, data in members.items():
            packed.writestr(zipfile.ZipInfo(name.replace("__", "/")), data, zipfile.ZIP_DEFLATED)
    return file.getvalue()


def test_members_of_an_archive_are_joined_by_their_names(tmp_path: Path) -> None:
    raw = archive(b__2=b"two", b__1=b"one\r\n", README=b"no part of it")
    assert cleaned(raw, tmp_path, members="b/*") == b"one\ntwo\n"
    assert [path.name for path in tmp_path.iterdir()] == ["raw"]


@pytest.mark.parametrize(
    "raw", [archive(other=b"text"), b"no archive", archive(b__1=b"sea " * 100)[:-40], archive(b__1=b"\0" * 10_000_000)]
)
def test_an_archive_that_is_damaged_or_bursts_is_a_sentence(raw: bytes, tmp_path: Path) -> None:
    with pytest.raises(CorpusError):
        cleaned(raw, tmp_path, members="b/*")


def test_a_text_longer_than_the_registry_says_ends(tmp_path: Path) -> None:
    with pytest.raises(CorpusError, match="does not give its text"):
        cleaned(RAW, tmp_path, limit=100)


def test_sentences_are_taken_from_their_lines(tmp_path: Path) -> None:
    raw = "# sent_id = 1\n# text = Das Meer.\n1\tDas\n\n# text = Nan\n".encode("iso-8859-1")
    assert cleaned(raw, tmp_path, begin="# text = ", encoding="iso-8859-1") == b"Das Meer.\nNan\n"


def test_texts_are_taken_from_json(tmp_path: Path) -> None:
    raw = json.dumps([{"title": "I", "lines": ["The sea,", "the sea"]}, {"lines": ["Nan"]}]).encode()
    assert cleaned(raw, tmp_path, json_key="lines") == b"The sea,\nthe sea\n\nNan\n\n"


def test_the_frame_of_project_gutenberg_is_left_out(tmp_path: Path) -> None:
    before, after = (f"*** {word} OF THE PROJECT GUTENBERG EBOOK SEA ***\n" for word in ("START", "END"))
    raw = f"Title: The sea\n\n{before}\n\n{'The séa.' * 200}\n\n{after}Licence\n".encode("iso-8859-1")
    found = cleaned(raw, tmp_path, strip="gutenberg", encoding="iso-8859-1")
    assert found.decode() == "The séa." * 200 + "\n"


def test_the_checksum_of_the_cleaned_text_is_compared(tmp_path: Path) -> None:
    described = entry("https://example.org/sea.txt", raw=b"The sea\r\n", text=b"The sea!\n")
    (tmp_path / "raw").mkdir()
    (tmp_path / "raw" / "sea.txt").write_bytes(b"The sea\r\n")
    with pytest.raises(CorpusError, match="cleaned to another text"):
        fetch_text(described, folders=[tmp_path], offline=True)
    right = replace(described, text_bytes=8, text_sha256=hashlib.sha256(b"The sea\n").hexdigest())
    assert fetch_text(right, folders=[tmp_path], offline=True).read_bytes() == b"The sea\n"


def test_a_named_corpus_is_opened_as_the_registry_says(shared_corpora: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TEXTGEN_CORPORA", str(shared_corpora))
    corpus = named_corpus("names", offline=True)
    assert corpus.config == CorpusConfig(records="lines")
    assert corpus.places == (str((shared_corpora / "names.txt").resolve()),)
    assert named_corpus("names", config=CorpusConfig(), offline=True).config.records is None

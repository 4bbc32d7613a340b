"""The page that writes, as a file: small, self-contained, and safe whatever the run and its characters are called."""

import base64
import hashlib
import html.parser
import json
import re
from pathlib import Path

import numpy as np
import pytest
from exported import page_of
from hypothesis import given, settings
from hypothesis import strategies as st
from pages import data_of
from small_models import random_writer

from textgen.corpus.tokenizer import CharTokenizer
from textgen.display import pages
from textgen.errors import ConfigError
from textgen.exporting import html as html_format
from textgen.model.description import CorpusDescription, RecordsDescription
from textgen.model.metadata import Metadata
from textgen.sampling.writer import Writer

HOSTILE = ["</script><script>alert(1)</script>", "<!--<script>", "]]>", "\u2028\u2029", "\"'`${1}`", "{{data}}", "&lt;"]
FOLDER = Path(pages.__file__).parent


class Outline(html.parser.HTMLParser):
    """The elements of a page, with the text in each kind and all attributes."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.tags = [""]
        self.attributes: list[tuple[str, str | None]] = []
        self.texts: dict[str, list[str]] = {}
        self.feed(page)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.attributes += attrs

    def handle_data(self, data: str) -> None:
        self.texts.setdefault(self.tags[-1], []).append(data)


PLAIN = Outline(page_of(random_writer()))


def hostile_page(name: str, label: str, characters: str) -> str:
    tokenizer = CharTokenizer("".join(sorted(set(characters + "a"))))
    writer = random_writer(tokenizer, units=4, embedding=2, layers=1, labels=1)
    corpus = CorpusDescription(records=RecordsDescription(labels=(label,)))
    metadata = Metadata(model=writer.config, tokenizer=tokenizer, corpus=corpus)
    writer = random_writer(tokenizer, units=4, embedding=2, layers=1, labels=1, metadata=metadata)
    return page_of(writer, name=name)


@settings(deadline=None, max_examples=15)
@given(st.text(max_size=30) | st.lists(st.sampled_from(HOSTILE)).map("".join), st.text(max_size=30))
def test_no_name_label_or_character_breaks_out_of_the_data(text: str, characters: str) -> None:
    made = hostile_page(text, text, text + characters)
    made.encode()
    outline = Outline(made)
    assert outline.tags == PLAIN.tags
    kept = re.sub("[\ud800-\udfff]", "\ufffd", text)
    data = data_of(made)
    assert (data["name"], data["labels"]) == (kept, [kept])
    assert data["model"]["characters"] == sorted({*map(ord, text + characters), ord("a")})
    assert not re.search("[\x00-\x08\x0b-\x1f\x7f-\x9f]", made)


def test_the_page_asks_for_nothing() -> None:
    made = page_of(random_writer())
    outline = Outline(made)
    assert not {"link", "img", "iframe", "base", "object"} & set(outline.tags)
    assert not {"src", "href", "action", "style", "onclick"} & {attribute for attribute, _ in outline.attributes}
    assert not re.search(
        r"url\(|@import|\bfetch\(|XMLHttpRequest|WebSocket|\bimport\b|https?:|\beval\(|innerHTML", made
    )


def test_the_policy_admits_the_page_s_own_script_and_style_by_their_hashes_and_no_connection() -> None:
    made = page_of(random_writer())
    (policy,) = re.findall(r'http-equiv="Content-Security-Policy" content="([^"]*)"', made)
    assert policy.startswith("default-src 'none'; ")
    assert "unsafe-inline" not in policy
    for tag, directive in (("style", "style-src"), ("script", "script-src")):
        (source,) = re.findall(rf"<{tag}>(.*?)</{tag}>", made, re.DOTALL)
        digest = base64.b64encode(hashlib.sha256(source.encode()).digest()).decode()
        assert f"{directive} 'sha256-{digest}'" in policy


def test_the_same_model_makes_the_same_page() -> None:
    assert page_of(random_writer(seed=3)) == page_of(random_writer(seed=3))
    assert page_of(random_writer(seed=3)) != page_of(random_writer(seed=4))


def test_a_page_of_two_layers_of_384_units_is_smaller_than_2_2_megabytes() -> None:
    writer = random_writer(CharTokenizer("".join(map(chr, range(40, 105)))), units=384, embedding=64)
    assert writer.config.cell == "coupled"
    assert len(page_of(writer).encode()) < 2_200_000
    plain = random_writer(writer.tokenizer, cell="lstm", units=384, embedding=64)
    assert len(page_of(plain, weights="int6").encode()) < 2_200_000


def test_the_page_names_no_file_of_the_training_text() -> None:
    writer = random_writer()
    corpus = CorpusDescription(name="diary", sources=("/home/ada/secret/diary.txt",), sha256="f00d" * 16)
    metadata = Metadata(model=writer.config, tokenizer=writer.tokenizer, corpus=corpus)
    made = page_of(random_writer(metadata=metadata), name="poems")
    assert not re.search("secret|diary|f00d", made)


def test_a_model_of_both_sides_has_the_page_of_its_forward_stack() -> None:
    both = random_writer(seed=3, sides="both")
    forwards = Writer(config=both.config.forwards, weights=both.weights.forwards, tokenizer=both.tokenizer)
    assert page_of(both) == page_of(forwards)


def test_a_model_too_large_for_a_page_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(html_format, "_LARGEST", 1000)
    with pytest.raises(ConfigError, match="The model is too large for a page: its weights take 0 MB as int8"):
        page_of(random_writer())


def test_a_vocabulary_without_characters_is_refused() -> None:
    with pytest.raises(ConfigError, match="no character that can be written"):
        page_of(random_writer(CharTokenizer("", has_unknown=True)))


def test_a_cell_that_the_page_does_not_know_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(html_format, "_CELLS", ("lstm", "gru"))
    with pytest.raises(ConfigError, match="The page knows no cell coupled"):
        page_of(random_writer())


def test_the_compiled_kernels_are_those_of_the_source() -> None:
    wasmtime = pytest.importorskip("wasmtime", reason="the test of the compiled kernels needs wasmtime (group dev)")
    source = (FOLDER / "kernels.wat").read_text(encoding="utf-8")
    assert wasmtime.wat2wasm(source) == (FOLDER / "kernels.wasm").read_bytes(), "out of date: run `make kernels`"


def test_the_kernel_multiplies_in_blocks_of_rows() -> None:
    wasmtime = pytest.importorskip("wasmtime", reason="the test of the compiled kernels needs wasmtime (group dev)")
    store = wasmtime.Store()
    memory = wasmtime.Memory(store, wasmtime.MemoryType(wasmtime.Limits(1, None)))
    module = wasmtime.Module.from_file(store.engine, str(FOLDER / "kernels.wasm"))
    multiply = wasmtime.Instance(store, module, [memory]).exports(store)["multiply"]
    rng = np.random.default_rng(0)
    matrix, x, y = (rng.standard_normal(shape).astype("<f4") for shape in ((64, 5), 5, 64))
    blocks = matrix.reshape(2, 32, 5).swapaxes(1, 2)
    memory.write(store, blocks.tobytes(), 0)
    memory.write(store, x.tobytes(), 2048)
    memory.write(store, y.tobytes(), 4096)
    multiply(store, 0, 2048, 4096, 2, 5)
    np.testing.assert_allclose(
        np.frombuffer(memory.read(store, 4096, 4352), "<f4"), y + matrix @ x, rtol=1e-5, atol=1e-6
    )


def test_the_data_is_json_that_no_script_element_can_end() -> None:
    made = hostile_page("</script>", "<!--", "<>&")
    (data,) = re.findall(r'id="data">(.*?)</script>', made, re.DOTALL)
    assert not set("<>&") & set(data)
    assert json.loads(data)["name"] == "</script>"

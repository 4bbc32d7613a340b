"""Pages: valid and safe for any data, and self-contained."""

import html.parser
import re

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pages import data_of, unpacked

from textgen.display.pages import packed, page, smallest

HOSTILE = ["</script><script>alert(1)</script>", "<!--<script>", "]]>", "\u2028\u2029", "\"'`${1}`", "{{data}}", "&lt;"]


class Outline(html.parser.HTMLParser):
    """The elements of a page and the text in them."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.tags = [""]
        self.attributes: list[tuple[str, str | None]] = []
        self.texts: dict[str, str] = {}
        self.feed(page)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.attributes += attrs

    def handle_data(self, data: str) -> None:
        self.texts[self.tags[-1]] = self.texts.get(self.tags[-1], "") + data


PLAIN = Outline(page("surprise", title="t", facts=[("a", "b")], data={"text": "t"}))


@settings(deadline=None, max_examples=60)
@given(st.text(max_size=40) | st.lists(st.sampled_from(HOSTILE)).map("".join))
def test_any_data_leaves_the_elements_unchanged_and_round_trips(text: str) -> None:
    made = page("surprise", title=text, facts=[(text, text)], data={"text": text, "more": [{"text": text}]})
    made.encode()
    assert Outline(made).tags == PLAIN.tags
    kept = re.sub("[\ud800-\udfff]", "\ufffd", text)
    assert data_of(made)["text"] == kept
    assert not re.search("[\x00-\x08\x0b-\x1f\x7f-\x9f]", made)


@pytest.mark.parametrize("text", HOSTILE)
def test_markup_in_a_title_is_text(text: str) -> None:
    outline = Outline(page("neurons", title=text, facts=[("run", text)], data={}))
    assert outline.texts["h1"].split("\n")[0] == text
    assert outline.texts["dd"].split("\n")[0] == text


@pytest.mark.parametrize("name", ["surprise", "neurons"])
def test_a_page_is_self_contained(name: str) -> None:
    made = page(name, title="t", facts=[], data={})
    outline = Outline(made)
    assert not {"link", "img", "iframe", "base", "object"} & set(outline.tags)
    assert not {"src", "href", "action"} & {attribute for attribute, _ in outline.attributes}
    assert "default-src 'none'" in made
    assert not re.search(r"url\(|@import|\bfetch\(|XMLHttpRequest|WebSocket|\bimport\b", made)
    assert set(re.findall(r"https?://[^\"']*", made)) <= {"http://www.w3.org/2000/svg"}


@pytest.mark.parametrize("kind", ["u1", "u2", "u4", "i1", "f4"])
def test_arrays_round_trip(kind: str) -> None:
    values = np.arange(24).reshape(2, 3, 4).astype(kind)
    assert packed(values)["type"] == kind
    np.testing.assert_array_equal(unpacked(packed(values)), values.ravel())
    swapped = values.astype(values.dtype.newbyteorder(">"))[:, ::-1]
    np.testing.assert_array_equal(unpacked(packed(swapped)), values[:, ::-1].ravel())


def test_integers_have_the_smallest_type() -> None:
    for highest, kind in ((0, "u1"), (255, "u1"), (256, "u2"), (70_000, "u4")):
        values = np.array([[0, highest]])
        assert packed(smallest(values))["type"] == kind
    assert smallest(np.zeros((0, 3), int)).dtype == np.uint8


def test_the_templates_are_part_of_the_package() -> None:
    from importlib import resources

    names = {path.name for path in resources.files("textgen.display.pages").iterdir()}
    wanted = {f"{name}.{kind}" for name in ("surprise", "neurons") for kind in ("html", "css", "js")}
    assert wanted | {"frame.html", "frame.css", "reader.js"} <= names

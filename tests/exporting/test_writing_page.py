"""The page that writes, in a real browser: it opens from a file and writes what the NumPy engine writes."""

import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from browsers import Browser, needs_chromium, wait, webdriver
from exported import as_stored, page_of
from labelled_models import labelled_writer, write_words
from small_models import ALPHABET, random_weights, random_writer

from textgen.config import CELLS, Cell
from textgen.corpus.tokenizer import CharTokenizer
from textgen.exporting.quantization import Kind
from textgen.model.description import CorpusDescription
from textgen.model.metadata import Metadata
from textgen.sampling.writer import Writer

pytestmark = needs_chromium

PROMPT = "the sea was"


def until(browser: Browser, script: str) -> Any:
    """Waits until an expression of the page is true, and returns it."""
    return wait.WebDriverWait(browser.driver, 60, poll_frequency=0.02).until(lambda _: browser.run(f"return {script}"))


def load(browser: Browser, page: str) -> None:
    browser.open(page)
    until(browser, "!busy")
    assert browser.text("#status").startswith("Ready.")


def write(browser: Browser, prompt: str | None = None, **settings: object) -> str:
    """Writes on from a prompt with some settings, and returns what was written."""
    for name, value in settings.items():
        browser.run("$(arguments[0]).value = arguments[1]", name.replace("_", "-"), str(value))
    if prompt is not None:
        browser.run("text.value = arguments[0]", prompt)
    before = browser.run("return text.value")
    browser.one("#write").click()
    until(browser, "!busy")
    after = browser.run("return text.value")
    assert after.startswith(before)
    return after[len(before) :]  # type: ignore[no-any-return]


def probabilities(browser: Browser, text: str) -> np.ndarray:
    script = "predict(arguments[0]).then((found) => arguments[1]([...found]))"
    return np.array(browser.driver.execute_async_script(script, text))


def expected_probabilities(writer: Writer, text: str, labels: np.ndarray | None = None) -> np.ndarray:
    ids = writer.tokenizer.encode(text)
    if writer.tokenizer.end_id is not None:
        ids = np.append(writer.tokenizer.end_id, ids)
    state = writer.engine.initial_state(1, **({} if labels is None else {"labels": labels}))
    logits, _ = writer.engine.read(ids[None], state, last=True)
    odds = np.exp(logits[0].astype(np.float64) - logits[0].max())
    return odds / odds.sum()  # type: ignore[no-any-return]


@pytest.mark.parametrize("cell", CELLS)
def test_each_cell_writes_what_the_engine_writes_with_and_without_vectors(browser: Browser, cell: Cell) -> None:
    # Larger weights would make the simple network chaotic: rounding errors would grow until they change a character.
    config = random_writer(cell=cell, units=21, embedding=7).config
    writer = Writer(config=config, weights=random_weights(config, seed=5, scale=1.5), tokenizer=ALPHABET)
    page, stored = page_of(writer), as_stored(writer)
    expected = stored.generate(PROMPT, temperature=0, max_new_tokens=300).text
    assert len(set(expected)) > 3
    for vectors, made in ((True, page), (False, re.sub(r'"compiled":"[^"]+"', '"compiled":""', page))):
        load(browser, made)
        assert (browser.text("#status") == "Ready.") == vectors
        np.testing.assert_allclose(
            probabilities(browser, PROMPT), expected_probabilities(stored, PROMPT), atol=1e-5, rtol=1e-4
        )
        assert write(browser, PROMPT, temperature=0, length=300) == expected, f"vectors: {vectors}"


@pytest.mark.parametrize(
    ("kind", "shape"), [("int6", {"units": 11}), ("float16", {"layers": 1}), ("float32", {"skip": False, "layers": 3})]
)
def test_other_weights_and_shapes_write_the_same_too(browser: Browser, kind: Kind, shape: dict[str, Any]) -> None:
    writer = random_writer(seed=1, **shape)
    # Without its table the first layer multiplies each character's embedding.
    load(browser, page_of(writer, weights=kind).replace("const TABLE = 2 ** 24;", "const TABLE = 0;"))
    stored = as_stored(writer, kind)
    np.testing.assert_allclose(probabilities(browser, "sea"), expected_probabilities(stored, "sea"), atol=1e-5)
    assert write(browser, "", temperature=0, length=200) == stored.generate("", temperature=0, max_new_tokens=200).text


@pytest.fixture(scope="module")
def labelled(tmp_path_factory: pytest.TempPathFactory) -> Writer:
    return labelled_writer(write_words(tmp_path_factory.mktemp("words") / "words.csv"), seed=2)


def test_records_end_by_themselves_and_follow_the_chosen_label(browser: Browser, labelled: Writer) -> None:
    load(browser, page_of(labelled))
    stored = as_stored(labelled)
    assert [option.text for option in browser.driver.find_elements("css selector", "#label option")] == [
        "any", *labelled.labels,
    ]  # fmt: skip
    for label, weights in ((0, np.eye(3, dtype=np.float32)[0]), (2, np.eye(3, dtype=np.float32)[2]), (-1, None)):
        browser.run("$('label').value = arguments[0]", str(label))
        np.testing.assert_allclose(probabilities(browser, "a"), expected_probabilities(stored, "a", weights), atol=1e-5)
        controls = {} if label < 0 else {"label": labelled.labels[label]}
        expected = stored.generate("b", temperature=0, max_new_tokens=60, **controls)
        assert write(browser, "b", temperature=0, length=60) == expected.text
        assert ("The record ends here." in browser.text("#status")) == (expected.finish_reason == "record")


def test_after_a_whole_record_comes_another_one_on_a_line_of_its_own(browser: Browser, labelled: Writer) -> None:
    load(browser, page_of(labelled))
    prompt, seed = "b", 0
    while "The record ends here." not in browser.text("#status"):
        seed += 1
        first = write(browser, prompt, temperature=1, seed=seed, length=200)
    assert browser.run("askSuggestions(); return predict('').then(() => suggestions.length)") == 0
    assert write(browser) == "\n" + prompt + first
    browser.one("#undo").click()
    assert browser.run("return text.value") == prompt + first
    browser.one("#undo").click()
    assert browser.run("return text.value") == prompt
    assert not browser.one("#undo").is_enabled()


def test_a_text_is_read_as_the_training_text_was_and_unknown_characters_are_named(browser: Browser) -> None:
    tokenizer = CharTokenizer("\n aelsué")
    corpus = CorpusDescription(settings={"normalize": "nfc"})
    metadata = Metadata(model=random_writer(tokenizer).config, tokenizer=tokenizer, corpus=corpus)
    writer = random_writer(tokenizer, metadata=metadata)
    load(browser, page_of(writer))
    stored = as_stored(writer)
    np.testing.assert_allclose(probabilities(browser, "e\u0301"), expected_probabilities(stored, "é"), atol=1e-5)
    np.testing.assert_allclose(probabilities(browser, "a\U0001f600l"), expected_probabilities(stored, "a l"), atol=1e-5)
    expected = stored.generate("a\U0001f600l", temperature=0, max_new_tokens=50, unknown="replace").text
    assert write(browser, "a\U0001f600l", temperature=0, length=50) == expected
    assert browser.text("#note") == "The model never saw \U0001f600 (U+1F600), and reads spaces instead."
    write(browser, "a")
    assert not browser.one("#note").is_displayed()


def test_the_id_of_rare_characters_is_read_and_never_written(browser: Browser) -> None:
    tokenizer = CharTokenizer("\n abcde", has_unknown=True)
    writer = random_writer(tokenizer, seed=7)
    writer.weights.head_bias[tokenizer.unknown_id] = 9.0
    load(browser, page_of(writer))
    stored = as_stored(writer)
    np.testing.assert_allclose(probabilities(browser, "aé"), expected_probabilities(stored, "aé"), atol=1e-5)
    expected = stored.generate("aé", temperature=0, max_new_tokens=80).text
    assert write(browser, "aé", temperature=0, length=80) == expected
    assert browser.text("#note") == "The model never saw é (U+00E9), and reads rare characters instead."


def test_a_seed_repeats_a_text_and_temperature_and_top_p_change_it(browser: Browser) -> None:
    load(browser, page_of(random_writer(seed=3)))
    first = write(browser, PROMPT, seed=11, temperature=1, length=200)
    assert write(browser, PROMPT) == first
    assert "seed 11" in browser.text("#status")
    assert write(browser, PROMPT, seed=12) != first
    assert write(browser, PROMPT, seed=11, temperature=0.4) != first
    assert write(browser, PROMPT, temperature=1, top_p=0.5) != first
    assert write(browser, PROMPT, top_p=1) == first


def test_draws_have_the_model_s_probabilities(browser: Browser) -> None:
    """A chi-squared test of 4,000 first characters, with and without the controls; it is the same in each run."""
    writer = random_writer(CharTokenizer("\n abcdefg"), seed=1)
    load(browser, page_of(writer))
    odds = probabilities(browser, "a")
    script = (
        browser.run("return $('worker').textContent")
        + "const draws = (_, n) => draw(Float64Array.from(arguments[0]), ...arguments[1], randomNumbers(n));"
        + "return Array.from({length: 4000}, draws)"
    )
    for temperature, top_p in ((1.0, 1.0), (0.6, 1.0), (1.0, 0.7)):
        expected = odds ** (1 / temperature) / (odds ** (1 / temperature)).sum()
        order = np.argsort(-expected)
        kept = order[: 1 + np.searchsorted(np.cumsum(expected[order]), top_p)] if top_p < 1 else order
        kept_odds = np.zeros_like(expected)
        kept_odds[kept] = expected[kept] / expected[kept].sum()
        drawn = browser.run("postMessage = () => {};" + script, np.log(odds).tolist(), [temperature, top_p])
        counts = np.bincount(drawn, minlength=len(odds))
        assert not counts[kept_odds == 0].any()
        some = kept_odds * 4000 > 5
        chi = ((counts - 4000 * kept_odds)[some] ** 2 / (4000 * kept_odds[some])).sum()
        assert chi < 30


@pytest.mark.parametrize("length", [40, 41])
def test_a_stop_text_ends_the_text_and_is_not_shown(browser: Browser, length: int) -> None:
    writer = random_writer(seed=9)
    load(browser, page_of(writer))
    stored = as_stored(writer)
    whole = stored.generate(PROMPT, temperature=0, max_new_tokens=length).text
    for stop in (whole[20:23], whole[-2:], whole[-1] + "zzz"):
        expected = stored.generate(PROMPT, temperature=0, max_new_tokens=length, stop=stop).text
        shown = stop.replace("\n", "\\n")
        assert write(browser, PROMPT, temperature=0, length=length, stop=shown) == expected
    load(browser, page_of(writer))
    assert write(browser, PROMPT, temperature=0, length=length, stop="\\n") == whole.split("\n")[0]


def test_text_comes_while_it_is_written_and_stops_at_the_button_and_at_escape(browser: Browser) -> None:
    load(browser, page_of(random_writer(units=96)))
    keys = webdriver.Keys
    browser.run("$('length').value = 100000; $('temperature').value = 1")
    browser.one("#text").send_keys("the sea", keys.CONTROL, keys.ENTER)
    assert browser.text("#write") == "Stop"
    assert browser.run("return text.readOnly")
    place = browser.one("#write").rect
    early = until(browser, "text.value.length > 50 && text.value.length")
    until(browser, f"text.value.length > {early} + 1500")
    assert browser.one("#write").rect == place, "the button stays in its place while the text grows"
    browser.one("#write").click()
    until(browser, "!busy")
    assert browser.text("#status").endswith("Stopped.")
    assert browser.text("#write") == "Write"
    length = browser.run("return text.value.length")
    assert early < length < 100_000
    assert browser.text("#mirror mark") == browser.run("return text.value.slice(7)")
    browser.one("#text").send_keys(keys.CONTROL, keys.ENTER)
    until(browser, f"text.value.length > {length}")
    browser.press(keys.ESCAPE)
    until(browser, "!busy")
    browser.one("#undo").click()
    assert browser.run("return text.value.length") == length
    browser.one("#again").click()
    until(browser, "busy")
    browser.press(keys.ESCAPE)
    until(browser, "!busy")
    assert browser.run("return text.value.slice(0, 7)") == "the sea"


def test_a_long_text_is_read_piece_by_piece_and_can_be_stopped(browser: Browser) -> None:
    writer = random_writer(units=256)
    load(browser, page_of(writer))
    browser.run("text.value = 'the sea\\n'.repeat(4000); write()")
    until(browser, "$('status').textContent.startsWith('Reading the text: ')")
    browser.one("#write").click()
    until(browser, "!busy")
    assert browser.text("#status").startswith("0 characters, seed ")
    prompt = "the sea " * 20
    expected = as_stored(writer).generate(prompt, temperature=0, max_new_tokens=30).text
    assert write(browser, prompt, temperature=0, length=30) == expected


def test_suggestions_are_those_of_the_suggester_and_tab_takes_the_first(browser: Browser) -> None:
    writer = random_writer(seed=4)
    load(browser, page_of(writer))
    stored, keys = as_stored(writer), webdriver.Keys
    for text in ("the s", "the se"):
        browser.one("#text").clear()
        browser.one("#text").send_keys(text)
        until(browser, "suggestions.length")
        expected = stored.suggest(text, n=4)
        assert browser.run("return suggestions") == [each.text for each in expected]
        shown = browser.driver.find_elements("css selector", "#suggestions small")
        for share, each in zip(shown, expected, strict=True):
            assert float(share.text.removesuffix(" %")) == pytest.approx(100 * each.probability, abs=0.5)
    assert browser.text("#mirror .ghost") == expected[0].text
    assert browser.text("#spoken").startswith("Tab: ")
    browser.press(keys.TAB)
    assert browser.run("return text.value") == text + expected[0].text
    assert browser.run("return document.activeElement.id") == "text"
    until(browser, "suggestions.length")
    browser.driver.find_elements("css selector", "#suggestions button")[1].click()
    assert (
        browser.run("return text.value")
        == text + expected[0].text + stored.suggest(text + expected[0].text, n=4)[1].text
    )
    until(browser, "suggestions.length")
    browser.press(keys.ESCAPE)
    assert browser.run("return suggestions.length") == 0
    browser.press(keys.TAB)
    assert browser.run("return document.activeElement.id") == "write"


def test_suggestions_can_be_turned_off(browser: Browser) -> None:
    load(browser, page_of(random_writer()))
    browser.one("#suggest").click()
    browser.one("#text").send_keys("the s")
    np.testing.assert_allclose(probabilities(browser, "the s").sum(), 1.0)
    assert browser.run("return suggestions.length") == 0


def test_hostile_names_labels_and_characters_are_text(browser: Browser) -> None:
    evil = '</script><img src=x onerror="window.broken=1">\u2028\u2029\'`${1}&lt;<!--'
    tokenizer = CharTokenizer("".join(sorted({*evil, "\ud800", "\x00", "\x1b"})))
    corpus = CorpusDescription(records=None)
    metadata = Metadata(model=random_writer(tokenizer).config, tokenizer=tokenizer, corpus=corpus)
    writer = random_writer(tokenizer, metadata=metadata)
    load(browser, page_of(writer, name=evil))
    assert browser.run("return [document.querySelectorAll('img').length, window.broken ?? null]") == [0, None]
    assert browser.text("h1") == evil
    stored = as_stored(writer)
    np.testing.assert_allclose(probabilities(browser, "scr"), expected_probabilities(stored, "scr"), atol=1e-5)
    browser.run("text.value = '<script>'; write()")
    until(browser, "!busy")
    assert browser.run("return [document.querySelectorAll('img').length, window.broken ?? null]") == [0, None]


def test_injected_scripts_do_not_run(browser: Browser) -> None:
    load(browser, page_of(random_writer()))
    browser.run(
        "const s = document.createElement('script'); s.textContent = 'window.broken = 1'; document.body.append(s)"
    )
    assert browser.run("return window.broken ?? null") is None
    (refusal,) = browser.driver.get_log("browser")
    assert "Content Security Policy" in refusal["message"]


def test_the_text_is_copied_and_downloaded(browser: Browser) -> None:
    load(browser, page_of(random_writer(), name="sea/../<poems>"))
    browser.run(
        "text.value = 'the sea\\n'; navigator.clipboard.writeText = async (value) => { window.copied = value };"
        "HTMLAnchorElement.prototype.click = function () { window.link = this }"
    )
    browser.one("#copy").click()
    assert until(browser, "window.copied") == "the sea\n"
    assert browser.text("#status") == "Copied."
    browser.one("#download").click()
    name, there = browser.run("return [link.download, link.href.startsWith('blob:')]")
    assert (name, there) == ("sea_.._poems_.txt", True)


def test_on_a_phone_nothing_is_wider_than_the_screen_and_all_can_be_tapped(browser: Browser) -> None:
    size = {"width": 360, "height": 640, "deviceScaleFactor": 1, "mobile": True}
    browser.driver.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", size)
    try:
        load(browser, page_of(random_writer()))
        browser.one("#text").send_keys("the s")
        until(browser, "suggestions.length")
        assert write(browser, length=300, temperature=1)
        browser.run("text.value += 'm'.repeat(200); mirror()")
        assert browser.run("return document.documentElement.scrollWidth <= innerWidth")
        assert browser.run("const paper = text.closest('.paper'); return paper.scrollWidth <= paper.clientWidth")
        for name in ("write", "again", "undo", "copy", "download"):
            box = browser.run(
                "const b = $(arguments[0]).getBoundingClientRect(); return [b.left, b.right, b.height]", name
            )
            assert box[0] >= 0
            assert box[1] <= 360
            assert box[2] >= 44
    finally:
        browser.driver.execute_cdp_cmd("Emulation.clearDeviceMetricsOverride", {})


def test_light_and_dark_follow_the_system_until_the_button_is_pressed(browser: Browser) -> None:
    load(browser, page_of(random_writer()))
    paper = "return getComputedStyle(document.body).backgroundColor"
    browser.scheme("light")
    light = browser.run(paper)
    browser.scheme("dark")
    dark = browser.run(paper)
    assert light != dark
    until(browser, "$('theme').textContent === 'Light'")
    browser.one("#theme").click()
    assert (browser.run(paper), browser.text("#theme")) == (light, "Dark")
    browser.scheme("light")
    assert browser.run(paper) == light
    browser.one("#theme").click()
    assert browser.run(paper) == dark


def test_every_control_has_a_name_for_screen_readers(browser: Browser, labelled: Writer) -> None:
    load(browser, page_of(labelled))
    browser.one("#text").send_keys("ab")
    nodes = browser.driver.execute_cdp_cmd("Accessibility.getFullAXTree", {})["nodes"]
    roles = {"button", "textbox", "slider", "spinbutton", "combobox", "checkbox"}
    found = {
        node["name"]["value"]: node["role"]["value"]
        for node in nodes
        if not node.get("ignored") and node["role"]["value"] in roles
    }
    assert "" not in found
    assert set(found.values()) == roles
    names = {"The text to continue", "Write", "Copy", "Download", "Length in characters", "Stop before", "Seed"}
    assert names <= set(found)
    assert any(name.startswith("Temperature") for name in found)


def test_a_browser_that_cannot_run_the_model_is_told_of(browser: Browser) -> None:
    page = page_of(random_writer()).replace("class Network {", "class Network { static { throw new Error('no'); }")
    browser.open(page)
    until(browser, "!busy")
    assert "The model cannot be used in this browser" in browser.text("#status")
    browser.driver.get_log("browser")


def test_the_page_of_a_run_opens_from_its_file(browser: Browser, home: Path, tmp_path: Path) -> None:
    import textgen

    path = textgen.export(home / "checkpoints" / "tiny", output=tmp_path / "tiny.html", weights="float32")
    load(browser, path.read_text(encoding="utf-8"))
    writer = textgen.load(home / "checkpoints" / "tiny")
    expected = writer.generate("The ", temperature=0, max_new_tokens=200).text
    assert write(browser, "The ", temperature=0, length=200) == expected

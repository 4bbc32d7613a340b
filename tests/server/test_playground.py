"""The playground in a real browser, against a server at a socket."""

from collections.abc import Callable, Iterator
from typing import Any

import pytest
from browsers import Browser, chromium, needs_chromium, wait, webdriver
from served import listening_server
from small_pairs import random_rewriter

from textgen.config import CorpusConfig
from textgen.corpus.tokenizer import CharTokenizer
from textgen.sampling.writer import Writer

pytestmark = needs_chromium
TOKEN = "a-token-that-nobody-guesses"
Keys = webdriver.Keys


@pytest.fixture(scope="module")
def browser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Browser]:
    with chromium(tmp_path_factory.mktemp("browser")) as made:
        yield made


@pytest.fixture
def page(browser: Browser, address: str) -> Iterator[Browser]:
    """The page, with its models listed."""
    browser.driver.get_log("browser")
    browser.driver.get(address)
    until(browser, lambda: browser.text("#status") == "Ready")
    yield browser
    assert browser.driver.get_log("browser") == []


def until(browser: Browser, condition: Callable[[], Any]) -> None:
    wait.WebDriverWait(browser.driver, 30).until(lambda _: condition())


def value(browser: Browser, selector: str = "#text") -> str:
    return browser.run("return document.querySelector(arguments[0]).value", selector)  # type: ignore[no-any-return]


def choose(browser: Browser, selector: str, chosen: object) -> None:
    """Sets a field as a user does, with its events."""
    script = """const field = document.querySelector(arguments[0]); field.value = arguments[1];
        for (const kind of ["input", "change"]) field.dispatchEvent(new Event(kind, {bubbles: true}));"""
    browser.run(script, selector, str(chosen))


def written(browser: Browser) -> bool:
    return browser.text("#write") == "Write"


def test_it_writes_what_sample_writes_and_again_and_back(page: Browser, writers: dict[str, Writer]) -> None:
    choose(page, "#seed", 7)
    choose(page, "#length", 300)
    choose(page, "#temperature", 0.5)
    assert page.text("#temperature-value") == "0.50"
    page.one("#text").send_keys("the sea ")
    webdriver.ActionChains(page.driver).key_down(Keys.CONTROL).send_keys(Keys.ENTER).key_up(Keys.CONTROL).perform()
    until(page, lambda: written(page) and len(value(page)) > 8)
    sample = writers["prose"].generate("the sea ", max_new_tokens=300, temperature=0.5, seed=7)
    assert value(page) == "the sea " + sample.text
    assert page.text("#mirror mark") == sample.text
    assert "300 characters" in page.text("#status") and "seed 7" in page.text("#status")
    choose(page, "#temperature", 0)
    page.one("#again").click()
    greedy = writers["prose"].generate("the sea ", max_new_tokens=300, temperature=0.0).text
    until(page, lambda: written(page) and value(page) == "the sea " + greedy)
    page.one("#undo").click()
    assert value(page) == "the sea " and not page.one("#undo").is_enabled()


def test_a_long_text_is_stopped(page: Browser) -> None:
    choose(page, "#length", 100_000)
    page.one("#text").send_keys("the s")
    until(page, lambda: page.run("return document.querySelectorAll('#suggestions button').length"))
    place = page.one("#write").rect
    page.one("#write").click()
    # Many lines, more than are shown.
    until(page, lambda: len(value(page)) > 2000)
    assert page.text("#write") == "Stop" and page.one("#write").rect == place
    page.one("#write").click()
    until(page, lambda: written(page))
    assert page.one("#write").rect == place
    length = len(value(page))
    assert 2000 < length < 100_000 and page.text("#status").startswith("Stopped after")
    page.one("#write").click()
    until(page, lambda: len(value(page)) > length)
    page.press(Keys.ESCAPE)
    until(page, lambda: written(page))


def test_a_suggestion_is_shown_while_typing_and_taken(page: Browser) -> None:
    page.one("#text").send_keys("the s")
    until(page, lambda: page.run("return document.querySelectorAll('#suggestions button').length"))
    ghost = page.text("#mirror .ghost")
    assert ghost and not ghost[1:].count(" ")
    assert page.text("#spoken") == f"Tab: {ghost}"
    page.press(Keys.TAB)
    assert value(page) == "the s" + ghost
    until(page, lambda: page.run("return document.querySelectorAll('#suggestions button').length"))
    before, second = value(page), page.one("#suggestions button:last-child")
    second.click()
    assert value(page).startswith(before) and len(value(page)) > len(before)
    page.press(Keys.ESCAPE)
    assert page.run("return document.querySelectorAll('#suggestions button').length") == 0


def test_a_stop_text_may_be_a_line_break(page: Browser, writers: dict[str, Writer]) -> None:
    for name, given in (("seed", 7), ("length", 300), ("temperature", 0.5), ("stop", "\\n")):
        choose(page, f"#{name}", given)
    choose(page, "#text", "the sea ")
    page.one("#write").click()
    sample = writers["prose"].generate("the sea ", max_new_tokens=300, temperature=0.5, seed=7, stop="\n")
    assert sample.finish_reason == "stop"
    until(page, lambda: written(page) and "ended by itself" in page.text("#status"))
    assert value(page) == "the sea " + sample.text


def test_labels_are_offered_where_the_model_has_them(page: Browser, writers: dict[str, Writer]) -> None:
    assert not page.one("#label-field").is_displayed()
    choose(page, "#model", "words")
    until(page, lambda: page.one("#label-field").is_displayed())
    choose(page, "#label", "low")
    choose(page, "#seed", 3)
    page.one("#write").click()
    sample = writers["words"].generate(label="low", seed=3)
    until(page, lambda: written(page) and value(page) == sample.text)
    assert ("ended by itself" in page.text("#status")) == (sample.finish_reason == "record")


def test_a_model_of_pairs_shows_what_it_makes_of_the_text_below_it(
    browser: Browser, writers: dict[str, Writer]
) -> None:
    rewriter = random_rewriter(CharTokenizer(" .abcd", has_end=True), corpus=CorpusConfig(task="case"), bias={4: 1.0})
    with listening_server({"pairs": rewriter, "prose": writers["prose"]}) as (address, _):
        browser.driver.get(address)
        until(browser, lambda: browser.text("#status") == "Ready")
        assert "turns it into another" in browser.one("#text").get_attribute("placeholder")
        assert browser.one("#result").is_displayed() and not browser.one("#length").is_displayed()
        assert not browser.one("#write").is_enabled() and value(browser, "#temperature") == "0"
        browser.one("#text").send_keys("abc. dab")
        browser.one("#write").click()
        until(browser, lambda: written(browser) and browser.text("#made"))
        script = "return document.querySelector('#made').textContent"
        assert browser.run(script) == rewriter.rewrite("abc. dab")[0].text
        assert value(browser) == "abc. dab" and browser.text("#note") == ""
        choose(browser, "#temperature", 1.2)
        choose(browser, "#seed", 4)
        browser.one("#again").click()
        drawn = rewriter.rewrite("abc. dab", sample=True, temperature=1.2, seed=4)[0].text
        until(browser, lambda: browser.run(script) == drawn and written(browser))
        assert browser.text("#status").endswith("seed 4")
        browser.one("#undo").click()
        assert browser.run(script) == "" and value(browser) == "abc. dab"
        choose(browser, "#model", "prose")
        until(browser, lambda: not browser.one("#result").is_displayed())
        assert browser.one("#length").is_displayed() and value(browser, "#temperature") == "0.8"
        assert browser.driver.get_log("browser") == []


def test_what_the_server_refuses_is_said(browser: Browser, address: str) -> None:
    browser.driver.get(address)
    until(browser, lambda: browser.text("#status") == "Ready")
    choose(browser, "#text", "the s€a <b>")
    browser.one("#write").click()
    until(browser, lambda: browser.one("#note").is_displayed())
    assert "never saw" in browser.text("#note") and "'€' (U+20AC)" in browser.text("#note")
    choose(browser, "#unknown", "skip")
    choose(browser, "#length", 5)
    browser.one("#write").click()
    until(browser, lambda: written(browser) and len(value(browser)) == 16)
    assert not browser.one("#note").is_displayed()
    browser.driver.get_log("browser")


def test_the_page_asks_for_the_token(browser: Browser, writers: dict[str, Writer]) -> None:
    with listening_server(writers, token=TOKEN) as (address, _):
        browser.driver.get(address)
        until(browser, lambda: browser.one("#token-field").is_displayed())
        assert "token" in browser.text("#note")
        browser.one("#token").send_keys(TOKEN, Keys.ENTER)
        until(browser, lambda: browser.text("#status") == "Ready")
        choose(browser, "#length", 5)
        browser.one("#write").click()
        until(browser, lambda: len(value(browser)) == 5)
        browser.driver.get("data:,")
    browser.driver.get_log("browser")


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_it_fits_a_phone_in_light_and_dark(page: Browser, scheme: str) -> None:
    metrics = {"width": 360, "height": 740, "deviceScaleFactor": 2, "mobile": True}
    page.scheme(scheme)
    page.driver.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", metrics)
    try:
        choose(page, "#text", "the sea and the wind " * 9)
        assert page.run("return document.documentElement.scrollWidth <= innerWidth")
        small = """return [...document.querySelectorAll(".bar button")].filter((each) =>
            each.getBoundingClientRect().height < 40).map((each) => each.id)"""
        assert page.run(small) == []
        dark = page.run("return getComputedStyle(document.body).backgroundColor") == "rgb(20, 22, 26)"
        assert dark == (scheme == "dark")
    finally:
        page.driver.execute_cdp_cmd("Emulation.clearDeviceMetricsOverride", {})
        page.scheme("")


def test_everything_can_be_reached_by_keyboard_and_has_a_name(page: Browser) -> None:
    script = """return [...document.querySelectorAll("button, input, select, textarea")].filter((each) =>
        !(each.labels && each.labels.length) && !each.textContent.trim() && !each.getAttribute("aria-label"))
        .map((each) => each.id)"""
    assert page.run(script) == []
    page.one("#text").click()
    reached = set()
    for _ in range(16):
        page.press(Keys.TAB)
        reached.add(page.run("return document.activeElement.id"))
    assert {"write", "copy", "model", "temperature", "top-p", "length", "stop", "seed", "unknown", "suggest"} <= reached

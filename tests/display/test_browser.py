"""Both pages in a real browser: tooltips by mouse, touch and keyboard."""

from typing import Any

import numpy as np
import pytest
from browsers import Browser, needs_chromium, wait, webdriver
from small_models import random_writer

import textgen
from textgen.analysis.neurons import Neurons
from textgen.analysis.proofreading import Proof
from textgen.analysis.surprisal import Surprise
from textgen.corpus.tokenizer import CharTokenizer
from textgen.display.shades import level

pytestmark = needs_chromium

TEXT = 'the sea & <b>was</b> "calm" 山\n</script> and the wind was low\n\nit said "no more" & went\n' * 2
TOKENIZER = CharTokenizer.from_text(TEXT)


@pytest.fixture(scope="module")
def surprise() -> Surprise:
    return textgen.surprise(random_writer(TOKENIZER, units=12), TEXT, alternatives=5)


@pytest.fixture(scope="module")
def proof() -> Proof:
    return textgen.proofread(random_writer(TOKENIZER, units=12), TEXT, threshold=0.2)


@pytest.fixture(scope="module")
def neurons() -> Neurons:
    return textgen.neurons(random_writer(TOKENIZER, units=12), TEXT)


def percent(logprob: float) -> float:
    return 100 * float(np.exp(logprob))


def rows(browser: Browser) -> list[list[str]]:
    """The labels and probabilities in the tooltip's table."""
    script = "return [...document.querySelectorAll('#tip tr')].map((r) => [...r.cells].map((c) => c.textContent))"
    return [row[:2] for row in browser.run(script)]


def assert_tip_tells(browser: Browser, found: Surprise, place: int) -> None:
    each = found.at(place)
    names = {" ": "space", "\n": "line break"}
    head = browser.text("#tip .head")
    assert head.startswith(names.get(each.character, each.character))
    assert f"{found.bits[place]:.2f} bits" in head
    shown = rows(browser)
    assert [sign for sign, _ in shown] == [names.get(character, character) for character, _ in each.top]
    for (_, probability), (_, logprob) in zip(shown, each.top, strict=True):
        if not probability.startswith("<"):
            assert float(probability.removesuffix(" %")) == pytest.approx(percent(logprob), rel=0.05)
    own = [row.text for row in browser.driver.find_elements("css selector", "#tip .own .sign")]
    assert own == [names.get(each.character, each.character)] * (each.character in dict(each.top))


def test_the_text_is_unchanged_and_coloured_by_surprisal(browser: Browser, surprise: Surprise) -> None:
    browser.open(surprise.to_html(title="<sea>"))
    assert browser.text("#text") == TEXT
    assert (browser.text("h1"), browser.driver.title) == ("<sea>", "<sea> · Surprise")
    assert browser.run("return document.querySelectorAll('b, #text script').length") == 0
    shades = [level(round(bits * 1024) / 1024) for bits in surprise.bits]
    assert [int(classes[1:2]) for classes in browser.run("return reader.spans.map((span) => span.className)")] == shades
    assert f"bits per character {surprise.score.bits_per_character:.3f}" in browser.text(".facts")
    assert surprise.passage.sha256[:12] in browser.text(".facts")
    strong, weak = shades.index(max(shades)), shades.index(min(shades))
    light = {browser.colour(place) for place in (strong, weak)}
    browser.scheme("dark")
    dark = {browser.colour(place) for place in (strong, weak)}
    assert (len(light), len(dark), light & dark) == (2, 2, set())


def test_pointing_at_a_character_shows_its_probability_and_the_alternatives(
    browser: Browser, surprise: Surprise
) -> None:
    browser.open(surprise.to_html())
    assert not browser.one("#tip").is_displayed()
    for place in (4, TEXT.index(" "), TEXT.index("\n"), TEXT.index("山")):
        browser.hover(place)
        assert browser.one("#tip").is_displayed()
        assert_tip_tells(browser, surprise, place)
    webdriver.ActionChains(browser.driver, duration=0).move_to_element(browser.one("h1")).perform()
    assert not browser.one("#tip").is_displayed()


def test_a_click_pins_the_tooltip_and_a_second_one_unpins_it(browser: Browser, surprise: Surprise) -> None:
    browser.open(surprise.to_html())
    browser.span(6).click()
    webdriver.ActionChains(browser.driver, duration=0).move_to_element(browser.one("h1")).perform()
    assert_tip_tells(browser, surprise, 6)
    browser.span(6).click()
    webdriver.ActionChains(browser.driver, duration=0).move_to_element(browser.one("h1")).perform()
    assert not browser.one("#tip").is_displayed()


def test_the_keyboard_reaches_every_character_and_announces_it(browser: Browser, surprise: Surprise) -> None:
    keys = webdriver.Keys
    browser.open(surprise.to_html())
    browser.press(keys.TAB)
    assert browser.run("return document.activeElement.id") == "text"
    browser.press(keys.ARROW_RIGHT, keys.ARROW_RIGHT, keys.ARROW_LEFT)
    assert_tip_tells(browser, surprise, 1)
    spoken = browser.text("#spoken")
    assert spoken.startswith(f"{TEXT[1]}, ")
    assert f"{surprise.bits[1]:.1f} bits. Most likely: " in spoken
    browser.press(keys.ARROW_DOWN)
    assert browser.run("return reader.place") == TEXT.index("\n") + 2
    browser.press(keys.ARROW_UP)
    assert browser.run("return reader.place") == 1
    browser.press(keys.END)
    assert browser.run("return reader.place") == len(TEXT) - 1
    browser.press(keys.HOME, "n")
    great = [place for place in range(1, len(TEXT)) if surprise.bits[place] >= 6.0]
    assert browser.run("return reader.place") == great[0]
    browser.press("n", "n", "p")
    assert_tip_tells(browser, surprise, great[1])
    browser.press(keys.ESCAPE)
    assert not browser.one("#tip").is_displayed()


@pytest.mark.parametrize("page", ["surprise", "neurons"])
def test_on_a_phone_nothing_is_wider_than_the_screen(browser: Browser, page: str, request: Any) -> None:
    size = {"width": 360, "height": 640, "deviceScaleFactor": 1, "mobile": True}
    browser.driver.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", size)
    browser.driver.execute_cdp_cmd("Emulation.setTouchEmulationEnabled", {"enabled": True})
    try:
        browser.open(request.getfixturevalue(page).to_html())
        browser.run("reader.spans[5].scrollIntoView({block: 'end'})")
        box = browser.run("const b = reader.spans[5].getBoundingClientRect(); return [b.x + b.width / 2, b.y + 8]")
        for kind, points in (("touchStart", [{"x": box[0], "y": box[1]}]), ("touchEnd", [])):
            browser.driver.execute_cdp_cmd("Input.dispatchTouchEvent", {"type": kind, "touchPoints": points})
        wait.WebDriverWait(browser.driver, 10).until(lambda _: browser.one("#tip").is_displayed())
        assert browser.run("return reader.place") == 5
        assert browser.run("return document.documentElement.scrollWidth <= innerWidth")
        tip = browser.run("const b = tip.getBoundingClientRect(); return [b.left, b.right, b.bottom]")
        assert tip[0] >= 0
        assert tip[1] <= 360
        assert tip[2] <= 640
    finally:
        browser.driver.execute_cdp_cmd("Emulation.setTouchEmulationEnabled", {"enabled": False})
        browser.driver.execute_cdp_cmd("Emulation.clearDeviceMetricsOverride", {})


def options(browser: Browser) -> list[list[str]]:
    """The units in the list: name, feature, correlation."""
    script = "return [...$('list').children].map((row) => [...row.children].map((cell) => cell.textContent))"
    return browser.run(script)  # type: ignore[no-any-return]


def signed(value: float) -> str:
    return f"{value:+.2f}".replace("-", "\u2212")


def assert_shows(browser: Browser, found: Neurons, layer: int, unit: int) -> None:
    """The page shows this unit: its name, what it follows, its colours on the text."""
    assert browser.text("#unit") == f"Layer {layer}, unit {unit}"
    own = found.correlations[:, layer - 1, unit - 1]
    best = int(np.abs(own).argmax())
    row = browser.text("#follows tr")
    assert row.startswith(found.features[best].name)
    assert signed(own[best]) in row
    states = found.state(layer, unit)
    names = [each.split() for each in browser.run("return reader.spans.map((span) => span.className)")]
    np.testing.assert_allclose([int(shade[1:]) / 10 - 1 for shade, *_ in names], states, atol=0.06)
    if found.features[best].binary:
        assert ["on" in each for each in names] == (found.features[best].values > 0).tolist()
    colours = {sign: browser.colour(int((sign * states).argmax())) for sign in (-1, 1)}
    if states.min() < -0.1 and states.max() > 0.1:
        assert len({*colours.values(), "rgba(0, 0, 0, 0)"}) == 3


def ranked(found: Neurons) -> list[tuple[int, int]]:
    """Layers and units, those that follow anything best first."""
    strengths = np.abs(found.correlations.astype(np.float32)).max(axis=0).ravel()
    units = found.states.shape[1]
    return [(place // units + 1, place % units + 1) for place in np.argsort(-strengths, kind="stable").tolist()]


def test_a_selected_unit_colours_the_text(browser: Browser, neurons: Neurons) -> None:
    browser.open(neurons.to_html(title="sea"))
    order = ranked(neurons)
    assert browser.text("#text") == TEXT
    assert [name for name, *_ in options(browser)] == [f"{layer}/{unit}" for layer, unit in order]
    assert_shows(browser, neurons, *order[0])
    browser.driver.find_elements("css selector", ".option")[3].click()
    assert_shows(browser, neurons, *order[3])
    assert browser.one("[aria-selected=true]").text.split()[0] == "{}/{}".format(*order[3])
    browser.hover(6)
    assert browser.text("#tip .head") == TEXT[6] + signed(float(np.rint(neurons.state(*order[3])[6] * 127) / 127))


def test_units_are_ranked_by_a_selected_feature_and_searched(browser: Browser, neurons: Neurons) -> None:
    browser.open(neurons.to_html())
    place = next(n for n, feature in enumerate(neurons.features) if feature.name == "inside quotes")
    browser.run("$('by').value = arguments[0]; $('by').dispatchEvent(new Event('change'))", str(place))
    top = neurons.top(place, 24)
    assert [row[0] for row in options(browser)] == [f"{unit.layer}/{unit.unit}" for unit in top]
    assert [row[1:] for row in options(browser)] == [["inside quotes", signed(unit.correlation)] for unit in top]
    browser.press("/", "2/7")
    assert [row[0] for row in options(browser)] == ["2/7"]
    assert browser.text("#unit") == "Layer 2, unit 7"
    browser.one("#filter").clear()
    browser.one("#filter").send_keys("layer 1")
    assert {row[0].split("/")[0] for row in options(browser)} == {"1"}
    browser.one("#filter").clear()
    browser.one("#filter").send_keys("elephants")
    assert options(browser) == []
    assert browser.text("#found") == "No unit matches."


def test_units_are_reached_by_keyboard(browser: Browser, neurons: Neurons) -> None:
    keys = webdriver.Keys
    browser.open(neurons.to_html())
    order = ranked(neurons)
    browser.press("n", "n", "p")
    assert_shows(browser, neurons, *order[1])
    browser.run("$('list').focus()")
    browser.press(keys.ARROW_DOWN, keys.ARROW_DOWN)
    assert browser.text("#unit") == "Layer {}, unit {}".format(*order[3])
    active = browser.run("return document.getElementById($('list').getAttribute('aria-activedescendant')).textContent")
    assert active.startswith("{}/{}".format(*order[3]))
    browser.press(keys.END)
    assert_shows(browser, neurons, *order[-1])
    browser.run("$('text').focus()")
    browser.press(keys.HOME, keys.ARROW_RIGHT)
    assert browser.text("#spoken") == f"{TEXT[1]}, " + browser.text("#tip strong")


def test_saturation_is_plotted_and_labelled(browser: Browser, neurons: Neurons) -> None:
    browser.open(neurons.to_html())
    captions = browser.run("return [...document.querySelectorAll('figcaption')].map((c) => c.textContent)")
    assert captions == [
        f"Layer {use.layer}, {use.gate} gateabove 0.9: {100 * use.above.mean():.1f} %"
        f"below 0.1: {100 * use.below.mean():.1f} %"
        for use in neurons.gates
    ]
    drawn = browser.run("return [...document.querySelectorAll('.dots')].map((path) => path.getAttribute('d'))")
    assert [path.count("M") for path in drawn] == [12] * len(neurons.gates)


def test_a_text_without_features_and_a_network_without_gates_have_a_page(browser: Browser) -> None:
    browser.open(textgen.neurons(random_writer(TOKENIZER, units=12, cell="rnn"), "a").to_html())
    assert len(options(browser)) == 24
    assert not browser.one("#gates").is_displayed()
    assert browser.text("#unit") == "Layer 1, unit 1"


def test_a_proof_shows_what_was_found(browser: Browser, proof: Proof) -> None:
    browser.open(proof.to_html(title="proof"))
    assert browser.text("#text") == TEXT
    assert browser.text(".kind") == "Proof"
    marked = browser.run("return reader.spans.filter((s) => s.classList.contains('found')).map((s) => s.place)")
    findings = [each for each in proof.findings if each.start < len(TEXT)]
    places = {min(each.start + n, len(TEXT) - 1) for each in findings for n in range(max(1, len(each.stands)))}
    assert set(marked) == places
    first = findings[0]
    browser.press(webdriver.Keys.TAB, "n")
    stop = browser.run("return reader.place")
    assert stop in places
    if stop == first.start:
        assert f"{100 * first.probability:.0f} %" in browser.text("#tip .verdict")
    assert browser.text("#spoken").startswith(browser.text("#tip .verdict"))
    titles = browser.run("return [...document.querySelectorAll('#tip h2')].map((each) => each.textContent)")
    assert titles == [each.title for each in proof.verdicts]

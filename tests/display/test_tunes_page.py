"""The page of tunes in a real browser: drawn, played, stopped, saved, and safe whatever the tunes hold."""

import base64
import json
import re
from collections.abc import Iterator
from fractions import Fraction
from hashlib import sha256
from importlib import resources
from typing import Any

import pytest
from browsers import chromium, needs_chromium
from pages import data_of

from textgen.analysis.tunes import read_tune, tunes_page

JIG = "X:1\nT:The Test & <b>Jig</b>\nR:jig\nM:6/8\nL:1/8\nK:D\n|:D2F [FA]2d|(3ABc d z d2:|\n"
HOSTILE = [
    "<img src=x onerror=alert(1)>",
    "</script><script>alert(1)</script>",
    "<svg onload=alert(1)>",
    "javascript:alert(1)",
    "\u2028{{data}}'\"`",
]
BROKEN = "X:2\nT:Broken\nM:4/4\nK:G\nAB [d|\n"


def hostile(text: str) -> str:
    """A tune with a text wherever abcjs may show one; its fields are drawn, too."""
    fields = "".join(f"{name}:{text}\n" for name in "TCORABDFGHNSZ")
    about = f'"^{text.replace(chr(34), "")}"'
    return f"X:1\n{fields}%%text {text}\nM:2/4\nK:C\n{about}C2 D2|\nw:{text}\nC4|\nW:{text}\nP:{text}\n"


def test_a_page_is_one_file_that_allows_only_its_own_scripts() -> None:
    page = tunes_page([JIG, BROKEN, *map(hostile, HOSTILE)], title=HOSTILE[1], facts=[("run", HOSTILE[0])])
    policy = re.search(r'Content-Security-Policy" content="([^"]*)"', page)
    assert policy is not None
    assert policy[1].startswith("default-src 'none'; style-src 'unsafe-inline'; script-src 'sha256-")
    assert "unsafe" not in policy[1].partition("script-src")[2]
    assert len(re.findall(r"<script\b", page)) == 3
    assert not re.search(r"<(?:img|svg|link|iframe|object|base)\b", re.sub(r"(?s)<script>.*?</script>", "", page))
    assert [tune["text"] for tune in data_of(page)["tunes"]] == [JIG, BROKEN, *map(hostile, HOSTILE)]


def test_a_page_has_abcjs_as_it_was_published_with_its_licence() -> None:
    script = resources.files("textgen.display.pages").joinpath("abcjs", "abcjs-basic-min.js").read_bytes()
    # dist/abcjs-basic-min.js of abcjs 6.7.2 on npm.
    assert sha256(script).hexdigest() == "3290ef44c918d5e882029d3a47ad3dd63c16c8819da5abe921f3d1e642b4f4f0"
    page = tunes_page([JIG], title="t")
    assert script.decode() in page
    assert "Copyright (c) 2009-2026 Paul Rosen and Gregory Dyke" in page
    assert "Permission is hereby granted, free of charge" in page


def test_a_tune_that_does_not_parse_has_its_complaints() -> None:
    first, second = data_of(tunes_page([JIG, BROKEN], title="t"))["tunes"]
    assert first["complaints"] == []
    assert second["complaints"] == list(read_tune(BROKEN).complaints) != []
    assert (first["beat"], first["beatName"], first["tempo"]) == (0.375, "3/8", 112)
    assert first["about"] == "jig, 6/8, D."
    (short,) = data_of(tunes_page([JIG.replace(" z", "")], title="t"))["tunes"]
    assert short["about"] == "jig, 6/8, D. 1 of 2 bars does not fill the metre."


@pytest.fixture(scope="module")
def driver(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    """A browser with a page of all tunes of this module, whose calls of `alert` and of files are noted."""
    folder = tmp_path_factory.mktemp("tunes_page")
    page = folder / "tunes.html"
    page.write_text(tunes_page([JIG, BROKEN, *map(hostile, HOSTILE)], title=HOSTILE[1]), encoding="utf-8")
    noting = "window.alerts = []; window.alert = (text) => alerts.push(text);"
    with chromium(folder) as browser:
        found = browser.driver
        found.execute_cdp_cmd("Page.addScriptToEvaluateOnNewDocument", {"source": noting})
        found.get(page.as_uri())
        found.page = page
        yield found


def card(driver: Any, number: int) -> Any:
    return driver.find_elements("css selector", ".tune")[number]


def press(driver: Any, number: int, name: str) -> None:
    (button,) = [each for each in card(driver, number).find_elements("css selector", "button") if each.text == name]
    button.click()


@needs_chromium
def test_a_tune_is_drawn_and_a_broken_one_is_text(driver: Any) -> None:
    first, second = card(driver, 0), card(driver, 1)
    assert first.find_element("css selector", "h2").text == "The Test & <b>Jig</b>"
    notes = first.find_elements("css selector", "svg .abcjs-note")
    assert len(notes) == len(read_tune(JIG).notes)
    assert not second.find_elements("css selector", "svg")
    assert second.find_element("css selector", "pre").text == BROKEN.strip()
    assert [each.text for each in second.find_elements("css selector", "li")] == list(read_tune(BROKEN).complaints)


@needs_chromium
def test_play_schedules_the_notes_and_stop_ends_them(driver: Any) -> None:
    press(driver, 0, "Play")
    scheduled = driver.execute_script("return player.scheduled")
    begun = driver.execute_script("return player.begun")
    whole = 60 / 112 / 0.375
    expected, at = [], Fraction(0)
    # With the rest, which is no note.
    rest_before = {8: Fraction(1, 8)}
    notes = read_tune(JIG).notes
    for _ in range(2):
        for number, note in enumerate(notes):
            at += rest_before.get(number, Fraction(0))
            expected += [(float(at) * whole, float(note.length) * whole, pitch) for pitch in note.pitches]
            at += note.length
    assert len(scheduled) == len(expected) == 2 * 10
    for found, (start, length, pitch) in zip(sorted(scheduled, key=order), sorted(expected), strict=True):
        assert found["start"] - begun == pytest.approx(start, abs=1e-3)
        assert found["duration"] == pytest.approx(length, abs=0.02)
        assert found["frequency"] == pytest.approx(440 * 2 ** ((pitch - 69) / 12))
    driver.execute_script("cards[0].tempo.value = 56; cards[0].tempo.dispatchEvent(new Event('input'))")
    slower = driver.execute_script("return player.scheduled")
    assert max(note["duration"] for note in slower) == pytest.approx(
        2 * max(length for _, length, _ in expected), abs=0.02
    )
    assert card(driver, 0).find_element("css selector", "output").text == "56"
    press(driver, 0, "Stop")
    assert driver.execute_script("return [player.scheduled.length, player.voices.length, player.card]") == [0, 0, None]
    assert not driver.find_elements("css selector", ".sounding")


def order(note: dict[str, float]) -> tuple[float, float]:
    return round(note["start"], 6), note["frequency"]


@needs_chromium
def test_a_tune_ends_by_itself_and_colours_its_notes(driver: Any) -> None:
    driver.execute_script("cards[0].tempo.value = 260")
    press(driver, 0, "Play")
    script = "const done = arguments[0]; let seen = 0;"
    script += "const look = () => { seen += document.querySelectorAll('.sounding').length;"
    script += "player.card ? setTimeout(look, 20) : done(seen) }; look();"
    driver.set_script_timeout(60)
    assert driver.execute_async_script(script) > 0
    assert not driver.find_elements("css selector", ".sounding")


@needs_chromium
def test_a_tune_is_saved_as_abc_and_as_midi(driver: Any) -> None:
    noting = (
        "window.saved = []; URL.createObjectURL = (blob) => {saved.push(blob); return 'blob:none'};"
        "HTMLAnchorElement.prototype.click = function () {saved.push(this.download)}"
    )
    driver.execute_script(noting)
    driver.execute_script("cards[0].tempo.value = 100")
    press(driver, 0, "Save ABC")
    press(driver, 0, "Save MIDI")
    script = "Promise.all(saved.map((each) => each.arrayBuffer ? each.arrayBuffer().then("
    script += "(data) => btoa(String.fromCharCode(...new Uint8Array(data)))) : each)).then(arguments[0])"
    abc, abc_name, midi, midi_name = driver.execute_async_script(script)
    assert base64.b64decode(abc).decode() == f"{JIG}\n"
    assert (abc_name, midi_name) == ("1-the-test-b-jig-b.abc", "1-the-test-b-jig-b.mid")
    data = base64.b64decode(midi)
    assert data.startswith(b"MThd")
    ons = re.findall(rb"\x90([\x00-\x7f])[\x01-\x7f]", data)
    assert {each[0] for each in ons} >= {pitch for note in read_tune(JIG).notes for pitch in note.pitches}
    # 100 dotted quarter notes a minute are 150 quarter notes, of 400,000 microseconds.
    assert b"\xff\x51\x03" + (400_000).to_bytes(3, "big") in data


@needs_chromium
def test_hostile_text_stays_text(driver: Any) -> None:
    assert driver.execute_script("return alerts") == []
    assert driver.execute_script("return document.querySelectorAll('script').length") == 3
    assert not driver.find_elements("css selector", "img, iframe, [onerror], [onload], a[href^=javascript]")
    shown = [each.find_element("css selector", "h2").text for each in driver.find_elements("css selector", ".tune")[2:]]
    assert shown[:4] == HOSTILE[:4]
    assert len(driver.find_elements("css selector", ".tune svg")) == 1 + len(HOSTILE)


@needs_chromium
def test_the_page_asks_nothing_of_the_network_and_fails_nowhere(driver: Any) -> None:
    driver.get("data:,")
    driver.get_log("browser"), driver.get_log("performance")
    driver.get(driver.page.as_uri())
    messages = [json.loads(entry["message"])["message"] for entry in driver.get_log("performance")]
    urls = [m["params"]["request"]["url"] for m in messages if m["method"] == "Network.requestWillBeSent"]
    assert {url.partition(":")[0] for url in urls} <= {"file", "data", "blob"}
    assert driver.get_log("browser") == []


@needs_chromium
def test_a_narrow_page_does_not_scroll_sideways(driver: Any) -> None:
    metrics = {"width": 360, "height": 800, "deviceScaleFactor": 1, "mobile": True}
    driver.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", metrics)
    driver.get(driver.page.as_uri())
    assert driver.execute_script("return document.documentElement.scrollWidth") <= 360
    driver.execute_cdp_cmd("Emulation.clearDeviceMetricsOverride", {})

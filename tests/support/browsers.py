"""Chromium, driven by selenium, for the tests of pages, which are opened from a file and ask nothing of a network."""

import contextlib
import json
import os
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

webdriver = pytest.importorskip("selenium.webdriver", reason="the tests in a browser need selenium (group dev)")
wait = pytest.importorskip("selenium.webdriver.support.wait")

CHROMIUM, DRIVER = shutil.which("chromium"), shutil.which("chromedriver")
needs_chromium = pytest.mark.skipif(
    CHROMIUM is None or DRIVER is None,
    reason="the tests in a browser need chromium and chromedriver (Debian: apt-get install chromium chromium-driver)",
)

FLAGS = (
    "--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-dev-shm-usage",
    "--disable-background-networking", "--disable-component-update", "--disable-sync", "--window-size=1200,900",
)  # fmt: skip


class Browser:
    """A page opened from its file.

    Args:
        driver: selenium's.
        folder: where pages are put.
    """

    def __init__(self, driver: Any, folder: Path) -> None:
        self.driver, self._folder = driver, folder

    def open(self, page: str) -> None:
        path = self._folder / "page.html"
        path.write_text(page, encoding="utf-8")
        self.driver.get(path.as_uri())

    def run(self, script: str, *arguments: object) -> Any:
        return self.driver.execute_script(script, *arguments)

    def one(self, selector: str) -> Any:
        return self.driver.find_element("css selector", selector)

    def text(self, selector: str) -> str:
        return self.run("return document.querySelector(arguments[0]).textContent", selector)  # type: ignore[no-any-return]

    def span(self, place: int) -> Any:
        return self.run("return reader.spans[arguments[0]]", place)

    def hover(self, place: int) -> None:
        webdriver.ActionChains(self.driver, duration=0).move_to_element(self.span(place)).perform()

    def press(self, *keys: str) -> None:
        webdriver.ActionChains(self.driver, duration=0).send_keys(*keys).perform()

    def colour(self, place: int) -> str:
        return self.run("return getComputedStyle(reader.spans[arguments[0]]).backgroundColor", place)  # type: ignore[no-any-return]

    def scheme(self, name: str) -> None:
        features = [{"name": "prefers-color-scheme", "value": name}]
        self.driver.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": features})

    def requested(self) -> list[str]:
        """The addresses that were asked for since the last call."""
        messages = (json.loads(entry["message"])["message"] for entry in self.driver.get_log("performance"))
        return [
            message["params"]["request"]["url"]
            for message in messages
            if message["method"] == "Network.requestWillBeSent"
        ]


@contextlib.contextmanager
def chromium(folder: Path) -> Iterator[Browser]:
    """A browser with a profile and its pages in `folder`."""
    options = webdriver.ChromeOptions()
    options.binary_location = CHROMIUM
    for flag in (*FLAGS, f"--user-data-dir={folder / 'profile'}"):
        options.add_argument(flag)
    options.set_capability("goog:loggingPrefs", {"browser": "ALL", "performance": "ALL"})
    service = webdriver.ChromeService(DRIVER, log_output=os.devnull)
    with webdriver.Chrome(options, service) as driver:
        yield Browser(driver, folder)


@contextlib.contextmanager
def watched(browser: Browser) -> Iterator[None]:
    """Sees that what is done meanwhile asks nothing of the network and fails nowhere."""
    browser.driver.get("data:,")
    browser.driver.get_log("browser"), browser.requested()
    yield
    assert browser.driver.get_log("browser") == []
    assert {url.partition(":")[0] for url in browser.requested()} <= {"file", "data", "blob"}
    browser.scheme("")

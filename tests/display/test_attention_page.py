"""The page of attention in Chromium: pointing at a character colours those of the other line by their weights."""

from __future__ import annotations

import numpy as np
import pytest
from browsers import Browser
from selenium import webdriver
from small_pairs import random_rewriter

from textgen.analysis.evaluation.attention import AttentionPage
from textgen.analysis.evaluation.pairs import evaluate_pairs
from textgen.config import RewriteConfig

SHARES = (
    "return [...document.querySelectorAll('.pair')[0].querySelectorAll('.characters')[arguments[0]].children]"
    ".map((each) => Number(each.dataset.share ?? 0))"
)


@pytest.fixture(scope="module")
def made() -> AttentionPage:
    rewriter = random_rewriter(seed=3)
    pairs = [("abcd", "wxyzw"), ("ddca", "zzzz")]
    return AttentionPage(
        rewriter, evaluate_pairs(rewriter, pairs, title="two", config=RewriteConfig(match="[wxyz]{5}"))
    )


def test_pointing_shows_the_attention_both_ways(browser: Browser, made: AttentionPage) -> None:
    browser.open(made.to_html(title="<pairs>"))
    assert browser.text("h1") == "<pairs>"
    shown = made.shown[0]
    attention = made.rewriter.read([shown.source], [shown.text])[0].attention
    lines = browser.driver.find_elements("css selector", ".pair:first-child .characters")
    assert [each.text for each in lines] == [f"{shown.source} end", f"{shown.text} end", shown.target]
    written, read = (each.find_elements("css selector", "span") for each in (lines[1], lines[0]))
    point = webdriver.ActionChains(browser.driver, duration=0)
    point.move_to_element(written[1]).perform()
    np.testing.assert_allclose(browser.run(SHARES, 0), np.where(attention[1] > 0.013, attention[1], 0), atol=0.014)
    point.move_to_element(read[2]).perform()
    np.testing.assert_allclose(browser.run(SHARES, 1), attention[:, 2], atol=0.014)
    point.move_to_element(browser.one("h1")).perform()
    assert not any(browser.run(SHARES, 0) + browser.run(SHARES, 1))
    browser.run("document.querySelectorAll('.characters')[1].focus()")
    browser.press(webdriver.Keys.ARROW_RIGHT, webdriver.Keys.ARROW_RIGHT)
    best = [*shown.source, "end"][int(attention[1].argmax())]
    assert browser.text("#spoken").startswith(f"{shown.text[1]}: {best}, ")
    np.testing.assert_allclose(browser.run(SHARES, 0), attention[1], atol=0.014)

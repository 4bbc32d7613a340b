"""Draws the README's pictures from a run, into docs/pictures: python docs/pictures.py [RUN [RUN OF TUNES]].

The learning curve is `textgen plot` as an 80-column terminal shows it, in SVG; the other pictures are the pages of
`textgen neurons`, `textgen sample --html` and `textgen export --to html`, photographed in Chromium through selenium.
"""

from __future__ import annotations

import contextlib
import html
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import textgen
from textgen.display.plots.palette import COLOURS, TERMINAL_256

ROOT = Path(__file__).resolve().parents[1]
PICTURES = ROOT / "docs" / "pictures"
FEATURE = "inside quotes"
PICK = (
    "const by = document.getElementById('by');"
    f"by.value = [...by.options].find((option) => option.text == {FEATURE!r}).value;"
    "by.dispatchEvent(new Event('change'))"
)
"""Ranks the units of a page of neurons by `FEATURE`."""
WRITE = (
    "const wait = setInterval(() => { if (busy) return; clearInterval(wait);"
    "text.focus(); text.value = 'CAPTAIN THRUPP: '; $('temperature').value = 0.5; $('temperature').oninput();"
    "$('length').value = 560; $('seed').value = 4; write() }, 50)"
)
"""Writes on the page that writes."""
PLAY = (
    "const wait = setInterval(() => { if (status_.textContent !== 'Ready') return; clearInterval(wait);"
    "text.focus(); text.value = 'CAPTAIN THRUPP: '; $('temperature').value = 0.5; $('length').value = 560;"
    "$('seed').value = 4; write().then(() => text.focus()).then(suggest) }, 50)"
)
"""Writes on the playground."""
PASSAGE = "A CONVERSATION IN THE CHURCHYARD"

WIDE, HIGH, EDGE = 9, 18, 18
"""A terminal's cell, and the space around its text, in pixels."""
INK, PAPER = "#d8dee9", "#1d2026"
DOTS = ((0, 0), (0, 1), (0, 2), (1, 0), (1, 1), (1, 2), (0, 3), (1, 3))
"""Column and row of each bit of a braille character."""


def cells(line: str) -> Iterator[tuple[str, str, float]]:
    """The characters of a line with their colour and opacity, as the escape sequences say."""
    colour, opacity = INK, 1.0
    for codes, character in re.findall(r"\x1b\[([\d;]*)m|(.)", line):
        if character:
            yield character, colour, opacity
        elif codes in ("", "0"):
            colour, opacity = INK, 1.0
        else:
            opacity = 0.6 if codes.startswith("2;") else 1.0
            colour = COLOURS[TERMINAL_256.index(codes.removeprefix("2;"))]


def terminal(text: str, *, columns: int) -> str:
    """A terminal's text with colours as an SVG; braille is drawn dot by dot, as few fonts have it."""
    shapes = []
    for row, line in enumerate(text.splitlines()):
        for column, (character, colour, opacity) in enumerate(cells(line)):
            x, y = EDGE + column * WIDE, EDGE + row * HIGH
            look = f'fill="{colour}"' + (f' opacity="{opacity}"' if opacity < 1 else "")
            if 0x2800 <= ord(character) < 0x2900:
                path = "".join(
                    f"M{x + WIDE / 4 + across * WIDE / 2:g} {y + HIGH / 8 + down * HIGH / 4:g}h0"
                    for bit, (across, down) in enumerate(DOTS)
                    if (ord(character) - 0x2800) >> bit & 1
                )
                look = look.replace("fill", "stroke")
                shapes.append(f'<path d="{path}" {look} stroke-width="3" stroke-linecap="round"/>')
            elif character != " ":
                shapes.append(f'<text x="{x}" y="{y + 13}" {look}>{html.escape(character)}</text>')
    width, height = columns * WIDE + 2 * EDGE, (row + 1) * HIGH + 2 * EDGE
    head = (
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{width}" height="{height}" viewBox="0 0 {width} {height}" '
        'font-family="DejaVu Sans Mono, Menlo, Consolas, monospace" font-size="15">'
    )
    return "\n".join([head, f'<rect width="100%" height="100%" rx="8" fill="{PAPER}"/>', *shapes, "</svg>\n"])


@contextlib.contextmanager
def playground(folder: Path) -> Iterator[str]:
    """A server of a run; its address."""
    command = [sys.executable, "-P", "-m", "textgen", "serve", str(folder), "--port", "0"]
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True) as child:
        assert child.stderr is not None
        yield child.stderr.readline().split(" at ")[1].split()[0]
        child.terminate()


def photograph(page: str, path: Path, script: str, *, width: int, height: int, done: str = "true") -> None:
    """Shows a page in Chromium, runs a script there, and writes what is then seen to a .png file.

    Args:
        page: HTML, or an address.
        path: the file.
        script: JavaScript.
        width: of the window, in pixels.
        height: likewise.
        done: what is true once the script has had its effect.
    """
    from selenium import webdriver
    from selenium.webdriver.support.wait import WebDriverWait

    options = webdriver.ChromeOptions()
    options.binary_location = _program("chromium")
    for flag in ("--headless", "--no-sandbox", "--disable-gpu", "--hide-scrollbars", f"--window-size={width},{height}"):
        options.add_argument(flag)
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "page.html"
        file.write_text(page, encoding="utf-8")
        address = page if page.startswith("http://") else file.as_uri()
        with webdriver.Chrome(options, webdriver.ChromeService(_program("chromedriver"))) as driver:
            driver.get(address)
            driver.execute_script(script)
            WebDriverWait(driver, 60).until(lambda _: driver.execute_script(f"return {done}"))
            driver.save_screenshot(str(path))


def _program(name: str) -> str:
    found = shutil.which(name)
    if found is None:
        sys.exit(f"There is no {name} here. Install it (Debian: apt-get install chromium chromium-driver).")
    return found


def _passage(text: str, *, length: int) -> str:
    """Some paragraphs of a text from a known place on."""
    start = text.index(PASSAGE)
    return text[start : text.index("\n\n", start + length)]


def tunes(run: str) -> str:
    """The page of tunes that `make demo-music` writes with its run."""
    from textgen.analysis.tunes import tunes_page

    written = textgen.load(ROOT / "checkpoints" / run).generate_records(8, any_label=True, temperature=0.6, seed=1)
    facts = [("tunes", "8"), ("temperature", "0.6"), ("seed", "1")]
    return tunes_page([each.text for each in written], title=run, facts=facts)


def main(run: str = "demo", music: str = "tunes") -> None:
    """Writes the pictures.

    Args:
        run: a run's name; its text is the bundled one.
        music: the name of a run on the bundled tunes; without one its picture stays as it is.
    """
    PICTURES.mkdir(exist_ok=True)
    if (ROOT / "checkpoints" / music).is_dir():
        photograph(tunes(music), PICTURES / "tunes.png", "", width=1000, height=900, done="cards.length > 0")
    folder = ROOT / "checkpoints" / run
    curves: Any = textgen.plot(folder)
    drawn = terminal(curves.text(columns=80, rows=16, colours=256), columns=80)
    (PICTURES / "learning-curve.svg").write_text(drawn, encoding="utf-8")
    text = (ROOT / "corpora" / "marrow_haven.txt").read_text(encoding="utf-8")
    found = textgen.neurons(textgen.load(folder), _passage(text, length=2500))
    page = found.to_html(title="marrow_haven.txt")
    photograph(page, PICTURES / "neurons.png", PICK, width=1200, height=720)
    with tempfile.TemporaryDirectory() as scratch:
        page = textgen.export(folder, output=Path(scratch) / "page.html").read_text(encoding="utf-8")
    photograph(
        page, PICTURES / "write.png", WRITE, width=1180, height=880, done="suggestions.length > 0 && history.length"
    )
    with playground(folder) as address:
        done = "suggestions.length > 0 && !running"
        photograph(address, PICTURES / "playground.png", PLAY, width=1180, height=880, done=done)


if __name__ == "__main__":
    try:
        main(*sys.argv[1:3])
    except textgen.TextgenError as error:
        sys.exit(f"{error} (`make demo` trains the run of these pictures.)")

"""The exported page: its size, its loss beside float32's, and the characters a second that it writes in Chromium.

python -m benchmarks.page                              # size and speed of an untrained model of 2 x 384
python -m benchmarks.page RUN --text TEXT              # of a run, with its loss on the last tenth of its text
"""

from __future__ import annotations

import re
import shutil
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from benchmarks import harness
from benchmarks.harness import DEFAULT_CELL
from textgen.engine import Engine
from textgen.engine.scoring import score_text
from textgen.exporting import FORMATS, Export
from textgen.exporting.quantization import PackedWeights
from textgen.model.read import Checkpoint, read_checkpoint
from textgen.runs.find import resolve_checkpoint

PLAIN = "plain loops"
FLAGS = ("--headless", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage")


@contextmanager
def chromium() -> Iterator[Any]:
    """Chromium through selenium; None where either is not installed."""
    program, driver = shutil.which("chromium"), shutil.which("chromedriver")
    if program is None or driver is None:
        yield None
        return
    try:
        from selenium import webdriver
    except ModuleNotFoundError:
        yield None
        return
    options = webdriver.ChromeOptions()
    options.binary_location = program
    for flag in FLAGS:
        options.add_argument(flag)
    with webdriver.Chrome(options, webdriver.ChromeService(driver)) as browser:
        yield browser


def pace(browser: Any, page: str, characters: int) -> float:
    """The characters a second that a page writes, the reading of its weights not counted."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "page.html"
        path.write_text(page, encoding="utf-8")
        browser.get(path.as_uri())
        _wait(browser)
        browser.execute_script("$('length').value = arguments[0]; $('seed').value = 1; write()", characters)
        _wait(browser)
        written, seconds = browser.execute_script("return [pace.written, pace.seconds]")
    return float(written / seconds)


def _wait(browser: Any) -> None:
    """Waits until the page has nothing to do; fails where its model fails."""
    while browser.execute_script("return busy"):
        time.sleep(0.2)
    status = browser.execute_script("return $('status').textContent")
    if "cannot be used" in status:
        raise SystemExit(status)


def loss(checkpoint: Checkpoint, kind: str, text: str) -> float:
    """The loss of a text in nats per character with weights of a kind, in the NumPy engine."""
    weights = PackedWeights.of(checkpoint.model, checkpoint.weights, kind).restored()  # type: ignore[arg-type]
    engine = Engine(checkpoint.model, weights, end_id=checkpoint.tokenizer.end_id)
    found = score_text(engine, checkpoint.tokenizer, text, streams=16, unknown="skip")
    return float(found.nats_per_character)


def main(line: list[str] | None = None) -> None:
    parser = harness.parser(__doc__)
    parser.add_argument("run", nargs="?", metavar="RUN", help="a run's name or folder")
    parser.add_argument("--text", help="the text of RUN, for its loss")
    parser.add_argument("--shape", default="2x384", help="layers and units without RUN")
    parser.add_argument("--characters", type=int, default=20_000, help="characters of a run in the browser")
    parser.add_argument("--runs", type=int, default=5)
    arguments = parser.parse_args(line)
    if arguments.smoke:
        arguments.shape, arguments.characters, arguments.runs = "1x8", 50, 1
    chosen = FORMATS["html"]
    with tempfile.TemporaryDirectory() as scratch:
        if arguments.run is None:
            layers, units = map(int, arguments.shape.split("x"))
            run = harness.untrained_run(
                Path(scratch), cell=DEFAULT_CELL, layers=layers, units=units, smoke=arguments.smoke
            )
        else:
            run = arguments.run
        checkpoint = read_checkpoint(resolve_checkpoint(run))
    pages = {kind: chosen.make(checkpoint, Export(name="model", weights=kind)).decode() for kind in chosen.weights}
    losses: dict[str, float] = {}
    if arguments.text is not None:
        text = Path(arguments.text).read_text(encoding="utf-8")
        held_out = text[len(text) * 9 // 10 :]
        losses = {kind: loss(checkpoint, kind, held_out) for kind in chosen.weights}
    shown = pages | {f"int8, {PLAIN}": re.sub(r'"compiled":"[^"]+"', '"compiled":""', pages["int8"])}
    paces: dict[str, list[float]] = {name: [] for name in shown}
    with chromium() as browser:
        for _ in range(arguments.runs if browser is not None else 0):
            for name, page in shown.items():
                characters = arguments.characters // (10 if PLAIN in name else 1)
                paces[name].append(pace(browser, page, characters))
    rows = []
    for name, page in shown.items():
        speed, kind = harness.median(paces[name]), name.partition(",")[0]
        above = f"{losses[kind] - losses['float32']:+.5f}" if losses else "not asked for"
        fast = "not here" if speed is None else f"{speed:,.0f}"
        rows.append([name, f"{len(page.encode()) / 1e6:.2f} MB", fast, above])
    model = checkpoint.model
    text = harness.table(["weights", "file", "characters a second in Chromium", "loss above float32's, nats"], rows)
    text += f"\n\n{model.layers} x {model.units} {model.cell}, {model.vocab_size} ids"
    text += f", loss {losses['float32']:.4f} in float32." if losses else "."
    sizes = {name: len(page.encode()) for name, page in shown.items()}
    results = {"model": model.to_json(), "bytes": sizes, "characters_per_second": paces, "losses": losses}
    harness.report("page", text, results, arguments.out)


if __name__ == "__main__":
    main()

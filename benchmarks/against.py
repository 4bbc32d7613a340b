"""Two checkouts side by side: training and sampling speed of another one and of this one, in turn, in one run.

    python -m benchmarks.against OTHER
    python -m benchmarks.against OTHER --shape 2x512 --cells coupled --runs 5

OTHER is the folder of another version of this repository. Both are used through what stays the same between versions:
the command `textgen train`, `metrics.csv`, `textgen.load` and the writer's methods. A training is a fixed number of
steps with a seed; its speed is that between its first validation and its last, which leaves out the start and counts
validations, samples and saves. Its last loss is compared, too: two versions that compute the same end alike, to the
last digit. What is sampled from is a run of one step that the other checkout made.
"""

from __future__ import annotations

import csv
import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

from benchmarks import harness
from benchmarks.harness import DEFAULT_CELL, EMBEDDING

STEPS = {"1x128": 800, "2x256": 160, "2x512": 80}
BATCH, TIME = 64, 100

SAMPLE = """
import json, sys, time
import textgen

run, streams, length, seconds = sys.argv[1], *map(int, sys.argv[2:4]), float(sys.argv[4])
writer = textgen.load(run)
options = {"max_new_tokens": length, "temperature": 1.0, "seed": 1}

def write():
    if streams == 1:
        writer.generate("<", **options)
    else:
        writer.generate_many("<", count=streams, **options)

write()
times = []
while sum(times) < seconds or len(times) < 3:
    start = time.perf_counter()
    write()
    times.append(time.perf_counter() - start)
print(json.dumps({"characters/s": length * streams / sorted(times)[len(times) // 2]}))
"""
"""Writes with a run again and again; a program of its own, so that it imports one checkout only."""


def sampling(checkout: Path, run: Path, streams: int, seconds: float) -> float:
    """Characters a second of `generate` or, for several streams, `generate_many`."""
    length = 2000 if streams == 1 else 200
    words = [str(run), str(streams), str(length), str(seconds)]
    environment = {**os.environ, "PYTHONPATH": str(checkout)}
    done = subprocess.run(
        [sys.executable, "-c", SAMPLE, *words], env=environment, cwd=run, capture_output=True, text=True, check=False
    )
    if done.returncode != 0:
        raise SystemExit(f"Sampling with {checkout} failed:\n{done.stderr.strip()}")
    return float(json.loads(done.stdout)["characters/s"])


def training(checkout: Path, text: str, cell: str, shape: str, precision: str, steps: int, *, small: bool) -> Any:
    """Characters a second between the first validation and the last, and the last one's loss."""
    layers, units = shape.split("x")
    batch, time = (4, 8) if small else (BATCH, TIME)
    epochs = steps * batch * time / (0.9 * len(Path(text).read_text()))
    with tempfile.TemporaryDirectory() as scratch:
        harness.command(
            "train", text, "--name=run", f"--checkpoints={scratch}", f"--cell={cell}", f"--layers={layers}",
            f"--units={units}", f"--embedding={EMBEDDING}", f"--batch-size={batch}", f"--sequence-length={time}",
            f"--epochs={epochs}", f"--validate-every={max(1, steps // 4)}", f"--precision={precision}", "--seed=1",
            "--device=cpu", "--shards=2", "--quiet", checkout=checkout,
        )  # fmt: skip
        with (Path(scratch) / "run" / "metrics.csv").open(newline="") as file:
            first, *_, last = csv.DictReader(file)
    characters, seconds = (float(last[name]) - float(first[name]) for name in ("characters", "seconds"))
    return characters / max(seconds, 0.1), float(last["val_loss"])


def main(line: list[str] | None = None) -> None:
    parser = harness.parser(__doc__)
    parser.add_argument("other", metavar="OTHER", type=Path)
    parser.add_argument("--text", default=str(harness.ROOT / "corpora" / "marrow_haven.txt"), help="to train on")
    parser.add_argument("--shape", action="append", help="layers x units, such as 2x256; repeatable")
    parser.add_argument("--cells", default=",".join(dict.fromkeys((DEFAULT_CELL, "lstm"))))
    parser.add_argument("--precisions", default="float32,bfloat16", help="of training")
    parser.add_argument("--runs", type=int, default=3)
    parser.add_argument("--seconds", type=float, default=3.0, help="of sampling, for each run")
    arguments = parser.parse_args(line)
    shapes, precisions = arguments.shape or list(STEPS), arguments.precisions.split(",")
    if arguments.smoke:
        shapes, precisions, arguments.runs, arguments.seconds = ["1x8"], ["float32"], 1, 0.0
    if not (arguments.other / "textgen" / "__init__.py").is_file():
        raise SystemExit(f"{arguments.other} must be the folder of another checkout, with textgen/ in it.")
    checkouts = {"other": arguments.other.resolve(), "this": harness.ROOT}
    rows, results = [], []

    def compare(shape: str, cell: str, what: str, measure: Any) -> None:
        values: dict[str, list[float]] = {name: [] for name in checkouts}
        losses: dict[str, float] = {}
        for turn in range(arguments.runs):
            for name, checkout in checkouts.items():
                found = measure(checkout)
                speed = found
                if isinstance(found, tuple):
                    speed, losses[name] = found
                values[name].append(speed)
                done = f"{shape} {cell}, {what}, {turn + 1}/{arguments.runs} {name}"
                print(f"  {done}: {speed:,.0f} characters/s", file=sys.stderr)
        before, now = (harness.median(found) or 0.0 for found in values.values())
        said = "" if not losses else ("the same" if len(set(losses.values())) == 1 else str(losses))
        rows.append([shape, cell, what, f"{before:,.0f}", f"{now:,.0f}", f"{now / before:.3f}x", said])
        results.append({"shape": shape, "cell": cell, "what": what, "characters/s": values, "losses": losses})

    with tempfile.TemporaryDirectory() as scratch:
        for shape in shapes:
            layers, units = map(int, shape.split("x"))
            for cell in arguments.cells.split(","):
                run = harness.untrained_run(
                    Path(scratch), cell=cell, layers=layers, units=units, checkout=checkouts["other"]
                )
                for streams in (1, 64):
                    what = f"sampling, {streams} stream{'s'[: streams > 1]}"
                    compare(shape, cell, what, lambda at, s=streams, r=run: sampling(at, r, s, arguments.seconds))
                for precision in precisions:
                    steps = 8 if arguments.smoke else STEPS.get(shape, 100)

                    def trained(
                        checkout: Path, c: str = cell, s: str = shape, p: str = precision, n: int = steps
                    ) -> Any:
                        return training(checkout, arguments.text, c, s, p, n, small=arguments.smoke)

                    compare(shape, cell, f"training, {precision}", trained)
    headings = ["layers x units", "cell", "what", "other, characters/s", "this, characters/s", "this is", "last loss"]
    text = (
        harness.table(headings, rows) + f"\n\nOther: {checkouts['other']}. Medians of {arguments.runs} runs, in turn."
    )
    harness.report("against", text, {"rows": results}, arguments.out)


if __name__ == "__main__":
    main()

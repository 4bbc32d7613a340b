"""Sampling speed beside TensorFlow's one-step function, PyTorch's LSTM stepping and Keras's `predict`.

    python -m benchmarks.sample_speed
    python -m benchmarks.sample_speed --shape 2x512 --runs 5

Every contender writes characters of a vocabulary of 65 one at a time, feeding each back, at temperature 1. textgen,
with the default cell and with the LSTM that the others have, is measured over its whole `generate`: engine, controls,
drawing and decoding. "match" is the same with `match` and a `min_length`: names, one after the other, as long as the
free text; the rows "64 names" are short texts of both kinds, beside the default cell's free ones. "engine" is its step
alone. `predict` is called on a window of 40 characters for each one, as the Keras example does. The bound is what
reading the weights of one step of that cell once takes at the measured memory bandwidth. Scoring reads a text of
100,000 characters as one sequence. The cold start is from the start of the process to its first character, beside
`python -c 'import numpy, h5py, click'`.

"2 busy" and "4 busy" are one stream and 64 while as many processes do nothing but count; "fair" is the share of the
idle speed that its threads, one for one stream and one a core for 64, would have if the scheduler gave every thread on
the machine the same time.
"""

from __future__ import annotations

import contextlib
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from benchmarks import harness
from benchmarks.harness import DEFAULT_CELL, EMBEDDING, VOCAB

CELLS = tuple(dict.fromkeys((DEFAULT_CELL, "lstm")))
WRITERS = tuple(f"{name} {cell}" for cell in CELLS for name in ("textgen", "engine"))
MATCHING = (f"textgen {DEFAULT_CELL}", f"match {DEFAULT_CELL}")
ONE = (*WRITERS, MATCHING[1], "tensorflow lstm", "torch lstm", "predict lstm")
MANY = (*WRITERS, MATCHING[1], "torch lstm")
SCORING = (*(f"textgen-score {cell}" for cell in CELLS), "predict-score lstm")
BASE = {ONE: "textgen lstm", MANY: "textgen lstm", MATCHING: MATCHING[0], SCORING: "textgen-score lstm"}
NAMES = "(?:[A-Z][a-z]{3,8})+"


def writer(settings, cell: str):
    import textgen

    return textgen.load(settings["runs"][cell])


def rate(step, characters: int, *, seconds: float) -> float:
    """Characters a second of calls of `step`, each of which writes so many; the median, after one not counted."""
    step()
    times: list[float] = []
    while sum(times) < seconds or len(times) < 3:
        start = time.perf_counter()
        step()
        times.append(time.perf_counter() - start)
    return characters / float(np.median(times))


def once(step, characters: int) -> float:
    """Characters a second of one call of `step`, which takes long enough to be measured once a process."""
    start = time.perf_counter()
    step()
    return characters / (time.perf_counter() - start)


def run_textgen(settings, cell: str, **more) -> float:
    made, count = writer(settings, cell), settings["streams"]
    length = settings["length"]
    options = {"max_new_tokens": length, "temperature": 1.0, "seed": 1, **more}
    if count == 1:
        return rate(lambda: made.generate("<", **options), length, seconds=settings["seconds"])
    return rate(lambda: made.generate_many("<", count=count, **options), length * count, seconds=settings["seconds"])


def run_match(settings, cell: str) -> float:
    return run_textgen(settings, cell, match=NAMES, min_length=settings["length"])


def run_engine(settings, cell: str) -> float:
    engine, count = writer(settings, cell).engine, settings["streams"]
    ids, state = np.zeros(count, np.int64), engine.initial_state(settings["streams"])

    def steps() -> None:
        nonlocal state
        for _ in range(200):
            _, state = engine.step(ids, state)

    return rate(steps, 200 * count, seconds=settings["seconds"])


def run_tensorflow(settings, _cell: str) -> float:
    """The text generation tutorial's OneStep: a stateful call in a tf.function, one character at a time."""
    import tensorflow as tf

    layers = [tf.keras.layers.Embedding(VOCAB, EMBEDDING)]
    lstms = [
        tf.keras.layers.LSTM(settings["units"], return_sequences=True, return_state=True)
        for _ in range(settings["layers"])
    ]
    head = tf.keras.layers.Dense(VOCAB)

    @tf.function
    def one_step(ids, states):
        flow, after = layers[0](ids), []
        for lstm, state in zip(lstms, states, strict=True):
            flow, *state = lstm(flow, initial_state=state)
            after.append(state)
        logits = head(flow)[:, -1]
        drawn = tf.random.categorical(logits, num_samples=1)
        return drawn, after

    states = [[tf.zeros((1, settings["units"])) for _ in range(2)] for _ in range(settings["layers"])]
    ids = tf.zeros((1, 1), tf.int64)

    def steps() -> None:
        nonlocal ids, states
        for _ in range(100):
            ids, states = one_step(ids, states)
            ids.numpy()

    return rate(steps, 100, seconds=settings["seconds"])


def run_torch(settings, _cell: str) -> float:
    import torch

    torch.set_num_threads(int(harness.machine()["cores"]))
    embedding = torch.nn.Embedding(VOCAB, EMBEDDING)
    lstm = torch.nn.LSTM(EMBEDDING, settings["units"], settings["layers"], batch_first=True)
    head = torch.nn.Linear(settings["units"], VOCAB)
    count = settings["streams"]
    ids, state = torch.zeros((count, 1), dtype=torch.long), None

    def steps() -> None:
        nonlocal ids, state
        with torch.inference_mode():
            for _ in range(100):
                flow, state = lstm(embedding(ids), state)
                ids = torch.multinomial(torch.softmax(head(flow[:, -1]), -1), 1)

    return rate(steps, 100 * count, seconds=settings["seconds"])


def keras_model(settings):
    import keras

    return keras.saving.load_model(Path(settings["runs"]["lstm"]) / "best.keras")


def run_predict(settings, _cell: str) -> float:
    model = keras_model(settings)
    window = np.zeros((1, 40), "int32")
    return rate(lambda: [model.predict(window, verbose=0) for _ in range(5)], 5, seconds=settings["seconds"])


def run_textgen_score(settings, cell: str) -> float:
    from textgen.engine.scoring import score_ids

    ids = np.random.default_rng(0).integers(0, VOCAB, settings["scored"])
    engine = writer(settings, cell).engine
    return once(lambda: score_ids(engine, ids), len(ids))


def run_predict_score(settings, _cell: str) -> float:
    ids = np.random.default_rng(0).integers(0, VOCAB, (1, settings["scored"])).astype("int32")
    model = keras_model(settings)
    model.predict(ids[:, :100], verbose=0)
    return once(lambda: model.predict(ids, verbose=0), ids.size)


def bandwidth(settings, _cell: str) -> float:
    """Bytes a second of reading an array of a step's size again and again, by the product that reads it: the best."""
    units = settings["units"]
    matrix = np.ones((4 * units, 2 * units), np.float32)
    column = np.ones(2 * units, np.float32)
    best = 0.0
    for _ in range(40):
        start = time.perf_counter()
        for _ in range(20):
            matrix @ column
        best = max(best, 20 * matrix.nbytes / (time.perf_counter() - start))
    return best


@contextlib.contextmanager
def busy(processes: int) -> Iterator[None]:
    """So many processes that do nothing but count."""
    started = [subprocess.Popen([sys.executable, "-c", "while True: pass"]) for _ in range(processes)]
    try:
        yield
    finally:
        for process in started:
            process.kill()
            process.wait()


RUNNERS = {
    "textgen": run_textgen,
    "match": run_match,
    "engine": run_engine,
    "tensorflow": run_tensorflow,
    "torch": run_torch,
    "predict": run_predict,
    "textgen-score": run_textgen_score,
    "predict-score": run_predict_score,
    "bandwidth": bandwidth,
}


def contender(name: str, settings) -> dict[str, float]:
    """Measures a contender, named as "textgen lstm"."""
    runner, cell = name.split()
    return {"per second": RUNNERS[runner](settings, cell)}


def step_bytes(cell: str, layers: int, units: int) -> int:
    """The weights that one step must read, in bytes: the first layer's input product is a row of a table."""
    from textgen.config import ModelConfig

    # With an embedding of 1, the first layer's input kernel is as large as that row.
    shape = ModelConfig(vocab_size=VOCAB, cell=cell, layers=layers, units=units, embedding=1, skip=False)
    return 4 * (shape.weights - VOCAB)


def cold_start(run: Path, runs: int) -> dict[str, list[float]]:
    """Seconds from process start to the first character of `textgen sample`, and of the imports beside it."""
    sample = [sys.executable, "-m", "textgen", "sample", "--run", str(run), "--length", "1", "--seed", "1"]
    imports = [sys.executable, "-c", "import numpy, h5py, click; print('x', flush=True)"]
    commands = {f"textgen sample, {DEFAULT_CELL}": sample, "import numpy, h5py, click": imports}
    found: dict[str, list[float]] = {name: [] for name in commands}
    environment = {**os.environ, "PYTHONPATH": str(harness.ROOT)}
    for _ in range(runs):
        for name, command in commands.items():
            start = time.perf_counter()
            with subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
                assert process.stdout is not None
                process.stdout.read(1)
                found[name].append(time.perf_counter() - start)
                _, errors = process.communicate()
            if process.returncode != 0:
                raise SystemExit(f"{name} failed:\n{errors.decode(errors='replace')}")
    return found


def main(line: list[str] | None = None) -> None:
    parser = harness.parser(__doc__)
    parser.add_argument("--shape", action="append", help="layers x units, such as 2x256; repeatable")
    parser.add_argument("--runs", type=int, default=3)
    parser.add_argument("--seconds", type=float, default=3.0, help="of measuring, for each run")
    parser.add_argument("--only", help='one kind of rows, such as "64 streams"')
    arguments = parser.parse_args(line)
    if harness.answer(arguments, contender):
        return
    shapes = arguments.shape or ["2x256", "2x512"]
    if arguments.smoke:
        shapes, arguments.runs, arguments.seconds = ["1x8"], 1, 0.0
    rows, results = [], {}
    with tempfile.TemporaryDirectory() as scratch:
        for shape in shapes:
            layers, units = map(int, shape.split("x"))
            made = {
                cell: harness.untrained_run(Path(scratch), cell=cell, layers=layers, units=units, smoke=arguments.smoke)
                for cell in CELLS
            }
            base = {
                "layers": layers, "units": units, "seconds": arguments.seconds, "smoke": arguments.smoke,
                "scored": 200 if arguments.smoke else 100_000, "runs": {cell: str(run) for cell, run in made.items()},
            }  # fmt: skip
            speeds = [harness.child(__file__, contender, "bandwidth any", base) for _ in range(3)]
            bytes_a_second = max(speed["per second"] for speed in speeds if speed)
            bounds = {cell: bytes_a_second / step_bytes(cell, layers, units) for cell in CELLS}
            for kind, names, streams, length in (
                ("1 stream", ONE, 1, 2000),
                ("64 streams", MANY, 64, 200),
                ("64 names", MATCHING, 64, 9),
                ("scoring", SCORING, 1, 0),
            ):
                if arguments.only not in (None, kind):
                    continue
                settings = {**base, "streams": streams, "length": length}
                values = harness.alternate(__file__, contender, names, settings, runs=arguments.runs, key="per second")
                middle = {name: harness.median(found) for name, found in values.items()}
                results[f"{shape}, {kind}"] = {"runs": values, "median": middle}
                for name in names:
                    runner, cell = name.split()
                    value = middle[name]
                    if value is None:
                        rows.append([shape, kind, runner, cell, "not here", "", ""])
                        continue
                    share = f"{value / bounds[cell]:.0%}" if kind == "1 stream" else ""
                    ratio = f"{middle[BASE[names]] / value:.2f}x"
                    rows.append([shape, kind, runner, cell, f"{value:,.0f}", ratio, share])
            if arguments.only is not None:
                continue
            alone = f"textgen {DEFAULT_CELL}"
            for streams, length, kind in ((1, 2000, "1 stream"), (64, 200, "64 streams")):
                idle = results[f"{shape}, {kind}"]["median"][alone]
                for processes in (2, 4):
                    settings = {**base, "streams": streams, "length": length}
                    with busy(processes):
                        found = harness.alternate(
                            __file__, contender, [alone], settings, runs=arguments.runs, key="per second"
                        )[alone]
                    value = harness.median(found)
                    what = f"{kind}, {processes} busy"
                    results[f"{shape}, {what}"] = {"runs": found, "median": value}
                    if value is not None and idle is not None:
                        cores = int(harness.machine()["cores"])
                        fair = min(1.0, cores / (processes + (1 if streams == 1 else cores)))
                        share = f"{value / idle:.0%} of idle, fair {fair:.0%}"
                        rows.append([shape, what, "textgen", DEFAULT_CELL, f"{value:,.0f}", share, ""])
            results[f"{shape}, bound"] = {"bytes/s": bytes_a_second, "characters/s": bounds}
            for cell, bound in bounds.items():
                said = f"bound at {bytes_a_second / 1e9:.0f} GB/s"
                rows.append([shape, "1 stream", said, cell, f"{bound:,.0f}", "", "100%"])
        starts = {} if arguments.only is not None else cold_start(made[DEFAULT_CELL], 5 * arguments.runs)
    results["cold start"] = starts
    medians = {name: harness.median(found) for name, found in starts.items()}
    ours, theirs = medians.values() if medians else (None, None)
    for name, value in medians.items():
        rows.append([shape, "cold start", name, "", f"{value:.3f} s", f"{ours / theirs:.2f}x the imports", ""])
    headings = ["layers x units", "what", "contender", "cell", "characters/s", "textgen lstm is", "of the bound"]
    harness.report("sample_speed", harness.table(headings, rows), results, arguments.out)


if __name__ == "__main__":
    main()

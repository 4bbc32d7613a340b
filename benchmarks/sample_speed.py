"""Sampling speed beside TensorFlow's one-step function, PyTorch's LSTM stepping and Keras's `predict`.

    python -m benchmarks.sample_speed
    python -m benchmarks.sample_speed --shape 2x512 --runs 5

Every contender writes characters of a vocabulary of 65 one at a time, feeding each back, at temperature 1. textgen is
measured over its whole `generate`: engine, controls, drawing and decoding. "engine" is its step alone. `predict` is
called on a window of 40 characters for each one, as the Keras example does. The bound is what reading the weights of
one step once would take at the measured memory bandwidth. Scoring reads a text of 100,000 characters as one sequence.
The cold start is from the start of the process to its first character, beside `python -c 'import numpy, h5py, click'`.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np

from benchmarks import harness

VOCAB, EMBEDDING = 65, 64
ONE = ("textgen", "engine", "tensorflow", "torch", "predict")
MANY = ("textgen", "engine", "torch")
SCORING = ("textgen-score", "predict-score")


def model_config(settings):
    from textgen.config import ModelConfig

    return ModelConfig(
        vocab_size=VOCAB, layers=settings["layers"], units=settings["units"], embedding=EMBEDDING, skip=False
    )


def writer(settings):
    """A writer with random weights."""
    from textgen.corpus.tokenizer import CharTokenizer
    from textgen.model.weights import ModelWeights
    from textgen.sampling.writer import Writer

    config = model_config(settings)
    rng = np.random.default_rng(0)
    shapes = ModelWeights.shapes(config).values()
    arrays = [rng.normal(0.0, 0.05, shape).astype("float32") for shape in shapes]
    characters = "".join(map(chr, range(60, 60 + VOCAB)))
    return Writer(config=config, weights=ModelWeights.from_arrays(arrays), tokenizer=CharTokenizer(characters))


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


def run_textgen(settings) -> float:
    made, count = writer(settings), settings["streams"]
    length = 2000 if count == 1 else 200
    options = {"max_new_tokens": length, "temperature": 1.0, "seed": 1}
    if count == 1:
        return rate(lambda: made.generate("<", **options), length, seconds=settings["seconds"])
    return rate(lambda: made.generate_many("<", count=count, **options), length * count, seconds=settings["seconds"])


def run_engine(settings) -> float:
    engine, count = writer(settings).engine, settings["streams"]
    ids, state = np.zeros(count, np.int64), engine.initial_state(settings["streams"])

    def steps() -> None:
        nonlocal state
        for _ in range(200):
            _, state = engine.step(ids, state)

    return rate(steps, 200 * count, seconds=settings["seconds"])


def run_tensorflow(settings) -> float:
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


def run_torch(settings) -> float:
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
    from textgen.training.keras_model import build_model

    return build_model(model_config(settings))


def run_predict(settings) -> float:
    model = keras_model(settings)
    window = np.zeros((1, 40), "int32")
    return rate(lambda: [model.predict(window, verbose=0) for _ in range(5)], 5, seconds=settings["seconds"])


def run_textgen_score(settings) -> float:
    from textgen.engine.scoring import score_ids

    ids = np.random.default_rng(0).integers(0, VOCAB, 100_000)
    engine = writer(settings).engine
    return once(lambda: score_ids(engine, ids), len(ids))


def run_predict_score(settings) -> float:
    ids = np.random.default_rng(0).integers(0, VOCAB, (1, 100_000)).astype("int32")
    model = keras_model(settings)
    model.predict(ids[:, :100], verbose=0)
    return once(lambda: model.predict(ids, verbose=0), ids.size)


def bandwidth(_settings) -> float:
    """Bytes a second of reading an array of a step's size again and again, by the product that reads it: the best."""
    units = _settings["units"]
    matrix = np.ones((4 * units, 2 * units), np.float32)
    column = np.ones(2 * units, np.float32)
    best = 0.0
    for _ in range(40):
        start = time.perf_counter()
        for _ in range(20):
            matrix @ column
        best = max(best, 20 * matrix.nbytes / (time.perf_counter() - start))
    return best


RUNNERS = {
    "textgen": run_textgen,
    "engine": run_engine,
    "tensorflow": run_tensorflow,
    "torch": run_torch,
    "predict": run_predict,
    "textgen-score": run_textgen_score,
    "predict-score": run_predict_score,
    "bandwidth": bandwidth,
}


def step_bytes(layers: int, units: int) -> int:
    """The weights that one step must read, in bytes: the first layer's input product is a row of a table."""
    recurrent = layers * units * 4 * units + (layers - 1) * units * 4 * units
    return 4 * (recurrent + 4 * units + layers * 4 * units + units * VOCAB)


def cold_start(shape: dict[str, int], runs: int) -> dict[str, list[float]]:
    """Seconds from process start to the first character of `textgen sample`, and of the imports beside it."""
    from textgen.corpus.tokenizer import CharTokenizer
    from textgen.model.metadata import Metadata
    from textgen.model.write import write_checkpoint

    found: dict[str, list[float]] = {"textgen sample": [], "import numpy, h5py, click": []}
    with tempfile.TemporaryDirectory() as folder:
        run = Path(folder) / "checkpoints" / "cold"
        run.mkdir(parents=True)
        config = model_config(shape)
        tokenizer = CharTokenizer("".join(map(chr, range(60, 60 + VOCAB))))
        metadata = Metadata(model=config, tokenizer=tokenizer)
        write_checkpoint(run / "best.keras", keras_model(shape), metadata=metadata)
        environment = {**os.environ, "PYTHONPATH": str(harness.ROOT)}
        sample = [sys.executable, "-m", "textgen", "sample", "--length", "1", "--seed", "1"]
        imports = [sys.executable, "-c", "import numpy, h5py, click; print('x', flush=True)"]
        for _ in range(runs):
            for name, command in zip(found, (sample, imports), strict=True):
                start = time.perf_counter()
                process = subprocess.Popen(
                    command, cwd=folder, env=environment, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL
                )
                assert process.stdout is not None
                process.stdout.read(1)
                found[name].append(time.perf_counter() - start)
                process.communicate()
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--shape", action="append", help="layers x units, such as 2x256; repeatable")
    parser.add_argument("--runs", type=int, default=3)
    parser.add_argument("--seconds", type=float, default=3.0, help="of measuring, for each run")
    parser.add_argument("--out", help="write the results as JSON")
    parser.add_argument("--contender", help=argparse.SUPPRESS)
    parser.add_argument("--settings", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.contender:
        value = RUNNERS[arguments.contender](json.loads(arguments.settings))
        print(json.dumps({"per second": value}))
        return
    rows, results = [], {}
    for shape in arguments.shape or ["2x256", "2x512"]:
        layers, units = map(int, shape.split("x"))
        base = {"layers": layers, "units": units, "seconds": arguments.seconds}
        bytes_a_second = max(
            (harness.child(__file__, "bandwidth", base) or {"per second": float("nan")})["per second"] for _ in range(3)
        )
        bound = bytes_a_second / step_bytes(layers, units)
        kinds = [("1 stream", ONE, 1), ("64 streams", MANY, 64), ("scoring 100 kB", SCORING, 1)]
        for kind, names, streams in kinds:
            settings = {**base, "streams": streams}
            values = harness.alternate(__file__, names, settings, runs=arguments.runs, key="per second")
            middle = {name: harness.median(found) for name, found in values.items()}
            results[f"{shape}, {kind}"] = {"runs": values, "median": middle}
            for name in names:
                share = f"{middle[name] / bound:.0%}" if kind == "1 stream" else ""
                rows.append(
                    [shape, kind, name, f"{middle[name]:,.0f}", f"{middle[names[0]] / middle[name]:.2f}x", share]
                )
        results[f"{shape}, bound"] = {"bytes/s": bytes_a_second, "characters/s": bound}
        rows.append([shape, "1 stream", f"bound at {bytes_a_second / 1e9:.0f} GB/s", f"{bound:,.0f}", "", "100%"])
        if shape == (arguments.shape or ["2x512"])[-1]:
            starts = cold_start({"layers": layers, "units": units}, 5 * arguments.runs)
            results["cold start"] = starts
            middle = {name: harness.median(found) for name, found in starts.items()}
            ours, theirs = middle.values()
            for name, value in middle.items():
                rows.append([shape, "cold start", name, f"{value:.3f} s", f"{ours / theirs:.2f}x the imports", ""])
    headings = ["layers x units", "what", "contender", "characters/s", "textgen is", "of the bound"]
    harness.report("sample_speed", harness.table(headings, rows), results, arguments.out)


if __name__ == "__main__":
    main()

"""Several workers on one run: speed by the link between them, losses beside one process, costs of larger clusters.

    python -m benchmarks.workers --part speed      # two workers pinned to a core each, against two that never exchange
    python -m benchmarks.workers --part exchange   # seconds of an exchange by size and link; fits its model
    python -m benchmarks.workers --part losses TEXT ...    # 2 and 4 workers beside one process with as large a batch
    python -m benchmarks.workers --part faults     # workers killed at random, links cut

Links of a bandwidth and a latency need Linux, root and network namespaces (`benchmarks/links.py`); without them only
what runs on the loopback interface is measured.
"""

from __future__ import annotations

import contextlib
import json
import math
import os
import random
import shutil
import signal
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks import harness, links
from textgen.config import ModelConfig, WorkersConfig
from textgen.config.workers import ROUND

SIZES = {"2 x 256": (2, 256), "2 x 384": (2, 384)}
LINKS: Mapping[str, tuple[float, float] | None] = {
    "loopback": None,
    "1 Gbit/s, 1 ms": (1000.0, 1.0),
    "100 Mbit/s, 1 ms": (100.0, 1.0),
    "100 Mbit/s, 20 ms": (100.0, 20.0),
}
BATCH, LENGTH = 32, 64


def contender(name: str, settings: Mapping[str, Any]) -> dict[str, Any]:
    """In a process of its own: one worker."""
    if settings.get("core") is not None:
        os.sched_setaffinity(0, {settings["core"]})
    return exchanging(settings) if name == "exchange" else training(settings)


def training(settings: Mapping[str, Any]) -> dict[str, Any]:
    """Trains for some steps; the characters/s of this worker after the first ones, exchanges included."""
    import keras

    from textgen.training.start import train

    class Clock(keras.callbacks.Callback):
        def __init__(self) -> None:
            super().__init__()
            self.times: list[float] = []

        def on_train_batch_end(self, batch: int, logs: Any = None) -> None:
            del batch, logs
            self.times.append(time.perf_counter())

    layers, units = settings["shape"]
    batch, length, steps, clock = settings["batch"], settings["length"], settings["steps"], Clock()
    alone = settings["addresses"] is None
    workers = WorkersConfig(workers="none") if alone else WorkersConfig(
        workers=",".join(settings["addresses"]), worker=settings["index"], exchange=settings["exchange"],
        round=settings["round"], exchange_precision=settings["precision"],
    )  # fmt: skip
    text = "".join(random.Random(1).choices([chr(60 + n) for n in range(harness.VOCAB)], k=steps * 2 * batch * length))
    passes = steps * batch * length * (1 if alone else len(settings["addresses"])) / len(text) / 0.999
    with tempfile.TemporaryDirectory() as folder:
        train(
            texts=[text], checkpoints=folder, workers=workers, callbacks=[clock], layers=layers, units=units,
            embedding=harness.EMBEDDING, batch_size=batch, sequence_length=length, epochs=passes, device="cpu",
            shards=1, validate_every=10**9, save_every=1e9, halved_fraction=0.0, calibrate=False,
            corpus=_whole_text(),
        )  # fmt: skip
    skipped = settings["skipped"]
    seconds = clock.times[-1] - clock.times[skipped]
    return {"characters": (len(clock.times) - 1 - skipped) * batch * length / seconds, "steps": len(clock.times)}


def _whole_text() -> Any:
    from textgen.config import CorpusConfig

    return CorpusConfig(validation=0.0)


def exchanging(settings: Mapping[str, Any]) -> dict[str, Any]:
    """Sums vectors with the other workers; the median seconds of each size."""
    from textgen.training.framework import load_framework

    load_framework()
    import tensorflow as tf

    from textgen.training.workers.cluster import Cluster
    from textgen.training.workers.collectives import Collectives, join
    from textgen.training.workers.team import Team

    tf.config.threading.set_intra_op_parallelism_threads(1)
    tf.config.threading.set_inter_op_parallelism_threads(2)
    cluster, config = Cluster(tuple(settings["addresses"]), settings["index"]), WorkersConfig()
    team = Team(cluster, config)
    join(cluster)
    found: dict[str, float] = {}
    for size in settings["sizes"]:
        # Each size is a collective of its own, as each run is.
        collectives = Collectives(cluster.size, timeout=60.0, key=10 + len(found))
        vector, times = np.ones(size // 4, np.float32), []
        for _ in range(settings["repeats"] + 1):
            start = time.perf_counter()
            team.agree("round", {}, lambda _: {})
            collectives.total(vector)
            times.append(time.perf_counter() - start)
        found[str(size)] = statistics.median(times[1:])
    team.leave()
    return found


def together(name: str, settings: Mapping[str, Any], count: int, shape: tuple[float, float] | None) -> list[Any]:
    """Runs `count` workers at once, over a link or on the loopback interface; what each of them found."""
    with _places(count, shape) as places:
        hosts = links.ADDRESSES if shape else ("127.0.0.1",) * count
        ports = [4001] * count if shape else _ports(count)
        addresses = None if name == "alone" else [f"{h}:{p}" for h, p in zip(hosts, ports, strict=False)]
        cores = sorted(os.sched_getaffinity(0))
        started = []
        for index in range(count):
            own = {**settings, "index": index, "addresses": addresses, "core": cores[index % len(cores)]}
            words = [
                sys.executable,
                "-P",
                "-m",
                "benchmarks.workers",
                "--contender",
                name,
                "--settings",
                json.dumps(own),
            ]
            environment = {**os.environ, "PYTHONPATH": str(harness.ROOT), "TF_CPP_MIN_LOG_LEVEL": "3"}
            started.append(
                subprocess.Popen([*places[index], *words], stdout=subprocess.PIPE, env=environment, cwd=harness.ROOT)
            )
        outs = [process.communicate(timeout=1800)[0] for process in started]
    if any(process.returncode for process in started):
        raise SystemExit(f"{name} failed")
    return [json.loads(out.decode().strip().splitlines()[-1]) for out in outs]


@contextlib.contextmanager
def _places(count: int, shape: tuple[float, float] | None) -> Iterator[list[list[str]]]:
    if shape is None:
        yield [[]] * count
        return
    with links.link(*shape) as ends:
        yield ends


def _ports(count: int) -> list[int]:
    """Free ports in a row, with one more for messages."""
    while True:
        with contextlib.ExitStack() as stack:
            first = stack.enter_context(socket.create_server(("", 0))).getsockname()[1]
            with contextlib.suppress(OSError, OverflowError):
                for more in range(1, count + 1):
                    stack.enter_context(socket.create_server(("", first + more)))
                return [first + n for n in range(count)]


def has_links() -> bool:
    """Whether network namespaces can be made here."""
    return shutil.which("ip") is not None and hasattr(os, "geteuid") and os.geteuid() == 0


def speed(arguments: Any) -> tuple[str, dict[str, Any]]:
    """Characters/s of two workers by rounds, as a share of two processes that never exchange."""
    smoke = arguments.smoke
    shape = (1, 16) if smoke else SIZES[arguments.size]
    steps, skipped = (12, 4) if smoke else (arguments.steps, 40)
    settings = {
        "shape": shape, "batch": 4 if smoke else BATCH, "length": 16 if smoke else LENGTH, "steps": steps,
        "skipped": skipped, "round": 4 if smoke else arguments.round, "exchange": "rounds",
        "precision": arguments.precision,
    }  # fmt: skip
    shapes = {name: each for name, each in LINKS.items() if each is None or (has_links() and not smoke)}
    rows, results = [], {}
    for turn in range(1 if smoke else arguments.turns):
        for name, each in {"never": None, **shapes}.items():
            found = together("alone" if name == "never" else "rounds", settings, 2, each)
            results.setdefault(name, []).append(sum(one["characters"] for one in found))
            print(f"  {turn + 1} {name}: {results[name][-1]:,.0f} characters/s", file=sys.stderr)
    base = statistics.median(results["never"])
    for name, values in results.items():
        rows.append([name, f"{statistics.median(values):,.0f}", f"{statistics.median(values) / base:.1%}"])
    text = harness.table(["link", "characters/s, both", "of those that never exchange"], rows)
    model = f"{shape[0]} x {shape[1]} {harness.DEFAULT_CELL}"
    return f"{text}\n\n{model}, rounds of {settings['round']} steps, {arguments.precision}.", results


def exchange(arguments: Any) -> tuple[str, dict[str, Any]]:
    """Seconds of an exchange by size and link, measured and predicted."""
    sizes = [4096] if arguments.smoke else [1 << 16, 1 << 20, 6_000_000, 12_000_000]
    settings = {"sizes": sizes, "repeats": 2 if arguments.smoke else 7}
    points = []
    for name, each in LINKS.items():
        if each is not None and (arguments.smoke or not has_links()):
            continue
        found = together("exchange", settings, 2, each)
        for size in sizes:
            seconds = max(one[str(size)] for one in found)
            megabits, milliseconds = each or (math.inf, 0.0)
            points.append({"link": name, "bytes": size, "megabits": megabits, "ms": milliseconds, "seconds": seconds})
            print(f"  {name}, {size:,} bytes: {1e3 * seconds:.1f} ms", file=sys.stderr)
    costs = fit(points)
    rows = [
        [p["link"], f"{p['bytes']:,}", f"{1e3 * p['seconds']:.0f}",
         f"{1e3 * exchange_seconds(2, p['bytes'], p['megabits'], p['ms'], costs):.0f}"] for p in points
    ]  # fmt: skip
    text = harness.table(["link", "bytes", "measured, ms", "model, ms"], rows)
    if arguments.picture:
        draw(costs, arguments.picture)
    return f"{text}\n\n{costs}\n\n{outlook(costs)}", {"points": points, "costs": costs}


Costs = dict[str, float]

COSTS: Costs = {"fixed": 3e-3, "byte": 1e-8, "trips": 4.0}
"""Of an exchange: seconds at least, seconds of a byte on the processor, and ways there and back for each step of the
ring beside the one that the data takes."""


def exchange_seconds(workers: int, size: float, megabits: float, milliseconds: float, costs: Costs = COSTS) -> float:
    """The model: what an exchange of `size` bytes among some workers takes.

    A ring sends `2 (W - 1) / W` of the vector from each worker, in `2 (W - 1)` steps that each wait for the one before;
    the messages around it take a way there and back.
    """
    steps = 2 * (workers - 1)
    sent = steps / workers * size
    wait = 1e-3 * milliseconds * (1.0 + costs["trips"] * steps / 2)
    return costs["fixed"] * steps / 2 + costs["byte"] * sent + 8e-6 * sent / megabits + wait


def fit(points: Sequence[Mapping[str, Any]]) -> Costs:
    """The constants with the least squared relative errors, none below zero, from measurements with two workers."""
    table, rest = [], []
    for point in points:
        known = 8e-6 * point["bytes"] / point["megabits"] + 1e-3 * point["ms"]
        table.append(np.array([1.0, point["bytes"], 1e-3 * point["ms"]]) / point["seconds"])
        rest.append(1.0 - known / point["seconds"])
    lines, aim = np.array(table), np.array(rest)
    size = np.maximum(np.linalg.norm(lines, axis=0), 1e-30)
    values, gram, along = np.zeros(3), (lines / size).T @ (lines / size), (lines / size).T @ aim
    for _ in range(2000):
        for n in range(3):
            if gram[n, n] > 0.0:
                values[n] = max(0.0, values[n] + (along[n] - gram[n] @ values) / gram[n, n])
    fixed, byte, trips = map(float, values / size)
    return {"fixed": fixed, "byte": byte, "trips": trips}


WORKERS, BANDWIDTHS = (2, 4, 8, 16, 32, 64, 128), (100.0, 1e3, 1e4, 1e5)


def efficiency(workers: int, megabits: float, costs: Costs, *, step: float, size: float, round_steps: int) -> float:
    """The share of its time that a worker computes, with a latency of 1 ms."""
    paid = exchange_seconds(workers, size, megabits, 1.0, costs)
    return step * round_steps / (step * round_steps + paid)


def outlook(costs: Costs) -> str:
    """The model's prediction for larger clusters: 2 x 384 in float32, a step of 0.2 s."""
    size = 4.0 * ModelConfig(vocab_size=harness.VOCAB, layers=2, units=384, embedding=64).weights
    blocks = []
    for steps in (1, ROUND):
        rows = [
            [f"{megabits / 1e3:g} Gbit/s"]
            + [f"{efficiency(w, megabits, costs, step=0.2, size=size, round_steps=steps):.0%}" for w in WORKERS]
            for megabits in BANDWIDTHS
        ]
        title = "in every step" if steps == 1 else f"every {steps} steps"
        blocks.append(f"Exchanging {title}:\n\n" + harness.table(["", *(f"{w} workers" for w in WORKERS)], rows))
    return "\n\n".join(blocks)


def draw(costs: Costs, path: str) -> None:
    """Draws what `outlook` tables."""
    import matplotlib

    matplotlib.use("svg")
    from matplotlib import pyplot

    size = 4.0 * ModelConfig(vocab_size=harness.VOCAB, layers=2, units=384, embedding=64).weights
    figure, sides = pyplot.subplots(1, 2, figsize=(9, 3.4), sharey=True)
    for side, steps in zip(sides, (1, ROUND), strict=True):
        for megabits in BANDWIDTHS:
            shares = [efficiency(w, megabits, costs, step=0.2, size=size, round_steps=steps) for w in WORKERS]
            side.plot(WORKERS, shares, marker="o", label=f"{megabits / 1e3:g} Gbit/s")
        side.set_xscale("log", base=2)
        side.set_xticks(WORKERS, [str(w) for w in WORKERS])
        side.set_xlabel("workers")
        side.set_title("in every step" if steps == 1 else f"every {steps} steps")
        side.grid(alpha=0.3)
    sides[0].set_ylabel("share of the time that computes")
    sides[0].set_ylim(0, 1.02)
    sides[1].legend()
    figure.savefig(path, bbox_inches="tight", metadata={"Date": None})


def losses(arguments: Any) -> tuple[str, dict[str, Any]]:
    """Validation losses of workers by rounds, of one process with as large a batch, of one worker, at equal steps."""
    texts = [Path(text) for text in arguments.texts]
    if not texts:
        raise SystemExit("Name the texts, such as tiny Shakespeare and another one.")
    rows, results = [], []
    for text in texts:
        for seed in range(arguments.seeds):
            found: dict[str, float] = {}
            for count in (1, 2, 4):
                found[f"one process, batch {BATCH * count}"] = _loss(
                    arguments, text, seed, batch=BATCH * count, count=1
                )
                if count > 1:
                    found[f"{count} workers"] = _loss(arguments, text, seed, batch=BATCH, count=count)
            print(f"  {text.name}, seed {seed}: {found}", file=sys.stderr)
            results.append({"text": text.name, "seed": seed, **found})
            rows.append([text.name, seed, *(f"{value:.4f}" for value in found.values())])
    names = [name for name in results[0] if name not in ("text", "seed")]
    return harness.table(["text", "seed", *names], rows), {"losses": results}


def _loss(arguments: Any, text: Path, seed: int, *, batch: int, count: int) -> float:
    characters = len(text.read_text(encoding="utf-8"))
    passes = arguments.steps * batch * count * LENGTH / (0.9 * characters)
    layers, units = SIZES[arguments.size]
    with tempfile.TemporaryDirectory() as folder:
        words = [
            *(sys.executable, "-P", "-m", "textgen", "train", str(text), "--name=run", f"--checkpoints={folder}/of"),
            *(f"--layers={layers}", f"--units={units}", "--embedding=64", f"--batch-size={batch}", f"--seed={seed}"),
            *(f"--epochs={passes}", "--device=cpu", "--quiet", "--validate-every=1000000000", "--start-timeout=30m"),
        ]
        environment = {**os.environ, "PYTHONPATH": str(harness.ROOT)}
        places = ",".join(f"127.0.0.1:{port}" for port in _ports(count))
        started = []
        for index in range(count):
            more = ["--workers", places, "--worker", str(index)] if count > 1 else []
            own = [word.replace(f"{folder}/of", f"{folder}/{index}") for word in words]
            started.append(subprocess.Popen([*own, *more], env=environment))
        if any(process.wait() for process in started):
            raise SystemExit(f"{text} failed")
        from textgen.runs.run import Run

        return float(Run(Path(folder) / "0" / "run").summary()["val_loss"])


def faults(arguments: Any) -> tuple[str, dict[str, Any]]:
    """Kills workers at random, and cuts links: whether all others end, in one sentence, with the run saved."""
    chance, outcomes = random.Random(arguments.seed), []
    for number in range(arguments.times):
        kind = "cut" if arguments.cuts and has_links() else "kill"
        outcomes.append(fault(kind, chance))
        print(f"  {number + 1}: {outcomes[-1]}", file=sys.stderr)
    bad = [each for each in outcomes if each["hangs"] or each["tracebacks"] or each["torn"]]
    rows = [[kind, sum(each["kind"] == kind for each in outcomes)] for kind in sorted({e["kind"] for e in outcomes})]
    text = harness.table(["fault", "times"], rows)
    return f"{text}\n\n{len(bad)} with a hang, a traceback or a damaged save.", {"faults": outcomes}


def fault(kind: str, chance: random.Random) -> dict[str, Any]:
    """Has two workers train, kills one or cuts their link after the first save, and tells what became of both."""
    from textgen.errors import TextgenError
    from textgen.model.read import read_checkpoint

    shape = (100.0, 2.0) if kind == "cut" else None
    with tempfile.TemporaryDirectory() as folder, _places(2, shape) as places:
        text = Path(folder) / "text.txt"
        text.write_text("".join(random.Random(1).choices("abcdefgh \n", k=20_000)))
        hosts, ports = (links.ADDRESSES, [4001, 4001]) if shape else (("127.0.0.1",) * 2, _ports(2))
        addresses = ",".join(f"{host}:{port}" for host, port in zip(hosts, ports, strict=True))
        started, logs = [], []
        for index in range(2):
            words = [
                *(
                    sys.executable,
                    "-P",
                    "-m",
                    "textgen",
                    "train",
                    str(text),
                    "--name=run",
                    "--device=cpu",
                    "--epochs=900",
                ),
                *("--layers=1", "--units=16", "--embedding=8", "--batch-size=4", "--sequence-length=16", "--shards=1"),
                *("--precision=float32", "--round=5", "--save-every=1s", "--worker-timeout=5s", f"--worker={index}"),
                *(f"--checkpoints={folder}/{index}", "--validate-every=100", "--workers", addresses),
            ]
            logs.append(Path(folder) / f"{index}.log")
            environment = {**os.environ, "PYTHONPATH": str(harness.ROOT)}
            with logs[-1].open("w") as log:
                started.append(subprocess.Popen([*places[index], *words], stdout=log, stderr=log, env=environment))
        last = Path(folder) / "0" / "run" / "last.keras"
        deadline = time.monotonic() + 300.0
        while not last.exists() and time.monotonic() < deadline and all(each.poll() is None for each in started):
            time.sleep(0.1)
        time.sleep(chance.uniform(0.0, 5.0))
        victim = chance.randrange(2)
        before = _step(last)
        if kind == "cut":
            links.cut(whole=False)
        else:
            started[victim].send_signal(signal.SIGKILL)
        hangs, begun = 0, time.monotonic()
        for process in started:
            try:
                process.wait(timeout=90.0)
            except subprocess.TimeoutExpired:
                hangs += 1
                process.kill()
                process.wait()
        said = [log.read_text() for log in logs]
        try:
            read_checkpoint(last)
            torn = False
        except TextgenError:
            torn = True
        return {
            "kind": kind, "victim": victim, "hangs": hangs, "seconds": round(time.monotonic() - begun, 1), "torn": torn,
            "tracebacks": sum("Traceback" in each for each in said), "saved": [before, _step(last)],
            "last words": [(each.strip().splitlines() or [""])[-1][:300] for each in said],
        }  # fmt: skip


def _step(path: Path) -> int | None:
    from textgen.errors import TextgenError
    from textgen.model.read import read_metadata

    with contextlib.suppress(TextgenError):
        return read_metadata(path).metrics.step
    return None


PARTS = {"speed": speed, "exchange": exchange, "losses": losses, "faults": faults}


def main(line: list[str] | None = None) -> None:
    parser = harness.parser(__doc__)
    parser.add_argument("texts", nargs="*", metavar="TEXT")
    parser.add_argument("--part", choices=list(PARTS), default="speed")
    parser.add_argument("--size", choices=list(SIZES), default="2 x 384")
    parser.add_argument("--steps", type=int, default=300)
    parser.add_argument("--turns", type=int, default=3)
    parser.add_argument("--round", type=int, default=ROUND)
    parser.add_argument("--precision", choices=["float32", "bfloat16"], default="float32")
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--times", type=int, default=100)
    parser.add_argument("--cuts", action="store_true", help="of faults: cut the link, instead of killing")
    parser.add_argument("--picture", metavar="FILE.svg", help="of exchange: draw the model's prediction")
    arguments = parser.parse_args(line)
    if harness.answer(arguments, contender):
        return
    text, results = PARTS[arguments.part](arguments)
    harness.report("workers", f"{arguments.part}\n\n{text}", results, arguments.out)


if __name__ == "__main__":
    main()

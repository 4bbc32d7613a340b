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
import dataclasses
import json
import math
import os
import random
import shutil
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks import costs, harness, links
from benchmarks import faults as fault
from textgen.config import WorkersConfig
from textgen.config.workers import OVERLAP, ROUND

SIZES = {"1 x 128": (1, 128), "2 x 256": (2, 256), "2 x 384": (2, 384)}
LINKS: Mapping[str, tuple[float, float] | None] = {
    "loopback": None,
    "1 Gbit/s, 1 ms": (1000.0, 1.0),
    "100 Mbit/s, by tc": (100.0, 0.0),
    "100 Mbit/s, 20 ms": (100.0, 20.0),
}
BATCH, LENGTH = 32, 64


def contender(name: str, settings: Mapping[str, Any]) -> dict[str, Any]:
    """In a process of its own: one worker."""
    if settings.get("core") is not None:
        os.sched_setaffinity(0, {settings["core"]})
    return {"exchange": exchanging, "equal": trained_alike}.get(name, training)(settings)


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
        round=settings["round"], exchange_precision=settings["precision"], overlap=settings["overlap"],
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
        "skipped": skipped, "round": 4 if smoke else arguments.round or ROUND, "exchange": "rounds",
        "precision": arguments.precision, "overlap": arguments.overlap,
    }  # fmt: skip
    shapes = {name: each for name, each in LINKS.items() if each is None or (has_links() and not smoke)}
    rows, results = [], {}
    for turn in range(1 if smoke else arguments.turns):
        for name, each in {"never": None, **shapes}.items():
            found = together("alone" if name == "never" else "rounds", settings, 2, each)
            results.setdefault(name, []).append(sum(one["characters"] for one in found))
            print(f"  {turn + 1} {name}: {results[name][-1]:,.0f} characters/s", file=sys.stderr)
    base = statistics.median(results["never"])
    step = 2 * settings["batch"] * settings["length"] / base
    for name, values in results.items():
        predicted = "" if name == "never" else f"{predicted_share(settings, LINKS[name], step):.1%}"
        rows.append([name, f"{statistics.median(values):,.0f}", f"{statistics.median(values) / base:.1%}", predicted])
    text = harness.table(["link", "characters/s, both", "of those that never exchange", "model"], rows)
    model = f"{shape[0]} x {shape[1]} {harness.DEFAULT_CELL}"
    told = (
        f"rounds of {settings['round']} steps, {arguments.precision}, changes sent during {settings['overlap']} steps"
    )
    return f"{text}\n\n{model}, {told}.", results


def predicted_share(settings: Mapping[str, Any], link: tuple[float, float] | None, step: float) -> float:
    """What the model of the costs says of a row of `speed`."""
    megabits, milliseconds = link or (math.inf, 0.0)
    size = costs.sent(*settings["shape"]) * (0.5 if settings["precision"] == "bfloat16" else 1.0)
    ahead = min(settings["overlap"], settings["round"] - 1)
    return costs.efficiency(
        2, megabits, costs.COSTS, step=step, size=size, round_steps=settings["round"], ahead=ahead,
        milliseconds=milliseconds,
    )  # fmt: skip


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
    found_costs = costs.fit(points)
    rows = [
        [p["link"], f"{p['bytes']:,}", f"{1e3 * p['seconds']:.0f}",
         f"{1e3 * costs.exchange_seconds(2, p['bytes'], p['megabits'], p['ms'], found_costs):.0f}"] for p in points
    ]  # fmt: skip
    text = harness.table(["link", "bytes", "measured, ms", "model, ms"], rows)
    if arguments.picture:
        costs.draw(found_costs, arguments.picture)
    equal, same = ("", {}) if arguments.smoke else equality(200)
    text = f"{text}\n\n{found_costs}\n\n{costs.outlook(found_costs)}\n\n{equal}"
    return text, {"points": points, "costs": found_costs, **same}


def equality(steps: int) -> tuple[str, dict[str, Any]]:
    """Exchanging in every step: the weights of two workers and those of one process with two shards."""
    with tempfile.TemporaryDirectory() as folder:
        settings = {"steps": steps, "folder": folder}
        together("equal", {**settings, "name": "workers"}, 2, None)
        for name in ("in order", "as it comes"):
            together("equal", {**settings, "name": name}, 1, None)
        two, ordered, usual = (np.load(f"{folder}/{name}.npy") for name in ("workers", "in order", "as it comes"))
    apart, scale = float(np.abs(two - usual).max()), float(np.abs(usual).max())
    same = bool(np.array_equal(two, ordered))
    word = "equal to the last bit" if same else "NOT equal"
    text = (
        f"{steps} steps with 2 workers and with 2 shards in one process: the weights are {word} where sums are made in "
        f"the same order, and up to {apart:.1e} apart (of {scale:.1f}) where they are not."
    )
    return text, {"equal": same, "apart": apart}


def trained_alike(settings: Mapping[str, Any]) -> dict[str, Any]:
    """In a process of its own: one of two workers that exchange in every step, or one process with two shards."""
    from textgen.model.read import read_checkpoint
    from textgen.training.framework import load_framework

    load_framework()
    from textgen.training import trainers
    from textgen.training.start import train

    several = settings["name"] == "workers"
    if settings["name"] == "in order":
        sys.path.insert(0, str(harness.ROOT / "tests" / "support"))
        from each_shard import EachShard

        trainers.Trainer = EachShard
    workers = WorkersConfig(workers="none")
    if several:
        places, index = ",".join(settings["addresses"]), settings["index"]
        workers = WorkersConfig(workers=places, worker=index, exchange="steps")
    text = "".join(random.Random(1).choices("abcdefgh \n", k=60_000))
    batch = 4 if several else 8
    with tempfile.TemporaryDirectory() as folder:
        run = train(
            texts=[text], name="run", checkpoints=folder, workers=workers, layers=2, units=48, embedding=16, seed=3,
            batch_size=batch, sequence_length=32, epochs=settings["steps"] * 8 * 32 / 54_000, device="cpu",
            shards=1 if several else 2, precision="float32", save_every=1e9,
        )  # fmt: skip
        if run.last.exists():
            last = read_checkpoint(run.last)
            flat = np.concatenate([each.ravel() for each in last.weights.arrays()])
            np.save(f"{settings['folder']}/{settings['name']}.npy", flat)
            return {"steps": last.metadata.metrics.step}
    return {}


def losses(arguments: Any) -> tuple[str, dict[str, Any]]:
    """Validation losses of workers by rounds, of one process with as large a batch, of one worker, at equal steps."""
    texts = [Path(text) for text in arguments.texts]
    if not texts:
        raise SystemExit("Name the texts, such as tiny Shakespeare and another one.")
    rows, results = [], []
    for text in texts:
        for seed in range(arguments.seeds):
            found: dict[str, float] = {}
            for count in arguments.counts:
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
            more += [f"--round={arguments.round}"] if count > 1 and arguments.round else []
            sent = [f"--overlap={arguments.overlap}", f"--exchange-precision={arguments.precision}"]
            more += sent if count > 1 else []
            own = [word.replace(f"{folder}/of", f"{folder}/{index}") for word in words]
            started.append(subprocess.Popen([*own, *more], env=environment))
        if any(process.wait() for process in started):
            raise SystemExit(f"{text} failed")
        from textgen.runs.run import Run

        return float(Run(Path(folder) / "0" / "run").summary()["val_loss"])


def faults(arguments: Any) -> tuple[str, dict[str, Any]]:
    """Faults of all kinds: 0 hangs, 0 tracebacks and nothing lost that was saved is what is wanted."""
    found: list[Any] = []

    def note(outcome: Any) -> None:
        found.append(outcome)
        print(f"  {len(found)} {outcome}", file=sys.stderr, flush=True)

    def run(times: int, act: Callable[[int], Any]) -> None:
        for number in range(times):
            note(act(number))

    fault.load()
    chance = random.Random(arguments.seed)
    kinds = set(arguments.faults or FAULTS)
    # Not a TemporaryDirectory: the forks would remove it when they end.
    folder = Path(tempfile.mkdtemp())
    try:
        if "others" in kinds:
            for outcome in fault.differences(folder):
                note(outcome)
            if has_links():
                for outcome in fault.full_disk(folder):
                    note(outcome)
        if "kill" in kinds:
            pair = fault.Pair(folder / "killed")
            run(arguments.times, lambda _: fault.kill(pair, chance, pair.step()))
        if "cut" in kinds and has_links():
            with links.link(100.0, 2.0) as ends:
                cut = fault.Pair(folder / "cut", [*map(str, ends)], timeout=4.0)
                run(arguments.times // 5, lambda n: fault.cut(cut, chance, cut.step(), short=n % 4 == 3))
                cut.end()
        if "rejoin" in kinds:
            back = fault.Pair(folder / "rejoining", more=["--rejoin"])
            back.start_program(0)
            back.start_program(1)
            back.wait_for_saves(0)
            run(arguments.times // 10, lambda _: fault.rejoin(back, chance))
            back.end()
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    kinds_found = sorted({outcome.kind for outcome in found})
    rows = [
        [kind, sum(o.kind == kind for o in found), sum(o.kind == kind and bool(o.problems) for o in found)]
        for kind in kinds_found
    ]
    bad = "\n".join(f"{outcome.kind}: {problem}" for outcome in found for problem in outcome.problems)
    return f"{harness.table(['fault', 'times', 'not as it should be'], rows)}\n\n{bad}", {
        "faults": [dataclasses.asdict(outcome) for outcome in found]
    }


FAULTS = ("others", "kill", "cut", "rejoin")
PARTS = {"speed": speed, "exchange": exchange, "losses": losses, "faults": faults}


def main(line: list[str] | None = None) -> None:
    parser = harness.parser(__doc__)
    parser.add_argument("texts", nargs="*", metavar="TEXT")
    parser.add_argument("--part", choices=list(PARTS), default="speed")
    parser.add_argument("--size", choices=list(SIZES), default="2 x 384")
    parser.add_argument("--steps", type=int, default=300)
    parser.add_argument("--turns", type=int, default=3)
    parser.add_argument("--round", type=int, help=f"steps of a round; of speed {ROUND}, of losses by the workers")
    parser.add_argument("--overlap", type=int, default=OVERLAP)
    parser.add_argument("--precision", choices=["float32", "bfloat16"], default="bfloat16")
    parser.add_argument("--counts", type=int, nargs="+", default=[1, 2, 4], help="of losses: numbers of workers")
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--times", type=int, default=100, help="of faults: kills; a fifth of it links cut")
    parser.add_argument("--faults", nargs="+", choices=FAULTS, help="of faults: only these kinds")
    parser.add_argument("--picture", metavar="FILE.svg", help="of exchange: draw the model's prediction")
    arguments = parser.parse_args(line)
    if harness.answer(arguments, contender):
        return
    text, results = PARTS[arguments.part](arguments)
    harness.report("workers", f"{arguments.part}\n\n{text}", results, arguments.out)


if __name__ == "__main__":
    main()

"""Seconds of a training step by cores and shards, beside what `textgen.training.shards` predicts.

    python -m benchmarks.cores
    python -m benchmarks.cores --cores 1,2,4,8 --sizes medium --batches 32 --out cores.json

For each size, batch and number of cores a process of its own, on that many of the cores this one may use (the last, as
the first often serves the system), trains with each number of shards in turn, a few steps at a time; medians. A step is
all of it, with dropout, clipping and cautious AdamW.

It measures on a busy machine, too: on one core the time is the processor's time that the process used, and on several
cores only those moments count in which other processes had under 5 % of them (Linux tells). What has no such moment
within `--patience` seconds has no figure.

The prediction is scaled by one number for each type of products, so that it agrees on one core and one shard on the
whole: what remains is what the choice of shards depends on. `--fit` prints the constants that suit these measurements
best. Systems that do not let a process choose its cores (macOS, Windows) are measured on all cores alone.
"""

from __future__ import annotations

import json
import math
import os
import statistics
import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks import harness
from benchmarks.harness import DEFAULT_CELL, VOCAB
from textgen.config import SIZES, ModelConfig, TrainingConfig
from textgen.training.shards import MEASURED, Costs, amounts, choose_shards, sharded_seconds

LENGTH = 64
SHARD = ("operation", "step", "value", "spill", "copy")
"""The costs that a shard pays on its core."""

_DISTURBED = 0.05
"""The share of the cores that others may have while a step is measured."""

_TICK = 0.01
"""Seconds by which Linux counts a core's time."""

_ENOUGH = 5
"""Undisturbed moments of each number of shards after which a measurement ends, if its time is over."""


def model_config(size: str) -> ModelConfig:
    shape = {"layers": 1, "units": 8, "embedding": 4} if size == "smoke" else SIZES[size]
    return ModelConfig(vocab_size=VOCAB, dropout=0.1, input_dropout=0.05, **shape)


def available() -> list[int]:
    """The numbers of the cores that this process may use; empty where the system does not tell."""
    return sorted(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else []


def contender(_: str, settings: Mapping[str, Any]) -> dict[str, float]:
    """Median seconds of a step for each number of shards, as `{"2": seconds}`."""
    allowed = available()
    if settings["cores"] < len(allowed):
        # Before TensorFlow starts: its threads are those of the cores it finds.
        os.sched_setaffinity(0, allowed[-settings["cores"] :])
    try:
        return measure(settings)
    finally:
        if allowed:
            os.sched_setaffinity(0, allowed)


def measure(settings: Mapping[str, Any]) -> dict[str, float]:
    import tensorflow as tf

    from textgen.corpus.batch import Batch
    from textgen.training.keras_model import build_model
    from textgen.training.network import Network
    from textgen.training.placement import place
    from textgen.training.trainer import Trainer

    shape = model_config(settings["size"])
    config = TrainingConfig(batch_size=settings["batch"], sequence_length=LENGTH, cautious=True)
    placement = place("cpu", settings["precision"])
    rng = np.random.default_rng(0)
    ids = rng.integers(0, VOCAB, (settings["batch"], LENGTH + 1)).astype("int32")
    data = Batch(tf.constant(ids[:, :-1]), tf.constant(ids[:, 1:]), tf.constant(False))
    steps = {}
    for shards in settings["shards"]:
        model = build_model(shape)
        network = Network(model, shape, compute_dtype=placement.compute_dtype)
        trainer = Trainer(network, model, config, shards=shards, validation_streams=1)
        steps[shards] = tf.function(trainer.train_step, autograph=False)
        for _ in range(2):
            float(steps[shards](data)["loss"])
    figures: dict[int, list[float]] = {shards: [] for shards in steps}
    start = time.perf_counter()
    while True:
        for shards, step in steps.items():
            moment = Moment(settings["cores"])
            while moment.steps == 0 or moment.seconds() < settings["burst"]:
                float(step(data)["loss"])
                moment.steps += 1
            seconds = moment.step_seconds(anyway=settings["smoke"])
            figures[shards] += [] if seconds is None else [seconds]
        spent, found = time.perf_counter() - start, min(map(len, figures.values()))
        if spent > settings["patience"] or (spent > settings["seconds"] and found >= _ENOUGH):
            break
    return {str(shards): statistics.median(each) for shards, each in figures.items() if each}


class Moment:
    """A few steps, and what other processes took of the cores meanwhile."""

    def __init__(self, cores: int) -> None:
        self.cores, self.steps = cores, 0
        self._start, self._own, self._all = time.perf_counter(), time.process_time(), busy_seconds()

    def seconds(self) -> float:
        """Since it began."""
        return time.perf_counter() - self._start

    def step_seconds(self, *, anyway: bool) -> float | None:
        """Of a step; None if it was disturbed, except `anyway`."""
        seconds, own, after = self.seconds(), time.process_time() - self._own, busy_seconds()
        if self.cores == 1 and not anyway:
            return own / self.steps
        if anyway or after is None or self._all is None:
            return seconds / self.steps
        disturbed = after - self._all - own > _DISTURBED * self.cores * seconds + _TICK
        return None if disturbed else seconds / self.steps


def busy_seconds() -> float | None:
    """Seconds that the cores which this process may use have been busy for, since the system started."""
    file = Path("/proc/stat")
    if not file.is_file():
        return None
    wanted, total = {f"cpu{core}" for core in available()}, 0
    for line in file.read_text().splitlines():
        name, *ticks = line.split()
        if name in wanted:
            user, nice, system, _, _, *others = map(int, ticks[:8])
            total += user + nice + system + sum(others)
    return total / os.sysconf("SC_CLK_TCK")


Row = dict[str, Any]


def predicted(row: Row, costs: Costs) -> float:
    """Seconds of a step by the model."""
    return sharded_seconds(
        model_config(row["size"]), row["batch"], LENGTH, shards=row["shards"], cores=row["cores"], costs=costs
    )


def scale(rows: Sequence[Row], costs: Costs) -> float:
    """What the predictions are multiplied by to agree on one core and one shard, or on what is nearest to that."""
    least = min((row["cores"], row["shards"]) for row in rows)
    return statistics.median(
        row["seconds"] / predicted(row, costs) for row in rows if (row["cores"], row["shards"]) == least
    )


def fit(rows: Sequence[Row]) -> tuple[Costs, float]:
    """The constants with the least squared relative errors, none below zero, and the root of the mean of those.

    The update's is taken over, scaled as the predictions are: these measurements do not tell it from a shard's copies.
    For a given contention the model is linear in the other constants.
    """
    update = MEASURED.update * scale(rows, MEASURED)
    best: tuple[float, Costs] | None = None
    for contention in np.arange(0.0, 0.5, 0.01):
        lines = []
        for row in rows:
            busy = min(row["shards"], row["cores"])
            share = row["shards"] / busy * (1.0 + contention * (busy - 1))
            paid = amounts(model_config(row["size"]), row["batch"], LENGTH, row["shards"])
            rest = max(row["seconds"] - update * paid.update, 0.1 * row["seconds"])
            lines.append([getattr(paid, name) * share / rest for name in SHARD])
        values, error = least_squares(np.array(lines))
        if best is None or error < best[0]:
            found = dict(zip(SHARD, map(float, values), strict=True))
            best = error, Costs(**found, update=update, contention=float(contention))
    assert best is not None
    return best[1], best[0]


def least_squares(table: np.ndarray) -> tuple[np.ndarray, float]:
    """Numbers of 0 or more by which the columns add up to nearly 1 in each row, and the root mean square error."""
    size = np.linalg.norm(table, axis=0)
    columns = table / size
    gram, aim = columns.T @ columns, columns.sum(0)
    values = np.zeros(len(aim))
    for _ in range(4000):
        for n in range(len(values)):
            values[n] = max(0.0, values[n] + (aim[n] - gram[n] @ values) / gram[n, n])
    return values / size, float(np.sqrt(np.mean((columns @ values - 1.0) ** 2)))


def table(rows: Sequence[Row], costs: Costs, shards: Sequence[int]) -> str:
    """A line for each type of products, size, batch and number of cores: measured and predicted milliseconds."""
    groups: dict[tuple[Any, ...], dict[int, Row]] = {}
    for row in rows:
        groups.setdefault((row["precision"], row["size"], row["batch"], row["cores"]), {})[row["shards"]] = row
    factor = {
        name: scale([row for row in rows if row["precision"] == name], costs) for name in {key[0] for key in groups}
    }
    lines = []
    for (precision, size, batch, cores), found in groups.items():
        chosen = choose_shards(model_config(size), batch, LENGTH, cores, costs=costs)
        figures = []
        for count in shards:
            row = found.get(count)
            text = f"{1e3 * row['seconds']:.0f} / {1e3 * factor[precision] * predicted(row, costs):.0f}" if row else ""
            figures.append(f"**{text}**" if row and count == chosen else text)
        lines.append([size, batch, precision, cores, *figures])
    headings = ["size", "batch", "products", "cores", *(f"{count} shard{'s'[: count != 1]}" for count in shards)]
    errors = [abs(math.log(factor[row["precision"]] * predicted(row, costs) / row["seconds"])) for row in rows]
    scales = ", ".join(f"{name} {value:.2f}" for name, value in factor.items())
    return harness.table(headings, lines) + (
        f"\n\nMilliseconds of a step, measured / predicted; {DEFAULT_CELL} cell, {LENGTH} characters of each stream, "
        f"the default in bold. Predictions times {scales}; they are off by {np.mean(errors):.1%} on average and by "
        f"{np.max(errors):.1%} at most."
    )


def main(line: list[str] | None = None) -> None:
    parser = harness.parser(__doc__)
    parser.add_argument("--cores", help="numbers of cores, such as 1,2,4  [default: powers of two, and all]")
    parser.add_argument("--sizes", default="small,medium,large")
    parser.add_argument("--batches", default="32,64")
    parser.add_argument("--shards", default="1,2,4,8")
    parser.add_argument("--precisions", help="[default: float32, and bfloat16 where the processor has it]")
    parser.add_argument("--seconds", type=float, default=8.0, help="of measuring for each size, batch and cores")
    parser.add_argument("--patience", type=float, default=60.0, help="the most seconds of each, on a busy machine")
    parser.add_argument("--fit", action="store_true", help="print the constants that suit the measurements best")
    parser.add_argument("--again", metavar="FILE", help="take the measurements from an earlier --out")
    arguments = parser.parse_args(line)
    if harness.answer(arguments, contender):
        return
    shards = [int(each) for each in arguments.shards.split(",")]
    rows = json.loads(Path(arguments.again).read_text())["steps"] if arguments.again else measured(arguments, shards)
    if not rows:
        raise SystemExit(
            "Other processes kept the cores busy all the time: nothing could be measured. Try again later."
        )
    text = table(rows, MEASURED, sorted({row["shards"] for row in rows}))
    results: dict[str, Any] = {"steps": rows}
    if arguments.fit:
        costs, error = fit(rows)
        text += f"\n\nFitted, with errors of {error:.1%} (root mean square): {costs}"
        results["fitted"] = vars(costs)
    harness.report("cores", text, results, arguments.out)


def measured(arguments: Any, shards: Sequence[int]) -> list[Row]:
    """Runs a process for each setting; those that differ in cores alone follow one another."""
    most = len(available()) or os.cpu_count() or 1
    counts = sorted({2**n for n in range(most.bit_length()) if 2**n <= most} | {most}) if available() else [most]
    if arguments.cores:
        counts = [int(each) for each in arguments.cores.split(",") if int(each) <= most]
    precisions = arguments.precisions.split(",") if arguments.precisions else ["float32"]
    if not arguments.precisions and not arguments.smoke:
        from textgen.training.placement import has_bfloat16

        precisions += ["bfloat16"] if has_bfloat16() else []
    sizes, batches = arguments.sizes.split(","), [int(each) for each in arguments.batches.split(",")]
    if arguments.smoke:
        sizes, batches, counts, shards, arguments.seconds = ["smoke"], [4], counts[-1:], [1, 2], 0.0
        arguments.patience = 0.0
    rows: list[Row] = []
    for precision in precisions:
        for size in sizes:
            for batch in batches:
                for cores in counts:
                    fitting = [count for count in shards if batch % count == 0]
                    setting = {"precision": precision, "size": size, "batch": batch, "cores": cores}
                    given = {**setting, "shards": fitting, "seconds": arguments.seconds, "smoke": arguments.smoke}
                    given |= {"patience": arguments.patience, "burst": 0.0 if arguments.smoke else 0.25}
                    found = harness.child(__file__, contender, f"{size} {batch}", given) or {}
                    rows += [{**setting, "shards": int(count), "seconds": value} for count, value in found.items()]
                    print(f"  {setting}: {found}", file=sys.stderr)
    return rows


if __name__ == "__main__":
    main()

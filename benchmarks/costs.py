"""What an exchange between workers costs, by their number, the bytes and the link: a model, its fit, a picture."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from benchmarks import harness
from textgen.config import ModelConfig
from textgen.config.workers import OVERLAP, ROUND

Costs = dict[str, float]

COSTS: Costs = {"fixed": 3.5e-3, "byte": 5.6e-9, "trips": 1.4}
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


def efficiency(
    workers: int,
    megabits: float,
    costs: Costs,
    *,
    step: float,
    size: float,
    round_steps: int,
    ahead: int = 0,
    milliseconds: float = 1.0,
) -> float:
    """The share of its time that a worker computes.

    What the processor does for an exchange takes its time; the network's part is hidden behind the first steps of the
    next round.

    Args:
        workers: their number.
        megabits: the bandwidth of each, in Mbit/s.
        costs: the constants of the model.
        step: the seconds of a training step.
        size: the bytes that are exchanged.
        round_steps: steps of a round.
        ahead: steps that are taken while changes are sent.
        milliseconds: the latency there and back.
    """
    whole = exchange_seconds(workers, size, megabits, milliseconds, costs)
    busy = costs["byte"] * 2 * (workers - 1) / workers * size
    paid = busy + 1e-3 * milliseconds + max(whole - busy - 1e-3 * milliseconds - ahead * step, 0.0)
    return step * round_steps / (step * round_steps + paid)


def _share(workers: int, megabits: float, costs: Costs, steps: int) -> float:
    # Changes are sent in bfloat16, gradients in float32.
    size = sent(2, 384) * (0.5 if steps > 1 else 1.0)
    return efficiency(
        workers, megabits, costs, step=0.2, size=size, round_steps=steps, ahead=OVERLAP if steps > 1 else 0
    )


def sent(layers: int, units: int) -> float:
    """The bytes of a model's changes in float32."""
    return 4.0 * ModelConfig(vocab_size=harness.VOCAB, layers=layers, units=units, embedding=harness.EMBEDDING).weights


def outlook(costs: Costs) -> str:
    """The model's prediction for larger clusters: 2 x 384, a step of 0.2 s, 1 ms there and back."""
    blocks = []
    for steps in (1, ROUND):
        rows = [
            [f"{megabits / 1e3:g} Gbit/s"] + [f"{_share(w, megabits, costs, steps):.0%}" for w in WORKERS]
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

    figure, sides = pyplot.subplots(1, 2, figsize=(9, 3.4), sharey=True)
    for side, steps in zip(sides, (1, ROUND), strict=True):
        for megabits in BANDWIDTHS:
            shares = [_share(w, megabits, costs, steps) for w in WORKERS]
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

"""Two workers that train runs together, one after the other, as a program: it imports TensorFlow once, and forks.

    python joint_worker.py ADDRESSES TEXT FOLDER RUN...

Runs, in FOLDER/checkpoints: `short`, by rounds, which TF_CONFIG starts in a thread, as Ray Train has it; `steps`,
exchanging in every step; `whole`, by rounds, where worker 1 has a part of the text of its own, part.txt beside TEXT;
`cut`, the same, which worker 1 interrupts; `again` continues it, and is interrupted in a round that ends with a
validation; `continued` continues it. `timed` has a budget of time, on clocks of which worker 1's goes faster; `idle`
learns nothing and stops early; `poisoned` diverges on worker 1; `slurm` is started by the command line with Slurm's
variables. Then one process by itself: `one` is what `steps` must be equal to, and `alone` continues a copy of `cut`.
Each process writes into FOLDER/INDEX.json what became of its runs, that one as 2.
"""

import json
import os
import shutil
import signal
import sys
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from itertools import count
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
from tiny_runs import TINY

from textgen.config import WorkersConfig
from textgen.runs.events import Reporter
from textgen.training import progress as progress_module
from textgen.training.framework import load_framework
from textgen.training.resume import resume
from textgen.training.start import train
from textgen.training.workers import cluster as cluster_module

ROUNDS = {**TINY, "epochs": 1.0, "seed": 5, "validate_every": 9}
"""A pass over 4,000 characters by two workers: 28 steps."""

SHORT = {**ROUNDS, "validate_every": 14, "calibrate": False, "halved_fraction": 0.0, "dropout": 0.0, "weight_drop": 0.0}
STEPS = {**ROUNDS, "calibrate": True, "halved_fraction": 0.3}
PARTS = {**ROUNDS, "epochs": 0.5}
UNTIMED = {**{name: value for name, value in SHORT.items() if name != "epochs"}, "validate_every": 10}
SECOND, BUDGET = 1000.0, 30_000.0
"""What a step of `timed` takes by worker 0's clock, and its budget: so long that the real time between is nothing."""
POISONED = 17
"""The step of worker 1 in which `poisoned` diverges: in the round up to step 20."""
SETTINGS = {
    "short": SHORT,
    "steps": STEPS,
    "timed": UNTIMED,
    "idle": {**SHORT, "epochs": 50.0, "validate_every": 5, "learning_rate": 1e-9},
    "poisoned": SHORT,
}
LEADING = {"timed": {"time": BUDGET}, "idle": {"patience": 2}}
"""Settings that only worker 0 is given."""
CUT = {"cut": 12, "again": 3}
"""Steps after which worker 1 interrupts a run: in the round up to step 15, and up to step 20, where a validation is."""
BY_ITSELF = ("one", "alone")


def interrupting(after: int) -> Any:
    """A callback that interrupts this process after some steps; Keras is imported only where one is made."""
    import keras

    steps = count(1)

    def interrupt(batch: int, logs: Any) -> None:
        del batch, logs
        if next(steps) == after:
            signal.raise_signal(signal.SIGINT)

    return keras.callbacks.LambdaCallback(on_train_batch_end=interrupt)


def watching(seen: dict[str, list[Any]], index: int, name: str) -> Any:
    """A callback that notes each step's rate, turns the clock, and has worker 1 diverge where the run is to."""
    import keras

    class Watch(keras.callbacks.Callback):
        def on_train_batch_begin(self, batch: int, logs: Any = None) -> None:
            if name == "timed":
                progress_module.time.now += SECOND * (1 + 2 * index)
            if name == "poisoned" and index == 1 and len(seen["rates"]) == POISONED - 1:
                variable = self.model.plain.trainable_variables[0]
                variable.assign(np.full(variable.shape, np.nan, "float32"))

        def on_train_batch_end(self, batch: int, logs: Any = None) -> None:
            seen["rates"].append(float(np.asarray(self.model.optimizer.learning_rate)))

    return Watch()


class Clock(SimpleNamespace):
    """Stands for the module `time` where a run reads its seconds."""

    def monotonic(self) -> float:
        return float(self.now)


class Told(Reporter):
    def __init__(self) -> None:
        self.warnings: list[str] = []
        self.ends: list[str] = []

    def warned(self, message: str) -> None:
        self.warnings.append(message)

    def finished(self, message: str) -> None:
        self.ends.append(message)


def as_by_ray(begin: Callable[[], object], index: int, addresses: str) -> None:
    """Calls a function as Ray Train does: outside the main thread, where no signal can be handled."""
    cluster = {"worker": addresses.split(",")}
    os.environ["TF_CONFIG"] = json.dumps({"cluster": cluster, "task": {"type": "worker", "index": index}})
    os.environ["TF_USE_LEGACY_KERAS"] = "1"
    with ThreadPoolExecutor(1) as pool:
        pool.submit(begin).result()
    del os.environ["TF_CONFIG"], os.environ["TF_USE_LEGACY_KERAS"]


def work(index: int, addresses: str, text: str, folder: Path, names: Sequence[str]) -> None:
    """Trains as one of the workers."""
    from textgen.training import data

    checkpoints = folder / "checkpoints" if index == 0 else folder / "nothing"
    told, outcomes, seen = Told(), {}, {}
    for name in names:
        parts = name not in SETTINGS
        threaded = name == "short"
        # Each worker has a stream of the short held-out text, but in `steps` only one has.
        data._STREAM = 512 if name == "steps" else 128
        workers = WorkersConfig(
            workers=None if threaded else addresses,
            worker=None if threaded else index,
            text_part=parts,
            exchange="steps" if name == "steps" else "rounds",
            round=5,
            overlap=0 if name == "short" else 4,
            worker_timeout=60.0,
        )
        own = Path(text).with_name("part.txt") if parts and index == 1 else text
        callbacks = [interrupting(CUT[name])] if name in CUT and index == 1 else []
        settings = {**SETTINGS.get(name, PARTS), **(LEADING.get(name, {}) if index == 0 else {})}
        if name in ("timed", "idle", "poisoned"):
            seen[name] = {"rates": []}
            callbacks = [watching(seen[name], index, name)]
        if name == "timed":
            settings["started"] = 0.0
            progress_module.time = Clock(now=0.0)  # type: ignore[assignment]
        common: dict[str, Any] = {"checkpoints": checkpoints, "callbacks": callbacks, "workers": workers}
        try:
            if name in ("again", "continued") and index == 0:
                resume("cut", reporter=told, **common)
            else:
                begin = partial(
                    train,
                    own,
                    name="cut" if name in ("again", "continued") else name,
                    reporter=told,
                    **common,
                    **settings,
                )
                if threaded:
                    as_by_ray(begin, index, addresses)
                else:
                    begin()
            outcomes[name] = "done"
        except KeyboardInterrupt:
            outcomes[name] = "interrupted"
        progress_module.time = time
    tell(
        folder, index, outcomes=outcomes, warnings=told.warnings, ends=told.ends, seen=seen, files=checkpoints.exists()
    )


def work_by_slurm(index: int, addresses: str, text: str, folder: Path) -> None:
    """Trains by the command line, as the task of a job step of two."""
    from textgen.__main__ import program

    names = ("PROCID", "STEP_NUM_TASKS", "STEP_NODELIST", "STEP_TASKS_PER_NODE")
    os.environ |= {
        f"SLURM_{each}": value for each, value in zip(names, (str(index), "2", "localhost", "2"), strict=True)
    }
    # Another program may have the port that the first task of a node has.
    cluster_module._SLURM_PORT = int(addresses.split(",")[0].rpartition(":")[2])
    checkpoints = folder / ("nothing" if index else "checkpoints")
    settings = [f"--{name.replace('_', '-')}={value}" for name, value in ROUNDS.items()]
    line = ["textgen", "train", text, "--name=slurm", f"--checkpoints={checkpoints}", "--workers=slurm", *settings]
    sys.argv = line
    program()


def work_alone(text: str, folder: Path, names: Sequence[str]) -> None:
    """Trains in one process what is compared with the workers' runs."""
    from each_shard import EachShard

    from textgen.training import trainers

    checkpoints, told = folder / "checkpoints", Told()
    if "alone" in names:
        shutil.copytree(checkpoints / "cut", checkpoints / "alone")
        resume("alone", checkpoints=checkpoints, epochs=0.6, reporter=told)
    if "one" in names:
        trainers.Trainer = EachShard  # type: ignore[misc]
        batch = 2 * STEPS["batch_size"]
        train(text, name="one", checkpoints=checkpoints, **{**STEPS, "batch_size": batch, "shards": 2})
    tell(folder, 2, warnings=told.warnings)


def tell(folder: Path, index: int, **found: Any) -> None:
    (folder / f"{index}.json").write_text(json.dumps(found))


def main() -> None:
    addresses, text, folder, *names = sys.argv[1:]
    load_framework()
    joint = [name for name in names if name not in (*BY_ITSELF, "slurm")]
    # A process is in one cluster of TensorFlow's, for good.
    acts: list[Any] = [work_by_slurm] * ("slurm" in names) + [partial(work, names=joint)] * bool(joint)
    for act in acts:
        children = []
        for index in range(2):
            children.append(os.fork())
            if not children[-1]:
                act(index, addresses, text, Path(folder))
                return
        codes = [os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) for child in children]
        if any(codes):
            sys.exit(1)
    if set(names) & set(BY_ITSELF):
        work_alone(text, Path(folder), names)


if __name__ == "__main__":
    main()

"""Two workers that train runs together, one after the other, as a program: it imports TensorFlow once, and forks.

    python joint_worker.py ADDRESSES TEXT FOLDER RUN...

Runs, in FOLDER/checkpoints: `short`, by rounds, which TF_CONFIG starts in a thread, as Ray Train has it; `steps`,
exchanging in every step; `whole`, by rounds, where worker 1 has a part of the text of its own, part.txt beside TEXT;
`cut`, the same, which worker 1 interrupts; `again` continues it, and is interrupted in a round that ends with a
validation; `continued` continues it. Then one process by itself: `one` is what `steps` must be equal to, and `alone`
continues a copy of `cut`.
Each process writes into FOLDER/INDEX.json what became of its runs, that one as 2.
"""

import json
import os
import shutil
import signal
import sys
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from itertools import count
from pathlib import Path
from typing import Any

from tiny_runs import TINY

from textgen.config import WorkersConfig
from textgen.runs.events import Reporter
from textgen.training.framework import load_framework
from textgen.training.resume import resume
from textgen.training.start import train

ROUNDS = {**TINY, "epochs": 1.0, "seed": 5, "validate_every": 9}
"""A pass over 4,000 characters by two workers: 28 steps."""

SHORT = {**ROUNDS, "validate_every": 14, "calibrate": False, "halved_fraction": 0.0, "dropout": 0.0, "weight_drop": 0.0}
STEPS = {**ROUNDS, "calibrate": True, "halved_fraction": 0.3}
PARTS = {**ROUNDS, "epochs": 0.5}
SETTINGS = {"short": SHORT, "steps": STEPS}
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


class Told(Reporter):
    def __init__(self) -> None:
        self.warnings: list[str] = []

    def warned(self, message: str) -> None:
        self.warnings.append(message)


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
    checkpoints = folder / "checkpoints" if index == 0 else folder / "nothing"
    told, outcomes = Told(), {}
    for name in names:
        parts = name not in SETTINGS
        threaded = name == "short"
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
                    **SETTINGS.get(name, PARTS),
                )
                if threaded:
                    as_by_ray(begin, index, addresses)
                else:
                    begin()
            outcomes[name] = "done"
        except KeyboardInterrupt:
            outcomes[name] = "interrupted"
    tell(folder, index, outcomes=outcomes, warnings=told.warnings, files=checkpoints.exists())


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
    joint = [name for name in names if name not in BY_ITSELF]
    children = []
    for index in range(2):
        children.append(os.fork())
        if not children[-1]:
            work(index, addresses, text, Path(folder), joint)
            return
    codes = [os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) for child in children]
    if any(codes):
        sys.exit(1)
    if len(joint) < len(names):
        work_alone(text, Path(folder), names)


if __name__ == "__main__":
    main()

"""Two workers that train runs together, one after the other, as a program: it imports TensorFlow once, and forks.

    python joint_worker.py ADDRESSES TEXT FOLDER RUN...

Runs, in FOLDER/checkpoints: `steps`, exchanging in every step; `whole`, by rounds; `cut`, the same, which worker 1
interrupts; `continued` continues it. Each worker writes into FOLDER/INDEX.json what became of them.
"""

import json
import os
import signal
import sys
from pathlib import Path
from typing import Any

import keras
from tiny_runs import TINY

from textgen.config import WorkersConfig
from textgen.runs.events import Reporter
from textgen.training.framework import load_framework
from textgen.training.resume import resume
from textgen.training.start import train

ROUNDS = {**TINY, "epochs": 1.0, "seed": 5, "validate_every": 9}
"""A pass over 4,000 characters by two workers: 28 steps."""

STEPS = {**ROUNDS, "calibrate": True, "halved_fraction": 0.3}
CUT = 12


class Interrupting(keras.callbacks.Callback):
    """Interrupts this process after a step."""

    def __init__(self) -> None:
        super().__init__()
        self.left = CUT

    def on_train_batch_end(self, batch: int, logs: Any = None) -> None:
        self.left -= 1
        if self.left == 0:
            signal.raise_signal(signal.SIGINT)


class Told(Reporter):
    def __init__(self) -> None:
        self.warnings: list[str] = []

    def warned(self, message: str) -> None:
        self.warnings.append(message)


def work(index: int, addresses: str, text: str, folder: Path, names: list[str]) -> None:
    checkpoints = folder / "checkpoints" if index == 0 else folder / "nothing"
    told, outcomes = Told(), {}
    for name in names:
        exchange = "steps" if name == "steps" else "rounds"
        workers = WorkersConfig(workers=addresses, worker=index, exchange=exchange, round=5, worker_timeout=60.0)
        callbacks = [Interrupting()] if name == "cut" and index == 1 else []
        common: dict[str, Any] = {"checkpoints": checkpoints, "callbacks": callbacks, "workers": workers}
        try:
            if name == "continued" and index == 0:
                resume("cut", reporter=told, **common)
            else:
                name = "cut" if name == "continued" else name
                train(text, name=name, reporter=told, **common, **(STEPS if name == "steps" else ROUNDS))
            outcomes[name] = "done"
        except KeyboardInterrupt:
            outcomes[name] = "interrupted"
    result = {"outcomes": outcomes, "warnings": told.warnings, "files": checkpoints.exists()}
    (folder / f"{index}.json").write_text(json.dumps(result))


def main() -> None:
    addresses, text, folder, *names = sys.argv[1:]
    load_framework()
    child = os.fork()
    work(0 if child else 1, addresses, text, Path(folder), names)
    if child:
        sys.exit(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))


if __name__ == "__main__":
    main()

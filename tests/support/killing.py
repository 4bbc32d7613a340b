"""Trains one run while killing it again and again: a program of its own, started by `test_kills.py`.

    python killing.py TEXT CHECKPOINTS NAME KILLS SEED

TensorFlow is imported once; each attempt is a fork that trains or resumes the run, saving after every step, and is
killed with SIGKILL at a random moment. The last attempt is left alone. Prints a JSON object: kills that hit a living
process, how many of them left a file half-written, and the steps that had been saved at each kill.
"""

import contextlib
import gc
import json
import os
import random
import signal
import sys
import time
from pathlib import Path

from tiny_runs import WHOLE

from textgen.errors import TextgenError
from textgen.model.read import read_metadata
from textgen.runs.run import Run
from textgen.training.resume import resume
from textgen.training.start import train

STEPS = {**WHOLE, "save_every": 0.0}


def attempt(text: str, checkpoints: str, name: str) -> None:
    if (Path(checkpoints) / name / "last.keras").exists():
        resume(name, checkpoints=checkpoints)
        return
    folder = Path(checkpoints) / name
    if folder.exists():
        for path in folder.iterdir():
            path.unlink()
    train(text, name=name, checkpoints=checkpoints, **STEPS)


def start(text: str, checkpoints: str, name: str) -> int:
    child = os.fork()
    if child == 0:
        code = 1
        try:
            attempt(text, checkpoints, name)
            code = 0
        except TextgenError as error:
            print(f"refused: {error}", file=sys.stderr)
        finally:
            os._exit(code)
    return child


def saved_step(run: Run) -> int:
    with contextlib.suppress(TextgenError):
        return read_metadata(run.last).metrics.step or 0
    return 0


def wait_for_a_save(run: Run, child: int) -> None:
    """Waits until the child has saved a later step or has ended; a file is only read when it is another one."""
    before, seen = saved_step(run), written(run)
    deadline = time.monotonic() + 60.0
    while time.monotonic() < deadline and not os.waitpid(child, os.WNOHANG)[0]:
        if written(run) != seen:
            if saved_step(run) > before:
                return
            seen = written(run)
        time.sleep(0.005)


def written(run: Run) -> int:
    """When the last state was written."""
    with contextlib.suppress(FileNotFoundError):
        return run.last.stat().st_mtime_ns
    return 0


def main() -> None:
    text, checkpoints, name, kills, seed = sys.argv[1:]
    # The forks trace the same graphs in a process full of modules: looking for garbage there takes a third of it.
    gc.freeze()
    gc.set_threshold(50_000, 20, 20)
    chance = random.Random(int(seed))
    run = Run(Path(checkpoints) / name)
    hit, torn, steps = 0, 0, []
    for _ in range(int(kills)):
        child = start(text, checkpoints, name)
        # Once the child has saved anew, a random while, so that each kill costs some work.
        wait_for_a_save(run, child)
        time.sleep(chance.uniform(0.0, 0.1))
        with contextlib.suppress(ProcessLookupError, ChildProcessError):
            os.kill(child, signal.SIGKILL)
            _, status = os.waitpid(child, 0)
            hit += os.WIFSIGNALED(status)
        torn += any(run.path.glob(".textgen-*"))
        steps.append(saved_step(run))
    _, status = os.waitpid(start(text, checkpoints, name), 0)
    print(json.dumps({"kills": hit, "torn": torn, "steps": steps, "code": os.waitstatus_to_exitcode(status)}))


if __name__ == "__main__":
    main()

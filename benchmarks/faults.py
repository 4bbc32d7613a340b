"""Faults of workers that train together: what becomes of the others, of the run, and of what was saved.

Each worker is a process of its own with `textgen train`, forked from this one, which imports TensorFlow once; those
that `--rejoin` restarts replace themselves by fresh programs. Needs Linux; links also root, and network namespaces.
"""

from __future__ import annotations

import contextlib
import gc
import os
import random
import signal
import socket
import subprocess
import sys
import time
import traceback
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from benchmarks import harness, links

TEXT = "".join(random.Random(1).choices("abcdefgh \n", k=20_000))
TINY = (
    *(
        "--cell=rnn",
        "--layers=1",
        "--units=16",
        "--embedding=8",
        "--batch-size=4",
        "--sequence-length=16",
        "--shards=1",
    ),
    *("--device=cpu", "--precision=float32", "--halved-fraction=0", "--round=5", "--validate-every=100000"),
    *("--epochs=100000", "--save-every=1s", "--start-timeout=5m"),
)
"""A model whose step takes a millisecond or two, and a run that does not end."""

LIMIT = 120.0
"""Seconds after which what has not ended, or not gone on, hangs."""


@dataclass
class Outcome:
    """What became of one fault: `problems` is empty where it was as it should be."""

    kind: str
    problems: list[str] = field(default_factory=list)
    seconds: float = 0.0
    saved: tuple[int, int] = (0, 0)
    said: list[str] = field(default_factory=list)


class Pair:
    """Two workers, each in a folder of its own, and what they saved.

    Args:
        folder: for both.
        places: words before a command that runs where the worker is, as of `links.link`; none for this machine.
        timeout: seconds of silence after which a worker is lost.
        more: further words of the command line.
    """

    def __init__(
        self, folder: Path, places: Sequence[str] = (), *, timeout: float = 5.0, more: Sequence[str] = ()
    ) -> None:
        self.folder, self.places, self.more = folder, places, [f"--worker-timeout={timeout}s", *more]
        self.homes = [folder / "first", folder / "second"]
        for home in self.homes:
            home.mkdir(parents=True)
        folder.joinpath("text.txt").write_text(TEXT)
        self.addresses = [f"{host}:4001" for host in links.ADDRESSES] if places else free_addresses()
        self.processes: list[int | None] = [None, None]
        self.codes: list[int | None] = [None, None]

    def last(self, home: Path | None = None) -> Path:
        """The newest last state in a worker's folder; one that is not there if there is none."""
        found = sorted((home or self.homes[0]).glob("checkpoints/*/last.keras"), key=lambda path: path.stat().st_mtime)
        return found[-1] if found else (home or self.homes[0]) / "checkpoints/run/last.keras"

    def step(self, home: Path | None = None) -> int:
        """The step that is saved there; 0 where nothing is."""
        from textgen.errors import TextgenError
        from textgen.model.read import read_metadata

        with contextlib.suppress(TextgenError, OSError):
            return read_metadata(self.last(home)).metrics.step or 0
        return 0

    def words(self, index: int) -> list[str]:
        """The command line of a worker; worker 0 continues what is saved."""
        shared = ["--workers", ",".join(self.addresses), "--worker", str(index), *self.more]
        if index == 0 and self.step():
            return ["train", "--resume", self.last().parent.name, *shared]
        return ["train", str(self.folder / "text.txt"), "--name=run", *TINY, *shared]

    def start(
        self, *indices: int, words: Callable[[int], list[str]] | None = None, before: Callable[[], None] | None = None
    ) -> None:
        """Starts workers in forks; `before` is called in them first."""
        for index in indices or (0, 1):
            line = (words or self.words)(index)
            self.codes[index] = None
            self.processes[index] = os.fork()
            if not self.processes[index]:
                self._work(index, line, before)

    def start_program(self, index: int) -> None:
        """Starts a worker as a fresh program."""
        with self.log(index).open("a") as log:
            command = [sys.executable, "-P", "-m", "textgen", *self.words(index)]
            place = ["ip", "netns", "exec", links.NAMES[index]] if self.places else []
            environment = {**os.environ, "PYTHONPATH": str(harness.ROOT)}
            self.processes[index] = subprocess.Popen(
                [*place, *command], stdout=log, stderr=log, cwd=self.homes[index], env=environment
            ).pid
            self.codes[index] = None

    def kill(self, index: int, number: int = signal.SIGKILL) -> None:
        """Sends a worker a signal."""
        with contextlib.suppress(ProcessLookupError):
            os.kill(self.processes[index] or 0, number)

    def code(self, index: int) -> int | None:
        """A worker's exit code; None while it runs."""
        if self.codes[index] is None and self.processes[index]:
            ended, status = os.waitpid(self.processes[index] or 0, os.WNOHANG)
            self.codes[index] = os.waitstatus_to_exitcode(status) if ended else None
        return self.codes[index]

    def wait(self, *indices: int) -> list[str]:
        """Waits for workers to end; what was wrong with that."""
        deadline, problems = time.monotonic() + LIMIT, []
        while any(self.code(index) is None for index in indices) and time.monotonic() < deadline:
            time.sleep(0.05)
        for index in indices:
            if self.code(index) is None:
                problems.append(f"worker {index} hangs")
                self.kill(index)
                os.waitpid(self.processes[index] or 0, 0)
                self.codes[index] = -9
        return problems

    def wait_for_saves(self, beyond: int) -> list[str]:
        """Waits until a step after `beyond` is saved; what was wrong with that."""
        deadline, seen = time.monotonic() + LIMIT, 0
        while time.monotonic() < deadline:
            with contextlib.suppress(FileNotFoundError):
                if (now := self.last().stat().st_mtime_ns) != seen:
                    seen = now
                    if self.step() > beyond:
                        return []
            ended = [index for index in (0, 1) if self.processes[index] and self.code(index) is not None]
            if ended:
                return [f"worker {ended[0]} ended early: {self.words_of(ended[0])}"]
            time.sleep(0.02)
        return ["nothing is saved any more"]

    def end(self) -> None:
        """Kills what still runs."""
        for index in (0, 1):
            if self.processes[index] and self.code(index) is None:
                self.kill(index)
                os.waitpid(self.processes[index] or 0, 0)
                self.codes[index] = -9

    def log(self, index: int) -> Path:
        """The file of what a worker says."""
        return self.homes[index] / "said.log"

    def words_of(self, index: int) -> str:
        """A worker's last line."""
        log = self.log(index)
        lines = log.read_text(errors="replace").strip().splitlines() if log.exists() else []
        return lines[-1][:400] if lines else ""

    def tracebacks(self) -> list[str]:
        """Which workers' logs hold a traceback; the logs are emptied."""
        found = []
        for index in (0, 1):
            if self.log(index).exists() and "Traceback" in (words := self.log(index).read_text(errors="replace")):
                found.append(f"worker {index} shows a traceback: {words[words.index('Traceback') :][-2000:]}")
                self.log(index).unlink()
        return found

    def torn(self) -> list[str]:
        """What of the saved states cannot be read."""
        from textgen.errors import TextgenError
        from textgen.model.read import read_checkpoint

        problems = []
        for home in self.homes:
            for path in home.glob("checkpoints/*/*.keras"):
                try:
                    read_checkpoint(path)
                except TextgenError as error:
                    problems.append(str(error))
        return problems

    def _work(self, index: int, line: list[str], before: Callable[[], None] | None) -> None:
        """In a fork: one worker, until it ends."""
        code = 1
        try:
            log = os.open(self.log(index), os.O_WRONLY | os.O_CREAT | os.O_APPEND)
            os.dup2(log, 1)
            os.dup2(log, 2)
            os.chdir(self.homes[index])
            if self.places:
                links.enter(links.NAMES[index])
            if before is not None:
                before()
            sys.argv = ["textgen", *line]
            from textgen.__main__ import program

            program()
        except SystemExit as leaving:
            code = leaving.code if isinstance(leaving.code, int) else 1
        except BaseException:
            traceback.print_exc()
        finally:
            sys.stderr.flush()
            os._exit(code)


def free_addresses() -> list[str]:
    """Two addresses of this machine, on ports in a row, with a free one behind them."""
    while True:
        with contextlib.ExitStack() as stack:
            first = stack.enter_context(socket.create_server(("127.0.0.1", 0))).getsockname()[1]
            with contextlib.suppress(OSError, OverflowError):
                for more in (1, 2):
                    stack.enter_context(socket.create_server(("127.0.0.1", first + more)))
                return [f"127.0.0.1:{first}", f"127.0.0.1:{first + 1}"]


def load() -> None:
    """Imports what the forks would import."""
    from textgen.training.framework import load_framework

    load_framework()
    from textgen.cli.commands import train  # noqa: F401
    from textgen.training import joint, resume, start  # noqa: F401

    gc.freeze()
    # What is printed before a fork would be printed by it, too.
    sys.stdout.flush()
    sys.stderr.flush()


@contextlib.contextmanager
def judged(kind: str, pair: Pair) -> Iterator[Outcome]:
    """Times a fault, and looks for tracebacks and torn files after it."""
    outcome, start = Outcome(kind), time.monotonic()
    yield outcome
    outcome.seconds = round(time.monotonic() - start, 1)
    outcome.problems += [*pair.tracebacks(), *pair.torn()]


def kill(pair: Pair, chance: random.Random, saved: int) -> Outcome:
    """Starts both workers, kills one at a random moment after the next save, and sees what the other does.

    The next start is where the newest state is: if worker 0 was killed, the other's folder is worker 0's from then on.
    """
    victim = chance.randrange(2)
    with judged(f"kill -9 of worker {victim}", pair) as outcome:
        pair.start()
        outcome.problems += pair.wait_for_saves(saved)
        time.sleep(chance.uniform(0.0, 2.0))
        before = pair.step()
        pair.kill(victim)
        outcome.problems += pair.wait(0, 1)
        words = pair.words_of(1 - victim)
        outcome.said = [words]
        if pair.codes[1 - victim] != 1 or f"Worker {victim} ({pair.addresses[victim]}) was lost" not in words:
            outcome.problems.append(f"worker {1 - victim} ended with {pair.codes[1 - victim]}: {words}")
        if victim == 0 and pair.step(pair.homes[1]) > pair.step(pair.homes[0]):
            pair.homes.reverse()
        outcome.saved = before, pair.step()
        if outcome.saved[1] < before:
            outcome.problems.append(f"step {before} was saved, and {outcome.saved[1]} is there")
    return outcome


def rejoin(pair: Pair, chance: random.Random) -> Outcome:
    """Kills one of two workers that run with --rejoin, starts it again, and sees whether the run goes on."""
    victim = chance.randrange(2)
    with judged(f"kill -9 of worker {victim}, --rejoin", pair) as outcome:
        time.sleep(chance.uniform(0.0, 2.0))
        before = pair.step()
        pair.kill(victim)
        time.sleep(chance.uniform(0.0, 1.0))
        os.waitpid(pair.processes[victim] or 0, 0)
        own = pair.step()
        pair.start_program(victim)
        outcome.problems += pair.wait_for_saves(before)
        kept = pair.step(pair.homes[1])
        outcome.said = [line for line in pair.log(0).read_text().splitlines() if "has kept the run up to" in line][-1:]
        if (
            victim == 0
            and kept > own
            and f"up to step {kept:,}, and step {own:,} is saved" not in "".join(outcome.said)
        ):
            outcome.problems.append(f"step {kept} was kept, and the run went on from step {own}: {outcome.said}")
        outcome.saved = before, pair.step()
    return outcome


def cut(pair: Pair, chance: random.Random, saved: int, *, short: bool) -> Outcome:
    """Cuts the link between two workers, and brings it back before they notice, or after they left."""
    with judged("link cut for a second" if short else "link cut", pair) as outcome:
        if any(pair.codes[index] is not None or pair.processes[index] is None for index in (0, 1)):
            pair.start()
        outcome.problems += pair.wait_for_saves(saved)
        time.sleep(chance.uniform(0.0, 1.0))
        before = pair.step()
        links.cut(whole=False)
        if short:
            time.sleep(chance.uniform(0.2, 1.0))
            links.cut(whole=True)
            outcome.problems += pair.wait_for_saves(pair.step())
        else:
            outcome.problems += pair.wait(0, 1)
            links.cut(whole=True)
            outcome.said = [pair.words_of(index) for index in (0, 1)]
            for index, words in enumerate(outcome.said):
                if pair.codes[index] != 1 or f"Worker {1 - index} ({pair.addresses[1 - index]}) was lost" not in words:
                    outcome.problems.append(f"worker {index} ended with {pair.codes[index]}: {words}")
        outcome.saved = before, pair.step()
        if outcome.saved[1] < before:
            outcome.problems.append(f"step {before} was saved, and {outcome.saved[1]} is there")
    return outcome


def refused(pair: Pair, kind: str, expected: str, change: Callable[[int, list[str]], None], **more: Any) -> Outcome:
    """Starts two workers of which one differs: whether both end with exit code 1, and say why."""
    with judged(kind, pair) as outcome:

        def words(index: int) -> list[str]:
            line = pair.words(index)
            change(index, line)
            return line

        for index in (0, 1):
            pair.start(index, words=words, before=more.get("before") if index == 1 else None)
        outcome.problems += pair.wait(0, 1)
        outcome.said = [pair.words_of(index) for index in (0, 1)]
        if pair.codes != [1, 1] or not all(expected in words for words in outcome.said):
            outcome.problems.append(f"exit codes {pair.codes}: {outcome.said}")
    return outcome


def differences(folder: Path) -> list[Outcome]:
    """One worker with another text, seed or version, and one whose port another program has."""
    found = []
    pair = Pair(folder / "differing")

    def other_text(index: int, line: list[str]) -> None:
        if index == 1:
            other = pair.folder / "other.txt"
            other.write_text(TEXT[::-1])
            line[1] = str(other)

    def other_seed(index: int, line: list[str]) -> None:
        line.append(f"--seed={index}")

    def other_version() -> None:
        from textgen.training.workers import agreement

        agreement.VERSION = "0.0"

    second = f"Worker 1 ({pair.addresses[1]}) has "
    found.append(refused(pair, "another text", f"{second}another text", other_text))
    found.append(refused(pair, "another seed", f"{second}seed 1", other_seed))
    same = refused(pair, "another version", f"{second}textgen 0.0", lambda *_: None, before=other_version)
    found.append(same)
    for index, what in ((0, "port of worker 0 in use"), (1, "port of worker 1 in use")):
        with judged(what, pair) as outcome:
            port = int(pair.addresses[index].rpartition(":")[2])
            with socket.create_server(("", port)):
                pair.start(index)
                outcome.problems += pair.wait(index)
            outcome.said = [pair.words_of(index)]
            if pair.codes[index] != 1 or f"Port {port}, of this worker, cannot be had" not in outcome.said[0]:
                outcome.problems.append(f"exit code {pair.codes[index]}: {outcome.said}")
        found.append(outcome)
    return found


@contextlib.contextmanager
def small_disk(folder: Path, size: str) -> Iterator[Path]:
    """A file system of its own of a size, such as "1m"."""
    folder.mkdir(parents=True)
    subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={size}", "none", str(folder)], check=True)
    try:
        yield folder
    finally:
        subprocess.run(["umount", "-l", str(folder)], check=True)


def full_disk(folder: Path) -> list[Outcome]:
    """Worker 0's disk: too small at the start, full for a while, and full until the end."""
    found = []
    pair = Pair(folder / "small")
    with small_disk(pair.homes[0] / "checkpoints", "300k"):
        expected = "The checkpoints of this run need"
        found.append(refused(pair, "worker 0's disk too small", expected, lambda *_: None))
    pair = Pair(folder / "full")
    with small_disk(pair.homes[0] / "checkpoints", "4m") as disk:
        with judged("worker 0's disk full for a while", pair) as outcome:
            pair.start()
            outcome.problems += pair.wait_for_saves(0)
            fill(disk)
            before = pair.step()
            deadline = time.monotonic() + LIMIT
            while "saving is retried" not in pair.log(0).read_text() and time.monotonic() < deadline:
                time.sleep(0.1)
            outcome.said = [pair.words_of(0)]
            if "saving is retried" not in outcome.said[0] or pair.step() < before:
                outcome.problems.append(f"step {before} was saved, and {pair.step()} is there: {outcome.said}")
            (disk / "filled").unlink()
            outcome.problems += pair.wait_for_saves(before)
            outcome.saved = before, pair.step()
        found.append(outcome)
        with judged("worker 0's disk full, then Ctrl-C", pair) as outcome:
            fill(disk)
            before = pair.step()
            pair.kill(1, signal.SIGINT)
            outcome.problems += pair.wait(0, 1)
            outcome.said = [pair.words_of(index) for index in (0, 1)]
            outcome.saved = before, pair.step()
            if outcome.saved[1] < before or 0 in pair.codes:
                outcome.problems.append(f"exit codes {pair.codes}, step {outcome.saved}: {outcome.said}")
        found.append(outcome)
    return found


def fill(disk: Path) -> None:
    """Fills a file system up to its last byte."""
    with contextlib.suppress(OSError), (disk / "filled").open("wb", buffering=0) as file:
        while True:
            file.write(bytes(4096))

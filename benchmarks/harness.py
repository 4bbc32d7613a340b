"""What the benchmarks share: contenders in processes that take turns, untrained runs, tables, JSON, the machine."""

from __future__ import annotations

import argparse
import datetime
import json
import os
import platform
import statistics
import subprocess
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from textgen.config import ModelConfig
from textgen.system import atomic_write

ROOT = Path(__file__).resolve().parent.parent
VOCAB, EMBEDDING = 65, 64
DEFAULT_CELL = ModelConfig(vocab_size=VOCAB).cell
PEERS = ("torch",)
"""Packages that a contender may need and that need not be installed."""

Contender = Callable[[str, Mapping[str, Any]], dict[str, float]]


def parser(description: str | None) -> argparse.ArgumentParser:
    """The options that all benchmarks have."""
    made = argparse.ArgumentParser(description=description, formatter_class=argparse.RawDescriptionHelpFormatter)
    made.add_argument("--out", help="write the results as JSON")
    made.add_argument(
        "--smoke", action="store_true", help="do a second's work on tiny models in one process, to see that all runs"
    )
    made.add_argument("--contender", help=argparse.SUPPRESS)
    made.add_argument("--settings", help=argparse.SUPPRESS)
    return made


def answer(arguments: argparse.Namespace, contender: Contender) -> bool:
    """In a child process: runs the contender that was asked for and prints its figures; False in the main process."""
    if arguments.contender is None:
        return False
    print(json.dumps(_measured(contender, arguments.contender, json.loads(arguments.settings))))
    return True


def child(
    program: str, contender: Contender, name: str, settings: Mapping[str, Any], *, timeout: float = 1200
) -> dict[str, float] | None:
    """Runs one contender in a fresh process, or in this one where `settings` say "smoke".

    PyTorch always gets its own process: it crashes beside TensorFlow in some versions. A GPU is hidden, unless
    `settings` have "gpu" as their "device".

    Returns:
        Its figures; None where a package that it needs is not installed, or PyTorch cannot run it on this processor.

    Raises:
        SystemExit: it failed; with its error.
    """
    if settings.get("smoke") and not name.startswith(PEERS):
        found = _measured(contender, name, settings)
    else:
        environment = {**os.environ, "TF_CPP_MIN_LOG_LEVEL": "3", "PYTHONPATH": str(ROOT)}
        if settings.get("device") != "gpu":
            environment["CUDA_VISIBLE_DEVICES"] = "-1"
        command = [sys.executable, program, "--contender", name, "--settings", json.dumps(settings)]
        done = subprocess.run(command, capture_output=True, text=True, env=environment, timeout=timeout, check=False)
        if done.returncode != 0:
            if name.startswith(PEERS):
                print(f"  {name} cannot run here: {done.stderr.strip().splitlines()[-1:]}", file=sys.stderr)
                return None
            raise SystemExit(f"{name} failed (exit code {done.returncode}):\n{done.stderr.strip()}")
        found = json.loads(done.stdout.strip().splitlines()[-1])
    return None if "missing" in found else found


def _measured(contender: Contender, name: str, settings: Mapping[str, Any]) -> dict[str, Any]:
    try:
        return dict(contender(name, settings))
    except ModuleNotFoundError as error:
        if error.name not in PEERS:
            raise
        return {"missing": error.name}


def alternate(
    program: str, contender: Contender, names: Sequence[str], settings: Mapping[str, Any], *, runs: int, key: str
) -> dict[str, list[float]]:
    """Runs the contenders in turn, `runs` times over: one value of each run, none for one that is not installed."""
    values: dict[str, list[float]] = {name: [] for name in names}
    for turn in range(runs):
        for name in names:
            result = child(program, contender, name, settings)
            if result is not None:
                values[name].append(float(result[key]))
                print(f"  {turn + 1}/{runs} {name}: {result[key]:,.1f} {key}", file=sys.stderr)
    return values


def command(*words: Any, checkout: Path = ROOT, smoke: bool = False) -> None:
    """Runs the command `textgen` of a checkout; in this process where `smoke`.

    Raises:
        SystemExit: it failed.
    """
    line = [str(word) for word in words]
    if smoke:
        from textgen.cli import cli

        cli(line, prog_name="textgen", standalone_mode=False)
        return
    environment = {**os.environ, "PYTHONPATH": str(checkout)}
    # Without -P, `-m` would look in the current folder before the checkout.
    done = subprocess.run([sys.executable, "-P", "-m", "textgen", *line], env=environment, check=False)
    if done.returncode != 0:
        raise SystemExit(f"textgen {' '.join(line)} failed (exit code {done.returncode})")


def untrained_run(
    folder: Path, *, cell: str, layers: int, units: int, checkout: Path = ROOT, smoke: bool = False
) -> Path:
    """A run of one training step on a text of `VOCAB` characters: valid weights of any cell, as good as random.

    Returns:
        The run's folder, in `folder`.
    """
    text = folder / "alphabet.txt"
    text.write_text("".join(map(chr, range(60, 60 + VOCAB))) * 10)
    name = f"{cell}-{layers}x{units}"
    command(
        "train", text, f"--name={name}", f"--checkpoints={folder}", f"--cell={cell}", f"--layers={layers}",
        f"--units={units}", f"--embedding={EMBEDDING}", "--no-skip", "--batch-size=1", "--sequence-length=8",
        "--epochs=0.001", "--validation=0", "--device=cpu", "--precision=float32", "--quiet",
        checkout=checkout, smoke=smoke,
    )  # fmt: skip
    return folder / name


def peak_megabytes() -> float:
    """The most memory that this process has held at once, in millions of bytes (Linux counts KiB, macOS bytes)."""
    import resource

    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak / 1e6 if sys.platform == "darwin" else peak * 1024 / 1e6


def median(values: Sequence[float]) -> float | None:
    """The median; None for nothing, where a contender is not installed."""
    return statistics.median(values) if values else None


def machine() -> dict[str, str]:
    """What the figures were measured on, and when."""
    name = platform.processor() or platform.machine()
    info = Path("/proc/cpuinfo")
    if info.is_file():
        lines = info.read_text(errors="replace").splitlines()
        found = {line.split(":")[0].strip(): line.split(":", 1)[1].strip() for line in lines if ":" in line}
        name = f"{found.get('model name', name)} (family {found.get('cpu family', '?')})"
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    return {
        "date": datetime.date.today().isoformat(),
        "processor": name,
        "cores": str(cores),
        "python": platform.python_version(),
        "system": platform.system(),
    }


def table(headings: Sequence[str], rows: Sequence[Sequence[Any]]) -> str:
    """A Markdown table."""
    lines = ["| " + " | ".join(headings) + " |", "|" + "---|" * len(headings)]
    lines += ["| " + " | ".join(str(cell) for cell in row) + " |" for row in rows]
    return "\n".join(lines)


def report(name: str, text: str, results: Mapping[str, Any], out: str | None) -> None:
    """Prints the table and writes the JSON."""
    print(f"{name}: " + ", ".join(f"{key} {value}" for key, value in machine().items()))
    print(text)
    write(name, results, out)


def written(name: str, out: str | None) -> dict[str, Any]:
    """The JSON that an earlier call of the benchmark `name` has written to `out`; empty where there is no such file.

    Raises:
        SystemExit: the file holds something else.
    """
    if out is None or not Path(out).is_file():
        return {}
    try:
        found = json.loads(Path(out).read_text(encoding="utf-8"))
    except ValueError:
        found = None
    if not isinstance(found, dict) or found.get("benchmark") != name:
        raise SystemExit(f"{out} holds no runs of this benchmark: name another file with --out.")
    return found


def write(name: str, results: Mapping[str, Any], out: str | None) -> None:
    """Writes the JSON, as a whole or not at all; nothing where `out` is None."""
    if not out:
        return
    text = json.dumps({"benchmark": name, "machine": machine(), **results}, indent=2) + "\n"
    if Path(out).exists() and not Path(out).is_file():
        Path(out).write_text(text)  # A device or a pipe.
        return
    with atomic_write(out, follow_link=True) as file:
        file.write(text.encode())

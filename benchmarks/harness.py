"""What the benchmarks share: contenders run in turn in child processes, medians, a table, JSON, the machine's name."""

from __future__ import annotations

import datetime
import json
import os
import platform
import statistics
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent


def child(program: str, contender: str, settings: Mapping[str, Any], *, timeout: float = 1200) -> dict[str, Any] | None:
    """Runs one contender in a fresh process and returns the JSON object it prints last; None if it could not run."""
    environment = {**os.environ, "TF_CPP_MIN_LOG_LEVEL": "3", "PYTHONPATH": str(ROOT), "CUDA_VISIBLE_DEVICES": "-1"}
    command = [sys.executable, program, "--contender", contender, "--settings", json.dumps(settings)]
    done = subprocess.run(command, capture_output=True, text=True, env=environment, timeout=timeout, check=False)
    if done.returncode != 0:
        print(f"{contender} could not run: {done.stderr.strip().splitlines()[-1:]}", file=sys.stderr)
        return None
    return dict(json.loads(done.stdout.strip().splitlines()[-1]))


def alternate(
    program: str, contenders: Sequence[str], settings: Mapping[str, Any], *, runs: int, key: str
) -> dict[str, list[float]]:
    """Runs the contenders in turn, `runs` times over, and collects one value of each run."""
    values: dict[str, list[float]] = {name: [] for name in contenders}
    for turn in range(runs):
        for name in contenders:
            result = child(program, name, settings)
            if result is not None:
                values[name].append(float(result[key]))
                print(f"  {turn + 1}/{runs} {name}: {result[key]:,.1f} {key}", file=sys.stderr)
    return values


def peak_megabytes() -> float:
    """The most memory that this process has held at once, in millions of bytes (Linux counts KiB, macOS bytes)."""
    import resource

    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak / 1e6 if sys.platform == "darwin" else peak * 1024 / 1e6


def median(values: Sequence[float]) -> float:
    """The median, NaN for nothing."""
    return statistics.median(values) if values else float("nan")


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
    if out:
        Path(out).write_text(json.dumps({"benchmark": name, "machine": machine(), **results}, indent=2) + "\n")

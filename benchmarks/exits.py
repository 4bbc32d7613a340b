"""How long `textgen train` takes to leave: the seconds from its last line on standard error to the end of the process.

    python -m benchmarks.exits
    python -m benchmarks.exits TEXT --runs 20 --time 100s --parallel 2

Each run is `textgen train TEXT --time T`, of the default cell, in a process of its own. The program ends with exit code
1 where one of them takes longer to leave than `--limit`.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from benchmarks import harness
from benchmarks.harness import DEFAULT_CELL


def leave(line: list[str]) -> dict[str, float]:
    """Runs a command; its seconds from start to end, and those from its last line to its end."""
    environment = {**os.environ, "PYTHONPATH": str(harness.ROOT), "TF_CPP_MIN_LOG_LEVEL": "3"}
    begin = said = time.monotonic()
    written = b""
    with subprocess.Popen(line, env=environment, stderr=subprocess.PIPE, stdout=subprocess.DEVNULL) as process:
        assert process.stderr is not None
        while chunk := os.read(process.stderr.fileno(), 65536):
            said, written = time.monotonic(), (written + chunk)[-2000:]
        code = process.wait()
        end = time.monotonic()
    if code != 0:
        raise SystemExit(f"{' '.join(line)} failed (exit code {code}):\n{written.decode(errors='replace')}")
    return {"seconds": end - begin, "leaving": end - said}


def main(line: list[str] | None = None) -> None:
    parser = harness.parser(__doc__)
    parser.add_argument("text", nargs="?", metavar="TEXT", default=str(harness.ROOT / "corpora" / "marrow_haven.txt"))
    parser.add_argument("--runs", type=int, default=20)
    parser.add_argument("--time", default="100s", help="each run's budget, such as 100s or 3m")
    parser.add_argument("--parallel", type=int, default=1, help="runs side by side")
    parser.add_argument("--limit", type=float, default=1.5, help="seconds that a run may take to leave")
    arguments = parser.parse_args(line)
    if arguments.smoke:
        arguments.runs, arguments.time, arguments.limit = 1, "1s", float("inf")
    with tempfile.TemporaryDirectory() as scratch:
        places = ["--checkpoints", scratch, "--device", "cpu"]
        if arguments.smoke:
            places += ["--layers", "1", "--units", "8"]
        train = [sys.executable, "-m", "textgen", "train", arguments.text, "--time", arguments.time, *places]

        def run(number: int) -> dict[str, Any]:
            found = leave([*train, "--name", f"run-{number}", "--seed", str(number)])
            print(f"  {number}/{arguments.runs}: left in {found['leaving']:.2f} s", file=sys.stderr)
            return found

        with ThreadPoolExecutor(arguments.parallel) as pool:
            results = list(pool.map(run, range(1, arguments.runs + 1)))
    rows = [[n, f"{found['seconds']:.1f} s", f"{found['leaving']:.2f} s"] for n, found in enumerate(results, 1)]
    slow = sum(found["leaving"] > arguments.limit for found in results)
    worst = max(found["leaving"] for found in results)
    text = harness.table(["run", "whole process", "from its last line to its end"], rows)
    text += f"\n\n{arguments.time} each, cell {DEFAULT_CELL}, {arguments.parallel} at a time. "
    text += f"The slowest left in {worst:.2f} s; {slow} of {len(results)} took over {arguments.limit:g} s."
    harness.report("exits", text, {"time": arguments.time, "runs": results}, arguments.out)
    if slow:
        raise SystemExit(1)


if __name__ == "__main__":
    main()

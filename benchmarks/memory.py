"""Memory of training beside stock Keras and PyTorch, and of sampling: the most that a process holds at once.

python -m benchmarks.memory
python -m benchmarks.memory --shape 2x512 --run RUN       # RUN: a trained run of that shape, for `textgen sample`
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys

from benchmarks import harness, train_speed


def sampling_megabytes(run: str) -> float:
    """What `textgen sample` holds at most, asked of the command itself when it ends."""
    program = (
        "import json, sys; from benchmarks.harness import peak_megabytes; from textgen.cli import main\n"
        f"try: main(['sample', '--run', {run!r}, '--length', '1000', '--seed', '1'])\n"
        "except SystemExit: pass\n"
        "print(json.dumps(peak_megabytes()), file=sys.stderr)"
    )
    command = [sys.executable, "-c", program]
    done = subprocess.run(command, capture_output=True, text=True, cwd=harness.ROOT, check=True)
    return float(json.loads(done.stderr.strip().splitlines()[-1]))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--shape", default="2x512")
    parser.add_argument("--batch", type=int, default=64)
    parser.add_argument("--time-steps", type=int, default=100)
    parser.add_argument("--run", help="a run to sample from")
    parser.add_argument("--out", help="write the results as JSON")
    arguments = parser.parse_args()
    layers, units = map(int, arguments.shape.split("x"))
    settings = {"layers": layers, "units": units, "batch": arguments.batch, "time": arguments.time_steps, "seconds": 3}
    peaks: dict[str, float] = {}
    for name in train_speed.CONTENDERS:
        result = harness.child(train_speed.__file__, name, settings)
        if result is not None:
            peaks[f"training, {name}"] = result["MB"]
    if arguments.run:
        peaks["textgen sample, 1,000 characters"] = sampling_megabytes(arguments.run)
    text = harness.table(["what", "MB resident at most"], [[name, f"{peak:,.0f}"] for name, peak in peaks.items()])
    text += f"\n\n{arguments.shape}, batch {arguments.batch} x {arguments.time_steps}."
    harness.report("memory", text, {"settings": settings, "megabytes": peaks}, arguments.out)


if __name__ == "__main__":
    main()

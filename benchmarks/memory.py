"""Memory of training beside stock Keras and PyTorch, and of sampling: the most that a process holds at once.

python -m benchmarks.memory
python -m benchmarks.memory --shape 2x384
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path

from benchmarks import harness, train_speed
from benchmarks.harness import DEFAULT_CELL


def sampling_megabytes(run: Path) -> float:
    """What `textgen sample` holds at most, asked of the command itself when it ends."""
    program = (
        "import json, sys; from benchmarks.harness import peak_megabytes; from textgen.cli import cli\n"
        f"cli(['sample', '--run', {str(run)!r}, '--length', '1000', '--seed', '1'], standalone_mode=False)\n"
        "print(json.dumps(peak_megabytes()), file=sys.stderr)"
    )
    environment = {**os.environ, "PYTHONPATH": str(harness.ROOT)}
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, env=environment, check=False)
    if done.returncode != 0:
        raise SystemExit(f"textgen sample failed:\n{done.stderr.strip()}")
    return float(json.loads(done.stderr.strip().splitlines()[-1]))


def main(line: list[str] | None = None) -> None:
    parser = harness.parser(__doc__)
    parser.add_argument("--shape", default="2x512")
    parser.add_argument("--batch", type=int, default=64)
    parser.add_argument("--time-steps", type=int, default=100)
    arguments = parser.parse_args(line)
    if arguments.smoke:
        arguments.shape, arguments.batch, arguments.time_steps = "1x8", 4, 8
    layers, units = map(int, arguments.shape.split("x"))
    settings = {
        "layers": layers, "units": units, "batch": arguments.batch, "time": arguments.time_steps,
        "seconds": 0 if arguments.smoke else 3, "smoke": arguments.smoke,
    }  # fmt: skip
    peaks: dict[str, float | None] = {}
    for name in train_speed.CONTENDERS:
        result = harness.child(train_speed.__file__, train_speed.contender, name, settings)
        peaks[f"training, {name}"] = result["MB"] if result else None
    with tempfile.TemporaryDirectory() as scratch:
        run = harness.untrained_run(Path(scratch), cell=DEFAULT_CELL, layers=layers, units=units, smoke=arguments.smoke)
        peaks[f"textgen sample {DEFAULT_CELL}, 1,000 characters"] = sampling_megabytes(run)
    rows = [[name, "not here" if peak is None else f"{peak:,.0f}"] for name, peak in peaks.items()]
    text = harness.table(["what", "MB resident at most"], rows)
    text += f"\n\n{arguments.shape}, batch {arguments.batch} x {arguments.time_steps}."
    harness.report("memory", text, {"settings": settings, "megabytes": peaks}, arguments.out)


if __name__ == "__main__":
    main()

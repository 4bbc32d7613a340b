"""Workers are killed: the other ends in a sentence that names it, and the run is saved, whole, and goes on."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from benchmarks import harness


@pytest.mark.slow
def test_whoever_is_killed_the_run_is_saved_and_goes_on_from_there(tmp_path: Path) -> None:
    # The seed kills worker 0 first, whose place the other takes, then worker 1.
    words = [
        "--part",
        "faults",
        "--faults",
        "kill",
        "--times",
        "2",
        "--seed",
        "2",
        "--out",
        str(tmp_path / "found.json"),
    ]
    command = [sys.executable, "-P", "-m", "benchmarks.workers", *words]
    environment = {"PYTHONPATH": str(harness.ROOT), "PATH": "/usr/bin:/bin"}
    subprocess.run(command, check=True, timeout=400, env=environment, cwd=harness.ROOT)
    first, second = json.loads((tmp_path / "found.json").read_text())["faults"]
    assert [first["problems"], second["problems"]] == [[], []]
    assert [each["kind"] for each in (first, second)] == ["kill -9 of worker 0", "kill -9 of worker 1"]
    step = first["saved"][1]
    assert f"Everything up to step {step:,} is saved here, in checkpoints/run." in first["said"][0]
    assert "this one with: textgen train --resume run --workers 127.0.0.1:" in first["said"][0]
    assert second["saved"][0] > step and f"Everything up to step {second['saved'][1]:,} is saved." in second["said"][0]

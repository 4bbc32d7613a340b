"""A run killed again and again with SIGKILL ends bit for bit like the run that was never cut."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from tiny_runs import WHOLE, everything

from textgen.runs.run import Run
from textgen.training.start import train

pytestmark = pytest.mark.skipif(not hasattr(os, "fork"), reason="the attempts are forks, which Windows lacks")

HERE = Path(__file__).resolve().parents[1] / "support"


def killed_run(text: Path, folder: Path, *, kills: int, seed: int) -> dict[str, Any]:
    environment = {**os.environ, "PYTHONPATH": f"{HERE.parents[1]}{os.pathsep}{HERE}", "TF_CPP_MIN_LOG_LEVEL": "3"}
    command = [sys.executable, str(HERE / "killing.py"), str(text), str(folder), "killed", str(kills), str(seed)]
    done = subprocess.run(command, capture_output=True, text=True, env=environment, timeout=1200, check=False)
    assert done.returncode == 0, done.stderr
    return dict(json.loads(done.stdout.splitlines()[-1]))


def check(whole: Run, text: Path, folder: Path, *, kills: int, seed: int) -> None:
    told = killed_run(text, folder / "runs", kills=kills, seed=seed)
    assert told["code"] == 0
    assert told["kills"] == kills, told
    assert told["steps"] == sorted(told["steps"]), "a saved step was lost"
    got, expected = everything(Run(folder / "runs" / "killed")), everything(whole)
    assert [name for name in expected if got[name] != expected[name]] == []


@pytest.mark.slow
def test_a_run_killed_at_random_moments_ends_like_one_never_cut(uncut: Run, tmp_path: Path) -> None:
    check(uncut, uncut.path.parent / "haven.txt", tmp_path, kills=2, seed=1)


@pytest.mark.slow
def test_a_run_killed_fifty_times_ends_like_one_never_cut(bundled_corpus: Path, tmp_path: Path) -> None:
    text = tmp_path / "haven.txt"
    text.write_text((bundled_corpus / "marrow_haven.txt").read_text()[:40_000])
    whole = train(text, name="whole", checkpoints=tmp_path / "runs", **WHOLE)
    check(whole, text, tmp_path, kills=50, seed=2)

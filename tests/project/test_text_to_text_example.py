"""The scripts of `examples/text-to-text/` do what they say, with a tiny model."""

import os
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
FOLDER = ROOT / "examples" / "text-to-text"
TINY = "--units 16 --layers 1 --encoder-layers 1 --embedding 8 --epochs 0.5 --device cpu --quiet"


@pytest.mark.slow
def test_the_scripts_train_rewrite_and_judge(tmp_path: Path) -> None:
    (tmp_path / "bin").mkdir()
    program = tmp_path / "bin" / "textgen"
    program.write_text(f'#!/bin/sh\nexec {shlex.quote(sys.executable)} -m textgen "$@"\n')
    program.chmod(0o755)
    path = f"{program.parent}{os.pathsep}{os.environ['PATH']}"
    python = f"{ROOT}{os.pathsep}{os.environ.get('PYTHONPATH', '')}"
    where = {"env": {**os.environ, "PATH": path, "PYTHONPATH": python}, "cwd": tmp_path, "capture_output": True}

    def run(*words: str, text: str = "") -> list[str]:
        done = subprocess.run(words, input=text, encoding="utf-8", timeout=300, check=False, **where)  # type: ignore[call-overload]
        assert done.returncode == 0, done.stderr
        return done.stdout.split("\n")

    first = run("sh", str(FOLDER / "modern_spelling.sh"), *TINY.split())
    assert len([line for line in first if line.startswith("a little ſwelle\t0.")]) == 3
    assert "run    modern_spelling" in first
    assert "character errors" in "\n".join(first)
    assert (tmp_path / "modern_spelling.html").stat().st_size > 10_000
    # What is trained already is not trained again.
    assert run("sh", str(FOLDER / "modern_spelling.sh")) == first

    script = [sys.executable, str(FOLDER / "alternatives.py"), "modern_spelling", "--count", "2"]
    told = run(*script, text="a little ſwelle\n\na ☃ b\n")
    assert [told[n] for n in (0, 3, 5)] == ["a little ſwelle", "", "a ☃ b"]
    assert told[4] == "  1.000  "

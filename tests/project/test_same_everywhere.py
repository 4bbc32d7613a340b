"""The text that a seed gives, wherever it is drawn, and streams that are missing or full, in their own processes."""

import os
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

import textgen
from textgen.model.read import read_checkpoint, read_training_state
from textgen.runs.run import Run

ROOT = Path(textgen.__file__).parent.parent
THREADS = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "VECLIB_MAXIMUM_THREADS")
PLACES = [
    {"LC_ALL": "C", **dict.fromkeys(THREADS, "1")},
    {"LC_ALL": "C.UTF-8", "COLUMNS": "20", "TERM": "dumb", "PYTHONHASHSEED": "7", **dict.fromkeys(THREADS, "4")},
    {
        "LC_ALL": "tr_TR.ISO-8859-9",
        "PYTHONUTF8": "0",
        "PYTHONIOENCODING": "cp1252",
        "NO_COLOR": "1",
        "TZ": "Asia/Tokyo",
    },
]


def environment(values: dict[str, str]) -> dict[str, str]:
    return {**os.environ, "PYTHONPATH": os.pathsep.join((str(ROOT), str(ROOT / "tests" / "support"))), **values}


def shell(line: str, *, folder: Path) -> "subprocess.CompletedProcess[bytes]":
    """Runs a line of shell in which `textgen` is the program."""
    program = f"{shlex.quote(sys.executable)} -m textgen"
    return subprocess.run(
        ["sh", "-c", line.replace("textgen", program)],
        cwd=folder,
        env=environment({"OMP_NUM_THREADS": "1"}),
        stdin=subprocess.DEVNULL,
        capture_output=True,
        timeout=120,
    )


def test_a_seed_s_text_is_the_same_everywhere(home: Path, tmp_path: Path) -> None:
    arguments = [
        "sample",
        "--run=tiny",
        f"--checkpoints={home / 'checkpoints'}",
        "--seed=7",
        "--length=300",
        "--count=3",
    ]
    found = set()
    for n, values in enumerate(PLACES):
        folder = tmp_path / f"place {n}"
        folder.mkdir()
        done = subprocess.run(
            [sys.executable, "-m", "textgen", *arguments],
            cwd=folder,
            env=environment(values),
            stdin=subprocess.DEVNULL,
            capture_output=True,
            check=True,
        )
        found.add(done.stdout)
    assert len(found) == 1
    assert len(found.pop()) > 900


def test_the_number_of_threads_changes_no_text() -> None:
    program = (
        "from small_models import random_writer\n"
        "writer = random_writer(units=320, seed=3)\n"
        "print([s.text for s in writer.generate_many('the ', count=4, max_new_tokens=150, seed=5)])\n"
        "print([writer.generate('the ', max_new_tokens=150, seed=5, temperature=1.5).text])"
    )
    found = {
        subprocess.run(
            [sys.executable, "-c", program], env=environment(values), capture_output=True, check=True, timeout=120
        ).stdout
        for values in PLACES[:2]
    }
    assert len(found) == 1


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no pseudo-terminals")
def test_a_terminal_shows_the_same_text_as_a_pipe(home: Path) -> None:
    import pty

    arguments = [sys.executable, "-m", "textgen", "sample", "--run=tiny", "--seed=7", "--length=120"]
    options = {"cwd": home, "env": environment({"TERM": "xterm-256color"}), "stdin": subprocess.DEVNULL}
    piped = subprocess.run(arguments, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, check=True, **options).stdout  # type: ignore[call-overload]
    ours, theirs = pty.openpty()
    child = subprocess.Popen(arguments, stdout=theirs, stderr=subprocess.DEVNULL, **options)  # type: ignore[call-overload]
    os.close(theirs)
    shown = b""
    while True:
        try:
            block = os.read(ours, 4096)
        except OSError:
            break
        if not block:
            break
        shown += block
    os.close(ours)
    assert child.wait(60) == 0
    assert shown.replace(b"\r\n", b"\n") == piped


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="there is no /dev/full")
def test_a_full_device_is_one_sentence(home: Path) -> None:
    for line in ("textgen --help", "textgen --version", "textgen sample --length 9", "textgen info --json"):
        done = shell(f"{line} >/dev/full", folder=home)
        assert (done.returncode, done.stderr) == (1, b"Error: The disk is full. Free some space.\n")


@pytest.mark.skipif(sys.platform == "win32", reason="a shell of POSIX")
def test_training_without_any_stream_keeps_its_run_whole(home: Path, tmp_path: Path) -> None:
    line = "textgen train haven.txt --layers 1 --units 8 --epochs 0.2 --device cpu --precision float32 --shards 1"
    done = shell(f"{line} --checkpoints {shlex.quote(str(tmp_path))} --name blind <&- >&- 2>&-", folder=home)
    assert (done.returncode, done.stdout, done.stderr) == (0, b"", b"")
    run = Run(tmp_path / "blind")
    assert read_checkpoint(run.best).metadata.history
    assert read_training_state(run.last)
    assert {path.name for path in run.path.iterdir()} == {"best.keras", "last.keras", "metrics.csv", "samples.txt"}

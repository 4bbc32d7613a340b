"""`textgen train` of several workers: what it asks for, and how it starts again after a loss."""

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from click.testing import CliRunner

from textgen.cli import cli
from textgen.config import WorkersConfig
from textgen.errors import WorkerLostError
from textgen.runs.events import Summary
from textgen.system import restart

TWO = "host1:4001,host2:4001"


@pytest.fixture
def calls(monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    """What training was called with, and the arguments that a process would start again with."""
    seen: dict[str, Any] = {}

    def lost(*_: Any, reporter: Any, workers: WorkersConfig, **options: Any) -> None:
        seen["workers"] = workers
        if "run" in seen:
            summary = dict.fromkeys(("corpus", "vocabulary", "split", "model", "device", "budget"), "")
            reporter.started(Summary(**summary, run=str(seen["run"])))
        raise WorkerLostError("Worker 1 (host2:4001) was lost: its connection was closed.", worker=1)

    def start_again(arguments: list[str]) -> None:
        seen["again"] = arguments
        raise SystemExit(0)

    monkeypatch.setattr("textgen.cli.framework.load_training", lambda *_: SimpleNamespace(train=lost, resume=lost))
    monkeypatch.setattr("textgen.cli.commands.train.start_again", start_again)
    monkeypatch.setattr("sys.argv", ["textgen", "train", "first", "command"])
    return seen


def test_worker_0_or_which_is_asked_for(bundled_corpus: Path) -> None:
    done = CliRunner().invoke(cli, ["train", str(bundled_corpus / "marrow_haven.txt"), "--workers", TWO])
    assert done.exit_code == 1
    assert "--worker must be given on each machine, with the same --workers: 0 on host1:4001" in done.stderr


def test_the_settings_reach_training_and_a_loss_is_an_error(calls: dict[str, Any], bundled_corpus: Path) -> None:
    words = ["train", str(bundled_corpus / "marrow_haven.txt"), "--workers", TWO, "--worker", "0", "--round", "40"]
    done = CliRunner().invoke(cli, words)
    assert done.exit_code == 1 and "Worker 1 (host2:4001) was lost" in done.stderr and "again" not in calls
    assert calls["workers"] == WorkersConfig(workers=TWO, worker=0, round=40)


def test_a_rejoining_worker_starts_its_command_again_and_worker_0_continues_the_run(
    calls: dict[str, Any], home: Path
) -> None:
    text = str(home / "haven.txt")
    words = ["train", text, "--workers", TWO, "--worker", "0", "--rejoin", "--worker-timeout", "9s", "--quiet"]
    assert CliRunner().invoke(cli, words).exit_code == 0
    assert calls["again"] == ["train", "first", "command"], "nothing is saved yet"
    calls["run"] = home / "checkpoints" / "tiny"
    assert CliRunner().invoke(cli, words).exit_code == 0
    again = calls["again"]
    assert again[:4] == ["train", text, "--resume", str(calls["run"])]
    assert {"--rejoin", "--quiet", f"--workers={TWO}", "--worker=0", "--worker-timeout=9.0s"} <= set(again[4:])
    calls.pop("again")
    assert CliRunner().invoke(cli, again).exit_code == 0, "the command that it starts with is one"
    assert calls["workers"] == WorkersConfig(workers=TWO, worker=0, rejoin=True, worker_timeout=9.0)


def test_a_process_is_replaced_by_the_same_program(monkeypatch: pytest.MonkeyPatch) -> None:
    started: list[Any] = []
    monkeypatch.setattr("os.execv", lambda path, words: started.append((path, words)))
    monkeypatch.setattr("sys.platform", "linux")
    monkeypatch.setattr(restart.sys, "executable", "/usr/bin/python")
    restart.start_again(["train", "poems.txt"])
    path, words = started[0]
    assert path == words[0] == "/usr/bin/python" and words[-4:] == ["-m", "textgen", "train", "poems.txt"]

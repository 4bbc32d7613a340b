"""`textgen train` of several workers: what it asks for, and how it starts again after a loss."""

import shlex
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from click.testing import CliRunner
from front_door import judge, run

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


@pytest.mark.parametrize("options_end", [False, True])
def test_the_command_of_each_worker_is_told_where_it_is_not_said_which_one_this_is(
    options_end: bool, tmp_path: Path, calls: dict[str, Any]
) -> None:
    text = tmp_path / "two words.txt"
    text.write_text("The sea, the sea. " * 100)
    words = ["train", "--workers", TWO, "--round", "40", *["--"] * options_end, str(text)]
    told = judge(run(*words), 1).err
    assert told.startswith("Error: --worker must say which of the --workers each machine is")
    commands = told.rstrip("\n").partition(" Run ")[2].split("; ")
    for index, (command, host) in enumerate(zip(commands, TWO.split(","), strict=True)):
        where, _, line = command.partition(": ")
        assert where == f"on {host}"
        own = shlex.split(line)
        assert own[0] == "textgen" and [word for word in own[1:] if word not in ("--worker", str(index))] == words
        assert "Worker 1 (host2:4001) was lost" in judge(run(*own[1:]), 1).err, "it is a command that trains"
        assert calls["workers"] == WorkersConfig(workers=TWO, worker=index, round=40)


def test_pairs_are_refused_in_a_sentence_whatever_else_is_given(calls: dict[str, Any], bundled_corpus: Path) -> None:
    pairs = ["train", str(bundled_corpus / "old_spelling.tsv"), "--pairs"]
    task = ["train", str(bundled_corpus / "marrow_haven.txt"), "--task", "case"]
    for words in (*(["--workers", TWO, *more] for more in ([], ["--worker", "1"])), ["--workers", "slurm"]):
        for text in (pairs, task):
            told = "--workers must be left out with pairs, and TF_CONFIG unset: one process trains a run on pairs."
            assert judge(run(*text, *words), 1).err == f"Error: {told}\n"
    assert not calls


def test_of_a_run_that_goes_on_only_worker_0_is_told_to_resume_it(home: Path, calls: dict[str, Any]) -> None:
    words = ["train", "--resume", "tiny", "--checkpoints", str(home / "checkpoints"), "--workers", TWO, "--text-part"]
    told = (
        judge(run(*words), 1)
        .err.rstrip("\n")
        .removesuffix(", each with the run's text and what the run was told of it")
    )
    first, second = (shlex.split(each.partition(": ")[2]) for each in told.partition(" Run ")[2].split("; "))
    assert first == ["textgen", *words, "--worker", "0"]
    assert second == ["textgen", "train", "TEXT", "--text-part", "--workers", TWO, "--worker", "1"]
    second[2] = str(home / "haven.txt")
    for index, line in enumerate((first, second)):
        assert "Worker 1 (host2:4001) was lost" in judge(run(*line[1:]), 1).err, "it is a command that trains"
        assert calls["workers"] == WorkersConfig(workers=TWO, worker=index, text_part=True)


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

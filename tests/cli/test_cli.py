"""The command line as a whole: help, examples, errors, exit codes, streams, and what it does not import."""

import json
import os
import re
import shlex
import shutil
import signal
import subprocess
import sys
import textwrap
from dataclasses import astuple
from pathlib import Path

import click
import front_door
import pytest
from click.testing import CliRunner, Result

import textgen
from textgen.cli import cli
from textgen.cli.command import Group, visible
from textgen.config import SamplingConfig, TrainingConfig
from textgen.errors import RunError

ROOT = Path(textgen.__file__).parent.parent

COMMANDS = (
    "train",
    "sample",
    "fill",
    "complete",
    "score",
    "eval",
    "proofread",
    "novelty",
    "neurons",
    "runs",
    "info",
    "plot",
    "export",
)


@pytest.fixture
def at_home(home: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(home)
    return home


def run(*arguments: str) -> Result:
    return CliRunner().invoke(cli, arguments, prog_name="textgen")


def start(*arguments: str, folder: Path, **kwargs: object) -> "subprocess.Popen[bytes]":
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}
    environment.update(kwargs.pop("env", {}))  # type: ignore[call-overload]
    streams = {"stdin": subprocess.DEVNULL, "stdout": subprocess.PIPE, "stderr": subprocess.PIPE, **kwargs}
    return subprocess.Popen([sys.executable, "-m", "textgen", *arguments], cwd=folder, env=environment, **streams)  # type: ignore[call-overload,no-any-return]


def examples(command: str) -> list[str]:
    """The command lines under "Examples:" in a command's help."""
    output = run(*([command] if command else []), "--help").output
    return textwrap.dedent(output.partition("Examples:\n")[2]).splitlines()


def parsed(line: str) -> tuple[str, list[str]]:
    """The command and the arguments of an example's `textgen`, wherever it stands in a pipe."""
    words = shlex.split(line.rpartition("| ")[2])
    assert words[0] == "textgen"
    return words[1], words[2:]


@pytest.mark.parametrize("command", ["", *COMMANDS])
def test_every_help_has_examples_and_no_line_is_too_long(command: str) -> None:
    arguments = [command] if command else []
    assert run(*arguments, "-h").output == run(*arguments, "--help").output
    assert examples(command)
    output = run(*arguments, "-h").output
    assert max(len(line) for line in output.partition("Examples:")[0].splitlines()) <= 80


def test_the_help_lists_each_command_in_one_whole_line() -> None:
    listed = run("--help").output.partition("Options:")[2].partition("Examples:")[0].splitlines()
    for command in COMMANDS:
        (line,) = [line for line in listed if line.split()[:1] == [command]]
        assert line.endswith(".") and not line.endswith("..."), line
    assert [line for line in listed if line.endswith(":")] == ["Train:", "Write:", "Judge:", "Share:"]


@pytest.mark.parametrize(
    "line",
    [line for command in ("", *COMMANDS) for line in examples(command) if not re.search("textgen (train|serve)", line)],
)
def test_the_examples_work_on_the_bundled_corpus(
    home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest, line: str
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "corpora").symlink_to(home / "corpora", target_is_directory=True)
    for name in ("marrow_haven", "marrow_haven-2"):
        shutil.copytree(home / "checkpoints" / "tiny", tmp_path / "checkpoints" / name)
    if " names " in line:
        shutil.copytree(request.getfixturevalue("names").path, tmp_path / "checkpoints" / "names")
    if re.search(r" short_texts( |$)", line):
        shutil.copytree(request.getfixturevalue("kinds").path, tmp_path / "checkpoints" / "short_texts")
    if " tunes " in line:
        from tiny_runs import TINY

        from textgen.config import CorpusConfig
        from textgen.training.start import train

        train(
            "corpora/tunes.abc", name="tunes", corpus=CorpusConfig(records="tunes", label_field="M"), epochs=0.1, **TINY
        )
    code, out, err = piped(line, tmp_path) if "|" in line else astuple(front_door.run(*shlex.split(line)[1:]))
    assert (code, "Error" in err) == (0, False), err
    assert out or "complete" in line or "export" in line or "--out" in line or "proofread" in line


def piped(line: str, folder: Path) -> tuple[int, str, str]:
    """How a line of shell with `textgen` in it ends: the exit code, standard output and standard error."""
    program = folder / "textgen"
    program.write_text(f'#!/bin/sh\nexec {shlex.quote(sys.executable)} -m textgen "$@"\n')
    program.chmod(0o755)
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "PATH": f"{folder}{os.pathsep}{os.environ['PATH']}"}
    done = subprocess.run(
        ["sh", "-c", line], cwd=folder, env=environment, stdin=subprocess.DEVNULL, capture_output=True, text=True
    )
    return done.returncode, done.stdout, done.stderr


@pytest.mark.parametrize("line", examples("train"))
def test_the_examples_of_training_are_understood(home: Path, monkeypatch: pytest.MonkeyPatch, line: str) -> None:
    from textgen.cli.commands import train

    monkeypatch.chdir(home)
    command, arguments = parsed(line)
    ctx = train.train.make_context(command, list(arguments))
    train._check_usage(ctx, ctx.params)
    assert ctx.params["resume"] or ctx.params["sources"]


def test_no_command_is_help_and_wrong_usage() -> None:
    result = run()
    assert result.exit_code == 2
    assert all(command in result.stderr for command in COMMANDS)


def test_version() -> None:
    assert run("--version").output == f"textgen {textgen.__version__}\n"


def test_only_training_imports_tensorflow(home: Path) -> None:
    program = """
        import sys
        from click.testing import CliRunner
        from textgen.cli import cli
        for line in (
            "--help", "train --help", "sample --help", "complete --help", "score --help", "runs --help", "runs",
            "info tiny", "sample --length 3", "sample --length 3 --count 2 --json", "complete",
            "score corpora/README.md --unknown skip", "eval --help", "eval", "train missing.txt",
            "train --resume missing",
            "plot --help", "plot",
            "surprise --help", "neurons --help",
            "surprise corpora/README.md --unknown skip", "neurons tiny corpora/README.md --unknown skip",
            "novelty --help", "novelty --count 2 --length 50", "sample --check --length 20",
            "sample --adapt corpora/README.md --unknown skip --length 20",
        ):
            result = CliRunner().invoke(cli, line.split(), input="The \\n", prog_name="textgen")
            assert result.exit_code == ("missing" in line), (line, result.output)
            heavy = {"tensorflow", "keras", "h5py", "tqdm", "importlib.metadata", "argparse"} & set(sys.modules)
            assert not heavy, (line, heavy)
    """
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    subprocess.run([sys.executable, "-c", textwrap.dedent(program)], cwd=home, env=environment, check=True)


def test_the_package_runs_as_a_module(home: Path) -> None:
    child = start("--version", folder=home)
    assert child.communicate() == (f"textgen {textgen.__version__}\n".encode(), b"")
    assert child.returncode == 0


def test_every_default_of_sampling_is_the_configuration_s() -> None:
    from textgen.cli.commands.sample import sample

    defaults = {param.name: param.default for param in sample.params}
    known = SamplingConfig()
    for name in set(known.to_json()) - {"seed", "stop"}:
        assert defaults[name] == getattr(known, name), name


def test_the_help_of_training_tells_the_configuration_s_defaults() -> None:
    output = " ".join(run("train", "--help").output.split())
    for flag, field in (("--batch-size", "batch_size"), ("--weight-decay", "weight_decay"), ("--seed", "seed")):
        assert re.search(rf"{flag} [A-Z]+ .*?\[default: {getattr(TrainingConfig(), field):g}\]", output)


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["sample", "--run", "nobody"], "There is no run 'nobody'"),
        (["sample", "--top-p", "1.5"], "--top-p must be in (0, 1]; got 1.5. Use 1.0 to switch it off."),
        (["sample", "--temperature", "-1"], "temperature must be"),
        (["sample", "--count", "0"], "count must be"),
        (["sample", "--seed", "-1"], "seed must be"),
        (["sample", "--prompt", "\u20ac"], "'\u20ac' (U+20AC)"),
        (["sample", "--prompt-file", "nowhere.txt"], "nowhere.txt"),
        (["info", "corpora/README.md"], "corpora/README.md"),
        (["score", "nowhere.txt"], "nowhere.txt"),
        (["score", "corpora/README.md"], "never saw"),
        (["score", "corpora/README.md", "--unknown", "skip", "--html", "no/such/folder.html"], "no/such"),
        (["complete", "--run", "nobody"], "There is no run 'nobody'"),
        (["train", "nowhere.txt"], "nowhere.txt"),
        (["train", "corpora", "--name", "a/b"], "cannot be a run's name"),
        (["train", "corpora", "--name", "tiny"], "Continue it with --resume tiny"),
        (["train", "corpora", "--dropout", "1"], "dropout must be"),
        (["train", "corpora", "--epochs", "1", "--time", "1m"], "Choose one of the two."),
        (["train", "corpora", "--from", "nobody"], "There is no run 'nobody'"),
        (["train", "--resume", "nobody"], "There is no run 'nobody'"),
    ],
)
def test_a_mistake_is_one_sentence_and_exit_code_1(at_home: Path, arguments: list[str], said: str) -> None:
    result = run(*arguments)
    assert (result.exit_code, result.stdout) == (1, "")
    assert result.stderr.startswith("Error: ")
    assert result.stderr.count("\n") == 1
    assert said in result.stderr


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["dance"], "No such command 'dance'"),
        (["train"], "Name the text to train on"),
        (["train", "corpora", "--time", "3"], "Write 3s, 3m or 3h."),
        (["train", "corpora", "--time", "soon"], "'soon' is not a duration"),
        (["train", "--resume", "tiny", "--units", "9"], "--units cannot be given with --resume"),
        (["train", "--resume", "tiny", "--dropout", "0"], "--dropout cannot be given with --resume"),
        (["train", "corpora", "--cell", "elman"], "'elman' is not one of"),
        (["sample", "--prompt", "a", "--prompt-file", "b"], "cannot be given together"),
        (["sample", "--logprobs", "3"], "--logprobs needs --json"),
        (["sample", "--temperature", "warm"], "'warm' is not a number"),
        (["score"], "Missing argument"),
        (["complete", "--choices", "10"], "--choices"),
    ],
)
def test_wrong_usage_is_exit_code_2(at_home: Path, arguments: list[str], said: str) -> None:
    result = run(*arguments)
    assert (result.exit_code, result.stdout) == (2, "")
    assert said in " ".join(result.stderr.split())


def test_without_any_run_the_command_that_makes_one_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    for command in ("sample", "complete", "info"):
        result = run(command)
        assert (result.exit_code, "textgen train TEXT" in result.stderr) == (1, True)
    result = run("runs")
    assert (result.exit_code, result.stdout) == (0, "")
    assert "textgen train TEXT" in result.stderr
    assert run("runs", "--json").output == ""


@pytest.mark.parametrize("place", ["before", "after"])
def test_debug_shows_where_an_error_came_from(at_home: Path, place: str) -> None:
    arguments = ["sample", "--run", "nobody"]
    result = run(*(["--debug", *arguments] if place == "before" else [*arguments, "--debug"]))
    assert result.exit_code == 1
    assert "Traceback" in result.stderr
    assert result.stderr.splitlines()[-1].startswith("Error: There is no run 'nobody'")


class Failing(Group):
    """A group whose one command fails in a given way."""

    def __init__(self, error: BaseException) -> None:
        super().__init__("textgen", sections={"Train": {"fail": ""}})
        self.error = error

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command:
        def fail() -> None:
            raise self.error

        return click.Command("fail", callback=fail)


@pytest.mark.parametrize(
    ("error", "code", "said"),
    [
        (RunError("The run is gone."), 1, "Error: The run is gone.\n"),
        (PermissionError(13, "Permission denied", "poems.txt"), 1, "Error: poems.txt: "),
        (OSError(28, "No space left on device"), 1, "Error: The disk is full. Free some space.\n"),
        (MemoryError(), 1, "Error: There is not enough memory"),
        (KeyboardInterrupt(), 130, ""),
        (BrokenPipeError(32, "Broken pipe"), 0, ""),
        (RunError("\x1b[31mred\x07"), 1, "Error: \\x1b[31mred\\x07\n"),
    ],
)
def test_however_a_command_ends_the_exit_code_is_the_documented_one(
    error: BaseException, code: int, said: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("textgen.cli.command.abandon_output", lambda: None)
    result = CliRunner().invoke(Failing(error), ["fail"])
    assert result.exit_code == code
    assert result.stderr.startswith(said)
    assert len(result.stderr.splitlines()) == bool(said)


def test_an_error_of_the_program_itself_is_not_hidden() -> None:
    result = CliRunner().invoke(Failing(ZeroDivisionError()), ["fail"])
    assert isinstance(result.exception, ZeroDivisionError)


def test_text_of_unknown_origin_cannot_steer_the_terminal() -> None:
    assert visible("a\tb\n\x1b]0;title\x07\x9b31m") == "a\tb\n\\x1b]0;title\\x07\\x9b31m"
    assert visible("é 海 👩\u200d🚀 \u00a0\ud800") == "é 海 👩\u200d🚀 \u00a0\\ud800"


def test_the_runs_are_listed_with_what_matters(at_home: Path) -> None:
    head, row = run("runs").stdout.splitlines()
    assert head.split() == ["run", "corpus", "size", "epochs", "val", "loss", "bits/char", "age"]
    (values,) = map(json.loads, run("runs", "--json").stdout.splitlines())
    assert row.split()[:6] == ["tiny", "haven", "1", "x", "16", "coupled"]
    assert f"{values['val_loss']:.4f}" in row
    assert f"{values['bits_per_character']:.3f}" in row


def test_a_damaged_run_stays_in_the_list_and_says_why(home: Path, tmp_path: Path) -> None:
    for name in ("good", "torn"):
        (tmp_path / name).mkdir()
        data = (home / "checkpoints" / "tiny" / "best.keras").read_bytes()
        (tmp_path / name / "best.keras").write_bytes(data if name == "good" else data[:1000])
    result = run("runs", "--checkpoints", str(tmp_path))
    assert result.exit_code == 0
    assert {line.split()[0] for line in result.stdout.splitlines()} == {"run", "good", "torn"}
    assert re.search(r"torn +cannot be read", result.stdout)
    assert result.stderr.startswith("Warning: ")
    assert [
        json.loads(line)["problem"] is None
        for line in run("runs", "--checkpoints", str(tmp_path), "--json").stdout.splitlines()
    ].count(True) == 1


@pytest.mark.parametrize("name", [None, "tiny", "checkpoints/tiny", "checkpoints/tiny/best.keras"])
def test_info_tells_everything(at_home: Path, name: str | None) -> None:
    output = run("info", *([name] if name else [])).stdout
    for section in ("Model", "Vocabulary", "Result", "Recipe", "Provenance", "History"):
        assert f"\n{section}\n" in output
    values = json.loads(run("info", *([name] if name else []), "--json").stdout)
    assert values["corpus"]["sha256"] in output
    assert f"{values['metrics']['val_loss']:.4f}" in output
    assert f"{values['weights']:,}" in output
    assert len(values["vocabulary"]["characters"]) == values["vocabulary"]["size"]


def test_colours_are_for_terminals_without_no_color(at_home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TERM", "xterm-256color")
    monkeypatch.delenv("NO_COLOR", raising=False)
    for argument in (["info"], ["score", "corpora/README.md", "--unknown", "skip", "--show"]):
        assert "\x1b" not in run(*argument).output
        with monkeypatch.context() as patch:
            patch.setattr("textgen.system.terminal.is_terminal", lambda stream: True)
            assert "\x1b[" in run(*argument).stdout
            patch.setenv("NO_COLOR", "1")
            assert "\x1b" not in run(*argument).output


def test_names_of_runs_are_completed(at_home: Path) -> None:
    environment = {"_TEXTGEN_COMPLETE": "bash_complete", "COMP_WORDS": "textgen sample --run ti", "COMP_CWORD": "3"}
    result = CliRunner().invoke(cli, [], prog_name="textgen", env=environment)
    assert result.output == "plain,tiny\n"


def test_hidden_folders_are_not_completed(at_home: Path) -> None:
    (at_home / "checkpoints" / ".cache").mkdir(exist_ok=True)
    environment = {"_TEXTGEN_COMPLETE": "bash_complete", "COMP_WORDS": "textgen sample --run ", "COMP_CWORD": "3"}
    result = CliRunner().invoke(cli, [], prog_name="textgen", env=environment)
    assert "plain,tiny" in result.output
    assert ".cache" not in result.output


@pytest.mark.parametrize(
    "arguments",
    [
        ["score", "{}"],
        ["sample", "--prompt-file", "{}"],
        ["sample", "--adapt", "{}"],
        ["eval", "tiny", "{}"],
    ],
)
def test_a_file_that_cannot_be_read_is_no_wrong_usage(
    at_home: Path, arguments: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    text = at_home / "mine.txt"
    text.write_text("The sea.\n")
    # Whether it can be read shows when it is read: the superuser can, whatever this says.
    monkeypatch.setattr("os.access", lambda *_, **__: False)
    result = run(*(each.format(text) for each in arguments))
    assert result.exit_code != 2, result.stderr
    assert "Usage" not in result.stderr


def test_ctrl_c_ends_the_text_with_a_newline_and_exit_code_130(home: Path) -> None:
    child = start("sample", "--length", "100000000", folder=home)
    assert child.stdout is not None
    begun = child.stdout.read(50)
    child.send_signal(signal.SIGINT)
    rest, errors = child.communicate(timeout=60)
    assert child.returncode == 130
    assert (begun + rest).endswith(b"\n")
    assert re.fullmatch(rb"\(tiny, --seed \d+\)\n", errors)


def test_a_closed_pipe_ends_quietly(home: Path) -> None:
    for arguments in (["sample", "--length", "100000000"], ["runs"], ["sample", "--count", "3"]):
        child = start(*arguments, folder=home)
        assert child.stdout is not None
        child.stdout.read(1 if arguments != ["runs"] else 0)
        child.stdout.close()
        assert child.stderr is not None
        assert b"rror" not in child.stderr.read()
        child.stderr.close()
        assert child.wait(60) == 0


@pytest.mark.parametrize(
    "locale", [{"LC_ALL": "C"}, {"LC_ALL": "POSIX", "PYTHONUTF8": "0", "PYTHONIOENCODING": "ascii"}]
)
def test_the_locale_changes_nothing(home: Path, locale: dict[str, str]) -> None:
    prompt = home / "corpora" / "README.md"
    arguments = ("sample", "--prompt-file", str(prompt), "--unknown", "skip", "--seed", "1", "--length", "20", "--json")
    expected = start(*arguments, folder=home).communicate()[0]
    child = start(*arguments, folder=home, env=locale)
    assert child.communicate()[0] == expected
    listed = start(
        "sample",
        "--prompt",
        "caf\u00e9 \u6d77 ",
        "--unknown",
        "skip",
        "--length",
        "1",
        folder=home,
        env={"LC_ALL": "C"},
    )
    assert listed.communicate()[0].startswith("caf\u00e9 \u6d77 ".encode())


def test_missing_streams_are_no_reason_to_fail(home: Path) -> None:
    line = f"{shlex.quote(sys.executable)} -m textgen sample --length 5"
    for closed in (">&-", "2>&-", "<&-", "<&- 2>&-"):
        done = subprocess.run(
            ["sh", "-c", f"{line} {closed}"],
            cwd=home,
            env={**os.environ, "PYTHONPATH": str(ROOT)},
            capture_output=True,
        )
        assert (done.returncode, b"Traceback" in done.stderr) == (0, False), (closed, done.stderr)


LEAVING = """
import atexit, sys, textgen.__main__, textgen.cli

class Large:
    def __del__(self):
        print("taken apart", flush=True)

large = Large()
sys.modules["tensorflow"] = sys
atexit.register(lambda: print("done at exit"))
textgen.cli.cli = lambda prog_name: print("a line") or sys.exit(3)
textgen.__main__.program()
"""


def test_a_process_with_tensorflow_ends_without_taking_it_apart() -> None:
    for program, expected in ((LEAVING, ""), (LEAVING.replace('sys.modules["tensorflow"]', "_"), "taken apart\n")):
        run = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=60)
        assert (run.stdout, run.stderr, run.returncode) == (f"a line\ndone at exit\n{expected}", "", 3)

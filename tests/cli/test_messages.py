"""What messages tell the user to type: options exist where they are advised, and printed commands work."""

import ast
import re
import shlex
import shutil
from pathlib import Path

import click
import pytest
from front_door import Outcome, judge, run

from textgen.cli import cli

ROOT = Path(__file__).parents[2]
COMMANDS = {name: cli.get_command(click.Context(cli), name) for name in cli.list_commands(click.Context(cli))}
READING = ("train", "sample", "fill", "proofread", "complete", "score", "eval", "classify", "novelty", "neurons")
RAISED_IN = {
    "textgen/analysis/evaluation/": ("eval",),
    "textgen/analysis/memorisation/": ("sample", "novelty"),
    "textgen/analysis/ranking.py": ("score",),
    "textgen/cli/copies.py": ("sample",),
    "textgen/cli/hints.py": ("sample",),
    "textgen/cli/records.py": ("sample",),
    "textgen/cli/reading.py": ("sample", "fill", "proofread", "complete", "score", "eval"),
    "textgen/cli/tables.py": ("eval", "classify"),
    "textgen/cli/tune_page.py": ("sample",),
    "textgen/cli/worker_commands.py": ("train",),
    "textgen/corpus/batches.py": ("train",),
    "textgen/corpus/cells.py": ("train", "eval", "classify"),
    "textgen/corpus/form.py": ("train",),
    "textgen/corpus/json_lines.py": ("train", "eval", "classify"),
    "textgen/corpus/pair_reading.py": ("train",),
    "textgen/corpus/pairs.py": ("train",),
    "textgen/corpus/record_encoding.py": ("train",),
    "textgen/corpus/record_reading.py": ("train",),
    "textgen/corpus/decoding.py": READING,
    "textgen/corpus/normalization.py": ("train",),
    "textgen/corpus/finding.py": ("train",),
    "textgen/corpus/sources.py": ("train",),
    "textgen/corpus/undecodable.py": READING,
    "textgen/model/read.py": ("train",),
    "textgen/runs/create.py": ("train",),
    "textgen/runs/find.py": (*READING, "runs", "info", "plot"),
    "textgen/runs/run.py": ("train",),
    "textgen/sampling/classifying.py": ("classify",),
    "textgen/sampling/records.py": ("sample",),
    "textgen/server/": ("serve",),
    "textgen/training/": ("train",),
}
"""The commands in which the messages of a file, or of a folder's files, may come up; a command's file is its own."""


def commands_of(path: str) -> tuple[str, ...]:
    if path.startswith("textgen/cli/commands/"):
        return {"runs": ("runs", "info")}.get(Path(path).stem, (Path(path).stem,))
    found = next((commands for start, commands in RAISED_IN.items() if path.startswith(start)), None)
    assert found is not None, f"{path} advises an option: add it to RAISED_IN with the commands that can show it"
    return found


def messages() -> list[tuple[str, str]]:
    """The sentences in the bodies of functions, with the file of each; what is filled in is an ellipsis."""
    found = []
    for path in sorted((ROOT / "textgen").rglob("*.py")):
        for function in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if not isinstance(function, ast.FunctionDef):
                continue
            body = function.body[1:] if ast.get_docstring(function) else function.body
            inner = {
                id(part) for each in body for f in ast.walk(each) if isinstance(f, ast.JoinedStr) for part in f.values
            }
            for node in (node for each in body for node in ast.walk(each)):
                if isinstance(node, ast.JoinedStr):
                    text = "".join(str(v.value) if isinstance(v, ast.Constant) else "..." for v in node.values)
                elif isinstance(node, ast.Constant) and isinstance(node.value, str) and id(node) not in inner:
                    text = node.value
                else:
                    continue
                if re.search(r"\w.* |^ .*\w", text):
                    found.append((path.relative_to(ROOT).as_posix(), text))
    return found


def options_of(command: click.Command | None) -> set[str]:
    assert command is not None
    return {"--help"}.union(*(param.opts + param.secondary_opts for param in command.params))


ADVICE = re.compile(r"(?<![\w-])--[a-z][a-z-]*")
TYPED = re.compile(r"textgen (" + "|".join(COMMANDS) + r")\b(.*)")


def test_every_option_in_a_message_exists_on_the_commands_that_can_show_it() -> None:
    found = 0
    for path, text in messages():
        text = re.sub(r"tensorboard --logdir", "", text)
        typed = TYPED.search(text)
        loose = text[: typed.start()] if typed else text
        for option in ADVICE.findall(loose):
            lacking = [name for name in commands_of(path) if option not in options_of(COMMANDS[name])]
            assert not lacking, f"{path} advises {option}, which {lacking} lack: {text!r}"
            found += 1
        if typed:
            unknown = set(ADVICE.findall(typed[2])) - options_of(COMMANDS[typed[1]])
            assert not unknown, f"{path} prints {typed[0]!r}; there is no {unknown}"
            found += 1
    assert found > 20


def typed_command(text: str, shown: str = "textgen ") -> list[str]:
    """The arguments of the last command line in a text."""
    line = text[text.rindex(shown) :].splitlines()[0]
    return shlex.split(line)[1:]


@pytest.fixture
def place(home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder beside one of runs, with a run in each of several places; the user is in `here`."""
    for folder in ("there/checkpoints/moved", "here/loose", "here/other runs/it's mine"):
        shutil.copytree(home / "checkpoints" / "tiny", tmp_path / folder)
    monkeypatch.chdir(tmp_path / "here")
    return home / "haven.txt"


@pytest.mark.parametrize(
    "arguments",
    [
        ["--resume", "../there/checkpoints/moved"],
        ["--resume", "loose"],
        ["--resume", "./loose"],
        ["--resume", "it's mine", "--checkpoints", "other runs"],
        ["--resume", "other runs/it's mine"],
        ["--resume", "../there/checkpoints/moved", "--checkpoints", "other runs"],
    ],
    ids=" ".join,
)
def test_the_command_after_training_samples_from_the_run_that_was_trained(place: Path, arguments: list[str]) -> None:
    outcome = judge(run("train", str(place), *arguments), 0)
    command = typed_command(outcome.err, "textgen sample")
    path = Path(command[command.index("--run") + 1])
    if not path.exists():
        folder = command[command.index("--checkpoints") + 1] if "--checkpoints" in command else "checkpoints"
        path = Path(folder) / path
    given = Path(arguments[1])
    assert path.samefile(given if given.exists() else Path("other runs") / given)
    sampled = judge(run(*command, "--length", "9", "--seed", "1"), 0)
    assert len(sampled.out) >= 9


def test_an_error_names_the_option_that_was_given(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(home)

    def sentence(*arguments: str) -> str:
        return judge(run(*arguments), 1).err.removeprefix("Error: ")

    assert sentence("sample", "--length", "-5").startswith("--length must be a whole number in [0, ")
    assert sentence("novelty", "--length", "-5").startswith("--length must be a whole number in [")
    assert sentence("sample", "--top-p", "2") == "--top-p must be in (0, 1]; got 2.0. Use 1.0 to switch it off.\n"
    assert sentence("sample", "--count", "0").startswith("--count must be")
    assert sentence("sample", "--json", "--logprobs", "-1").startswith("--logprobs must be")
    assert sentence("score", "haven.txt", "--limit", "0").startswith("--limit must be")
    assert sentence("train", "haven.txt", "--learning-rate", "-1").startswith("--learning-rate must be")
    both = sentence("train", "haven.txt", "--epochs", "1", "--time", "9s")
    assert both == "--epochs must be left out where --time is given; got 1.0. Choose one of the two.\n"
    both = sentence("train", "haven.txt", "--from", "tiny", "--size", "tiny")
    assert both == "--size must be left out where --from is given: the model keeps its shape.\n"
    for command in (["sample"], ["complete"]):
        none = sentence(*command, "--ban", "ab", "--allow", "ab")
        assert none.startswith("--ban and --allow must leave at least one character to write;")
    assert sentence("plot", "--out", "curves.gif").startswith("--out must be")


def test_every_field_that_is_refused_is_called_by_its_option(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(home)
    tried = 0
    for name in ("train", "sample"):
        command = COMMANDS[name]
        assert command is not None
        for param in command.params:
            flag = max(param.opts, key=len)
            if isinstance(param, click.Option) and param.type in (click.INT, click.FLOAT):
                text = ["haven.txt"] if name == "train" else ["--json"]
                error = judge(run(name, *text, flag, "-7"), 1).err
                assert error.startswith(f"Error: {flag} must be "), error
                tried += 1
    assert tried > 20


@pytest.mark.parametrize(
    ("arguments", "stdin", "advised"),
    [
        (["sample", "--prompt", "☃ sea", "--length", "5"], b"", True),
        (["score", "-"], "☃ sea".encode(), True),
        (["complete"], "☃ sea\n".encode(), False),
    ],
    ids=lambda each: each[0] if isinstance(each, list) else "",
)
def test_unknown_characters_are_refused_with_advice_that_works(
    home: Path, monkeypatch: pytest.MonkeyPatch, arguments: list[str], stdin: bytes, advised: bool
) -> None:
    monkeypatch.chdir(home)
    outcome: Outcome = run(*arguments, stdin=stdin)
    assert "1 character that the model never saw: '☃' (U+2603). Remove it" in outcome.err
    advice = re.findall(r"--unknown \w+", outcome.err)
    assert len(advice) == 2 * advised
    for each in advice:
        judge(run(*arguments, *each.split(), stdin=stdin), 0)


def test_where_there_are_no_runs_the_command_that_makes_one_makes_it_there(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    for command in ("sample", "runs"):
        error = run(command, "--checkpoints", "my runs").err
        assert typed_command(error) == ["train", "TEXT", "--checkpoints", "my runs"]
        assert typed_command(run(command).err) == ["train", "TEXT"]


def test_a_run_without_held_out_text_is_evaluated_as_its_error_says(
    home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shutil.copytree(home / "checkpoints" / "tiny", tmp_path / "my runs" / "one")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("textgen.analysis.evaluation.evaluating.read_run_text", lambda *_, **__: no_text())
    error = judge(run("eval", "my runs/one"), 1).err
    *command, file = typed_command(error)
    assert (command, file) == (["eval", str(Path("my runs/one"))], "FILE")
    assert judge(run(*command, str(home / "haven.txt")), 0).out


def no_text() -> None:
    from textgen.errors import RunError

    raise RunError("The text is gone.")

"""What the README and the docs show is what there is."""

import math
import re
import shlex
import shutil
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

import textgen
from textgen.cli import cli
from textgen.config import SIZES, SamplingConfig
from textgen.runs.run import Run

ROOT = Path(__file__).parents[2]
README = (ROOT / "README.md").read_text(encoding="utf-8")
PAGES = [ROOT / "README.md", *sorted({*(ROOT / "docs").glob("*.md")} - {ROOT / "docs/commands.md"})]
NAMES = "|".join(cli.list_commands(cli.make_context("textgen", ["--debug"], resilient_parsing=True)))
SHOWN = re.compile(rf"^    (?:\$ )?(.*\btextgen (?:{NAMES})\b.*)$", re.MULTILINE)
LINES = list(dict.fromkeys(line for page in PAGES for line in SHOWN.findall(page.read_text(encoding="utf-8"))))
PROGRAMS = re.findall(r"```python\n(.*?)```", README, re.DOTALL)


@pytest.mark.parametrize("line", LINES)
def test_every_command_line_is_understood(home: Path, monkeypatch: pytest.MonkeyPatch, line: str) -> None:
    monkeypatch.chdir(home)
    line = re.sub(r"^[A-Z_]+=\$\(.*?\) ", "", line)
    words = shlex.split(re.sub(r" > .*", "", line.split("  #")[0]).rpartition("| ")[2])
    assert words.pop(0) == "textgen"
    name = words.pop(0)
    ctx = cli.make_context("textgen", [name, *words])
    command = cli.get_command(ctx, name)
    assert command is not None
    command.make_context(name, words, parent=ctx)


def test_there_are_command_lines_and_programs_to_check() -> None:
    assert len(LINES) > 15
    assert len(PROGRAMS) == 2


def test_every_option_it_names_exists() -> None:
    known = {"--help", "--plain", "--logdir"}  # the last is TensorBoard's
    for name in cli.list_commands(cli.make_context("textgen", ["--debug"], resilient_parsing=True)):
        output = CliRunner().invoke(cli, [name, "--help"]).output
        known |= set(re.findall(r"--[a-z-]+", output))
    assert set(re.findall(r"(?<![\w-])--[a-z][a-z-]+", README)) <= known


def test_the_sizes_are_the_presets() -> None:
    for name, shape in SIZES.items():
        assert f"`{name}` ({shape['layers']} x {shape['units']}" in README.replace(" LSTM units", "")


def test_the_default_length_is_the_configuration_s() -> None:
    assert f"the newest run, {SamplingConfig().max_new_tokens} characters" in README


@pytest.fixture
def poems(home: Path, names: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A folder with the runs "poems", "poems-2" and "names", as the programs take them; nothing is trained."""
    for name in ("poems", "poems-2"):
        shutil.copytree(home / "checkpoints" / "tiny", tmp_path / "checkpoints" / name)
    shutil.copytree(names.path, tmp_path / "checkpoints" / "names")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(textgen, "train", lambda *_, **__: Run("checkpoints/poems"), raising=False)


@pytest.mark.parametrize("program", PROGRAMS)
def test_the_programs_run(poems: None, capsys: pytest.CaptureFixture[str], program: str) -> None:
    exec(compile(program, "README.md", "exec"), {})
    assert capsys.readouterr().out


def test_keras_and_the_writer_agree_on_what_comes_next(poems: None) -> None:
    names: dict[str, Any] = {}
    exec(compile(PROGRAMS[1], "README.md", "exec"), names)
    sample = textgen.load("checkpoints/poems").generate("The sea ", temperature=0, max_new_tokens=1, logprobs=1)
    assert sample.logprobs is not None
    likeliest = float(names["probabilities"].numpy()[0, -1].max())
    assert math.log(likeliest) == pytest.approx(sample.logprobs[0].logprob, abs=1e-5)

"""The commands of the pages on named texts and on finished projects do what the pages say."""

import hashlib
import re
import shlex
from dataclasses import replace
from pathlib import Path

import pytest
from front_door import run

import textgen.corpus.named
from textgen.cli import cli
from textgen.corpus.named import entry as registry
from textgen.corpus.named import read_registry

DOCS = Path(__file__).parents[2] / "docs"
PROJECTS = ("A poet", "A list of names", "Tunes")
TINY = shlex.split("--units 16 --layers 1 --embedding 8 --batch-size 4 --sequence-length 32 --epochs 0.5 --device cpu")


def commands(page: str, section: str = "") -> list[str]:
    """The command lines of a page, or of a section of it, without their comments."""
    text = (DOCS / page).read_text(encoding="utf-8")
    if section:
        text = text.partition(f"\n## {section}\n")[2].partition("\n## ")[0]
    return [line.partition("  #")[0].strip() for line in re.findall(r"^    (.*\btextgen .*)$", text, re.MULTILINE)]


@pytest.mark.parametrize("line", [*commands("corpora.md"), *commands("projects.md")])
def test_every_command_is_understood(line: str) -> None:
    words = shlex.split(line.rpartition("| ")[2].partition(" > ")[0])
    if words[0] != "textgen":
        assert words[:2] == ["pip", "install"]
        return
    ctx = cli.make_context("textgen", words[1:])
    command = cli.get_command(ctx, words[1])
    assert command is not None
    command.make_context(words[1], words[2:], parent=ctx)


@pytest.fixture
def folder(tmp_path: Path, bundled_corpus: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A working folder, and short texts in place of the named ones, of the same form."""
    text = (bundled_corpus / "marrow_haven.txt").read_text(encoding="utf-8")
    words = sorted(set(re.findall(r"\b[a-z]{3,9}\b", text)))
    texts = {"sonnets": f"  When I go\n{text[:15_000]}", "names": "\n".join(words[:600]) + "\n"}
    texts["jigs"] = (bundled_corpus / "tunes.abc").read_text(encoding="utf-8")
    known = {}
    for name, short in texts.items():
        data = short.encode()
        real = read_registry()[name]
        (tmp_path / real.file).write_bytes(data)
        known[name] = replace(real, text_sha256=hashlib.sha256(data).hexdigest())
    for module in (registry, textgen.corpus.named):
        monkeypatch.setattr(module, "read_registry", lambda: known)
    monkeypatch.setenv("TEXTGEN_CORPORA", str(tmp_path))
    (tmp_path / "work").mkdir()
    (tmp_path / "work" / "corpora").symlink_to(bundled_corpus, target_is_directory=True)
    monkeypatch.chdir(tmp_path / "work")
    return tmp_path / "work"


@pytest.mark.slow
@pytest.mark.parametrize("section", PROJECTS)
def test_a_project_works_from_its_first_command_to_its_last(section: str, folder: Path) -> None:
    lines = commands("projects.md", section)
    assert len(lines) >= 5
    for line in lines:
        before, _, command = line.rpartition("| ")
        words = shlex.split(command.partition(" > ")[0])[1:]
        if "--time" in words:
            place = words.index("--time")
            words[place : place + 2] = ["--epochs", "1"] if "--resume" in words else TINY
        done = run(*words, stdin=before.strip().removeprefix("echo ").encode() + b"\n")
        assert done.code == 0, f"{line}: {done.err}"
        assert done.out or words[0] == "train", line
        if "--html" in words:
            assert (folder / words[words.index("--html") + 1]).stat().st_size > 100_000


def test_every_project_is_run() -> None:
    sections = re.findall(r"^## (.*)$", (DOCS / "projects.md").read_text(encoding="utf-8"), re.MULTILINE)
    assert tuple(sections) == PROJECTS

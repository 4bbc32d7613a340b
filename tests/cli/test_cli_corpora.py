"""`textgen corpora`, and `textgen train` on a named corpus."""

import json
import shlex
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace

import pytest
from faulty_server import FaultyServer, serving
from front_door import run
from named_entries import entry

from textgen.cli.commands.corpora import corpora
from textgen.cli.commands.train import train
from textgen.config import CorpusConfig
from textgen.corpus.named import Entry, read_registry
from textgen.corpus.named import entry as registry
from textgen.model.read import read_metadata
from textgen.runs.provenance import read_run_text

NAMES = "".join(f"{first}{last}\n" for first in ("An", "Be", "Ce", "Do") for last in ("na", "lla", "cil", "ra") * 20)
TINY = shlex.split("--units 8 --layers 1 --embedding 4 --epochs 0.2 --batch-size 2 --sequence-length 16 --quiet")


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty working folder, with another one for corpora."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("TEXTGEN_CORPORA", str(tmp_path / "corpora"))
    return tmp_path


@pytest.fixture
def served(folder: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[tuple[FaultyServer, Entry]]:
    """A registry of one text, a list of names, and the server of its address."""
    raw = NAMES.encode()
    with serving(FaultyServer(raw)) as server:
        described = entry(server.address, raw=raw, text=raw, name="people", settings={"records": "lines"})
        for module in (registry, __import__("textgen.corpus.named", fromlist=["named"])):
            monkeypatch.setattr(module, "read_registry", lambda: {"people": described})
        yield server, described


def test_the_list_names_every_text_in_a_line(folder: Path) -> None:
    done = run("corpora")
    listed = [line.split()[0] for line in done.out.splitlines()[1:]]
    assert (done.code, listed) == (0, list(read_registry()))
    found = [json.loads(line) for line in run("corpora", "--json").out.splitlines()]
    assert [each["name"] for each in found] == list(read_registry())
    assert {"licence", "address", "sha256", "text_sha256", "good_for", "path"} <= set(found[0])


def test_show_says_everything_and_whether_it_was_tried(folder: Path) -> None:
    shown = run("corpora", "show", "names").out
    found = read_registry()["names"]
    for part in (found.address, *found.mirrors, found.sha256, found.licence, found.good_for, "--records lines"):
        assert part in shown
    assert "textgen corpora verify names" in shown


def test_the_examples_are_understood(folder: Path) -> None:
    for line in corpora.examples:
        command = train if " train " in line else corpora
        # The options of help are remembered with the command.
        assert command.make_context("textgen", shlex.split(line)[2:], help_option_names=["-h", "--help"])


@pytest.mark.parametrize(
    ("arguments", "code", "said"),
    [
        ("get", 2, "Name a corpus: textgen corpora get NAME."),
        ("show", 2, "textgen corpora lists them"),
        ("get nmes", 1, "There is no corpus named 'nmes'. Did you mean 'names'?"),
        ("get names --offline", 1, "nothing is downloaded offline. Get https://raw.githubusercontent.com/"),
        ("verify --offline", 2, "--offline cannot be given with verify"),
        ("burn", 2, "'burn' is not one of"),
    ],
)
def test_what_cannot_be_done_is_a_sentence(arguments: str, code: int, said: str, folder: Path) -> None:
    done = run("corpora", *arguments.split())
    assert (done.code, done.out) == (code, "")
    assert said in " ".join(done.err.split())


def test_get_writes_the_path_and_verify_tries_the_addresses(served: tuple[FaultyServer, Entry], folder: Path) -> None:
    server, _ = served
    assert run("corpora", "get", "people").out == f"{folder / 'corpora' / 'people.txt'}\n"
    assert (folder / "corpora" / "people.txt").read_text() == NAMES
    done = run("corpora", "verify")
    assert (done.code, done.out.count(server.address)) == (0, 1)
    assert "had not been tried" in done.out
    server.faults = ["404"]
    done = run("corpora", "verify", "--json")
    assert (done.code, json.loads(done.out)["problem"]) == (1, "it answers 404")
    assert "0 of 1 addresses" in done.err


def test_train_downloads_a_corpus_and_reads_it_as_the_registry_says(
    served: tuple[FaultyServer, Entry], folder: Path
) -> None:
    done = run("train", "people", *TINY)
    assert (done.code, done.out) == (0, ""), done.err
    best = folder / "checkpoints" / "people" / "best.keras"
    described = read_metadata(best).corpus
    assert described.config.records == "lines"
    assert described.sources == (str(folder / "corpora" / "people.txt"),)
    assert read_run_text(described, best, keep=100).characters == len(NAMES)
    assert len(served[0].requests) == 1


def test_options_come_before_the_registry_and_files_before_names(
    served: tuple[FaultyServer, Entry], folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    calls: list[tuple[list[str], CorpusConfig]] = []
    training = SimpleNamespace(train=lambda sources, **options: calls.append((sources, options["corpus"])))
    monkeypatch.setattr("textgen.cli.framework.load_training", lambda device: training)
    (folder / "people").write_text("The sea, the sea.\n" * 40)
    for arguments in (
        ["people"],
        ["corpus:people"],
        ["corpus:people", "--records", "none"],
        ["people", "corpus:people"],
    ):
        assert run("train", *arguments, *TINY).code == 0
    path = str(folder / "corpora" / "people.txt")
    assert [sources for sources, _ in calls] == [["people"], [path], [path], ["people", path]]
    assert [config.records for _, config in calls] == [None, "lines", "none", None]


def test_training_offline_says_where_to_put_the_file(served: tuple[FaultyServer, Entry], folder: Path) -> None:
    done = run("train", "people", "--offline")
    assert done.code == 1
    assert f"save it as {folder / 'corpora' / 'people.txt'}" in done.err
    assert served[0].requests == []
    assert not (folder / "checkpoints").exists()

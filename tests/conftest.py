"""What tests share: the real texts beside the repository, the bundled corpus, a small run; and how skips are told."""

import gc
import os
import sqlite3  # noqa: F401  # Before TensorFlow, whose own SQLite, without full-text search, `llm` would get otherwise.
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from filelock import FileLock
from hypothesis import settings

if TYPE_CHECKING:
    from browsers import Browser

    from textgen.runs.run import Run

# A busy machine is no failure: no property is judged by how long an example took.
settings.register_profile("patient", deadline=None)
settings.load_profile("patient")

# Most of what tests make lives until the end: looking through it seldom takes a quarter off the tracing of a training.
gc.set_threshold(50_000, 20, 20)

ROOT = Path(__file__).resolve().parent.parent
NO_TEXTS = "the tests on real texts need TEXTGEN_CORPORA to name their folder"


@pytest.fixture(scope="session")
def shared_corpora() -> Path:
    """The folder of real texts for tests by path; skips where it is missing."""
    named = os.environ.get("TEXTGEN_CORPORA", str(ROOT.parent / "shared" / "corpora"))
    for folder in map(Path, named.split(os.pathsep)):
        if (folder / "tiny_shakespeare.txt").is_file():
            return folder
    pytest.skip(f"{NO_TEXTS}; {named} has none")


@pytest.fixture(scope="session")
def bundled_corpus() -> Path:
    """The folder of the corpus that ships with the project."""
    return ROOT / "corpora"


@pytest.fixture(scope="session")
def home(tmp_path_factory: pytest.TempPathFactory, bundled_corpus: Path) -> Path:
    """A folder as a user has it: corpora, a short text, haven.txt, and the run `tiny` on it, in checkpoints."""
    from tiny_runs import TINY

    from textgen.training.start import train

    folder = tmp_path_factory.mktemp("home")
    (folder / "corpora").symlink_to(bundled_corpus, target_is_directory=True)
    # The start of the corpus, and before it a prompt that the help's examples use, with its colon.
    text = "CAPTAIN THRUPP: " + (bundled_corpus / "marrow_haven.txt").read_text(encoding="utf-8")
    (folder / "haven.txt").write_text(text[:4000], encoding="utf-8", newline="")
    train(folder / "haven.txt", name="tiny", checkpoints=folder / "checkpoints", epochs=0.2, seed=1, **TINY)
    return folder


@pytest.fixture(scope="session")
def names(tmp_path_factory: pytest.TempPathFactory, bundled_corpus: Path) -> "Run":
    """A run on records, words of the corpus, one a line."""
    from tiny_runs import TINY

    from textgen.config import CorpusConfig
    from textgen.training.start import train

    folder = tmp_path_factory.mktemp("names")
    words = (bundled_corpus / "marrow_haven.txt").read_text(encoding="utf-8").split()[:400]
    (folder / "names.txt").write_text("\n".join(words) + "\n", encoding="utf-8", newline="")
    return train(folder / "names.txt", checkpoints=folder, corpus=CorpusConfig(records="lines"), epochs=3.0, **TINY)


@pytest.fixture(scope="session")
def kinds(tmp_path_factory: pytest.TempPathFactory, bundled_corpus: Path) -> "Run":
    """A run on the bundled table, with its labels: one worker trains it, and all leave it as it is."""
    from tiny_runs import TINY

    from textgen.config import CorpusConfig
    from textgen.runs.run import Run
    from textgen.training.start import train

    config = CorpusConfig(text_field="text", label_field="kind")
    settings = {**TINY, "batch_size": 16, "sequence_length": 32, "learning_rate": 0.03, "epochs": 3.0, "seed": 1}
    folder = shared_folder(tmp_path_factory, "kinds")
    with FileLock(f"{folder}.lock"):
        if not folder.exists():
            train(bundled_corpus / "short_texts.csv", name="kinds", checkpoints=folder, corpus=config, **settings)
    return Run(folder / "kinds")


@pytest.fixture(scope="session")
def pairs_run(tmp_path_factory: pytest.TempPathFactory, bundled_corpus: Path) -> "Run":
    """A run on the bundled pairs with random weights, for which nothing is compiled. All leave it as it is."""
    from small_pairs import write_pairs_run

    from textgen.runs.run import Run

    folder = shared_folder(tmp_path_factory, "pairs")
    with FileLock(f"{folder}.lock"):
        if not folder.exists():
            write_pairs_run(bundled_corpus / "old_spelling.tsv", folder / "old_spelling")
    return Run(folder / "old_spelling")


@pytest.fixture(scope="session")
def started_browser(tmp_path_factory: pytest.TempPathFactory) -> "Iterator[Browser]":
    """Chromium, which all tests of pages share."""
    from browsers import chromium

    with chromium(tmp_path_factory.mktemp("browser")) as browser:
        yield browser


@pytest.fixture
def browser(started_browser: "Browser") -> "Iterator[Browser]":
    """The browser; what a test did there asked nothing of the network and failed nowhere."""
    from browsers import watched

    with watched(started_browser):
        yield started_browser


def shared_folder(factory: pytest.TempPathFactory, name: str) -> Path:
    """A folder of this name that all workers share."""
    base = factory.getbasetemp()
    return (base.parent if "PYTEST_XDIST_WORKER" in os.environ else base) / name


@pytest.fixture(scope="session")
def uncut(tmp_path_factory: pytest.TempPathFactory, bundled_corpus: Path) -> "Run":
    """A run never cut, on the first 4000 characters of the corpus: one worker trains it, and all leave it as it is."""
    from tiny_runs import WHOLE

    from textgen.runs.run import Run
    from textgen.training.start import train

    folder = shared_folder(tmp_path_factory, "uncut")
    with FileLock(f"{folder}.lock"):
        if not folder.exists():
            folder.mkdir()
            text = (bundled_corpus / "marrow_haven.txt").read_text(encoding="utf-8")[:4000]
            (folder / "haven.txt").write_text(text, encoding="utf-8", newline="")
            train(folder / "haven.txt", name="whole", checkpoints=folder, **WHOLE)
    return Run(folder / "whole")


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption(
        "--no-skips", action="store_true", help="Fail if a test was skipped, for want of anything but the real texts."
    )


def pytest_make_parametrize_id(val: object, argname: str) -> str | None:
    """Data is no name for a test: an archive holds the time it was made, and each worker makes its own."""
    return argname if isinstance(val, bytes) or (isinstance(val, str) and len(val) > 80) else None


def skips(config: pytest.Config) -> Counter[str]:
    """How often tests or files of tests were skipped, by the reason."""
    reporter = config.pluginmanager.get_plugin("terminalreporter")
    reports = reporter.stats.get("skipped", []) if reporter else []
    return Counter(report.longrepr[2].removeprefix("Skipped: ") for report in reports)


@pytest.hookimpl(trylast=True)
def pytest_sessionfinish(session: pytest.Session, exitstatus: int) -> None:
    needless = any(not reason.startswith(NO_TEXTS) for reason in skips(session.config))
    if session.config.getoption("--no-skips") and needless and exitstatus == pytest.ExitCode.OK:
        session.exitstatus = pytest.ExitCode.TESTS_FAILED


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter, config: pytest.Config) -> None:
    for reason, count in skips(config).items():
        terminalreporter.write_line(f"Skipped {count}: {reason}", yellow=True)

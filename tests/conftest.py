"""What several tests share: the real texts beside the repository, the bundled corpus, small models."""

import os
from pathlib import Path

import pytest
from hypothesis import settings

# A busy machine is no failure: no property is judged by how long an example took.
settings.register_profile("patient", deadline=None)
settings.load_profile("patient")

ROOT = Path(__file__).resolve().parent.parent


@pytest.fixture(scope="session")
def shared_corpora() -> Path:
    """The folder of real texts for tests by path; skips where it is missing."""
    folder = Path(os.environ.get("TEXTGEN_CORPORA", ROOT.parent / "shared" / "corpora"))
    if not (folder / "tiny_shakespeare.txt").is_file():
        pytest.skip(f"the real texts are not at {folder}; set TEXTGEN_CORPORA to their folder")
    return folder


@pytest.fixture(scope="session")
def bundled_corpus() -> Path:
    """The folder of the corpus that ships with the project."""
    return ROOT / "corpora"


@pytest.fixture(scope="session")
def home(tmp_path_factory: pytest.TempPathFactory, bundled_corpus: Path) -> Path:
    """A folder with a short text, haven.txt, and the run `tiny` on it, in checkpoints."""
    from tiny_runs import TINY

    from textgen.training.start import train

    folder = tmp_path_factory.mktemp("home")
    (folder / "haven.txt").write_bytes((bundled_corpus / "marrow_haven.txt").read_bytes()[:4000])
    train(folder / "haven.txt", name="tiny", checkpoints=folder / "checkpoints", epochs=0.2, seed=1, **TINY)
    return folder

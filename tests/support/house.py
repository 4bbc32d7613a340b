"""A folder as a user has it: the bundled corpus, and a tiny run on it."""

from pathlib import Path

import pytest
from tiny_runs import TINY


@pytest.fixture(scope="session")
def house(tmp_path_factory: pytest.TempPathFactory, bundled_corpus: Path) -> Path:
    """A folder with the bundled corpus and a tiny run on it, made with the library."""
    from textgen.training.start import train

    folder = tmp_path_factory.mktemp("house")
    (folder / "corpora").symlink_to(bundled_corpus, target_is_directory=True)
    corpus = folder / "corpora" / "marrow_haven.txt"
    settings = {**TINY, "batch_size": 64, "sequence_length": 32}
    train(corpus, checkpoints=folder / "checkpoints", epochs=0.2, validate_every=15, **settings)  # type: ignore[arg-type]
    return folder

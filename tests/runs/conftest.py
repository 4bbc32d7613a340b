"""Run folders without training."""

import os
import time
from pathlib import Path

import pytest
from placed import put_checkpoint


@pytest.fixture
def checkpoints(tmp_path: Path) -> Path:
    """Three runs of different ages, a damaged one, and folders and files that are not runs."""
    folder = tmp_path / "checkpoints"
    put_checkpoint(folder / "poems" / "best.keras", age=300)
    put_checkpoint(folder / "poems" / "last.keras", age=200, metrics={"step": 90, "epoch": 4.5, "seconds": 13.5})
    put_checkpoint(folder / "letters" / "best.keras", age=100)
    put_checkpoint(folder / "songs" / "last.keras", age=400)
    put_checkpoint(folder / "torn" / "best.keras", age=50).write_bytes(b"PK\x03\x04")
    os.utime(folder / "torn" / "best.keras", (time.time() - 500,) * 2)
    put_checkpoint(folder / ".hidden" / "best.keras")
    (folder / "other").mkdir()
    (folder / "README.md").write_text("notes")
    return folder

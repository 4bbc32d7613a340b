"""Keras models and a whole checkpoint, made once for all tests here."""

from pathlib import Path
from typing import Any

import pytest
from small_checkpoints import CONFIG, STATE, metadata

from textgen.config import CELLS
from textgen.model.write import write_checkpoint


@pytest.fixture(scope="session")
def keras_models() -> dict[str, Any]:
    """One small Keras model for each kind of cell."""
    from textgen.training.keras_model import build_model

    return {cell: build_model(CONFIG.replace(cell=cell), seed=n) for n, cell in enumerate(CELLS)}


@pytest.fixture(scope="session")
def keras_model(keras_models: dict[str, Any]) -> Any:
    return keras_models["lstm"]


@pytest.fixture(scope="session")
def good(keras_model: Any, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A whole checkpoint with a training state; tests read it and leave it as it is."""
    path = tmp_path_factory.mktemp("good") / "last.keras"
    write_checkpoint(path, keras_model, metadata=metadata(), training_state=STATE)
    return path

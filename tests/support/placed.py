"""Checkpoints put into run folders without training."""

import json
import os
import time
import zipfile
from pathlib import Path
from typing import Any

from textgen.config import ModelConfig, TrainingConfig
from textgen.corpus.tokenizer import CharTokenizer

TOKENIZER = CharTokenizer.from_text(["the sea"])


CONFIG = ModelConfig(vocab_size=TOKENIZER.vocab_size, cell="lstm", layers=1, units=8, embedding=4)


HISTORY: list[dict[str, Any]] = [
    {
        "step": 10,
        "epoch": 0.5,
        "seconds": 1.5,
        "characters": 640,
        "loss": 3.0,
        "val_loss": 2.5,
        "learning_rate": 4e-3,
        "sample": "",
    },
    {
        "step": 20,
        "epoch": 1.0,
        "seconds": 3.0,
        "characters": 1280,
        "loss": 2.0,
        "val_loss": None,
        "learning_rate": 0.0,
        "sample": "",
    },
]


def put_checkpoint(path: Path, *, age: float = 0.0, **changes: Any) -> Path:
    """A file with the metadata of a checkpoint and no weights, as old as that."""
    path.parent.mkdir(parents=True, exist_ok=True)
    values = {
        "format": 1,
        "model": CONFIG.to_json(),
        "tokenizer": TOKENIZER.to_json(),
        "training": TrainingConfig(epochs=2.0).to_json(),
        "corpus": {"name": "sea", "characters": 5000},
        "metrics": {"step": 20, "epoch": 1.0, "val_loss": 1.5, "bits_per_character": 2.164, "seconds": 3.0},
        "history": HISTORY,
        "versions": {},
        "created": "2026-01-31T12:00:00+00:00",
        "textgen": "0.1.0",
        "members": {},
        "weights": {},
        **changes,
    }
    with zipfile.ZipFile(path, "w") as file:
        file.writestr(zipfile.ZipInfo("textgen.json"), json.dumps(values))
    os.utime(path, (time.time() - age,) * 2)
    return path

"""Checkpoints for tests: small ones, copies with changes whose checksums are right, and how one is refused."""

import hashlib
import json
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from textgen.config import ModelConfig
from textgen.corpus.tokenizer import CharTokenizer
from textgen.errors import CheckpointError
from textgen.model.metadata import Metadata
from textgen.model.read import Checkpoint
from textgen.model.values import METADATA

TOKENIZER = CharTokenizer.from_text(["the sea, the ship é中🌊"])
CONFIG = ModelConfig(vocab_size=TOKENIZER.vocab_size, layers=2, cell="lstm", units=6, embedding=4)
STATE = {"slots/0": np.arange(12.0).reshape(3, 4), "step": np.array(7), "flags": np.array([True, False])}


def metadata(config: ModelConfig = CONFIG, **more: Any) -> Metadata:
    return Metadata(model=config, tokenizer=TOKENIZER, **more)


def refusal(action: Callable[[], Any]) -> str:
    """The one sentence, or two, with which an action is refused."""
    with pytest.raises(CheckpointError) as caught:
        action()
    text = str(caught.value)
    assert "\n" not in text
    assert len(text) < 1000
    return text


def same(first: Checkpoint, second: Checkpoint) -> bool:
    arrays = zip(first.weights.arrays(), second.weights.arrays(), strict=True)
    return first.metadata == second.metadata and all(np.array_equal(a, b) for a, b in arrays)


def forge(
    source: Path,
    target: Path,
    *,
    members: dict[str, bytes | None] | None = None,
    change: Callable[[dict[str, Any]], None] = lambda values: None,
    checksums: bool = True,
) -> Path:
    """A copy of a checkpoint with other members and metadata, and checksums that are right again unless told."""
    with zipfile.ZipFile(source) as file:
        contents: dict[str, bytes | None] = {name: file.read(name) for name in file.namelist()}
    contents.update(members or {})
    values = json.loads(contents.pop(METADATA) or b"")
    kept = {name: data for name, data in contents.items() if data is not None}
    if checksums:
        values["members"] = {name: hashlib.sha256(data).hexdigest() for name, data in kept.items()}
    change(values)
    with zipfile.ZipFile(target, "w") as file:
        for name, data in {**kept, METADATA: json.dumps(values).encode()}.items():
            file.writestr(zipfile.ZipInfo(name), data)
    return target


def setting(*path: Any, value: Any) -> Callable[[dict[str, Any]], None]:
    """A change to one place of a document."""

    def change(values: dict[str, Any]) -> None:
        for key in path[:-1]:
            values = values[key]
        values[path[-1]] = value

    return change

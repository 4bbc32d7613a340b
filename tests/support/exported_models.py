"""Random models as ONNX, and calls of them whose outputs the engine knows."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from small_models import ALPHABET, random_weights

from textgen.config import ModelConfig
from textgen.corpus.tokenizer import CharTokenizer
from textgen.engine import Engine
from textgen.exporting.formats import Export
from textgen.exporting.onnx_model import onnx_bytes
from textgen.model.description import CorpusDescription, RecordsDescription
from textgen.model.metadata import Metadata
from textgen.model.read import Checkpoint

Arrays = dict[str, np.ndarray]

BATCH = 3


@dataclass(frozen=True)
class Call:
    """Inputs of a model, what it must give, and those of its inputs that are outputs of the call before."""

    inputs: Arrays
    outputs: Arrays
    carried: dict[str, str]


def random_checkpoint(*, labels: int = 0, has_end: bool = False, **shape: Any) -> Checkpoint:
    tokenizer = CharTokenizer(ALPHABET.characters, has_end=has_end)
    given = {"vocab_size": tokenizer.vocab_size, "layers": 2, "units": 24, "embedding": 8, "labels": labels}
    config = ModelConfig(**{**given, **shape})
    records = RecordsDescription(labels=tuple(f"label {n}" for n in range(labels)), most_labels=2) if has_end else None
    metadata = Metadata(model=config, tokenizer=tokenizer, corpus=CorpusDescription(records=records))
    return Checkpoint(Path("random.keras"), random_weights(config, seed=3, scale=2.0), metadata)


def as_onnx(checkpoint: Checkpoint, name: str = "random") -> bytes:
    return onnx_bytes(checkpoint, Export(name=name, weights="float32"))


def calls(checkpoint: Checkpoint, segments: list[int], *, seed: int = 0) -> list[Call]:
    """Calls for segments of these lengths, one after the other, from a state in the midst of some texts.

    One of the texts of a model with labels has a mixture of them, and another none. A record ends before the second
    segment, if there are ends.
    """
    config, tokenizer = checkpoint.model, checkpoint.tokenizer
    rng = np.random.default_rng(seed)
    given: Arrays = {}
    if config.labels:
        given["labels"] = rng.random((BATCH, config.labels)).astype(np.float32)
        given["labels"][1] = 0.0
    engine = Engine(config, checkpoint.weights, end_id=tokenizer.end_id)
    state = engine.initial_state(BATCH, labels=given.get("labels"))
    engine.read(rng.integers(0, len(tokenizer.characters), (BATCH, 9)), state)
    states = ["h", "c"][: config.facts.states]

    def now() -> Arrays:
        kept = {"h": state.hidden[:, state.hidden.shape[1] - config.layers * config.units :], "c": state.cell_state}
        return {name: kept[name].reshape(BATCH, config.layers, config.units).swapaxes(0, 1).copy() for name in states}

    found: list[Call] = []
    before = now()
    for n, length in enumerate(segments):
        ids = rng.integers(0, len(tokenizer.characters), (BATCH, length))
        if tokenizer.end_id is not None and n == 1:
            ids[0, 0] = tokenizer.end_id
        logits, _ = engine.read(ids, state)
        inputs = {"ids": ids, **given, **({} if n else before)}
        outputs = {"logits": logits, **{f"next_{name}": array for name, array in now().items()}}
        found.append(Call(inputs, outputs, {name: f"next_{name}" for name in states} if n else {}))
    return found

"""Settings of runs that take seconds, and all of a run that must not depend on cuts."""

import csv
from dataclasses import replace
from typing import Any

from textgen.model.read import read_checkpoint, read_training_state
from textgen.runs.run import Run

TINY = {
    "layers": 1,
    "units": 16,
    "embedding": 8,
    "batch_size": 4,
    "sequence_length": 16,
    "precision": "float32",
    "shards": 1,
    "dropout": 0.2,
    "weight_drop": 0.1,
    "device": "cpu",
}

WHOLE = {**TINY, "layers": 2, "epochs": 1.0, "seed": 5, "validate_every": 9}


def everything(run: Run) -> dict[str, Any]:
    """All that must not depend on cuts: weights, optimizer, states, counters, metrics and samples."""
    kept: dict[str, Any] = {}
    for path in (run.best, run.last):
        for n, array in enumerate(read_checkpoint(path).weights.arrays()):
            kept[f"{path.name}/{n}"] = array.tobytes()
    kept |= {name: array.tobytes() for name, array in read_training_state(run.last).items()}
    with run.metrics.open(newline="") as file:
        kept["metrics"] = [{k: v for k, v in row.items() if k != "seconds"} for row in csv.DictReader(file)]
    kept["samples"] = run.samples.read_text()
    progress = read_checkpoint(run.last).metadata.progress
    assert progress is not None
    kept["progress"] = replace(progress, seconds=0.0, sources=(), created="", tensorboard=False).to_json()
    return kept

"""A model as one HTML page that writes: weights, vocabulary and an engine in JavaScript. It needs no network."""

from __future__ import annotations

from typing import Any, cast

from textgen.config import cell_name
from textgen.display.pages import program_page
from textgen.errors import ConfigError
from textgen.exporting.formats import Export
from textgen.exporting.quantization import Kind, PackedWeights
from textgen.model.read import Checkpoint, PairCheckpoint

_LARGEST = 300_000_000
"""Bytes of weights up to which a page is made: browsers hold no text of more than 512 MB, and base64 takes a third
more."""

_CELLS = ("lstm", "gru", "rnn", "peephole", "coupled")
"""Those of the page's engine: `kernels.wat`, `kernels.js` and `network.js`."""

_STORED = {"int8": "8-bit integers", "int6": "6-bit integers", "float16": "16-bit floats", "float32": "32-bit floats"}


def writing_page(checkpoint: Checkpoint | PairCheckpoint, export: Export) -> bytes:
    """The page of a model.

    Args:
        checkpoint: the model.
        export: its name, and how its weights are stored: "int8", "int6", "float16" or "float32".

    Returns:
        The HTML file. The same checkpoint and name make the same page.

    Raises:
        ConfigError: the model is too large for a page, cannot write a single character, has a cell that the page
            does not know, or turns one text into another.
    """
    if isinstance(checkpoint, PairCheckpoint):
        raise ConfigError(
            f"The page goes on with a text, and {export.name} turns one text into another: export it as onnx or keras, "
            "or serve it with textgen serve, whose page shows what it makes of a text.",
            field="to",
        )
    # A page writes forwards: of a model of both sides it has the forward stack.
    config, tokenizer = checkpoint.model.forwards, checkpoint.tokenizer
    if config.cell not in _CELLS:
        raise ConfigError(f"The page knows no cell {config.cell}. Use a model with one of {', '.join(_CELLS)}.")
    weights = PackedWeights.of(config, checkpoint.weights.forwards, cast(Kind, export.weights))
    data = weights.to_bytes()
    if len(data) > _LARGEST:
        raise ConfigError(
            f"The model is too large for a page: its weights take {len(data) / 1e6:,.0f} MB as {export.weights}, and a "
            f"page holds {_LARGEST / 1e6:,.0f} MB. Train a smaller model, or store the weights in fewer bits."
        )
    if not tokenizer.characters:
        raise ConfigError(
            "The model's vocabulary has no character that can be written. Train it with a lower min_count."
        )
    corpus = checkpoint.metadata.corpus
    reading = corpus.config
    values: dict[str, Any] = {
        "name": export.name,
        "labels": list(corpus.labels),
        "model": {
            "cell": config.cell,
            "layers": config.layers,
            "units": config.units,
            "embedding": config.embedding,
            "vocabulary": config.vocab_size,
            "skip": config.skip,
            "characters": [ord(character) for character in tokenizer.characters],
            "unknown": -1 if tokenizer.unknown_id is None else tokenizer.unknown_id,
            "end": -1 if tokenizer.end_id is None else tokenizer.end_id,
            "normalization": "" if reading.normalize == "none" else reading.normalize.upper(),
            "keepNewlines": reading.keep_newlines,
        },
        "packed": weights.described(),
    }
    facts = [
        ("Model", f"{config.layers} x {config.units} {cell_name(config.cell)}"),
        ("Vocabulary", f"{len(tokenizer.characters):,} characters"),
        ("Weights", f"{config.weights:,}, as {_STORED[export.weights]}"),
    ]
    return program_page("write", title=export.name, facts=facts, data=values, weights=data).encode()

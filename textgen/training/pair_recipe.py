"""Recommends a model and hyperparameters for pairs and a budget, by the characters of their targets."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

from textgen.config import Size, TrainingConfig
from textgen.corpus.pairs import EncodedPairs
from textgen.errors import ConfigError
from textgen.training.recipe import SPEED, Recipe, recommend

_FEWEST, _BATCH, _BATCHES = 16, 64, 8
"""The fewest and the most pairs in a batch, and the batches that there are at least in a pass over fewer pairs."""

_CHARACTERS = 3000
"""Characters of the targets of a batch above which it has fewer pairs: long pairs learn as much from smaller ones.

A character of sentences of 70 costs as much in batches of 32 as of 64, and a fourth more in those of 16.
"""

_FEW = 30_000
"""Characters of the targets below which the encoder has one layer."""


def encoder_layers(encoded: EncodedPairs) -> int:
    """The layers of the encoder that suit some pairs."""
    return 1 if len(encoded.training) < _FEW else 2


def recommend_pairs(
    encoded: EncodedPairs,
    *,
    size: Size | None = None,
    model: Mapping[str, Any] | None = None,
    training: Mapping[str, Any] | None = None,
    speed: float = SPEED,
    fresh: bool = True,
) -> Recipe:
    """Recommends a model and its training settings for pairs.

    Args:
        encoded: the pairs.
        size: a preset; None for pairs and time to decide.
        model: fields of `ModelConfig` that the user gave.
        training: fields of `TrainingConfig` that the user gave. `sequence_length`, by which steps are counted in
            characters, is the mean length of a target.
        speed: operations per second that training may reach on this machine.
        fresh: whether the weights are new, rather than those of another run.

    Raises:
        ConfigError: a field is out of its range.
    """
    _check_given(training or {})
    pairs, characters = encoded.pairs.training, len(encoded.training)
    enough = max(_FEWEST, min(_BATCH, _CHARACTERS * pairs // characters))
    batch = 2 ** int(math.log2(max(2, min(enough, pairs // _BATCHES))))
    chosen: dict[str, Any] = {"batch_size": batch, **(training or {})}
    fixed = {"halved_fraction": 0.0, "negatives": 0, "permute_rare": False, "state_reset": 0.0, "label_drop": 0.0}
    chosen |= {**fixed, "sequence_length": max(1, round(characters / pairs))}
    layers, source_vocab_size = encoder_layers(encoded), encoded.source_tokenizer.vocab_size
    given = dict(model or {})
    return recommend(
        characters,
        encoded.tokenizer.vocab_size,
        size=size,
        model={"encoder_layers": layers, "source_vocab_size": source_vocab_size, **given},
        training=chosen,
        speed=speed,
        fresh=fresh,
        shallow={name: 1 for name in ("encoder_layers", "layers") if name not in given},
    )


def _check_given(training: Mapping[str, Any]) -> None:
    """Refuses settings that pairs have no use for.

    Raises:
        ConfigError: one is given.
    """
    names = ("sequence_length", "halved_fraction", "negatives", "permute_rare", "state_reset", "label_drop")
    for name in (*names, "right_context", "joint_weight"):
        value = training.get(name)
        if value is not False and value not in (None, TrainingConfig.declared[name].off):
            raise ConfigError(f"{name} has no meaning for pairs; got {value}. Leave it out.", field=name)

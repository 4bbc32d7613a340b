"""Recommends a model and hyperparameters for a text and a budget, with reasons.

The constants come from measurements on several texts (`benchmarks/README.md`).
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from textgen.config import SIZES, ModelConfig, Size, TrainingConfig
from textgen.corpus.rare import LARGE
from textgen.display.format import short_duration

SPEED = 3e11
"""Operations per second, two in a multiply-add, that training is assumed to reach where nothing has been measured."""

STEP_OVERHEAD = 1.4e-4
"""Seconds of a layer's time step, forward and backward, besides its matrix products."""

_PER_WEIGHT = 3e-8
"""Seconds of a weight in a step besides its products: its update and the sums of its gradients. It counts in steps of
pairs, and for a large vocabulary, of whose embedding and head a step updates all rows and multiplies few. Other batches
have so many characters for each weight that it does not."""

_BOTH = 2.5
"""A training step of both sides, in steps of one: the backward stack reads more, and there are three heads."""

_START = 10.0
"""Seconds of a budget before the first step: importing TensorFlow and Keras, most of it, and building its graph."""

_LEARNING = 0.94
"""The share of the rest that is spent in training steps; the others are validations, samples and saves."""

_SOONEST = 0.3
"""The share of a budget that is expected to be left after the start, at least."""

_FEWEST = 500_000
"""Characters that a larger size than the smallest sees in a time budget at least; with fewer, that one learned more."""

_PASS = 1_000_000
"""Characters of a longer text that count as much as a pass over a shorter one."""

_NEGATIVES = 512
"""Of a vocabulary of `LARGE` ids and more, those that a step's softmax is estimated from."""

_EMBEDDING = 256
"""The size of such a vocabulary's embedding, at least: thousands of characters differ in more ways than dozens."""

_VALIDATED = 2**17
"""Characters that a validation scores before the end, divided by the vocabulary's multiple of the large one."""

_READING = 384
"""`hidden_rate` times the units of a layer: a sum over more outputs moves as far in smaller steps."""

_FASTEST = 3.0
"""The highest `hidden_rate`: no narrower layers were measured."""

_FEW_PASSES = 3.0
"""Passes in the time below which a shallow model, which makes more of them, is better."""

_SMALLEST_STREAM = 8
_SHORTEST_HALVED = 32


@dataclass(frozen=True, kw_only=True)
class Recipe:
    """The result of `recommend`.

    Args:
        model: the network's shape.
        training: the training settings, with `epochs` or `time` set.
        reason: why this size, in words.
        budget: how long training takes and why, in words.
    """

    model: ModelConfig
    training: TrainingConfig
    reason: str
    budget: str


def default_time(characters: int) -> float:
    """The default time budget in seconds, where the user gives neither time nor epochs.

    Args:
        characters: length of the training text.

    Example:
        >>> [default_time(n) for n in (20_000, 250_000, 1_000_000, 5_000_000, 10**9)]
        [60.0, 120.0, 180.0, 600.0, 1800.0]
    """
    for below, seconds in ((100_000, 60.0), (500_000, 120.0), (2_000_000, 180.0), (20_000_000, 600.0)):
        if characters < below:
            return seconds
    return 1800.0


def step_seconds(
    model: ModelConfig,
    batch_size: int,
    sequence_length: int,
    *,
    negatives: int = 0,
    speed: float = SPEED,
    overhead: float = STEP_OVERHEAD,
) -> float:
    """Estimated seconds of a training step: 6 operations per weight and character, and an overhead per time step.

    In steps of pairs, and of a softmax that is estimated, updates count, too.

    Args:
        model: the network's shape.
        batch_size: streams in a batch.
        sequence_length: time steps.
        negatives: characters that the softmax is estimated from; 0 for all.
        speed: operations per second.
        overhead: seconds of a layer's time step besides its products.
    """
    if model.both:
        one = step_seconds(
            model.forwards, batch_size, sequence_length, negatives=negatives, speed=speed, overhead=overhead
        )
        return _BOTH * one
    spared = max(model.vocab_size - negatives, 0) * model.units if negatives else 0
    weights = model.weights - model.vocab_size * model.embedding - spared
    operations = 6.0 * weights * batch_size * sequence_length
    # Each layer of an encoder reads in two directions.
    layers = model.layers + 2 * model.encoder_layers
    rows = model.vocab_size * (model.embedding + model.units) if negatives else 0
    fixed = _PER_WEIGHT * (model.weights if model.has_encoder else rows)
    return operations / speed + overhead * layers * sequence_length + fixed


def least_memory(model: ModelConfig, batch_size: int, sequence_length: int) -> int:
    """Lower bound of the memory of training in bytes: weights, initial weights, gradients, moments and activations.

    Args:
        model: the network's shape.
        batch_size: streams in a batch.
        sequence_length: time steps.

    Example:
        >>> least_memory(ModelConfig(vocab_size=100, cell="lstm", layers=1, units=100, embedding=100), 10, 10)
        2210000
    """
    values = model.layers * model.free_gates * model.units + model.vocab_size
    values *= 2 if model.both else 1
    return 4 * (5 * model.stored + batch_size * sequence_length * values)


def recommend(
    characters: int,
    vocab_size: int,
    *,
    size: Size | None = None,
    model: Mapping[str, Any] | None = None,
    training: Mapping[str, Any] | None = None,
    speed: float = SPEED,
    overhead: float = STEP_OVERHEAD,
    workers: int = 1,
    fresh: bool = True,
    shallow: Mapping[str, Any] | None = None,
) -> Recipe:
    """Recommends a model and its training settings for a text.

    Args:
        characters: length of the training text.
        vocab_size: ids in the vocabulary.
        size: a preset; None for text and time to decide.
        model: fields of `ModelConfig` that the user gave.
        training: fields of `TrainingConfig` that the user gave.
        speed: operations per second that training may reach on this machine.
        overhead: seconds of a layer's time step besides its products.
        workers: machines that train together, each with a batch of its own.
        fresh: whether the weights are new, rather than those of another run: only then the rates follow the width.
        shallow: fields of `ModelConfig` that are better where the time is short for the preset's shape; None for none.

    Returns:
        The configurations and their reasons.

    Raises:
        ConfigError: a field is out of its range.
    """
    model, training = dict(model or {}), dict(training or {})
    chosen_time = training.get("epochs") is None and training.get("time") is None
    if chosen_time:
        training["time"] = default_time(characters)
    training = _batch(characters // workers, training)
    training = {**_by_vocabulary(vocab_size), **training}
    config = TrainingConfig(**training)

    def shape(name: Size) -> ModelConfig:
        return ModelConfig(vocab_size=vocab_size, **_shape(name, vocab_size, model))

    def epochs(name: Size) -> float:
        if config.epochs is not None:
            return config.epochs
        pace = step_seconds(
            shape(name),
            config.batch_size,
            config.sequence_length,
            negatives=config.negatives,
            speed=speed,
            overhead=overhead,
        )
        time = config.time or 0.0
        learning = _LEARNING * max(time - _START, _SOONEST * time)
        return learning / pace * workers * config.batch_size * config.sequence_length / max(characters, 1)

    asked = size is not None
    if size is None:
        fewest = _FEWEST if config.epochs is None else 0
        size = _size(characters, {name: epochs(name) for name in SIZES}, fewest=fewest)
    if shallow and config.epochs is None and epochs(size) < _FEW_PASSES:
        model |= shallow
    reason = "as you asked" if asked else _reason(size, characters, epochs(size))
    # A preset whose shape is the user's own in full has only lent its hyperparameters.
    reason = "as you asked" if {"layers", "units"} <= model.keys() else f"{size}, {reason}"
    habits = _by_passes(
        epochs(size),
        characters,
        # Of a large vocabulary's embedding and head, which are rows of their own for each character, only few are used.
        weights=shape(size).forwards.weights - vocab_size * (shape(size).embedding + shape(size).units + 1),
        # Without gates the state itself is multiplied by the kernel at every step, and larger steps did harm.
        units=shape(size).units if fresh and shape(size).facts.sigmoid else None,
        halved=config.sequence_length >= _SHORTEST_HALVED and config.sequence_length % 2 == 0,
        estimated=config.negatives > 0,
    )
    # What a text lacks another run may have learned.
    habits["training"]["permute_rare"] = fresh
    final_model = ModelConfig(vocab_size=vocab_size, **{**habits["model"], **_shape(size, vocab_size, model)})
    final_training = TrainingConfig(**{**habits["training"], **training})
    if chosen_time:
        budget = f"{short_duration(final_training.time or 0.0)}, which suits {characters:,} characters"
    elif final_training.time is not None:
        budget = short_duration(final_training.time)
    else:
        budget = f"{final_training.epochs:g} epoch{'s'[: final_training.epochs != 1]}"
    return Recipe(model=final_model, training=final_training, reason=reason, budget=budget)


def _size(characters: int, epochs: Mapping[Size, float], *, fewest: int) -> Size:
    """The largest preset that sees enough characters in the time and is not too large for the text.

    Enough are some passes over a text of up to a million characters, and as many characters of a longer one, but not
    less than `fewest`.

    Where "huge" begins is extrapolated: it then sees as many characters for each of its weights as "large" does where
    that begins, 6.4, and "large" in its stead nearly 30.
    """
    fits: Mapping[Size, int] = {"tiny": 0, "small": 70_000, "medium": 400_000, "large": 800_000, "huge": 20_000_000}
    enough: Mapping[Size, float] = {"tiny": 0.0, "small": 1.0, "medium": 3.0, "large": 16.0, "huge": 35.0}
    chosen: Size = "tiny"
    for name in SIZES:
        seen = epochs[name] * characters
        passes = max(epochs[name], seen / _PASS)
        if name == "tiny" or (characters >= fits[name] and passes >= enough[name] and seen >= fewest):
            chosen = name
    return chosen


def _reason(size: Size, characters: int, epochs: float) -> str:
    """Why a preset suits a text and the passes over it, in words."""
    reason = f"because the text has {characters:,} characters and training passes over them {epochs:.1f} times"
    return f"{reason}; by extrapolation, not measured" if size == "huge" else reason


def _shape(size: Size, vocab_size: int, model: Mapping[str, Any]) -> dict[str, Any]:
    """The fields of a preset's shape, and those that the user gave."""
    preset = dict(SIZES[size])
    if vocab_size >= LARGE:
        preset["embedding"] = max(preset["embedding"], _EMBEDDING)
    return {**preset, **model}


def _by_vocabulary(vocab_size: int) -> dict[str, Any]:
    """The hyperparameters that depend on the vocabulary: the head of a large one costs most of a step."""
    return {
        "negatives": _NEGATIVES if vocab_size >= LARGE else 0,
        "validation_characters": _VALIDATED // (1 + vocab_size // LARGE),
    }


def _by_passes(
    epochs: float, characters: int, *, weights: int, units: int | None, halved: bool, estimated: bool
) -> dict[str, dict[str, Any]]:
    """The hyperparameters that depend on the number of passes over the text.

    Short budgets need less dropout, long ones more dropout and a lower learning rate. With more passes the model grows
    overconfident, which a smaller scale of its logits corrects. Passes count less over a text of more than a million
    characters that has more of them than the model has weights: it is learned by heart more slowly.

    Args:
        epochs: passes over the text.
        characters: length of the text.
        weights: those of the recurrent layers.
        units: those of a layer, if the learning rates follow them.
        halved: whether a batch can be halved in time.
        estimated: whether the softmax is estimated, where computing it with and without the scale costs most.
    """
    seen = epochs * max(characters / _PASS, 1.0)
    learned = epochs * min(max(weights, _PASS) / max(characters, 1), 1.0)
    often = math.log2(max(learned / 5.0, 1.0))
    dropout = min(0.015 * learned, 0.075) + min(0.09 * often, 0.4)
    weight_drop = min(0.04 * often, 0.3)
    return {
        "model": {"dropout": round(dropout, 2), "input_dropout": 0.05 if learned >= 1.5 else 0.0},
        "training": {
            "weight_drop": round(weight_drop, 2),
            **_rates(seen, units, estimated=estimated),
            "cautious": True,
            "calibrate": True,
            "decay_fraction": 0.9,
            "halved_fraction": 0.35 if halved else 0.0,
            "logit_scale": 1.0 if estimated else round(1.0 + min(0.043 * math.log2(1.0 + learned), 0.25), 2),
        },
    }


def _rates(seen: float, units: int | None, *, estimated: bool) -> dict[str, float]:
    """The learning rate, and the factor of the kernels that read outputs, after Yang et al. (2022).

    They are in inverse proportion to the units that are read, while all other arrays have one rate for all widths.

    Args:
        seen: passes over the text, or over a million characters of a longer one.
        units: those of a layer; None for rates that do not follow them.
        estimated: whether the softmax is estimated: of a large vocabulary most rows have few gradients.
    """
    if units is None:
        return {"learning_rate": 1.2e-2 if seen < 8.0 else 1e-2, "hidden_rate": 1.0}
    reading = _READING * (2 if estimated else 1) / units
    return {"learning_rate": 1.8e-2 if seen < 8.0 else 1.5e-2, "hidden_rate": round(min(reading, _FASTEST), 2)}


def _batch(characters: int, training: dict[str, Any]) -> dict[str, Any]:
    """Fewer and shorter streams for a text that the default batch would cover in a few steps, or that lacks one.

    Of the two only what the user has left open is changed.
    """
    batch_asked, length_asked = "batch_size" in training, "sequence_length" in training
    defaults = TrainingConfig()
    batch = training.get("batch_size", defaults.batch_size)
    length = training.get("sequence_length", defaults.sequence_length)
    while not (batch_asked or length_asked) and batch * length * 8 > characters and batch > 2:
        batch, length = batch // 2, max(length // 2, _SMALLEST_STREAM)
    if not batch_asked:
        # A batch needs one character more than its inputs, the last target.
        batch = min(batch, max((characters - 1) // (length if length_asked else 1), 1))
    if not length_asked and batch > 0:
        length = min(length, max((characters - 1) // batch, 1))
    return {**training, "batch_size": batch, "sequence_length": length}

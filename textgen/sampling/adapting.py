"""A model and a text to a model that has read the text, with the statistics of the run's own text where it is found.

Text goes in; new weights come out, with what they rest on. The parts know their own business; here is their order.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from textgen.config import AdaptationConfig, ModelConfig, Unknown, require
from textgen.corpus.context import context_ids
from textgen.corpus.tokenizer import CharTokenizer
from textgen.engine.adaptation.learner import Learner
from textgen.engine.adaptation.statistics import GradientStatistics, gather_statistics
from textgen.errors import RunError
from textgen.model.description import CorpusDescription
from textgen.model.weights import ModelWeights
from textgen.runs.provenance import RunText, read_run_text

Progress = Callable[[str, int, int], None]

_TRAINING = 4 << 20
"""Bytes of the training text, from its end, over which the places for the statistics are spread."""


@dataclass(frozen=True, kw_only=True)
class Adaptation:
    """What a writer was adapted to.

    Args:
        characters: how many it read and learned from.
        nats_per_character: the mean negative log-probability of the text while it was read, each character by what had
            been learned before it.
        settings: how it learned.
        problem: why the usual size of the gradients comes from the text itself and not from the training text, in a
            sentence; "" where it comes from the training text.
    """

    characters: int
    nats_per_character: float
    settings: AdaptationConfig
    problem: str = ""

    @property
    def bits_per_character(self) -> float:
        """The same in bits."""
        return self.nats_per_character / math.log(2.0)


def adapt_weights(
    config: ModelConfig,
    weights: ModelWeights,
    tokenizer: CharTokenizer,
    text: str,
    settings: AdaptationConfig,
    *,
    description: CorpusDescription,
    path: Path | None,
    corpus: Sequence[str] = (),
    unknown: Unknown = "error",
    progress: Progress | None = None,
) -> tuple[ModelWeights, Adaptation]:
    """The weights of a model that has read a text and learned from it.

    Args:
        config: the model's shape.
        weights: its weights; they stay as they are.
        tokenizer: its vocabulary.
        text: what to read, at least one character; it follows on nothing.
        settings: how to learn.
        description: what the checkpoint says about the training text.
        path: the checkpoint.
        corpus: where the training text is now; empty takes the recorded places.
        unknown: what becomes of characters that the model never saw: see `CharTokenizer.encode`.
        progress: called with what is being done ("reading", "statistics" or "adapting"), how much of it is done, and
            how much there is to do.

    Raises:
        UnknownCharacterError: the text holds characters that the model never saw, and `unknown` is "error".
        ConfigError: nothing of the text is left to read, or it is longer than `settings.longest`.
        RunError: there is a `corpus`, and it is not the training text.
        TrainingError: the rate is so high that the model came apart.
    """
    ids = tokenizer.encode(text, unknown=unknown)
    require(len(ids) > 0, "text", "at least one character that the model knows", text)
    require(
        len(ids) <= settings.longest,
        "text",
        f"of at most {settings.longest:,} characters",
        len(ids),
        "Adapt to a part of it, or let training learn from all of it: textgen train FILE --from RUN",
    )
    report = progress or (lambda *_: None)
    problem = ""
    own: RunText | None = None
    try:
        own = read_run_text(
            description, path, keep=_TRAINING, sources=corpus, progress=lambda done, all_: report("reading", done, all_)
        )
    except RunError as error:
        if corpus:
            raise
        problem = str(error)
    whole = np.concatenate([context_ids(tokenizer, ids[:0]), ids])
    usual = training_statistics(config, weights, tokenizer, own, settings, progress=progress)
    if usual is None:
        problem = problem or "There is next to no training text."
        usual = gather_statistics(
            config, weights, whole, settings, progress=lambda done, all_: report("statistics", done, all_)
        )
    learner = Learner(config, weights, settings, statistics=usual)
    logprobs = learner.read(whole, progress=lambda done, all_: report("adapting", done, all_))
    adaptation = Adaptation(
        characters=len(ids), nats_per_character=-float(logprobs.mean()), settings=settings, problem=problem
    )
    return learner.weights, adaptation


def training_statistics(
    config: ModelConfig,
    weights: ModelWeights,
    tokenizer: CharTokenizer,
    own: RunText | None,
    settings: AdaptationConfig,
    *,
    progress: Progress | None = None,
) -> GradientStatistics | None:
    """The statistics of what a run was trained on.

    Args:
        config: the model's shape.
        weights: its weights.
        tokenizer: its vocabulary.
        own: the run's own text; None if it is not to be had.
        settings: how it will learn.
        progress: called with "statistics", the characters done and all, now and then.

    Returns:
        None where there is no training text to speak of.
    """
    data = b"" if own is None else own.training
    # The text may be cut within a character: in UTF-8 the bytes after a character's first one are 10xxxxxx.
    first = next((n for n, byte in enumerate(data[:4]) if byte & 0xC0 != 0x80), 0)
    ids = tokenizer.encode(data[first:].decode("utf-8", "surrogatepass"), unknown="replace")
    if len(ids) < 2:
        return None
    report = progress or (lambda *_: None)
    return gather_statistics(
        config, weights, ids, settings, progress=lambda done, all_: report("statistics", done, all_)
    )

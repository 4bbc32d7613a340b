"""Adapts a model's weights to a text by dynamic evaluation, with gradient statistics of the training text if found."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

import numpy as np
from numpy.typing import NDArray

from textgen.config import AdaptationConfig, ModelConfig, Unknown, require
from textgen.corpus.context import context_ids
from textgen.corpus.tokenizer import CharTokenizer
from textgen.engine.adaptation.learner import Learner
from textgen.engine.adaptation.statistics import GradientStatistics, gather_statistics
from textgen.engine.mixture import mix_logprobs
from textgen.errors import ConfigError, RunError
from textgen.model.description import CorpusDescription
from textgen.model.weights import ModelWeights
from textgen.runs.provenance import RunText, read_run_text

if TYPE_CHECKING:
    from textgen.sampling.trained_model import TrainedModel

M = TypeVar("M", bound="TrainedModel")

Progress = Callable[[str, int, int], None]

_TRAINING = 4 << 20
"""Bytes of the training text, from its end, from which the segments for the statistics are taken."""


@dataclass(frozen=True, kw_only=True)
class Adaptation:
    """What a writer was adapted to.

    Args:
        characters: length of the text it was adapted to.
        nats_per_character: the mean negative log-probability of the text, each character predicted before the weights
            learned from it.
        settings: the adaptation's hyperparameters.
        problem: why the gradient statistics come from the text itself and not from the training text, in a sentence; ""
            where they come from the training text.
    """

    characters: int
    nats_per_character: float
    settings: AdaptationConfig
    problem: str = ""

    @property
    def bits_per_character(self) -> float:
        """`nats_per_character` in bits."""
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
    unknown: Unknown = "auto",
    progress: Progress | None = None,
) -> tuple[ModelWeights, Adaptation, NDArray[np.float64]]:
    """Adapts a model's weights to a text.

    Of a model of both sides each half adapts by itself, the backward one to the text from right to left; the joint head
    keeps its weights.

    Args:
        config: the model's shape.
        weights: its weights, which are not changed.
        tokenizer: its vocabulary.
        text: at least one character; read without any context before it.
        settings: the hyperparameters.
        description: what the checkpoint says about the training text.
        path: the checkpoint.
        corpus: current paths of the training text; empty takes the recorded ones.
        unknown: how characters that the model never saw are treated: see `CharTokenizer.encode`.
        progress: called with the stage ("reading", "statistics" or "adapting"), the amount done and the total.

    Returns:
        The new weights, what they were adapted to, and `(characters,)`: the forward half's log-probability of each
        character of the text, before the weights learned from it.

    Raises:
        UnknownCharacterError: the text holds characters that the model never saw, and `unknown` refuses them.
        ConfigError: no character of the text is left, or it is longer than `settings.longest`.
        RunError: `corpus` is given and is not the training text.
        TrainingError: the model diverged because the learning rate is too high.
    """
    if tokenizer.has_end:
        raise ConfigError(
            "A model of records cannot be adapted to a text. Let training learn from more records: textgen train FILE "
            "--from RUN"
        )
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
    start = context_ids(tokenizer, ids[:0])
    halves = [(weights.forwards, np.concatenate([start, ids]))]
    if weights.backward is not None:
        halves.append((weights.backward, np.concatenate([start, ids[::-1]])))

    def part(stage: str, number: int) -> Callable[[int, int], None]:
        """Reports what is done on one half as a part of what is done on all."""
        return lambda done, all_: report(stage, done + number * all_, len(halves) * all_)

    statistics, learners, logprobs = [], [], []
    for number, (half, whole) in enumerate(halves):
        progress_of = part("statistics", number)
        usual = training_statistics(
            config.forwards, half, tokenizer, own, settings, backwards=number > 0, progress=progress_of
        )
        if usual is None:
            problem = problem or "The training text is too short."
            usual = gather_statistics(config.forwards, half, whole, settings, progress=progress_of)
        statistics.append(usual)
    for number, ((half, whole), usual) in enumerate(zip(halves, statistics, strict=True)):
        learner = Learner(config.forwards, half, settings, statistics=usual)
        logprobs.append(learner.read(whole, progress=part("adapting", number)))
        learners.append(learner)
    adaptation = Adaptation(
        characters=len(ids), nats_per_character=-float(logprobs[0].mean()), settings=settings, problem=problem
    )
    adapted, *others = (learner.weights for learner in learners)
    if others:
        adapted = replace(adapted, backward=others[0], joint=weights.joint)
    return adapted, adaptation, logprobs[0]


def adapt_model(
    model: M,
    text: str,
    settings: AdaptationConfig,
    *,
    corpus: Sequence[str] = (),
    unknown: Unknown = "auto",
    progress: Progress | None = None,
) -> M:
    """What `Writer.adapt` does, with the same errors; the settings are a configuration, the text normalised."""
    found, whole = adapt_members(model.members, text, settings, corpus=corpus, unknown=unknown, progress=progress)
    kind = type(model)
    adapted = [
        kind(
            config=each.config if weights.joint is not None else each.config.forwards,
            weights=weights,
            tokenizer=each.tokenizer,
            metadata=each.metadata,
            path=each.path,
            adaptation=adaptation,
        )
        for (each, _), (weights, adaptation) in zip(model.members, found, strict=True)
    ]
    mixed = kind.mix(adapted, [share for _, share in model.members])
    mixed.adaptation = whole
    return mixed


def adapt_members(
    members: Sequence[tuple[TrainedModel, float]],
    text: str,
    settings: AdaptationConfig,
    *,
    corpus: Sequence[str] = (),
    unknown: Unknown = "auto",
    progress: Progress | None = None,
) -> tuple[list[tuple[ModelWeights, Adaptation]], Adaptation]:
    """Adapts the models of a mixture to a text, each for itself; the arguments are those of `adapt_weights`.

    Of several models the forward halves adapt, which are all that a mixture reads with.

    Returns:
        The weights of each and what it was adapted to; and the same of the mixture, with its own log-probabilities.
    """
    several = len(members) > 1
    found = [
        adapt_weights(
            writer.config.forwards if several else writer.config,
            writer.weights.forwards if several else writer.weights,
            writer.tokenizer,
            text,
            settings,
            description=writer.metadata.corpus,
            path=writer.path,
            corpus=corpus,
            unknown=unknown,
            progress=progress,
        )
        for writer, _ in members
    ]
    logprobs = mix_logprobs([each for _, _, each in found], np.log([share for _, share in members]))
    problems = dict.fromkeys(each.problem for _, each, _ in found if each.problem)
    whole = replace(found[0][1], nats_per_character=-float(logprobs.mean()), problem=" ".join(problems))
    return [(weights, adaptation) for weights, adaptation, _ in found], whole


def training_statistics(
    config: ModelConfig,
    weights: ModelWeights,
    tokenizer: CharTokenizer,
    own: RunText | None,
    settings: AdaptationConfig,
    *,
    backwards: bool = False,
    progress: Callable[[int, int], None] | None = None,
) -> GradientStatistics | None:
    """The gradient statistics of a run's training text.

    Args:
        config: the model's shape.
        weights: its weights.
        tokenizer: its vocabulary.
        own: the run's own text; None if it is not available.
        settings: the hyperparameters.
        backwards: read the text from right to left, with the weights of a backward half.
        progress: called now and then with the characters done and the total.

    Returns:
        None where there is no training text, or less than two characters.
    """
    data = b"" if own is None else own.training
    # The text may be cut within a character: in UTF-8 the bytes after a character's first one are 10xxxxxx.
    first = next((n for n, byte in enumerate(data[:4]) if byte & 0xC0 != 0x80), 0)
    ids = tokenizer.encode(data[first:].decode("utf-8", "surrogatepass"), unknown="replace")
    if len(ids) < 2:
        return None
    return gather_statistics(config, weights, ids[::-1] if backwards else ids, settings, progress=progress)

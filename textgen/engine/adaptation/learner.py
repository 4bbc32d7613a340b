"""Dynamic evaluation: scores a text segment by segment, and learns from each segment after it is scored."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from textgen.config import AdaptationConfig, ModelConfig, require
from textgen.engine.adaptation.gradient import Ids, Network
from textgen.engine.adaptation.parameters import Parameters
from textgen.engine.adaptation.rule import Rule
from textgen.engine.adaptation.statistics import GradientStatistics
from textgen.engine.blas import ALONE
from textgen.errors import TrainingError
from textgen.model.weights import ModelWeights

Progress = Callable[[int, int], None]

_FIRST = 32
"""Segments that are read before learning begins, where no statistics are given."""


class Learner:
    """A copy of a model that learns while it reads.

    Args:
        config: the model's shape.
        weights: its weights; they are copied.
        settings: how it learns.
        statistics: from `gather_statistics` on the training text. None gathers them from the first `settings.sample`
            characters that are read, and learns nothing from the very first segments.
    """

    def __init__(
        self,
        config: ModelConfig,
        weights: ModelWeights,
        settings: AdaptationConfig,
        *,
        statistics: GradientStatistics | None = None,
    ) -> None:
        self.settings = settings
        self._parameters = Parameters.from_weights(config, weights)
        self._network = Network(self._parameters)
        self._gradient = self._parameters.like()
        self._state = self._network.initial_state(1)
        self._rule = None if statistics is None else Rule(self._parameters.values, statistics, settings)
        self._gathering = None if statistics is not None else GradientStatistics.empty(self._parameters)
        self._trained = None if statistics is not None else self._parameters.values.copy()
        self._rebuild_at = _FIRST

    @property
    def weights(self) -> ModelWeights:
        """A copy of the current weights."""
        return self._parameters.to_weights()

    def read(self, ids: Ids, *, progress: Progress | None = None) -> NDArray[np.float64]:
        """Scores a text and learns from it; the state is carried over from the last call.

        Args:
            ids: `(n,)`, at least two; the first is context only, not predicted.
            progress: called now and then with the characters done and the total.

        Returns:
            `(n - 1,)`: the log-probability of each of `ids[1:]`, given all before it, with the weights learned from
            the segments before its own.

        Raises:
            TrainingError: the model diverged: the learning rate is too high.
        """
        require(len(ids) >= 2, "text", "at least two characters that the model knows", len(ids))
        count, segment = len(ids) - 1, self.settings.segment
        logprobs = np.empty(count)
        with np.errstate(over="ignore", invalid="ignore"):
            for start in range(0, count, segment):
                stop = min(start + segment, count)
                with ALONE:
                    logprobs[start:stop] = self._learn(ids[start:stop], ids[start + 1 : stop + 1])
                if progress is not None:
                    progress(stop, count)
        if not np.isfinite(self._parameters.values).all():
            raise self._diverged()
        return logprobs

    def _learn(self, inputs: Ids, targets: Ids) -> NDArray[np.float64]:
        network, gradient = self._network, self._gradient
        segment = network.read(inputs[:, None], targets[:, None], self._state)
        logprobs = segment.logprobs[:, 0]
        if not np.isfinite(logprobs).all():
            raise self._diverged()
        self._state = segment.state
        network.gradient(segment, network.backward(segment), gradient)
        # A shorter last segment has a proportionally smaller gradient.
        gradient.values *= np.float32(1.0 / self.settings.segment)
        if self._gathering is not None:
            self._gather(self._gathering)
        if self._rule is not None:
            self._rule.apply(self._parameters.values, gradient.values)
        return logprobs

    def _diverged(self) -> TrainingError:
        return TrainingError(
            "The model diverged while it learned from the text: its weights are no longer finite. "
            f"Choose a learning rate below {self.settings.learning_rate:g}."
        )

    def _gather(self, statistics: GradientStatistics) -> None:
        """Adds the last gradient; the rule is rebuilt whenever the number of gradients has doubled."""
        statistics.add(self._gradient.values)
        enough = statistics.segments * self.settings.segment >= self.settings.sample
        if self._trained is not None and (enough or statistics.segments >= self._rebuild_at):
            self._rule = Rule(self._trained, statistics, self.settings)
            self._rebuild_at *= 2
        if enough:
            self._gathering = None


def score_dynamic(
    config: ModelConfig,
    weights: ModelWeights,
    ids: Ids,
    settings: AdaptationConfig | None = None,
    *,
    statistics: GradientStatistics | None = None,
    progress: Progress | None = None,
) -> NDArray[np.float64]:
    """Dynamic evaluation: the log-probability of each id but the first, by a model that learns from what it has read.

    Each segment is scored before it is learned from; the state is carried through the whole text.

    Args:
        config: the model's shape.
        weights: its weights; they are not changed.
        ids: `(n,)`, at least two.
        settings: how it learns; None takes the defaults.
        statistics: from `gather_statistics` on the training text, never on what is to be scored; None gathers them
            from the part already read.
        progress: called now and then with the characters done and the total.

    Returns:
        `(n - 1,)`, natural logarithms: that of `ids[1:]`.

    Raises:
        ConfigError: the text is too short.
        TrainingError: the model diverged: the learning rate is too high.
    """
    learner = Learner(config, weights, settings or AdaptationConfig(), statistics=statistics)
    return learner.read(ids, progress=progress)

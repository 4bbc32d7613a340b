"""A model that reads a text and learns from it: segment by segment, each first scored and then learned from.

Ids go in; log-probabilities come out, each from weights that have not seen it, and the weights as they are now. The
module knows no file, and the trained weights stay as they are.
"""

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
"""Segments that are read before learning begins, where there are no statistics beforehand."""


class Learner:
    """A copy of a model that learns while it reads.

    Args:
        config: the model's shape.
        weights: its weights; they are copied.
        settings: how it learns.
        statistics: how large gradients usually are, from `gather_statistics` on the training text. None gathers them
            from what has been read so far, of up to `settings.sample` characters, and learns nothing from the very
            first segments.
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
        self._renew = _FIRST

    @property
    def weights(self) -> ModelWeights:
        """A copy of the weights as they are now."""
        return self._parameters.to_weights()

    def read(self, ids: Ids, *, progress: Progress | None = None) -> NDArray[np.float64]:
        """Scores a text and learns from it; the state is carried on from what was read before.

        Args:
            ids: `(n,)`, at least two; the first is only read, not foretold.
            progress: called with the characters done and all, now and then.

        Returns:
            `(n - 1,)`: the log-probability of each of `ids[1:]`, given all before it, by weights that have learned from
            the segments before its own.

        Raises:
            TrainingError: the rate is so high that the model came apart.
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
            raise self._apart()
        return logprobs

    def _learn(self, inputs: Ids, targets: Ids) -> NDArray[np.float64]:
        network, gradient = self._network, self._gradient
        stretch = network.read(inputs[:, None], targets[:, None], self._state)
        logprobs = stretch.logprobs[:, 0]
        if not np.isfinite(logprobs).all():
            raise self._apart()
        self._state = stretch.state
        network.gradient(stretch, network.backward(stretch), gradient)
        # A last segment that is shorter counts for as much as it holds.
        gradient.values *= np.float32(1.0 / self.settings.segment)
        if self._gathering is not None:
            self._gather(self._gathering)
        if self._rule is not None:
            self._rule.apply(self._parameters.values, gradient.values)
        return logprobs

    def _apart(self) -> TrainingError:
        return TrainingError(
            "The model came apart while it learned from the text: its numbers grew beyond all bounds. "
            f"Choose a learning rate below {self.settings.learning_rate:g}."
        )

    def _gather(self, statistics: GradientStatistics) -> None:
        """Counts the last gradient in; the rule is renewed whenever it rests on twice as many."""
        statistics.add(self._gradient.values)
        enough = statistics.segments * self.settings.segment >= self.settings.sample
        if self._trained is not None and (enough or statistics.segments >= self._renew):
            self._rule = Rule(self._trained, statistics, self.settings)
            self._renew *= 2
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

    A segment is scored, then learned from; the state is carried through. What comes later never changes what was
    scored before.

    Args:
        config: the model's shape.
        weights: its weights; they stay as they are.
        ids: `(n,)`, at least two.
        settings: how it learns; None takes the defaults.
        statistics: from `gather_statistics` on the training text, never on what is to be scored; None gathers them
            from the part already read.
        progress: called with the characters done and all, now and then.

    Returns:
        `(n - 1,)`, natural logarithms: that of `ids[1:]`.

    Raises:
        ConfigError: the text is too short.
        TrainingError: the rate is so high that the model came apart.
    """
    learner = Learner(config, weights, settings or AdaptationConfig(), statistics=statistics)
    return learner.read(ids, progress=progress)

"""What the parts of a run cost in seconds, from the run's own measurements."""

from __future__ import annotations

from statistics import median_low

_OUTLIER, _TRUSTED = 4.0, 5
"""Multiple of a step's average seconds that one step counts as at most, once this number of steps has been measured."""

_FEWEST = 6
"""Number of steps that the average is taken over at least: of fewer, one that was held up would move the end."""

_SCORING = 0.35
"""Time to score a character, as a share of the time to train on one, before a validation has been measured."""

_SCORING_GRAPH = 0.3
"""Time to build the graph of scoring, as a share of that of a training step, before it is built."""

_SAVING, _SAVING_WEIGHT = 0.12, 3.4e-7
"""Seconds of a sample with a save, and seconds more for each weight, before one has been measured."""

_REMEMBERED = 9
"""Number of validations and saves that the next one is expected from."""


class Costs:
    """Seconds of training steps, validations, saves and graphs, as far as measured, otherwise as estimated.

    Validations and saves are remembered in proportion to a step, so that all follow a machine whose load changes; the
    median of the last ones counts, since the load may change within one.

    Args:
        weights: number of weights of the model.
        characters: characters in a training step.
        scoring: operations of a forward pass in scoring, relative to one in training; more than 1 where training
            estimates the softmax.

    Attributes:
        step: seconds of a training step, a moving average; 0 before the first.
        measured: number of steps measured.
        building: seconds that the last graph of a training step took to build.

    Example:
        >>> costs = Costs(weights=70_000, characters=2048)
        >>> for _ in range(10):
        ...     costs.stepped(0.5, horizon=60.0)
        >>> costs.scored(20_480, 1.0)
        >>> costs.step, costs.scoring(40_960)
        (0.5, 2.0)
    """

    def __init__(self, *, weights: int, characters: int, scoring: float = 1.0) -> None:
        self.step, self.measured, self.building = 0.0, 0, 0.0
        self._characters = characters
        self._estimate, self._saving = _SCORING * scoring, _SAVING + _SAVING_WEIGHT * weights
        self._scored: list[float] = []
        self._saved: list[float] = []
        self._scoring_built = False

    def stepped(self, seconds: float, *, horizon: float) -> None:
        """Counts a step.

        Args:
            seconds: what it took, with all that callbacks did since the one before.
            horizon: about how many seconds of training the average is taken over.
        """
        self.measured += 1
        if self.measured > _TRUSTED:
            # One that is held up does not say that the following ones will be.
            seconds = min(max(seconds, self.step / _OUTLIER), self.step * _OUTLIER)
        over = max(min(horizon / max(self.step, 1e-9), self.measured), min(self.measured, _FEWEST))
        self.step = max(self.step + (seconds - self.step) / over, 1e-9)

    def changed(self, factor: float) -> None:
        """Expects the following steps to take `factor` times as long; what else is known stays as it is."""
        self.step *= factor
        self._scored = [share / factor for share in self._scored]
        self._saved = [share / factor for share in self._saved]
        self._estimate /= factor

    def built(self, seconds: float) -> None:
        """Notes what a step took that built its graph."""
        self.building = max(seconds - self.step, 0.0)

    def scored(self, characters: float, seconds: float) -> None:
        """Notes what scoring took, without the time to build its graph.

        Args:
            characters: their number; 0 if all that is known is that the graph has been built.
            seconds: what they took.
        """
        self._scoring_built = True
        if characters > 0 and self.step > 0.0:
            self._scored = [*self._scored[1 - _REMEMBERED :], seconds / characters * self._characters / self.step]

    def saved(self, seconds: float) -> None:
        """Notes what a sample with a save took."""
        if self.step > 0.0:
            self._saved = [*self._saved[1 - _REMEMBERED :], seconds / self.step]

    def scoring(self, characters: int) -> float:
        """Seconds to score a number of characters."""
        share = median_low(self._scored) if self._scored else self._estimate
        return share * self.step * characters / self._characters

    @property
    def scores(self) -> bool:
        """Whether a validation has been measured."""
        return bool(self._scored)

    @property
    def scoring_graph(self) -> float:
        """Seconds to build the graph of scoring; 0 once it is there."""
        return 0.0 if self._scoring_built else _SCORING_GRAPH * self.building

    @property
    def saving(self) -> float:
        """Seconds of a sample with a save."""
        return median_low(self._saved) * self.step if self._saved else self._saving

"""Callback that recovers from divergence: it restores the best weights and halves the learning rate."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import keras

from textgen.errors import TrainingError
from textgen.runs.events import Reporter
from textgen.training.progress import Progress

RECOVERIES = 3
"""Recoveries from divergence before the run ends with an error."""


class DivergenceRecovery(keras.callbacks.Callback):
    """Restores the best weights of a run that diverges, and halves its learning rate.

    A step has diverged if its loss or gradient norm is not finite, or if its loss is more than twice that of a
    uniform distribution over the vocabulary.

    Args:
        progress: the run's counters.
        reporter: is told of each recovery.
        vocab_size: characters in the vocabulary.
        best: restores the best weights so far.

    Raises:
        TrainingError: from `fit`, when training diverges once more after `RECOVERIES` recoveries.
    """

    def __init__(self, progress: Progress, reporter: Reporter, *, vocab_size: int, best: Callable[[], None]) -> None:
        super().__init__()
        self.progress, self.reporter = progress, reporter
        self._ceiling = 2.0 * math.log(max(vocab_size, 2)) + 2.0
        self._restore_best = best

    def on_train_batch_end(self, batch: int, logs: Any = None) -> None:
        """Checks the step's loss and gradient norm."""
        del batch, logs
        if self.diverged():
            self.count()
            self.restore()

    def diverged(self) -> bool:
        """Whether the last step has diverged."""
        loss, norm = self.model.worst_loss, float(self.model.gradient_norm)
        return not (loss <= self._ceiling and math.isfinite(norm))

    def count(self) -> None:
        """Counts a recovery, and halves the learning rate.

        Raises:
            TrainingError: there were enough of them.
        """
        progress = self.progress
        if progress.recoveries == RECOVERIES:
            raise TrainingError(
                f"Training diverged {RECOVERIES + 1} times (last at step {progress.step}). The best model is kept; "
                "train again with a lower --learning-rate."
            )
        progress.recoveries += 1
        progress.rate_factor *= 0.5

    def restore(self) -> None:
        """Goes back to the best weights."""
        progress = self.progress
        self._restore_best()
        self.model.reset_training_state()
        self.model.reset_metrics()
        self.reporter.warned(
            f"Training diverged at step {progress.step}; training continues from the best weights with "
            f"{progress.rate_factor:g} of the learning rate."
        )

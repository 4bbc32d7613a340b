"""Takes a run that diverges back to its best weights and lowers its learning rate."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import keras

from textgen.errors import TrainingError
from textgen.runs.events import Reporter
from textgen.training.progress import Progress

RECOVERIES = 3
"""How often a run that diverges goes back to its best weights before it ends with an error."""


class DivergenceRecovery(keras.callbacks.Callback):
    """Takes a run that diverges back to its best weights, with half the learning rate.

    A step has diverged when its loss is not finite, its gradient's norm is not finite, or its loss is more than
    twice that of a uniform guess over the vocabulary.

    Args:
        progress: the run's counters.
        reporter: hears of each recovery.
        vocab_size: characters in the vocabulary.
        best: puts the best weights so far into the model.

    Raises:
        TrainingError: from `fit`, when training diverges once more after `RECOVERIES` recoveries.
    """

    def __init__(self, progress: Progress, reporter: Reporter, *, vocab_size: int, best: Callable[[], None]) -> None:
        super().__init__()
        self.progress, self.reporter = progress, reporter
        self._ceiling = 2.0 * math.log(max(vocab_size, 2)) + 2.0
        self._restore_best = best

    def on_train_batch_end(self, batch: int, logs: Any = None) -> None:
        """Looks at the step's loss."""
        del batch, logs
        trainer, progress = self.model, self.progress
        loss, norm = float(trainer.last_loss), float(trainer.gradient_norm)
        if loss <= self._ceiling and math.isfinite(norm):
            return
        if progress.rescues == RECOVERIES:
            raise TrainingError(
                f"Training diverged {RECOVERIES + 1} times (last at step {progress.step}). The best model is kept; "
                "train again with a lower --learning-rate."
            )
        progress.rescues += 1
        progress.rate_factor *= 0.5
        self._restore_best()
        trainer.forget()
        trainer.reset_metrics()
        self.reporter.warned(
            f"Training diverged at step {progress.step}; going on from the best weights so far with "
            f"{progress.rate_factor:g} of the learning rate."
        )

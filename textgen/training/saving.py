"""Keeps what training brings: metrics, samples, the best and the last state, also where the user interrupts it."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import keras
import numpy as np

from textgen.config import TrainingConfig
from textgen.errors import CheckpointError
from textgen.model.results import Validation
from textgen.runs.events import Reporter
from textgen.training.progress import Progress


class Interrupted(Exception):  # noqa: N818
    """The user asked training to stop; the last state has been saved."""


class CheckpointCallback(keras.callbacks.Callback):
    """Writes the metrics, the samples, the best and the last state, and stops a run that no longer improves.

    A state that cannot be written is a warning, and is tried again at the next save; `failure` holds it until then.
    """

    def __init__(
        self,
        progress: Progress,
        config: TrainingConfig,
        reporter: Reporter,
        *,
        batches_per_epoch: int,
        save: Callable[[bool], None],
        sample: Callable[[int], str],
    ) -> None:
        super().__init__()
        self.progress, self.config, self.reporter = progress, config, reporter
        self.failure: CheckpointError | None = None
        self._batches_per_epoch = batches_per_epoch
        self._save_files, self._sample = save, sample
        self._saved = time.monotonic()
        self._cost = 0.0

    def on_train_batch_end(self, batch: int, logs: Any = None) -> None:
        """Saves the last state when it is time to.

        Where that goes by time, saving stays under 2 % of it; where it goes by steps, the user has decided.
        """
        del batch, logs
        if not self.progress.round_done and self._is_due():
            self.save()

    def _is_due(self) -> bool:
        steps = self.config.save_every_steps
        if steps is not None:
            return self.progress.step % steps == 0
        return time.monotonic() - self._saved >= max(self.config.save_every, 50.0 * self._cost)

    def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
        """Keeps what the round brought."""
        del epoch
        progress, config = self.progress, self.config
        value = float(logs.get("val_loss", logs["loss"]))
        best = value < progress.best
        progress.best, progress.waits = (value, 0) if best else (progress.best, progress.waits + 1)
        row = Validation(
            step=progress.step,
            epoch=progress.step / self._batches_per_epoch,
            seconds=round(progress.seconds, 1),
            characters=progress.step * config.batch_size * config.sequence_length,
            loss=float(logs["loss"]),
            val_loss=float(logs["val_loss"]) if "val_loss" in logs else None,
            learning_rate=float(np.asarray(self.model.optimizer.learning_rate)),
            sample=self._sample(progress.step),
        )
        progress.history.append(row)
        self.save(best=best)
        self.reporter.validated(row, best=best)
        if config.patience is not None and progress.waits >= config.patience and not progress.finished:
            self.model.stop_training = True
            self.reporter.finished(f"No better loss in {config.patience} validations: stopped early.")

    def save(self, *, best: bool = False) -> None:
        """Writes the last state, and the best one where `best`."""
        start = time.monotonic()
        try:
            self._save_files(best)
        except CheckpointError as error:
            self.failure = error
            self.reporter.warned(f"{error} Training goes on and saving is tried again.")
        else:
            self.failure = None
        self._saved = time.monotonic()
        self._cost = self._saved - start


class InterruptionCallback(keras.callbacks.Callback):
    """Ends training after the step in which the user asked for it, once the last state is saved.

    At the end of a round that is the first step of the next one, since the validation's result would be lost.
    """

    def __init__(self, progress: Progress, checkpoints: CheckpointCallback, asked: Callable[[], bool]) -> None:
        super().__init__()
        self.progress, self._checkpoints, self._asked = progress, checkpoints, asked

    def on_train_batch_end(self, batch: int, logs: Any = None) -> None:
        """Saves and leaves if the user asked."""
        del batch, logs
        if self._asked() and not self.progress.round_done:
            self._checkpoints.save()
            raise Interrupted

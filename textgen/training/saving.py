"""Callbacks that save the metrics, the samples, the best and the last state, also on interruption."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import keras
import numpy as np

from textgen.config import TrainingConfig
from textgen.errors import CheckpointError
from textgen.model.results import Validation
from textgen.runs.events import Reporter
from textgen.training.progress import Progress


class Interrupted(Exception):  # noqa: N818
    """The user interrupted training; the last state has been saved."""


class CheckpointCallback(keras.callbacks.Callback):
    """Saves the metrics, the samples, the best and the last state, and stops early after `patience` validations.

    A failed save is a warning, is kept in `failure`, and is retried at the next save.

    Args:
        progress: the run's counters.
        config: when to save and to stop.
        reporter: is told of validations and failures.
        batches_per_epoch: steps of a pass over the text.
        save: writes the last state, and the best one if it is given True.
        sample: a text by the model as it is, given the step.
        due: whether to save after this step; None goes by time or steps.
        workers: the number of those that train the run together.
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
        due: Callable[[], bool] | None = None,
        workers: int = 1,
    ) -> None:
        super().__init__()
        self.progress, self.config, self.reporter = progress, config, reporter
        self.failure: CheckpointError | None = None
        self._batches_per_epoch = batches_per_epoch
        self._save_files, self._sample = save, sample
        self._due, self._workers = due or self.is_due, workers
        self._saved = self.progress.seconds
        self._cost = 0.0

    def on_train_batch_end(self, batch: int, logs: Any = None) -> None:
        """Saves the last state when it is due.

        By time, saving takes less than 2 % of training; by steps, the interval is the user's choice.
        """
        del batch, logs
        if not self.progress.round_done and self._due():
            self.save()

    def is_due(self) -> bool:
        """Whether the last state is to be saved after this step."""
        steps = self.config.save_every_steps
        if steps is not None:
            return self.progress.step % steps == 0
        return self.progress.seconds - self._saved >= max(self.config.save_every, 50.0 * self._cost)

    def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
        """Records the round's validation, and saves."""
        del epoch
        progress, config = self.progress, self.config
        value = float(logs.get("val_loss", logs["loss"]))
        progress.whole_val_loss = logs.get("val_whole_loss")
        best = value < progress.best
        progress.best, progress.waits = (value, 0) if best else (progress.best, progress.waits + 1)
        row = Validation(
            step=progress.step,
            epoch=progress.step / self._batches_per_epoch,
            seconds=round(progress.seconds, 1),
            characters=progress.step * self._workers * config.batch_size * config.sequence_length,
            loss=float(logs["loss"]),
            val_loss=_number(logs, "val_loss"),
            learning_rate=float(np.asarray(self.model.optimizer.learning_rate)),
            sample=self._sample(progress.step),
            val_backward_loss=_number(logs, "val_backward_loss"),
            val_joint_loss=_number(logs, "val_joint_loss"),
        )
        progress.history.append(row)
        self.save(best=best)
        self.reporter.validated(row, best=best)
        if config.patience is not None and progress.waits >= config.patience and not progress.finished:
            self.model.stop_training = True
            self.reporter.finished(f"No better loss in {config.patience} validations: stopped early.")

    def save(self, *, best: bool = False) -> None:
        """Writes the last state, and the best one if `best`."""
        start = self.progress.seconds
        try:
            self._save_files(best)
        except CheckpointError as error:
            self.failure = error
            self.reporter.warned(f"{error} Training continues, and saving is retried.")
        else:
            self.failure = None
        self._saved = self.progress.seconds
        self._cost = self._saved - start


def _number(logs: Mapping[str, Any], name: str) -> float | None:
    return float(logs[name]) if name in logs else None


class InterruptionCallback(keras.callbacks.Callback):
    """Ends training after the step in which the user interrupted it, once the last state is saved.

    At the end of a round it waits for the first step of the next one, so that the validation is not lost.
    """

    def __init__(self, progress: Progress, checkpoints: CheckpointCallback, asked: Callable[[], bool]) -> None:
        super().__init__()
        self.progress, self._checkpoints, self._asked = progress, checkpoints, asked

    def on_train_batch_end(self, batch: int, logs: Any = None) -> None:
        """Saves and raises `Interrupted` if the user asked for it."""
        del batch, logs
        if self._asked() and not self.progress.round_done:
            self._checkpoints.save()
            raise Interrupted

"""Keeps the best model of a run: writes it, holds it in memory where that fails, and calibrates an earlier one."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import keras
import numpy as np
from numpy.typing import NDArray

from textgen.config import ModelConfig
from textgen.errors import CheckpointError
from textgen.model.keras_file import layer_arrays
from textgen.model.metadata import Metadata
from textgen.model.read import read_any_checkpoint
from textgen.model.write import write_checkpoint
from textgen.training.calibration import Calibrate
from textgen.training.keras_model import HEAD, assign_arrays
from textgen.training.trainer import Trainer


class BestModel:
    """The best model of a run so far, in a file.

    Args:
        path: gives its file, which may change.
        model: the Keras model that is trained.
        config: its configuration.
        trainer: scales its logits.
        record_hashes: written with it; None for none.

    Attributes:
        unwritten: weights, metadata and factors of a best model that is not in the file, but should be.
    """

    def __init__(
        self,
        path: Callable[[], Path],
        model: keras.Model,
        config: ModelConfig,
        trainer: Trainer,
        *,
        record_hashes: NDArray[np.uint64] | None,
    ) -> None:
        self._path, self._model, self._config, self._trainer = path, model, config, trainer
        self._record_hashes = record_hashes
        self.unwritten: tuple[list[np.ndarray], Metadata, Mapping[str, float]] | None = None

    def weights(self) -> list[np.ndarray] | None:
        """Its weights; None where there is none yet, or its file cannot be read."""
        if self.unwritten is not None:
            return self.unwritten[0]
        try:
            return read_any_checkpoint(self._path()).weights.arrays()
        except CheckpointError:
            return None

    def keep(self, metadata: Metadata, scales: Mapping[str, float]) -> None:
        """Keeps the model as it is now in memory, to be written by `retry`."""
        self.unwritten = layer_arrays(self._model, self._config), metadata, scales

    def write(self, metadata: Metadata, scales: Mapping[str, float]) -> None:
        """Writes the model as it is now, with its heads' logits multiplied by factors.

        Raises:
            CheckpointError: it cannot be written; it is kept in memory for the next time.
        """
        self.unwritten = None
        try:
            self._write(metadata, scales)
        except CheckpointError:
            self.keep(metadata, scales)
            raise

    def retry(self) -> None:
        """Writes the one that could not be written, if there is one; as `write`."""
        if self.unwritten is not None:
            weights, metadata, scales = self.unwritten
            with self._with_weights(weights):
                self.write(metadata, scales)

    def calibrate(self, calibrate: Calibrate, *, step: int) -> float | None:
        """Scales its logits to the lowest loss, unless that was done before.

        Args:
            calibrate: finds the factors of the model that is trained.
            step: that of the run.

        Returns:
            Its loss. None where there is no file of it, or where it already is the model of this step: that was written
            by a process that ended before it had saved the last state, and is going to be written again.

        Raises:
            CheckpointError: it cannot be written; it is as before.
        """
        self.retry()
        try:
            found = read_any_checkpoint(self._path())
        except CheckpointError:
            return None
        metrics = found.metadata.metrics
        if metrics.step == step and metrics.logit_scale is not None:
            return None
        if metrics.logit_scale is None:
            with self._with_weights(found.weights.arrays()):
                scales, losses = calibrate()
                metrics = metrics.calibrated(scales[HEAD], losses)
                self._write(replace(found.metadata, metrics=metrics), scales)
        return metrics.val_loss

    def _write(self, metadata: Metadata, scales: Mapping[str, float]) -> None:
        with self._trainer.scaled_logits(scales):
            write_checkpoint(self._path(), self._model, metadata=metadata, record_hashes=self._record_hashes)

    @contextlib.contextmanager
    def _with_weights(self, weights: Sequence[np.ndarray]) -> Iterator[None]:
        """Puts other weights into the model for the body."""
        now = layer_arrays(self._model, self._config)
        assign_arrays(self._model, self._config, weights)
        try:
            yield
        finally:
            assign_arrays(self._model, self._config, now)

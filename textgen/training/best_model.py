"""Keeps the best model of a run: writes it, holds it in memory where that fails, and calibrates an earlier one."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Sequence
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
from textgen.training.keras_model import assign_arrays
from textgen.training.loop import Calibrate
from textgen.training.trainer import Trainer


class BestModel:
    """The best model of a run so far, in a file.

    Args:
        path: its file.
        model: the Keras model that is trained.
        config: its configuration.
        trainer: scales its logits.
        record_hashes: written with it; None for none.

    Attributes:
        unwritten: weights and metadata of a best model that is not in the file, but should be.
    """

    def __init__(
        self,
        path: Path,
        model: keras.Model,
        config: ModelConfig,
        trainer: Trainer,
        *,
        record_hashes: NDArray[np.uint64] | None,
    ) -> None:
        self._path, self._model, self._config, self._trainer = path, model, config, trainer
        self._record_hashes = record_hashes
        self.unwritten: tuple[list[np.ndarray], Metadata] | None = None

    def weights(self) -> list[np.ndarray] | None:
        """Its weights; None where there is none yet, or its file cannot be read."""
        if self.unwritten is not None:
            return self.unwritten[0]
        try:
            return read_any_checkpoint(self._path).weights.arrays()
        except CheckpointError:
            return None

    def keep(self, metadata: Metadata) -> None:
        """Keeps the model as it is now in memory, to be written by `retry`."""
        self.unwritten = layer_arrays(self._model, self._config), metadata

    def write(self, metadata: Metadata, scale: float) -> None:
        """Writes the model as it is now, with its logits multiplied by `scale`.

        Raises:
            CheckpointError: it cannot be written; it is kept in memory for the next time.
        """
        self.unwritten = None
        try:
            with self._trainer.scaled_logits(scale):
                write_checkpoint(self._path, self._model, metadata=metadata, record_hashes=self._record_hashes)
        except CheckpointError:
            self.keep(metadata)
            raise

    def retry(self, scale: float) -> None:
        """Writes the one that could not be written, if there is one; as `write`."""
        if self.unwritten is not None:
            weights, metadata = self.unwritten
            with self._with_weights(weights):
                self.write(metadata, scale)

    def calibrate(self, calibrate: Calibrate) -> float | None:
        """Scales its logits to the lowest loss, unless that was done before.

        Args:
            calibrate: scores the held-out text by the model that is trained.

        Returns:
            Its loss; None where there is no file of it, or one without a loss.

        Raises:
            CheckpointError: it cannot be written; it is as before.
        """
        try:
            found = read_any_checkpoint(self._path)
        except CheckpointError:
            return None
        if found.metadata.metrics.logit_scale not in (None, 1.0):
            return found.metadata.metrics.val_loss
        with self._with_weights(found.weights.arrays()):
            scale, losses = calibrate()
            metadata = replace(found.metadata, metrics=found.metadata.metrics.calibrated(scale, losses))
            with self._trainer.scaled_logits(scale):
                write_checkpoint(self._path, self._model, metadata=metadata, record_hashes=self._record_hashes)
        return losses["loss"]

    @contextlib.contextmanager
    def _with_weights(self, weights: Sequence[np.ndarray]) -> Iterator[None]:
        """Puts other weights into the model for the body."""
        now = layer_arrays(self._model, self._config)
        assign_arrays(self._model, self._config, weights)
        try:
            yield
        finally:
            assign_arrays(self._model, self._config, now)

"""Plans a run in steps, from estimates of what its steps and validations take."""

from __future__ import annotations

import math
from dataclasses import dataclass

from textgen.config import ModelConfig, TrainingConfig
from textgen.training.calibration import SCALES
from textgen.training.placement import Placement
from textgen.training.recipe import step_seconds
from textgen.training.schedule import Plan

_SCALE_SECONDS = 5e-9
"""Seconds of a core for a character's loss at one scale of the logits, per character of the vocabulary."""


@dataclass(frozen=True)
class Planning:
    """Estimates for a run.

    Args:
        placement: where it trains.
        model: the network's shape.
        config: the training settings.
    """

    placement: Placement
    model: ModelConfig
    config: TrainingConfig

    def step_seconds(self, negatives: int | None = None) -> float:
        """Estimated seconds of a training step."""
        return step_seconds(
            self.model,
            self.config.batch_size,
            self.config.sequence_length,
            negatives=self.config.negatives if negatives is None else negatives,
            speed=self.placement.speed(self.model, self.config),
        )

    def scoring(self, characters: int) -> float:
        """Estimated seconds of scoring a number of characters."""
        size = self.config.batch_size * self.config.sequence_length
        return self.step_seconds(negatives=0) / 3.0 * characters / size

    def calibrating(self) -> float:
        """About how many times as long the last validation takes, which calibrates."""
        if not self.config.calibrate:
            return 1.0
        size = self.config.batch_size * self.config.sequence_length
        scales = len(SCALES) * _SCALE_SECONDS * self.model.vocab_size / self.placement.threads
        return 1.0 + scales * size / (self.step_seconds(negatives=0) / 3.0)

    def plan(self, batches_per_epoch: int, held_out: int, multiple: int = 1) -> Plan:
        """The plan of a new run, or of one that is continued to another end.

        Args:
            batches_per_epoch: steps of a pass over the text.
            held_out: characters that a validation scores; 0 for no validation.
            multiple: what the steps between validations are a multiple of, unless the user chose their number.
        """
        config = self.config
        if config.epochs is not None:
            steps = max(1, round(config.epochs * batches_per_epoch))
            every = config.validate_every or self._cadence(steps, held_out, multiple)
            return Plan.for_steps(config, steps=steps, validate_every=every)
        steps = max(1, round((config.time or 0.0) / self.step_seconds()))
        every = config.validate_every or self._cadence(steps, held_out, multiple)
        return Plan(
            steps=None, decay_start=None, validate_every=every, whole_from=None if config.halved_share > 0.0 else 0
        )

    def _cadence(self, steps: int, held_out: int, multiple: int) -> int:
        """Steps between validations: about twenty in a run, fewer if they would take over 4 % of the time."""
        affordable = 20.0
        if held_out:
            trained = steps * self.config.batch_size * self.config.sequence_length
            affordable = min(max(0.04 * trained / (held_out / 3.0), 3.0), 20.0)
        return -(-max(1, math.ceil(steps / affordable)) // multiple) * multiple

"""A network whose logits drift as soon as several texts are in a batch, as those of real ones do in their last bits."""

from typing import Any

import numpy as np
from small_models import random_weights

from textgen.config import ModelConfig
from textgen.engine import Engine
from textgen.sampling.referee import TOLERANCE


class Drifting(Engine):
    """Gives logits that are wrong by up to `drift` tolerances as soon as there is more than one row."""

    drift = 1.0

    def __init__(self, config: ModelConfig, seed: int) -> None:
        super().__init__(config, random_weights(config, seed=seed, scale=2.0))
        self._rng = np.random.default_rng(seed)
        self.alone = 0

    def step(self, ids: Any, state: Any) -> Any:
        logits, state = super().step(ids, state)
        self.alone += len(ids) == 1
        if len(ids) > 1:
            most = self.drift * TOLERANCE * np.abs(logits).max() * 0.9
            logits = logits + self._rng.uniform(-most, most, logits.shape).astype(np.float32)
        return logits, state

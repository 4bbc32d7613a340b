"""The NumPy model that turns one text into another agrees with a slow version, whatever is read beside a text."""

from __future__ import annotations

import numpy as np
import pytest
from slow_pairs import slow_pair_steps
from small_pairs import SHAPE, random_pair_weights

from textgen.config import ModelConfig
from textgen.engine import layer
from textgen.engine.pairs import PairEngine
from textgen.errors import ConfigError

SHAPES = [
    ModelConfig(**SHAPE, encoder_layers=2, layers=2, cell="coupled"),
    ModelConfig(**SHAPE, encoder_layers=1, layers=3, cell="lstm", skip=False),
    ModelConfig(**SHAPE, encoder_layers=3, layers=1, cell="gru"),
    ModelConfig(**SHAPE, encoder_layers=1, layers=1, cell="rnn"),
]
SOURCES = [np.array(each) for each in ([0, 1, 2, 3, 5], [5], [4, 4, 5], [2, 5], [1, 0, 1, 3, 5])]
TARGETS = [np.array(each) for each in ([1, 2, 6], [6], [0, 5, 3, 2, 6], [4, 6], [2, 2, 2, 6])]


@pytest.mark.parametrize("table", [True, False], ids=["table", "embedding"])
@pytest.mark.parametrize("config", SHAPES, ids=lambda config: config.cell)
def test_sources_of_many_lengths_agree_with_the_slow_version(
    config: ModelConfig, table: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    if not table:
        monkeypatch.setattr(layer, "_TABLE", 0)
    weights = random_pair_weights(config, seed=1, scale=2.0)
    found = PairEngine(config, weights).read(SOURCES, TARGETS, end_id=6)
    for source, target, read in zip(SOURCES, TARGETS, found, strict=True):
        slow = slow_pair_steps(weights, config, source, [6, *target[:-1]])
        probabilities = [each[0][chosen] for each, chosen in zip(slow, target, strict=True)]
        np.testing.assert_allclose(np.exp(read.logprobs), probabilities, atol=1e-5)
        np.testing.assert_allclose(read.attention, [each[1] for each in slow], atol=1e-5)


@pytest.mark.parametrize("config", SHAPES[:1], ids=["coupled"])
def test_targets_of_a_source_go_their_own_ways(config: ModelConfig) -> None:
    weights = random_pair_weights(config, seed=2, scale=2.0)
    engine = PairEngine(config, weights)
    decoder = engine.decoder(engine.encode(SOURCES[:3]), width=2)
    decoder.step([6] * 6)
    decoder.step([0, 1, 2, 3, 4, 5])
    decoder.reorder(np.array([[1, 1], [0, 1], [1, 0]]))
    kept = decoder.keep(np.array([2, 0]))
    logits, _ = kept.step([3, 4, 3, 4])
    for (line, width), inputs in {(0, 0): (6, 5, 3), (0, 1): (6, 4, 4), (1, 0): (6, 1, 3), (1, 1): (6, 1, 4)}.items():
        slow = slow_pair_steps(weights, config, SOURCES[2 if line == 0 else 0], inputs)[-1][0]
        raised = np.exp(logits[line, width].astype(np.float64))
        np.testing.assert_allclose(raised / raised.sum(), slow, atol=1e-5)


def test_a_model_without_an_encoder_and_an_empty_source_are_refused() -> None:
    weights = random_pair_weights(SHAPES[3])
    with pytest.raises(ConfigError, match="encoder_layers must be at least 1"):
        PairEngine(ModelConfig(vocab_size=7), weights)
    with pytest.raises(ValueError, match="at least the id of its end"):
        PairEngine(SHAPES[3], weights).encode([SOURCES[0], np.array([], int)])

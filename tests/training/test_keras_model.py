"""The initial weights of a model."""

from pathlib import Path

import numpy as np
import pytest
from tiny_runs import TINY

import textgen
from textgen.config import ModelConfig
from textgen.corpus import encode_corpus, open_corpus
from textgen.model.read import read_checkpoint
from textgen.training.keras_model import build_model


def test_the_heads_bias_starts_at_the_logarithms_of_the_frequencies() -> None:
    config = ModelConfig(vocab_size=4, layers=1, units=3, embedding=2)
    model = build_model(config, frequencies=np.array([6, 3, 1, 0]))
    bias = model.get_layer("head").bias.numpy()
    np.testing.assert_allclose(np.exp(bias), np.array([6, 3, 1, 0.5]) / 10.5, rtol=1e-6)
    np.testing.assert_array_equal(build_model(config).get_layer("head").bias.numpy(), np.zeros(4))


def test_a_run_starts_with_the_frequencies_of_its_training_text(tmp_path: Path) -> None:
    text = tmp_path / "text.txt"
    # The letters of the last tenth, which validates, are not counted.
    text.write_text("aab" * 300 + "c" * 100, encoding="utf-8")
    run = textgen.train(
        text, checkpoints=tmp_path / "runs", **{**TINY, "learning_rate": 1e-9, "epochs": 0.01, "calibrate": False}
    )
    counts = np.bincount(encode_corpus(open_corpus(text)).training, minlength=3)
    assert counts.tolist() == [600, 300, 0]
    likely = np.exp(read_checkpoint(run.best).weights.head_bias)
    assert likely == pytest.approx([600 / 900.5, 300 / 900.5, 0.5 / 900.5], rel=1e-4)

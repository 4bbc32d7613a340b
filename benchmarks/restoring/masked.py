"""The peer: a bidirectional LSTM in plain Keras that predicts masked spans."""

from __future__ import annotations

import time
from typing import Any

import numpy as np

import textgen
from textgen.cli.options import Duration
from textgen.sampling.gaps.markers import Gap

WINDOW, BATCH, WIDTH, LONGEST = 128, 64, 20, 10


class MaskedPeer:
    """Two bidirectional LSTM layers under a softmax, trained for a time to predict masked spans of 1 to 10 characters.

    Args:
        training: `(n,)`, the ids of the training text.
        like: whose layers and units it has, for each direction.
        budget: how long it is trained.
        seed: of weights and batches.
        smoke: train for a few steps only.
    """

    def __init__(self, training: np.ndarray, like: textgen.Writer, *, budget: str, seed: int, smoke: bool) -> None:
        import keras

        keras.utils.set_random_seed(seed)
        vocab, units, layers = like.tokenizer.vocab_size, like.config.units, like.config.layers
        self._mask = vocab
        inputs = x = keras.Input((None,), dtype="int32")
        x = keras.layers.Embedding(vocab + 1, 64)(x)
        for _ in range(layers):
            x = keras.layers.Bidirectional(keras.layers.LSTM(units, return_sequences=True))(x)
            x = keras.layers.Dropout(0.2)(x)
        self._model = keras.Model(inputs, keras.layers.Dense(vocab)(x))
        loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
        self._model.compile(keras.optimizers.Adam(2e-3), loss)
        generator = np.random.default_rng(seed)
        stop = time.monotonic() + (0.0 if smoke else Duration().convert(budget, None, None))
        rate = 2e-3
        begun = time.monotonic()
        while True:
            self._model.train_on_batch(*self._batch(training, generator))
            now = time.monotonic()
            if now >= stop:
                break
            # The last third of the time with a falling rate, as in textgen.
            left = (stop - now) / (stop - begun)
            self._model.optimizer.learning_rate.assign(rate * min(1.0, 3.0 * left))

    def _batch(self, training: np.ndarray, generator: np.random.Generator) -> tuple[Any, Any, Any]:
        starts = generator.integers(0, len(training) - WINDOW, BATCH)
        targets = training[starts[:, None] + np.arange(WINDOW)]
        masked = np.zeros(targets.shape, np.bool_)
        for row in masked:
            # About a sixth of the characters, in spans that are a few characters apart.
            for start in range(int(generator.integers(0, 30)), WINDOW, 32):
                row[start : start + int(generator.integers(1, LONGEST + 1))] = True
        return np.where(masked, self._mask, targets), targets, masked.astype(np.float32)

    def fill(self, before: np.ndarray, gap: Gap, behind: np.ndarray) -> list[tuple[int, ...]]:
        """The best fillings, filled from left to right by a beam."""
        half = WINDOW // 2
        found: list[tuple[float, tuple[int, ...]]] = []
        for length in range(gap.least, gap.most + 1):
            beams: list[tuple[float, tuple[int, ...]]] = [(0.0, ())]
            for place in range(length):
                rows = [
                    np.concatenate([before[-half:], each, np.full(length - place, self._mask), behind[:half]])
                    for _, each in beams
                ]
                logits = np.asarray(self._model(np.stack(rows).astype(np.int32), training=False))
                logits = logits[:, min(half, len(before)) + place].astype(np.float64)
                logprobs = logits - np.logaddexp.reduce(logits, axis=1, keepdims=True)
                grown = [
                    (score + float(logprobs[row, each]), (*ids, each))
                    for row, (score, ids) in enumerate(beams)
                    for each in np.argsort(-logprobs[row])[:WIDTH].tolist()
                ]
                beams = sorted(grown, key=lambda pair: -pair[0])[:WIDTH]
            found += [(score / length, ids) for score, ids in beams]
        return [ids for _, ids in sorted(found, key=lambda pair: -pair[0])]

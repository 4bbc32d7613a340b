"""Networks for tests of writing: random ones with a slow oracle, and scripted ones whose next character is known."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import numpy as np
from slow_cells import STATES, STEPS, tie

from textgen.config import CorpusConfig, ModelConfig
from textgen.corpus.tokenizer import CharTokenizer
from textgen.engine import Engine
from textgen.model.weights import ModelWeights, is_recurrent
from textgen.sampling.writer import Writer

ALPHABET = CharTokenizer("\n abcdefghijklmnopqrstuvwxyz")


def random_weights(config: ModelConfig, *, seed: int = 0, scale: float = 1.0) -> ModelWeights:
    rng = np.random.default_rng(seed)
    arrays = []
    for name, shape in ModelWeights.shapes(config).items():
        spread = 0.1 if "bias" in name else scale / np.sqrt(shape[0]) if "kernel" in name else 0.7
        array = (rng.standard_normal(shape) * spread).astype(np.float32)
        arrays.append(tie(array) if config.cell == "coupled" and is_recurrent(name) else array)
    return ModelWeights.from_arrays(arrays, labelled=config.labels > 0, both=config.both)


def random_writer(tokenizer: CharTokenizer = ALPHABET, *, seed: int = 0, metadata: Any = None, **shape: Any) -> Writer:
    config = ModelConfig(**{"vocab_size": tokenizer.vocab_size, "layers": 2, "units": 24, "embedding": 8, **shape})
    return Writer(
        config=config, weights=random_weights(config, seed=seed, scale=4.0), tokenizer=tokenizer, metadata=metadata
    )


def slow_logits(
    config: ModelConfig, weights: ModelWeights, ids: np.ndarray, labels: np.ndarray | None = None
) -> np.ndarray:
    """The logits after each of `ids`, `(time, vocab)`: one step at a time, in float64, as the papers write it."""
    embedding, head_kernel, head_bias = (
        array.astype(np.float64) for array in (weights.embedding, weights.head_kernel, weights.head_bias)
    )
    layers = [[array.astype(np.float64) for array in layer.arrays()] for layer in weights.layers]
    states = [[np.zeros(config.units) for _ in range(STATES[config.cell])] for _ in layers]
    logits = []
    for each in ids:
        x = embedding[each]
        if labels is not None:
            assert weights.label_embedding is not None
            x = x + labels.astype(np.float64) @ weights.label_embedding.astype(np.float64)
        for n, arrays in enumerate(layers):
            states[n] = STEPS[config.cell](x, arrays, states[n])
            x = states[n][0]
        outputs = [state[0] for state in states]
        out = np.sum(outputs, axis=0) if config.skip else outputs[-1]
        logits.append(out @ head_kernel + head_bias)
    return np.array(logits)


class Scripted(Engine):
    """Writes what a table says: after each text of the table's length, these odds; it counts its steps.

    Args:
        odds: from the last characters to the odds of the next ones, as `{"q": {"u": 1.0}}`; the longest ending that
            is in the table counts, `""` for all others.
    """

    def __init__(self, odds: dict[str, dict[str, float]], *, tokenizer: CharTokenizer = ALPHABET) -> None:
        self.config = ModelConfig(vocab_size=tokenizer.vocab_size)
        self.tokenizer = tokenizer
        self.odds = dict(sorted(odds.items(), key=lambda item: -len(item[0])))
        self.steps = 0

    def initial_state(self, batch: int, *, quiet: bool = False) -> Any:
        return Texts([""] * batch)

    def step(self, ids: Any, state: Any) -> Any:
        self.steps += 1
        state.texts = [text + self.tokenizer.decode([each]) for text, each in zip(state.texts, ids, strict=True)]
        return np.stack([self._logits(text) for text in state.texts]), state

    def read(self, ids: Any, state: Any, *, last: bool = False) -> Any:
        logits = np.stack([self.step(column, state)[0] for column in ids.T], axis=1)
        return (logits[:, -1] if last else logits), state

    def _logits(self, text: str) -> np.ndarray:
        ending = next(ending for ending in self.odds if text.endswith(ending))
        logits = np.full(self.tokenizer.vocab_size, -1e4, np.float32)
        for character, odds in self.odds[ending].items():
            place = (
                self.tokenizer.vocab_size - 1 if character == "\ufffd" else self.tokenizer.characters.index(character)
            )
            logits[place] = np.log(odds)
        return logits


class Texts(SimpleNamespace):
    """A scripted state: the texts so far."""

    def __init__(self, texts: list[str]) -> None:
        super().__init__(texts=texts)

    def copy(self) -> Texts:
        return Texts(list(self.texts))

    def take(self, rows: Any) -> Texts:
        return Texts([self.texts[row] for row in rows])

    def join(self, others: Any) -> Texts:
        return Texts([text for each in (self, *others) for text in each.texts])

    def put(self, row: int, other: Texts) -> None:
        self.texts[row] = other.texts[0]


def script(text: str) -> Scripted:
    """Writes `text` from the empty prompt on, whatever the controls, and then dots of `z`."""
    return Scripted({"\n" + text[:n]: {character: 1.0} for n, character in enumerate(text)} | {"": {"z": 1.0}})


def scripted_writer(engine: Scripted) -> Any:
    """What is needed of a writer to fill gaps with a scripted network of running text."""
    return SimpleNamespace(
        engine=engine,
        backward=None,
        joint=None,
        tokenizer=engine.tokenizer,
        reading=CorpusConfig(),
        as_trained=lambda text: text,
        controls_as_trained=lambda config: config,
        name="scripted",
    )

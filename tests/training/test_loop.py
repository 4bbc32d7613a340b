"""The training loop calls callbacks as Keras's own `fit` does, and stops when one of them asks for it."""

from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest
from tiny_runs import TINY

from textgen.corpus import encode_corpus, open_corpus
from textgen.runs.run import Run
from textgen.training.start import train

HOOKS = [
    f"on_{what}_{when}" for what in ("train", "epoch", "train_batch", "test", "test_batch") for when in ("begin", "end")
]


class Calls(keras.callbacks.Callback):
    """Writes down each call: the hook's name, the number it is given, and the names in the logs."""

    def __init__(self) -> None:
        super().__init__()
        self.seen: list[tuple[Any, ...]] = []
        for hook in HOOKS:
            setattr(self, hook, self._noting(hook))

    def _noting(self, hook: str) -> Any:
        def note(*arguments: Any, logs: Any = None) -> None:
            *numbers, given = arguments if logs is None else (*arguments, logs)
            if not isinstance(given, dict):
                numbers, given = [*numbers, *([] if given is None else [given])], {}
            self.seen.append((hook, *numbers, *sorted(given)))

        return note


@pytest.fixture
def text(tmp_path: Path, bundled_corpus: Path) -> Path:
    path = tmp_path / "poems.txt"
    path.write_text((bundled_corpus / "marrow_haven.txt").read_text()[:4000])
    return path


def short(text: Path, checkpoints: Path, callback: keras.callbacks.Callback, *, steps: int = 6) -> Run:
    training = len(encode_corpus(open_corpus(text)).training)
    batches = (training - TINY["sequence_length"]) // (TINY["batch_size"] * TINY["sequence_length"])
    return train(
        text, name="short", checkpoints=checkpoints, epochs=steps / batches, validate_every=3, callbacks=[callback],
        **TINY,
    )  # fmt: skip


def test_callbacks_are_called_as_by_keras(text: Path, tmp_path: Path) -> None:
    ours, theirs = Calls(), Calls()
    short(text, tmp_path, ours)
    batches = sum(call[0] == "on_test_batch_end" for call in ours.seen) // 2
    model = keras.Sequential([keras.Input((1,)), keras.layers.Dense(1)])
    model.compile(loss="mse")
    x = np.ones((24, 1), "float32")
    held_out = (np.ones((8 * batches, 1), "float32"),) * 2
    model.fit(
        x, x, batch_size=8, epochs=2, validation_data=held_out, validation_batch_size=8, verbose=0, callbacks=[theirs]
    )
    assert len(theirs.seen) > 20
    assert ours.seen == theirs.seen


def test_a_callback_that_stops_training_in_a_round_gets_a_last_validation(text: Path, tmp_path: Path) -> None:
    class Stop(keras.callbacks.Callback):
        def on_train_batch_end(self, batch: int, logs: Any = None) -> None:
            self.model.stop_training = self.model.stop_training or batch == 1

    run = short(text, tmp_path, Stop())
    assert [row.step for row in run.history] == [2]
    assert run.history[0].val_loss is not None

"""The training loop calls callbacks as Keras's own `fit` does, and stops when one of them asks for it."""

from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest
from tiny_runs import TINY

from textgen.corpus import encode_corpus, open_corpus
from textgen.errors import ConfigError
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


IDS = np.array([[1, 2, 3]])


@pytest.mark.slow
def test_callbacks_that_save_the_model_save_the_plain_one(text: Path, tmp_path: Path) -> None:
    class Saving(keras.callbacks.ModelCheckpoint):
        """Keeps the answer to some ids of what it has saved last."""

        def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
            super().on_epoch_end(epoch, logs)
            self.answer = np.asarray(self.model(IDS))

    whole = Saving(str(tmp_path / "whole.keras"))
    weights = Saving(str(tmp_path / "whole.weights.h5"), save_weights_only=True)
    short(text, tmp_path / "first", whole)
    model = keras.saving.load_model(tmp_path / "whole.keras")
    np.testing.assert_allclose(np.asarray(model(IDS)), whole.answer, rtol=1e-5)
    short(text, tmp_path / "second", weights)
    model.set_weights([np.zeros_like(each) for each in model.get_weights()])
    model.load_weights(tmp_path / "whole.weights.h5")
    np.testing.assert_allclose(np.asarray(model(IDS)), weights.answer, rtol=1e-5)


def test_one_callback_is_taken_as_it_comes_and_anything_else_refused(text: Path, tmp_path: Path) -> None:
    calls = Calls()
    one: Any = calls
    train(text, name="one", checkpoints=tmp_path, epochs=0.1, callbacks=one, **TINY)
    assert calls.seen
    wrongs: list[Any] = [[3], [Calls], "tensorboard", [None]]
    for wrong in wrongs:
        with pytest.raises(ConfigError, match=r"^callbacks must be Keras callbacks; got "):
            train(text, name="two", checkpoints=tmp_path, epochs=0.1, callbacks=wrong, **TINY)
    assert not (tmp_path / "two").exists()

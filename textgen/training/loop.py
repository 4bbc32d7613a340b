"""The training loop: one epoch of Keras's for each round, the steps between two validations.

So users' own callbacks (early stopping, TensorBoard) see `val_loss` at `on_epoch_end`.
"""

from __future__ import annotations

import atexit
import gc
from typing import Any

import keras

from textgen.errors import TrainingError
from textgen.training.recovery import GaveUp
from textgen.training.trainer import Trainer


def fit(trainer: Trainer, callbacks: list[keras.callbacks.Callback], *, training: Any, validation: Any) -> None:
    """Runs `trainer.fit` until a callback stops it.

    Raises:
        Interrupted: the user asked for it.
        TrainingError: the loss exploded again and again.
    """
    endless = 2**40
    # TensorFlow's iterators over our generators have to go before the interpreter does: one that is destroyed while it
    # shuts down may wait for a thread that waits for the interpreter (tensorflow/tensorflow, issue 21277).
    atexit.unregister(gc.collect)
    atexit.register(gc.collect)
    try:
        trainer.fit(
            training,
            epochs=endless,
            steps_per_epoch=endless,
            validation_data=validation,
            callbacks=callbacks,
            verbose=0,
            shuffle=False,
        )
    except GaveUp as error:
        raise TrainingError(str(error)) from None

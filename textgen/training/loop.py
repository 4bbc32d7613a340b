"""The training loop: rounds of training steps, each followed by a validation.

A round is an epoch to Keras callbacks, so that users' own (early stopping, TensorBoard) see `val_loss` at
`on_epoch_end`. A batch is a function of its step and takes microseconds to cut, so nothing is prefetched: `Model.fit`
would use a `tf.data` pipeline, whose threads cost more than they save and can delay the end of the process by half a
minute.
"""

from __future__ import annotations

import contextlib
import gc
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any, Protocol

import keras
import tensorflow as tf

from textgen.corpus.batch import Batch
from textgen.corpus.batches import HeldOut, Streams
from textgen.corpus.pair_batches import HeldOutPairs, PairBatch, PairBatches
from textgen.corpus.record_batches import HeldOutRecords, RecordStreams
from textgen.training.calibration import Calibrate, Calibrated
from textgen.training.progress import Progress
from textgen.training.trainer import Trainer

if TYPE_CHECKING:
    from textgen.training.workers.shares import SharedHeldOut, SharedStreams

    Training = Streams | RecordStreams | PairBatches | SharedStreams
    Scored = HeldOut | HeldOutRecords | HeldOutPairs | SharedHeldOut


_ENDLESS = 2**40
"""The number of epochs that callbacks are given; the real one is not known beforehand."""


class Joint(Protocol):
    """What several workers that train together add to the loop."""

    def add(self, trainer: Trainer) -> None:
        """Replaces the sums behind the mean loss by those of all workers."""

    def ended(self, trainer: Trainer) -> None:
        """Agrees on whether to stop, after a round."""


def fit(
    trainer: Trainer,
    progress: Progress,
    callbacks: Sequence[keras.callbacks.Callback],
    *,
    training: Training,
    held_out: Scored | None,
    whole: Scored | None = None,
    calibrated: bool = False,
    earlier: Callable[[Calibrate], None] | None = None,
    joint: Joint | None = None,
) -> None:
    """Trains until the plan's last step or until a callback sets `stop_training`; the last round is validated, too.

    Args:
        trainer: the model to train.
        progress: the run's counters; `step` is incremented here.
        callbacks: called as Keras's `fit` calls them.
        training: the batches, by step.
        held_out: the validation batches; None for no validation and no `val_loss`.
        whole: those of the whole validation text where `held_out` is a part, for the plan's end: `val_whole_loss`.
        calibrated: find `progress.logit_scales`, the factors with the lowest `val_loss`, at the plan's end.
        earlier: calibrates the best model where that may be an earlier one; None to leave it as it is.
        joint: joins the losses of several workers, and tells them when to stop; None for one process.
    """
    # Two graphs, each built when it is first needed: a single one with both takes twice as long before the first step.
    shapes = trainer.signature
    learn = {halves: _compiled(partial(trainer.train_step, halves=halves), shapes) for halves in (True, False)}
    score = _compiled(trainer.test_step, shapes)
    chain = keras.callbacks.CallbackList(
        list(callbacks), add_history=True, model=trainer, verbose=0, epochs=_ENDLESS, steps=None
    )
    trainer.stop_training = False
    chain.on_train_begin()
    epoch, logs = 0, {}
    while not progress.finished and not trainer.stop_training:
        chain.on_epoch_begin(epoch)
        logs = _round(trainer, progress, chain, learn, training, joint)
        trainer.reset_metrics()
        if held_out is not None:
            calibrate = calibrated and progress.finished
            if calibrate:
                trainer.start_calibration()
            logs |= {f"val_{name}": value for name, value in _validate(trainer, chain, score, held_out, joint).items()}
            trainer.reset_metrics()
            if calibrate:
                found = trainer.end_calibration(held_out.targets)
                if earlier is not None and float(logs["val_loss"]) >= progress.best:
                    earlier(partial(_calibrate, trainer, score, held_out))
                progress.logit_scales = found.scales
                logs |= {f"val_{name}": value for name, value in found.losses.items()}
        if whole is not None and progress.finished:
            with trainer.scaled_logits(progress.logit_scales):
                logs["val_whole_loss"] = float(_validate(trainer, chain, score, whole, joint)["loss"])
            trainer.reset_metrics()
        chain.on_epoch_end(epoch, logs)
        if joint is not None:
            joint.ended(trainer)
        epoch += 1
    if calibrated and held_out is not None and earlier is not None and not progress.finished:
        earlier(partial(_calibrate, trainer, score, held_out))
    chain.on_train_end(logs)


def _compiled(step: Callable[[Any], Any], shapes: PairBatch | None) -> Any:
    """A step as a graph, nested as Keras's `fit` nests it: TensorFlow then optimizes it alike, and it rounds alike.

    Args:
        step: the step.
        shapes: of a batch, where they differ from one to the next; None for those of the first batch.
    """
    inner = tf.function(step, autograph=False)
    signature = None if shapes is None else [shapes._asdict()]
    graph = tf.function(lambda arrays: inner(kind(**arrays)), autograph=False, input_signature=signature)
    kind: type[Batch | PairBatch]
    built = False

    def run(batch: Batch | PairBatch) -> Any:
        nonlocal built, kind
        kind = type(batch)
        # In each call TensorFlow takes as long for a None as for an array.
        arrays = {name: each for name, each in batch._asdict().items() if each is not None}
        if built:
            return graph(arrays)
        with _no_collections():
            logs = graph(arrays)
        built = True
        return logs

    return run


@contextlib.contextmanager
def _no_collections() -> Iterator[None]:
    """Turns the garbage collector off: the many objects of a graph stay, and looking through them takes long."""
    enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if enabled:
            gc.enable()


def _round(
    trainer: Trainer,
    progress: Progress,
    chain: Any,
    learn: Mapping[bool, Any],
    training: Training,
    joint: Joint | None,
) -> dict[str, float]:
    """The steps up to the next validation; returns the metrics over them."""
    number, done = 0, False
    while not done and not trainer.stop_training:
        chain.on_train_batch_begin(number)
        logs = learn[progress.plan.halves(progress.step)](training.batch(progress.step))
        progress.step += 1
        chain.on_train_batch_end(number, logs)
        number, done = number + 1, progress.round_done
    if joint is not None:
        joint.add(trainer)
    return dict(trainer.get_metrics_result())


def _validate(trainer: Trainer, chain: Any, score: Any, held_out: Scored, joint: Joint | None) -> dict[str, float]:
    """Scores the held-out text; returns the metrics over it."""
    chain.on_test_begin()
    for number, batch in enumerate(held_out):
        chain.on_test_batch_begin(number)
        logs = score(batch)
        chain.on_test_batch_end(number, logs)
    if joint is not None:
        joint.add(trainer)
    logs = dict(trainer.get_metrics_result())
    chain.on_test_end(logs)
    return logs


def _calibrate(trainer: Trainer, score: Any, held_out: Scored) -> Calibrated:
    """Calibrates the model as it is; callbacks are not told, as nothing was trained."""
    trainer.start_calibration()
    for batch in held_out:
        score(batch)
    trainer.reset_metrics()
    return trainer.end_calibration(held_out.targets)

"""Continues a run from its last state, exactly where it stopped."""

from __future__ import annotations

import time as clock
from collections.abc import Sequence
from typing import Any

import keras

from textgen.config import CorpusConfig, Device, TrainingConfig
from textgen.corpus import encode_corpus, open_corpus
from textgen.display.format import short_duration
from textgen.errors import CheckpointError, RunError
from textgen.model.progress import SavedProgress
from textgen.model.read import Checkpoint, read_checkpoint, read_training_state
from textgen.runs.events import Reporter
from textgen.runs.find import find_run, run_argument
from textgen.runs.run import Run
from textgen.training.arguments import Source, absolute, as_list, cache_folder, events_folder, open_streams
from textgen.training.placement import enough_memory, place
from textgen.training.recipe import Recipe
from textgen.training.session import Session
from textgen.training.tensorboard import event_files


def resume(
    name: Source,
    *,
    checkpoints: Source = "checkpoints",
    sources: Source | Sequence[Source] = (),
    epochs: float | None = None,
    time: float | None = None,
    device: Device | None = None,
    shards: int | None = None,
    tensorboard: Source | bool | None = None,
    callbacks: Sequence[keras.callbacks.Callback] = (),
    reporter: Reporter | None = None,
    started: float | None = None,
) -> Run:
    """Continues a run from its last state as if it had never stopped.

    Weights, optimizer, recurrent state, position in the text, schedule, best value and counters are restored; on a
    CPU with the same number of shards the result is bit for bit that of an uninterrupted run.

    Args:
        name: the run's name or folder.
        checkpoints: folder that holds the runs.
        sources: the same text, if it has moved or came from standard input; empty takes the recorded files.
        epochs: a new total number of epochs, from the run's start.
        time: a new total time budget in seconds, from the run's start.
        device: device to train on; None for the same as before.
        shards: parts of a batch computed in parallel; None for the same as before.
        tensorboard: write event files, as in `train`; None continues as before, in the run's folder if another one no
            longer exists. No step is written twice.
        callbacks: your own Keras callbacks.
        reporter: is told of every event; None reports nothing.
        started: the `time.monotonic()` from which this process's time counts; None for now.

    Returns:
        The finished run.

    Raises:
        RunError: there is no such run, it has no last state, or the text has changed.
        CorpusError: the text cannot be read.
        CheckpointError: the last state is damaged.
        TrainingError: training kept diverging, or the last state could not be written.
        KeyboardInterrupt: the user interrupted it again.
    """
    started = clock.monotonic() if started is None else started
    reporter = reporter or Reporter()
    run = find_run(name, checkpoints=checkpoints)
    with run.locked(), enough_memory():
        last = read_checkpoint(run.last)
        progress = _progress(last)
        wanted: dict[str, Any] = {"epochs": epochs, "time": time, "device": device, "shards": shards}
        changes = {name: value for name, value in wanted.items() if value is not None}
        if epochs is not None or time is not None:
            changes = {"epochs": None, "time": None, **changes}
        training = TrainingConfig.from_json({**last.metadata.training, **changes})
        where = as_list(sources) or list(progress.sources)
        if where == ["-"] and not sources:
            raise RunError(
                f"The run {run.name!r} was trained on standard input, which is gone. Pipe the same text in again: "
                f"textgen train - --resume {run_argument(run, checkpoints)} < text"
            )
        # A setting that this version does not know is refused: it may change the split or the vocabulary.
        corpus = CorpusConfig.from_json(last.metadata.corpus.settings)
        encoded = encode_corpus(
            open_corpus(where, config=corpus), cache=cache_folder(checkpoints), progress=reporter.encoding
        )
        before, now = str(last.metadata.corpus.sha256), encoded.sha256
        if before != now:
            raise RunError(
                f"The text of the run {run.name!r} has changed since it was trained (sha256 {before[:12]}, now "
                f"{now[:12]}), so it cannot be continued exactly. Bring the old text back, or start a new run from "
                f"its weights: textgen train ... --from {run_argument(run, checkpoints)}"
            )
        recipe = Recipe(model=last.model, training=training, reason="as before", budget=_end_of(training))
        placement, streams = place(training.device, training.precision), open_streams(encoded, training)
        events = _events_before(run, progress) if tensorboard is None else events_folder(tensorboard)
        session = Session(run, encoded, recipe, reporter, callbacks, absolute(where), placement, streams, events)
        session.restore(last.weights, read_training_state(run.last), progress, last.metadata.history, started)
        if epochs is not None or time is not None:
            session.extend()
        return session.fit()


def _progress(last: Checkpoint) -> SavedProgress:
    """The counters stored with a run's last state."""
    progress, corpus = last.metadata.progress, last.metadata.corpus
    if progress is None or not corpus.settings or corpus.sha256 is None:
        raise CheckpointError(
            f"{last.path} does not record the progress of its training, so it cannot be continued. "
            f"Start a new run from its weights: textgen train ... --from {last.path}"
        )
    return progress


def _events_before(run: Run, progress: SavedProgress) -> str | bool:
    """The folder of the event files so far; a recorded folder counts only if it holds event files already."""
    before = progress.tensorboard
    if isinstance(before, str) and not event_files(run.events_folder(before)):
        return True
    return before


def _end_of(training: TrainingConfig) -> str:
    if training.epochs is not None:
        return f"{training.epochs:g} epoch{'s'[: training.epochs != 1]} in all"
    return f"{short_duration(training.time or 0.0)} in all"

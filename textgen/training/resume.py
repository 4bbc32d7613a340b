"""From a run's last state on: `resume` continues a run exactly where it stopped."""

from __future__ import annotations

import time as clock
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from textgen.config import CorpusConfig, Device, TrainingConfig
from textgen.corpus import encode_corpus, open_corpus
from textgen.display.format import short_duration
from textgen.errors import CheckpointError, RunError
from textgen.model.progress import SavedProgress
from textgen.model.read import Checkpoint, read_checkpoint, read_training_state
from textgen.runs.events import Reporter
from textgen.runs.find import find_run
from textgen.runs.run import Run
from textgen.training.arguments import Source, absolute, as_list, cache_folder, events_folder, open_streams
from textgen.training.disk_space import check_disk_space
from textgen.training.framework import default_framework
from textgen.training.recipe import Recipe

if TYPE_CHECKING:
    import keras


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

    Weights, optimizer, recurrent state, position in the text, schedule, best value and counters all go on; on a CPU
    with the same number of shards the result is the same, bit for bit, as that of a run never cut.

    Args:
        name: the run's name or folder.
        checkpoints: the folder of the run folders.
        sources: the same text, where it has moved or came from standard input; empty takes the recorded files.
        epochs: a new end, in passes over the text, counted from the run's beginning.
        time: a new end, in seconds of training, counted from the run's beginning.
        device: where to go on; None is where it was.
        shards: parts of a batch worked on side by side; None is what it was.
        tensorboard: write event files, as in `train`; None goes on as before, in the run's folder where another one is
            gone. No step is there twice.
        callbacks: your own Keras callbacks.
        reporter: hears of every event; None keeps quiet.
        started: the `time.monotonic()` from which this part of the time counts; None is now.

    Returns:
        The finished run.

    Raises:
        RunError: there is no such run, it has no last state, the text has changed, or the disk has no room for the
            checkpoints.
        CorpusError: the text cannot be read.
        CheckpointError: the last state is damaged.
        TrainingError: training diverged again and again, or the last state could not be written.
        KeyboardInterrupt: the user stopped it again.
    """
    started = clock.monotonic() if started is None else started
    reporter = reporter or Reporter()
    run = find_run(name, checkpoints=checkpoints)
    with default_framework():
        from textgen.training.placement import enough_memory, place
        from textgen.training.session import Session

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
                    f"textgen train - --resume {run.name} < text"
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
                    f"its weights: textgen train ... --from {run.name}"
                )
            recipe = Recipe(model=last.model, training=training, reason="as before", budget=_end_of(training))
            check_disk_space(run, recipe.model, training.batch_size)
            placement, streams = place(training.device, training.precision), open_streams(encoded, training)
            events = _events_before(run, progress) if tensorboard is None else events_folder(tensorboard)
            session = Session(run, encoded, recipe, reporter, callbacks, absolute(where), placement, streams, events)
            session.restore(last.weights, read_training_state(run.last), progress, last.metadata.history, started)
            if epochs is not None or time is not None:
                session.extend()
            session.fit()
            # What it holds is let go of with the framework.
            del session
    return run


def _progress(last: Checkpoint) -> SavedProgress:
    """How far a run had come when its last state was written."""
    progress, corpus = last.metadata.progress, last.metadata.corpus
    if progress is None or not corpus.settings or corpus.sha256 is None:
        raise CheckpointError(
            f"{last.path} does not say how far its training had come, so it cannot be continued. "
            f"Start a new run from its weights: textgen train ... --from {last.path}"
        )
    return progress


def _events_before(run: Run, progress: SavedProgress) -> str | bool:
    """Where event files went so far; a checkpoint from a stranger names no other folder than one that has them."""
    from textgen.training.tensorboard import event_files

    before = progress.tensorboard
    if isinstance(before, str) and not event_files(run.events_folder(before)):
        return True
    return before


def _end_of(training: TrainingConfig) -> str:
    if training.epochs is not None:
        return f"{training.epochs:g} epoch{'s'[: training.epochs != 1]} in all"
    return f"{short_duration(training.time or 0.0)} in all"

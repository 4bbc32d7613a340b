"""Continues a run from its last state, exactly where it stopped."""

from __future__ import annotations

import time as clock
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from textgen.config import CorpusConfig, Device, TrainingConfig, WorkersConfig
from textgen.corpus import Corpus, EncodedCorpus, encode_corpus
from textgen.corpus.strings import NAME, Text
from textgen.display.format import short_duration
from textgen.errors import CheckpointError, ConfigError, RunError
from textgen.model.progress import SavedProgress
from textgen.model.read import Checkpoint, PairCheckpoint, read_any_checkpoint, read_training_state
from textgen.runs.events import Reporter
from textgen.runs.find import find_run, run_argument
from textgen.runs.provenance import OwnTextError, find_run_text
from textgen.runs.run import Run
from textgen.training.arguments import (
    Source,
    as_callbacks,
    cache_folder,
    check_one_process,
    check_one_side,
    events_folder,
    is_given,
    open_streams,
    open_text,
)
from textgen.training.disk_space import check_disk_space
from textgen.training.framework import default_framework
from textgen.training.recipe import Recipe
from textgen.training.workers.cluster import find_cluster
from textgen.training.workers.keeping import newest
from textgen.training.workers.parts import Part, check_as_before, check_part, share_vocabulary

if TYPE_CHECKING:
    import keras


def resume(
    name: Source,
    *,
    checkpoints: Source = "checkpoints",
    sources: Source | Sequence[Source] | Corpus = (),
    texts: Iterable[Text] | None = None,
    epochs: float | None = None,
    time: float | None = None,
    device: Device | None = None,
    shards: int | None = None,
    tensorboard: Source | bool | None = None,
    callbacks: Sequence[keras.callbacks.Callback] = (),
    workers: WorkersConfig | None = None,
    reporter: Reporter | None = None,
    started: float | None = None,
) -> Run:
    """Continues a run from its last state as if it had never stopped.

    Weights, optimizer, recurrent state, position in the text, schedule, best value and counters are restored; on a
    CPU with the same number of shards, or on the same GPU, the result is bit for bit that of an uninterrupted run.

    Args:
        name: the run's name or folder.
        checkpoints: folder that holds the runs.
        sources: the same text, if it is neither at its recorded path nor near the run, or came from a stream; empty
            searches for it (`textgen.runs.provenance`).
        texts: the same strings again, for a run on strings.
        epochs: a new total number of epochs, from the run's start.
        time: a new total time budget in seconds, from the run's start.
        device: device to train on; None for the same as before.
        shards: parts of a batch computed in parallel; None for the same as before.
        tensorboard: write event files, as in `train`; None continues as before, in the run's folder if another one no
            longer exists. No step is written twice.
        callbacks: your own Keras callbacks.
        workers: as in `train`; this is worker 0, and the others call `train`. With another number of workers than
            before the run goes on, but does not repeat what it would have done.
        reporter: is told of every event; None reports nothing.
        started: the `time.monotonic()` from which this process's time counts; None for now.

    Returns:
        The finished run.

    Raises:
        RunError: there is no such run, it has no last state, the text has changed, or the disk has no room for the
            checkpoints.
        CorpusError: the text cannot be read.
        CheckpointError: the last state is damaged.
        TrainingError: training kept diverging, or the last state could not be written.
        KeyboardInterrupt: the user interrupted it again.
    """
    started = clock.monotonic() if started is None else started
    reporter, workers = reporter or Reporter(), workers or WorkersConfig()
    cluster = find_cluster(workers)
    if cluster is not None and cluster.index > 0:
        raise ConfigError(
            f"resume is for worker 0, which has the run, and this is worker {cluster.index}. Start it with the text "
            "and the settings, as for a new run, and without resume.",
            field="resume",
        )
    run = find_run(name, checkpoints=checkpoints)
    with default_framework():
        from textgen.training.joint import JointSession
        from textgen.training.placement import enough_memory, place
        from textgen.training.session import Session
        from textgen.training.workers.joining import joined

        with run.locked(), enough_memory():
            last = read_any_checkpoint(run.last)
            progress = _progress(last)
            wanted: dict[str, Any] = {"epochs": epochs, "time": time, "device": device, "shards": shards}
            changes = {name: value for name, value in wanted.items() if value is not None}
            if epochs is not None or time is not None:
                changes = {"epochs": None, "time": None, **changes}
            training = TrainingConfig.from_json({**last.metadata.training, **changes})
            # A setting that this version does not know is refused: it may change the split or the vocabulary.
            corpus = CorpusConfig.from_json(last.metadata.corpus.settings)

            parts, before = cluster is not None and workers.text_part, progress.workers or {}
            if cluster is not None:
                check_as_before(before, parts=parts)
                workers = workers.as_before(before)
            # One that does not follow from this text, as that of several workers' parts.
            vocabulary = last.tokenizer if corpus.min_count is None and not corpus.by_record else None

            def encode(found: Corpus) -> EncodedCorpus:
                cache, seed = cache_folder(checkpoints), last.metadata.corpus.seed
                return encode_corpus(found, tokenizer=vocabulary, cache=cache, progress=reporter.encoding, seed=seed)

            if is_given(sources, texts):
                opened = open_text(sources, texts, corpus)
                started = opened.ready(started)
                encoded = encode(opened)
                if encoded.sha256 != last.metadata.corpus.sha256:
                    raise _other_text(run, checkpoints, str(last.metadata.corpus.sha256), encoded.sha256)
            else:
                encoded = _find_text(run, checkpoints, last, encode)
            if parts:
                check_part(encoded)
            recipe = Recipe(model=last.model, training=training, reason="as before", budget=_end_of(training))
            several = 1 if cluster is None else cluster.size
            if cluster is not None:
                check_one_side(last.model.sides)
                check_one_process(corpus)
            check_disk_space(run, recipe.model, training.batch_size, workers=several)
            placement = place(training.device, training.precision)
            streams = open_streams(encoded, training, workers=1 if parts else several, both=last.model.both)
            events = _events_before(run, progress) if tensorboard is None else events_folder(tensorboard)
            users = as_callbacks(callbacks)
            own: dict[str, Any] = {"encoded": encoded, "given": _settings_of(last), "gpu": not placement.kernels}
            arrays = read_training_state(run.last)
            with joined(cluster, workers, reporter, **own, seed=training.seed, resumed=True) as team:
                if team is None:
                    session = Session(run, encoded, recipe, reporter, users, placement, streams, events)
                    if progress.workers is not None:
                        reporter.warned(
                            f"The run was trained by {progress.workers['count']} workers: alone it goes on, but does "
                            "not repeat what they would have done."
                        )
                else:
                    newer, told = newest(team, Path(checkpoints), run, reporter.warned), list[Part]()
                    if newer is not None:
                        last, arrays, progress = newer
                    if parts:
                        known = before["parts"] if before.get("count") == several else None
                        encoded, told = share_vocabulary(
                            team, encoded, lambda _: encoded, min_count=None, known=last.tokenizer, before=known
                        )
                    session = JointSession(
                        team, workers, run, encoded, recipe, reporter, users, placement, events, told
                    )
                started += 0.0 if team is None else team.waited
                session.restore(last.weights, arrays, progress, last.metadata.history, started)
                if epochs is not None or time is not None:
                    session.extend()
                session.fit()
                # What it holds is released with the framework.
                del session
    return run


def _find_text(
    run: Run, checkpoints: Source, last: Checkpoint | PairCheckpoint, encode: Callable[[Corpus], EncodedCorpus]
) -> EncodedCorpus:
    """The run's own text, from wherever it is now."""
    try:
        return find_run_text(last.metadata.corpus, run.last, encode)
    except OwnTextError as error:
        if error.now is not None:
            raise _other_text(run, checkpoints, str(last.metadata.corpus.sha256), error.now) from error
        again = run_argument(run, checkpoints)
        if error.streamed and last.metadata.corpus.name == NAME:
            remedy = f"Pass the same ones again: textgen.resume({run.name!r}, texts=...)"
        elif error.streamed:
            remedy = f"Pipe the same text in again: textgen train - --resume {again} < text"
        else:
            remedy = f"Name the same text where it is now: textgen train TEXT --resume {again}"
        raise RunError(f"{error} {remedy}") from error


def _other_text(run: Run, checkpoints: Source, before: str, now: str) -> RunError:
    return RunError(
        f"The text of the run {run.name!r} has changed since it was trained (sha256 {before[:12]}, now "
        f"{now[:12]}), so it cannot be continued exactly. Bring the old text back, or start a new run from "
        f"its weights: textgen train ... --from {run_argument(run, checkpoints)}"
    )


def _progress(last: Checkpoint | PairCheckpoint) -> SavedProgress:
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
    from textgen.training.tensorboard import event_files

    before = progress.tensorboard
    if isinstance(before, str) and not event_files(run.events_folder(before)):
        return True
    return before


def _settings_of(last: Checkpoint | PairCheckpoint) -> dict[str, Any]:
    """The settings of a run that other workers may have been given, too; not those of its length."""
    training = {name: value for name, value in last.metadata.training.items() if name not in ("epochs", "time")}
    return {**last.model.to_json(), **training}


def _end_of(training: TrainingConfig) -> str:
    if training.epochs is not None:
        return f"{training.epochs:g} epoch{'s'[: training.epochs != 1]} in all"
    return f"{short_duration(training.time or 0.0)} in all"

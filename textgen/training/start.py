"""From a text to a run: `train` starts one, `resume` continues one exactly where it stopped.

This module joins the parts: corpus, recipe, model, trainer, callbacks and checkpoint. Each of them knows its own
business; here is only their order.
"""

from __future__ import annotations

import time as clock
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import keras

from textgen.config import Cell, CorpusConfig, Device, ModelConfig, Precision, Schedule, Size, TrainingConfig
from textgen.corpus import EncodedCorpus, encode_corpus, open_corpus
from textgen.corpus.batches import Streams
from textgen.display.format import short_duration
from textgen.errors import CheckpointError, ConfigError, RunError
from textgen.model.progress import SavedProgress
from textgen.model.read import Checkpoint, read_checkpoint, read_training_state
from textgen.runs.create import create_run
from textgen.runs.events import Reporter
from textgen.runs.find import find_run, resolve_checkpoint
from textgen.runs.run import Run, check_folder
from textgen.system import physical_memory
from textgen.training.placement import enough_memory, place
from textgen.training.recipe import Recipe, least_memory, recommend
from textgen.training.session import Session
from textgen.training.tensorboard import event_files

Source = str | Path


def train(
    sources: Source | Sequence[Source],
    *,
    name: str | None = None,
    size: Size | None = None,
    epochs: float | None = None,
    time: float | None = None,
    seed: int | None = None,
    start_from: Source | None = None,
    checkpoints: Source = "checkpoints",
    corpus: CorpusConfig | None = None,
    cell: Cell | None = None,
    layers: int | None = None,
    units: int | None = None,
    embedding: int | None = None,
    skip: bool | None = None,
    dropout: float | None = None,
    input_dropout: float | None = None,
    batch_size: int | None = None,
    sequence_length: int | None = None,
    learning_rate: float | None = None,
    schedule: Schedule | None = None,
    weight_decay: float | None = None,
    weight_drop: float | None = None,
    state_reset: float | None = None,
    patience: int | None = None,
    validate_every: int | None = None,
    save_every: float | None = None,
    save_every_steps: int | None = None,
    precision: Precision | None = None,
    device: Device | None = None,
    shards: int | None = None,
    tensorboard: Source | bool = False,
    callbacks: Sequence[keras.callbacks.Callback] = (),
    reporter: Reporter | None = None,
    started: float | None = None,
) -> Run:
    """Trains a model on a text and keeps it in a run folder.

    What is None follows from the text and the budget (`textgen.training.recipe`); the fields are those of
    `ModelConfig` and `TrainingConfig`, where their units and ranges stand.

    Args:
        sources: files, folders, or "-" for standard input.
        name: the run's name, a folder in `checkpoints`; None takes the corpus's name and a free number.
        size: a preset for the shape: "tiny", "small", "medium" or "large".
        epochs: passes over the training text.
        time: seconds of wall clock, instead of `epochs`.
        seed: all of training's chance follows from it.
        start_from: a run or a checkpoint whose weights are the start (fine-tuning). The new text's characters that it
            knows keep their weights; new ones get fresh ones. Its shape is taken over.
        checkpoints: the folder of the run folders.
        corpus: encoding, newlines, normalisation, rare characters and the validation split.
        cell: see `ModelConfig`, also for layers, units, embedding, skip, dropout and input_dropout.
        layers: see `ModelConfig`.
        units: see `ModelConfig`.
        embedding: see `ModelConfig`.
        skip: see `ModelConfig`.
        dropout: see `ModelConfig`.
        input_dropout: see `ModelConfig`.
        batch_size: see `TrainingConfig`, also for everything below.
        sequence_length: see `TrainingConfig`.
        learning_rate: see `TrainingConfig`.
        schedule: see `TrainingConfig`.
        weight_decay: see `TrainingConfig`.
        weight_drop: see `TrainingConfig`.
        state_reset: see `TrainingConfig`.
        patience: see `TrainingConfig`.
        validate_every: see `TrainingConfig`.
        save_every: see `TrainingConfig`.
        save_every_steps: see `TrainingConfig`.
        precision: see `TrainingConfig`.
        device: see `TrainingConfig`.
        shards: see `TrainingConfig`.
        tensorboard: write event files with the losses, the learning rate, the gradient's norm and the samples: True
            into the run's folder, a folder into one of the run's name there.
        callbacks: your own Keras callbacks; a Keras epoch is the span between two validations.
        reporter: hears of every event; None keeps quiet.
        started: the `time.monotonic()` from which a budget of time counts; None is now.

    Returns:
        The finished run.

    Raises:
        ConfigError: a setting is out of its range.
        CorpusError: the text is missing, empty, too short, binary or not decodable.
        RunError: the name is taken, another process trains it, or the event files' folder cannot be written to.
        CheckpointError: `start_from` cannot be read.
        TrainingError: the loss exploded again and again, or the last state could not be written.
        KeyboardInterrupt: the user stopped it; the state is saved and `resume` continues.

    Example:
        run = textgen.train("poems.txt", size="small", epochs=20, seed=1)
    """
    started = clock.monotonic() if started is None else started
    reporter = reporter or Reporter()
    base = read_checkpoint(resolve_checkpoint(start_from, checkpoints=checkpoints)) if start_from is not None else None
    wanted_model = _given(
        cell=cell, layers=layers, units=units, embedding=embedding, skip=skip, dropout=dropout,
        input_dropout=input_dropout,
    )  # fmt: skip
    wanted_training = _given(
        epochs=epochs, time=time, seed=seed, batch_size=batch_size, sequence_length=sequence_length,
        learning_rate=learning_rate, schedule=schedule, weight_decay=weight_decay, weight_drop=weight_drop,
        state_reset=state_reset,
        patience=patience, validate_every=validate_every, save_every=save_every,
        save_every_steps=save_every_steps, precision=precision, device=device, shards=shards,
    )  # fmt: skip
    if base is not None:
        if size is not None:
            raise ConfigError("size must be left out where --from is given: the shape is that of its model.")
        wanted_model = _shape_of(base.model, wanted_model)
    opened = open_corpus(_as_list(sources), config=corpus or CorpusConfig())
    encoded = encode_corpus(opened, cache=_cache(checkpoints), progress=reporter.encoding)
    placement = place(device or "auto", precision or "auto")
    recipe = recommend(
        len(encoded.training),
        encoded.tokenizer.vocab_size,
        size=size,
        model=wanted_model,
        training=wanted_training,
        speed=placement.speed,
    )
    if base is not None:
        recipe = _describe_start(recipe, str(start_from))
    streams = _streams(encoded, recipe.training)
    _check_memory(recipe)
    run = create_run(name if name is not None else encoded.name, checkpoints=checkpoints, exact=name is not None)
    with run.kept_once_saved(), run.locked(), enough_memory():
        where = _absolute(_as_list(sources))
        events = _events(tensorboard)
        session = Session(run, encoded, recipe, reporter, callbacks, where, placement, streams, events)
        if base is not None:
            session.start_from(base.weights, base.tokenizer)
        session.begin(started)
        return session.fit()


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
        RunError: there is no such run, it has no last state, or the text has changed.
        CorpusError: the text cannot be read.
        CheckpointError: the last state is damaged.
        TrainingError: the loss exploded again and again, or the last state could not be written.
        KeyboardInterrupt: the user stopped it again.
    """
    started = clock.monotonic() if started is None else started
    reporter = reporter or Reporter()
    run = find_run(name, checkpoints=checkpoints)
    with run.locked(), enough_memory():
        last = read_checkpoint(run.last)
        progress = _progress(last)
        changes = _given(epochs=epochs, time=time, device=device, shards=shards)
        if epochs is not None or time is not None:
            changes = {"epochs": None, "time": None, **changes}
        training = TrainingConfig.from_json({**last.metadata.training, **changes})
        where = _as_list(sources) or list(progress.sources)
        if where == ["-"] and not sources:
            raise RunError(
                f"The run {run.name!r} was trained on standard input, which is gone. Pipe the same text in again: "
                f"textgen train - --resume {run.name} < text"
            )
        # A setting that this version does not know is refused: it may change the split or the vocabulary.
        corpus = CorpusConfig.from_json(last.metadata.corpus.settings)
        encoded = encode_corpus(
            open_corpus(where, config=corpus), cache=_cache(checkpoints), progress=reporter.encoding
        )
        before, now = str(last.metadata.corpus.sha256), encoded.sha256
        if before != now:
            raise RunError(
                f"The text of the run {run.name!r} has changed since it was trained (sha256 {before[:12]}, now "
                f"{now[:12]}), so it cannot be continued exactly. Bring the old text back, or start a new run from "
                f"its weights: textgen train ... --from {run.name}"
            )
        recipe = Recipe(model=last.model, training=training, reason="as before", budget=_end_of(training))
        placement, streams = place(training.device, training.precision), _streams(encoded, training)
        events = _events_before(run, progress) if tensorboard is None else _events(tensorboard)
        session = Session(run, encoded, recipe, reporter, callbacks, _absolute(where), placement, streams, events)
        session.restore(last.weights, read_training_state(run.last), progress, last.metadata.history, started)
        if epochs is not None or time is not None:
            session.extend()
        return session.fit()


def _progress(last: Checkpoint) -> SavedProgress:
    """How far a run had come when its last state was written."""
    progress, corpus = last.metadata.progress, last.metadata.corpus
    if progress is None or not corpus.settings or corpus.sha256 is None:
        raise CheckpointError(
            f"{last.path} does not say how far its training had come, so it cannot be continued. "
            f"Start a new run from its weights: textgen train ... --from {last.path}"
        )
    return progress


def _check_memory(recipe: Recipe) -> None:
    """Refuses what could never fit, before it fills the machine."""
    there = physical_memory()
    needed = least_memory(recipe.model, recipe.training.batch_size, recipe.training.sequence_length)
    if there is not None and needed > there:
        raise ConfigError(
            f"Training this needs at least {needed / 1e9:.1f} GB of memory, and there are {there / 1e9:.1f}. "
            "Choose fewer units or layers, or a smaller batch size or sequence length."
        )


def _absolute(sources: Sequence[Source]) -> list[str]:
    """The places of a text so that a continuation finds them from another folder."""
    return [str(source) if str(source) == "-" else str(Path(source).resolve()) for source in sources]


def _events(tensorboard: Source | bool) -> str | bool:
    """Where event files go, so that a continuation finds them from another folder."""
    if isinstance(tensorboard, bool):
        return tensorboard
    check_folder(tensorboard)
    return str(Path(tensorboard).resolve())


def _events_before(run: Run, progress: SavedProgress) -> str | bool:
    """Where event files went so far; a checkpoint from a stranger names no other folder than one that has them."""
    before = progress.tensorboard
    if isinstance(before, str) and not event_files(run.events_folder(before)):
        return True
    return before


def _cache(checkpoints: Source) -> Path:
    """Where large texts are kept encoded; a hidden folder is no run."""
    return Path(checkpoints) / ".cache"


def _streams(encoded: EncodedCorpus, training: TrainingConfig) -> Streams:
    return Streams(
        encoded.training,
        batch_size=training.batch_size,
        sequence_length=training.sequence_length,
        seed=training.seed,
    )


def _as_list(sources: Source | Sequence[Source]) -> list[Source]:
    return [sources] if isinstance(sources, (str, Path)) else list(sources)


def _given(**values: Any) -> dict[str, Any]:
    return {name: value for name, value in values.items() if value is not None}


def _shape_of(base: ModelConfig, wanted: Mapping[str, Any]) -> dict[str, Any]:
    """The shape of the model to start from; dropout may differ, nothing else."""
    shape = {name: getattr(base, name) for name in ("cell", "layers", "units", "embedding", "skip")}
    for name, value in wanted.items():
        if name in shape and shape[name] != value:
            raise ConfigError(f"{name} must be {shape[name]} as in the model to start from; got {value}. Leave it out.")
    return {**wanted, **shape}


def _describe_start(recipe: Recipe, source: str) -> Recipe:
    return Recipe(model=recipe.model, training=recipe.training, reason=f"starting from {source}", budget=recipe.budget)


def _end_of(training: TrainingConfig) -> str:
    if training.epochs is not None:
        return f"{training.epochs:g} epoch{'s'[: training.epochs != 1]} in all"
    return f"{short_duration(training.time or 0.0)} in all"

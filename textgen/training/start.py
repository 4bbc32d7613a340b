"""From a text to a run: `train` starts one, `resume` continues one exactly where it stopped.

This module joins the parts: corpus, recipe, model, trainer, callbacks and checkpoint. Each of them knows its own
business; here is only their order.
"""

from __future__ import annotations

import time as clock
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Unpack

import keras

from textgen.config import CorpusConfig, Device, ModelConfig, Size, TrainingConfig, TrainSettings, keywords
from textgen.corpus import EncodedCorpus, encode_corpus, open_corpus
from textgen.corpus.batches import Streams
from textgen.display.format import short_duration
from textgen.errors import CheckpointError, ConfigError, RunError
from textgen.model.checkpoint import Checkpoint, read_checkpoint, read_training_state
from textgen.runs.events import Reporter
from textgen.runs.run import Run, check_folder, create_run, find_run, resolve_checkpoint
from textgen.system import physical_memory
from textgen.training.placement import enough_memory, place
from textgen.training.recipe import Recipe, least_memory, recommend
from textgen.training.session import Session
from textgen.training.tensorboard import event_files

Source = str | Path


@keywords(TrainSettings)
def train(
    sources: Source | Sequence[Source],
    *,
    name: str | None = None,
    size: Size | None = None,
    start_from: Source | None = None,
    checkpoints: Source = "checkpoints",
    corpus: CorpusConfig | None = None,
    tensorboard: Source | bool = False,
    callbacks: Sequence[keras.callbacks.Callback] = (),
    reporter: Reporter | None = None,
    started: float | None = None,
    **settings: Unpack[TrainSettings],
) -> Run:
    """Trains a model on a text and keeps it in a run folder.

    Args:
        sources: files, folders, or "-" for standard input.
        name: the run's name, a folder in `checkpoints`; None takes the corpus's name and a free number.
        size: a preset for the shape: "tiny", "small", "medium" or "large".
        start_from: a run or a checkpoint whose weights are the start (fine-tuning). The new text's characters that it
            knows keep their weights; new ones get fresh ones. Its shape is taken over.
        checkpoints: the folder of the run folders.
        corpus: encoding, newlines, normalisation, rare characters and the validation split.
        tensorboard: write event files with the losses, the learning rate, the gradient's norm and the samples: True
            into the run's folder, a folder into one of the run's name there.
        callbacks: your own Keras callbacks; a Keras epoch is the span between two validations.
        reporter: hears of every event; None keeps quiet.
        started: the `time.monotonic()` from which a budget of time counts; None is now.
        **settings: any field of `textgen.ModelConfig` but `vocab_size`, and of `textgen.TrainingConfig`, such as
            `units`, `epochs`, `time` or `seed`; `help` of the two says what they mean and which values they take. One
            that is left out or None follows from the text and the budget (`textgen.training.recipe`).

    Returns:
        The finished run.

    Raises:
        TypeError: there is no setting of that name.
        ConfigError: a setting is out of its range.
        CorpusError: the text is missing, empty, too short, binary or not decodable.
        RunError: the name is taken, another process trains it, or the event files' folder cannot be written to.
        CheckpointError: `start_from` cannot be read.
        TrainingError: the loss diverged again and again, or the last state could not be written.
        KeyboardInterrupt: the user stopped it; the state is saved and `resume` continues.

    Example:
        run = textgen.train("poems.txt", size="small", epochs=20, seed=1)
    """
    started = clock.monotonic() if started is None else started
    reporter = reporter or Reporter()
    base = read_checkpoint(resolve_checkpoint(start_from, checkpoints=checkpoints)) if start_from is not None else None
    wanted = _given(**settings)
    wanted_model, wanted_training = ModelConfig.among(wanted), TrainingConfig.among(wanted)
    if base is not None:
        if size is not None:
            raise ConfigError("size must be left out where --from is given: the shape is that of its model.")
        wanted_model = _shape_of(base.model, wanted_model)
    opened = open_corpus(_as_list(sources), config=corpus or CorpusConfig())
    encoded = encode_corpus(opened, cache=_cache(checkpoints), progress=reporter.encoding)
    placement = place(wanted.get("device", "auto"), wanted.get("precision", "auto"))
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
        training = TrainingConfig.from_json({**last.metadata["training"], **changes})
        where = _as_list(sources) or list(progress["sources"])
        if where == ["-"] and not sources:
            raise RunError(
                f"The run {run.name!r} was trained on standard input, which is gone. Pipe the same text in again: "
                f"textgen train - --resume {run.name} < text"
            )
        corpus = CorpusConfig.from_json(last.metadata["corpus"]["settings"])
        encoded = encode_corpus(
            open_corpus(where, config=corpus), cache=_cache(checkpoints), progress=reporter.encoding
        )
        before, now = str(last.metadata["corpus"]["sha256"]), encoded.sha256
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
        session.restore(last.weights, read_training_state(run.last), progress, last.metadata["history"], started)
        if epochs is not None or time is not None:
            session.extend()
        return session.fit()


def _progress(last: Checkpoint) -> dict[str, Any]:
    """How far a run had come when its last state was written; `Session.restore` checks the figures."""
    progress, corpus = last.metadata.get("progress"), last.metadata["corpus"]
    values = progress if isinstance(progress, dict) else {}
    sources = values.get("sources")
    named = isinstance(sources, list) and sources and all(isinstance(source, str) for source in sources)
    known = isinstance(values.get("created"), str) and isinstance(values.get("tensorboard", False), (bool, str))
    if not named or not known or not {"settings", "sha256"} <= set(corpus):
        raise CheckpointError(
            f"{last.path} does not say how far its training had come, so it cannot be continued. "
            f"Start a new run from its weights: textgen train ... --from {last.path}"
        )
    return dict(values)


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


def _events_before(run: Run, progress: Mapping[str, Any]) -> str | bool:
    """Where event files went so far; a checkpoint from a stranger names no other folder than one that has them."""
    before: str | bool = progress.get("tensorboard", False)
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

"""From a text to a run: `train` starts one.

This module joins the parts: corpus, recipe, model, trainer, callbacks and checkpoint. Each of them knows its own
business; here is only their order.
"""

from __future__ import annotations

import time as clock
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, Unpack

from textgen.config import CorpusConfig, ModelConfig, Size, TrainingConfig, TrainSettings, keywords
from textgen.corpus import encode_corpus, open_corpus
from textgen.errors import ConfigError
from textgen.model.read import read_checkpoint
from textgen.runs.create import create_run
from textgen.runs.events import Reporter
from textgen.runs.find import resolve_checkpoint
from textgen.runs.run import Run
from textgen.system import physical_memory
from textgen.training.arguments import Source, absolute, as_list, cache_folder, events_folder, open_streams
from textgen.training.disk_space import check_disk_space
from textgen.training.framework import default_framework
from textgen.training.recipe import Recipe, least_memory, recommend

if TYPE_CHECKING:
    import keras


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
        RunError: the name is taken, another process trains it, the disk has no room for the checkpoints, or the event
            files' folder cannot be written to.
        CheckpointError: `start_from` cannot be read.
        TrainingError: training diverged again and again, or the last state could not be written.
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
    opened = open_corpus(as_list(sources), config=corpus or CorpusConfig())
    encoded = encode_corpus(opened, cache=cache_folder(checkpoints), progress=reporter.encoding)
    with default_framework():
        from textgen.training.placement import enough_memory, place
        from textgen.training.session import Session

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
        streams = open_streams(encoded, recipe.training)
        _check_memory(recipe)
        created = create_run(
            name if name is not None else encoded.name, checkpoints=checkpoints, exact=name is not None
        )
        with created as run, enough_memory():
            check_disk_space(run, recipe.model, recipe.training.batch_size)
            where = absolute(as_list(sources))
            events = events_folder(tensorboard)
            session = Session(run, encoded, recipe, reporter, callbacks, where, placement, streams, events)
            if base is not None:
                session.start_from(base.weights, base.tokenizer)
            session.begin(started)
            session.fit()
            # What it holds is let go of with the framework.
            del session
    return run


def _check_memory(recipe: Recipe) -> None:
    """Refuses what could never fit, before it fills the machine."""
    there = physical_memory()
    needed = least_memory(recipe.model, recipe.training.batch_size, recipe.training.sequence_length)
    if there is not None and needed > there:
        raise ConfigError(
            f"Training this needs at least {needed / 1e9:.1f} GB of memory, and there are {there / 1e9:.1f}. "
            "Choose fewer units or layers, or a smaller batch size or sequence length."
        )


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

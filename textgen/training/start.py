"""Starts a run: joins corpus, recipe, model, trainer, callbacks and checkpoints."""

from __future__ import annotations

import time as clock
from collections.abc import Iterable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, Unpack

from textgen.config import (
    CorpusConfig,
    ModelConfig,
    Size,
    TrainingConfig,
    TrainSettings,
    WorkersConfig,
    keywords,
    plain,
    require,
)
from textgen.corpus import Corpus, EncodedCorpus, encode_corpus
from textgen.corpus.form import refuse_table
from textgen.corpus.pairs import EncodedPairs
from textgen.corpus.strings import Text
from textgen.corpus.tokenizer import CharTokenizer
from textgen.errors import ConfigError
from textgen.model.read import Checkpoint, PairCheckpoint, read_checkpoint, read_pair_checkpoint
from textgen.runs.create import create_run
from textgen.runs.events import Reporter
from textgen.runs.find import resolve_checkpoint
from textgen.runs.run import Run
from textgen.system import physical_memory
from textgen.training.arguments import (
    Source,
    as_callbacks,
    cache_folder,
    check_one_process,
    check_one_side,
    events_folder,
    open_streams,
    open_text,
)
from textgen.training.disk_space import check_disk_space
from textgen.training.framework import default_framework
from textgen.training.pair_recipe import encoder_layers, recommend_pairs
from textgen.training.recipe import Recipe, least_memory, recommend
from textgen.training.workers.cluster import find_cluster
from textgen.training.workers.keeping import newest
from textgen.training.workers.parts import Part, check_part, share_vocabulary

if TYPE_CHECKING:
    import keras


@keywords(TrainSettings)
def train(
    sources: Source | Sequence[Source] | Corpus = (),
    *,
    texts: Iterable[Text] | None = None,
    name: str | None = None,
    size: Size | None = None,
    start_from: Source | None = None,
    checkpoints: Source = "checkpoints",
    corpus: CorpusConfig | None = None,
    tensorboard: Source | bool = False,
    callbacks: Sequence[keras.callbacks.Callback] = (),
    workers: WorkersConfig | None = None,
    reporter: Reporter | None = None,
    started: float | None = None,
    **settings: Unpack[TrainSettings],
) -> Run:
    """Trains a model on a text and saves it in a run folder.

    Args:
        sources: files, folders, or "-" for standard input; or what `textgen.corpus.open_corpus` opened.
        texts: strings instead of sources, in a list or from a generator; a newline is added after one that does not end
            with one. With `CorpusConfig(records="files")` each string is a record, or a pair of one and its label or
            labels. `resume` needs the same texts again.
        name: the run's name, a folder in `checkpoints`; None takes the corpus's name, numbered if taken.
        size: a preset for the shape: "tiny", "small", "medium", "large" or "huge".
        start_from: a run or a checkpoint to fine-tune, for pairs one on pairs. Its shape is kept; characters that it
            does not know get freshly initialised weights, and so do the backward stack and the joint head where only
            the new model has both sides.
        checkpoints: folder that holds the runs.
        corpus: encoding, newlines, normalisation, records, rare characters and the validation split; None for the
            defaults.
        tensorboard: write event files with losses, learning rate, gradient norm and samples: True for the run's folder,
            a path for a subfolder of the run's name there.
        callbacks: your own Keras callbacks; an epoch is the interval between two validations. The learning rate is the
            schedule's: callbacks that set it have no effect.
        workers: the machines that train the run together, with this call on each of them; None for those in TF_CONFIG,
            or for this machine alone. Only worker 0 saves the run.
        reporter: is told of every event; None reports nothing.
        started: the `time.monotonic()` from which a time budget counts; None for now. Where the text comes later, from
            a pipe or a generator, the budget counts from its end.
        **settings: any field of `textgen.ModelConfig` but `vocab_size` and `labels`, and of `textgen.TrainingConfig`,
            such as `units`, `epochs`, `time` or `seed`; see `help` of the two. Those left out or None follow from the
            text and the budget (`textgen.training.recipe`).

    Returns:
        The finished run.

    Raises:
        TypeError: a setting is unknown.
        ConfigError: a setting is out of its range.
        CorpusError: the text is missing, empty, too short, binary or not decodable.
        RunError: the name is taken, another process trains the run, the disk has too little space for the checkpoints,
            or the event files' folder is not writable.
        CheckpointError: `start_from` cannot be read.
        TrainingError: training kept diverging, the last state could not be written, or the workers do not fit together.
        WorkerLostError: another worker is no longer there; worker 0 has saved the last round.
        KeyboardInterrupt: the user interrupted it; the state is saved, and `resume` continues. After SIGTERM or SIGHUP
            it holds the signal's number.

    Example:
        run = textgen.train("poems.txt", size="small", epochs=20, seed=1)
    """
    started = clock.monotonic() if started is None else started
    reporter, workers = reporter or Reporter(), workers or WorkersConfig()
    cluster = find_cluster(workers)
    wanted = _given(**settings)
    wanted_model, wanted_training = ModelConfig.among(wanted), TrainingConfig.among(wanted)
    parts = cluster is not None and workers.text_part
    if parts:
        # What is rare in one part of the text may be frequent in another.
        require(not wanted_training.get("permute_rare"), "permute_rare", "off with text_part", True, "Leave it out.")
        wanted_training["permute_rare"] = False
    opened = open_text(sources, texts, corpus)
    base: Checkpoint | PairCheckpoint | None = None
    if start_from is not None:
        # Each refuses a model of the other kind.
        read = read_pair_checkpoint if opened.config.by_pair else read_checkpoint
        base = read(resolve_checkpoint(start_from, checkpoints=checkpoints))
        if size is not None:
            raise ConfigError(
                "size must be left out where start_from is given: the model keeps its shape.",
                field="size",
                others=("start_from",),
            )
        wanted_model = _shape_of(base.model, wanted_model)
    if cluster is not None:
        check_one_side(wanted_model.get("sides"))
    _check_pairs(opened.config, wanted_model, several=cluster is not None)
    refuse_table(opened)
    if base is not None and opened.config.min_count is None:
        # A character that is rare in the new text may be one that the model knows.
        opened = opened.configured(opened.config.replace(min_count=1))
    started = opened.ready(started)
    seed = TrainingConfig(**TrainingConfig.among({"seed": wanted.get("seed", 0)})).seed
    min_count = opened.config.min_count
    if parts:
        # Every character counts, until it is known how often the other parts have it.
        opened = opened.configured(opened.config.replace(min_count=1))

    def encode(text: Corpus, vocabulary: CharTokenizer | None = None) -> EncodedCorpus:
        cache = cache_folder(checkpoints)
        return encode_corpus(text, tokenizer=vocabulary, cache=cache, progress=reporter.encoding, seed=seed)

    encoded = encode(opened)
    if parts:
        check_part(encoded)
    if isinstance(encoded, EncodedPairs):
        wanted_model |= {"source_vocab_size": encoded.source_tokenizer.vocab_size}
    elif encoded.records is not None:
        wanted_model["labels"] = len(encoded.records.labels)
    with default_framework():
        from textgen.training.joint import JointSession, follow
        from textgen.training.placement import enough_memory, place
        from textgen.training.session import Session
        from textgen.training.workers.joining import joined

        several = 1 if cluster is None else cluster.size
        placement = place(wanted.get("device", "auto"), wanted.get("precision", "auto"))
        gpu = not placement.kernels
        given = {**wanted, "size": size, "from": None if base is None else base.metadata.created}
        with joined(cluster, workers, reporter, encoded=encoded, given=given, seed=seed, gpu=gpu) as team:
            if team is not None:
                newest(team, Path(checkpoints))
            told: list[Part] = []
            if team is not None and parts:
                # Without a `min_count`: the vocabulary does not follow from this text.
                unsettled = opened.configured(opened.config.replace(min_count=None))
                encoded, told = share_vocabulary(team, encoded, partial(encode, unsettled), min_count=min_count)
            if team is not None and not team.leads:
                return follow(team, workers, encoded, reporter, as_callbacks(callbacks), placement, checkpoints)
            vocab_size = encoded.tokenizer.vocab_size
            needed = {"encoder_layers": encoder_layers(encoded)} if isinstance(encoded, EncodedPairs) else {}
            speed = placement.speed(
                ModelConfig(vocab_size=vocab_size, **{**needed, **wanted_model}), TrainingConfig(**wanted_training)
            )
            asked: dict[str, Any] = {"size": size, "model": wanted_model, "training": wanted_training}
            chosen = {**asked, "speed": speed, "fresh": base is None}
            if isinstance(encoded, EncodedPairs):
                recipe = recommend_pairs(encoded, **chosen)
            else:
                characters = len(encoded.training) * (several if parts else 1)
                recipe = recommend(characters, vocab_size, workers=several, **chosen)
            if base is not None:
                recipe = _describe_start(recipe, str(start_from))
            streams = open_streams(encoded, recipe.training, workers=1 if parts else several, both=recipe.model.both)
            _check_memory(recipe)
            created = create_run(
                name if name is not None else encoded.name, checkpoints=checkpoints, exact=name is not None
            )
            with created as run, enough_memory():
                check_disk_space(run, recipe.model, recipe.training.batch_size, workers=several)
                events, users = events_folder(tensorboard), as_callbacks(callbacks)
                if team is None:
                    session = Session(run, encoded, recipe, reporter, users, placement, streams, events)
                else:
                    session = JointSession(
                        team, workers, run, encoded, recipe, reporter, users, placement, events, told
                    )
                if base is not None:
                    session.start_from(base)
                session.begin(started if team is None else started + team.waited)
                session.fit()
                # What it holds is released with the framework.
                del session
    return run


def _check_pairs(corpus: CorpusConfig, model: Mapping[str, Any], *, several: bool) -> None:
    """Refuses what does not go with pairs, or only with them."""
    if not corpus.by_pair:
        if model.get("encoder_layers"):
            raise ConfigError(
                f"encoder_layers must be left out without pairs: only they have a text to read; got "
                f"{model['encoder_layers']}.",
                field="encoder_layers",
            )
    elif several:
        check_one_process(corpus)


def _check_memory(recipe: Recipe) -> None:
    """Checks that training fits into the machine's memory."""
    there = physical_memory()
    needed = least_memory(recipe.model, recipe.training.batch_size, recipe.training.sequence_length)
    if there is not None and needed > there:
        raise ConfigError(
            f"Training this needs at least {needed / 1e9:.1f} GB of memory, but this machine has {there / 1e9:.1f} GB. "
            "Choose fewer units or layers, or a smaller batch size or sequence length."
        )


def _given(**values: Any) -> dict[str, Any]:
    return {name: plain(value) for name, value in values.items() if value is not None}


def _shape_of(base: ModelConfig, wanted: Mapping[str, Any]) -> dict[str, Any]:
    """The shape of the model to fine-tune; only dropout and the sides may differ."""
    names = ("cell", "layers", "units", "embedding", "skip", *(["encoder_layers"] if base.has_encoder else []))
    shape = {name: getattr(base, name) for name in names}
    for name, value in wanted.items():
        if name in shape and shape[name] != value:
            raise ConfigError(
                f"{name} must be {shape[name]} as in the model to start from; got {value}. Leave it out.", field=name
            )
    return {"sides": base.sides, **wanted, **shape}


def _describe_start(recipe: Recipe, source: str) -> Recipe:
    return Recipe(model=recipe.model, training=recipe.training, reason=f"starting from {source}", budget=recipe.budget)

"""`textgen train`: trains a model on a text."""

from __future__ import annotations

import contextlib
import math
import shlex
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
from click.core import ParameterSource

from textgen.cli import STARTED
from textgen.cli.command import command, visible
from textgen.cli.named import resolve
from textgen.cli.options import (
    AnyPath,
    DurationOrSteps,
    checkpoints_option,
    optional,
    optional_settings,
    run_names,
)
from textgen.cli.worker_commands import command_again, commands_of_workers
from textgen.config import SIZES, CorpusConfig, ModelConfig, TrainingConfig, WorkersConfig
from textgen.config.workers import SLURM
from textgen.errors import ConfigError, WorkerLostError
from textgen.system.restart import start_again

if TYPE_CHECKING:
    from textgen.cli.progress import Progress
    from textgen.corpus import Corpus
    from textgen.runs.run import Run

_MODEL = tuple(name for name in ModelConfig.declared if name not in ("vocab_size", "source_vocab_size"))
_LENGTH = ("epochs", "time", "seed")
_MACHINE = ("precision", "device", "shards")
_LEARNING = tuple(name for name in TrainingConfig.declared if name not in (*_LENGTH, *_MACHINE, "save_every_steps"))
STANDARD_INPUT = "-"
_METAVARS = {"glob": {"metavar": "PATTERN"}, "text_field": {"metavar": "NAME"}, "label_field": {"metavar": "NAME,..."}}
_METAVARS |= {name: {"metavar": "NAME"} for name in ("source_field", "target_field")}
_SHORT = 1 << 16
"""Bytes up to which a text is read before TensorFlow is loaded, to see whether it can be trained on."""

_WITH_RESUME = (
    *("sources", "checkpoints", "resume", "epochs", "time", "device", "shards", "tensorboard", "offline", "quiet"),
    *WorkersConfig.declared,
)


@command(
    "train",
    examples=(
        "textgen train corpora/marrow_haven.txt",
        "textgen train corpora/marrow_haven.txt --name haven --size small --epochs 20",
        "textgen train corpora/ --glob '*.txt' --time 3m --seed 1",
        "cat corpora/marrow_haven.txt | textgen train - --name piped --time 90s",
        "textgen train corpora/short_texts.csv --text-field text --label-field kind --time 90s",
        "textgen train corpora/old_spelling.tsv --pairs --time 90s",
        "textgen train corpus:names --time 90s",
        "textgen train --resume marrow_haven --time 5m",
        "textgen train corpora/marrow_haven.txt --from marrow_haven --name finer --time 1m",
    ),
)
@click.argument("sources", nargs=-1, metavar="[SOURCES]...", type=AnyPath(allow_dash=True))
@optional("--name", metavar="NAME", otherwise="the text's name, numbered if taken", help="The run's name.")
@optional("--size", type=click.Choice(list(SIZES)), otherwise="by text and time", help="The model's size.")
@optional_settings(TrainingConfig, *_LENGTH, time={"help": "Time budget, such as 90s, 3m or 1h30m, instead of epochs."})
@optional("--resume", metavar="NAME", shell_complete=run_names, help="Continue this run exactly where it stopped.")
@optional(
    "--from",
    "start_from",
    metavar="RUN",
    shell_complete=run_names,
    help="Fine-tune the model of this run or .keras file.",
)
@checkpoints_option
@optional(
    "--tensorboard",
    is_flag=False,
    flag_value="",
    metavar="[FOLDER]",
    help="Write TensorBoard event files into the run's folder, or into FOLDER/NAME.",
)
@click.option("--offline", is_flag=True, help="Download nothing: only use the named corpora that are there.")
@click.option("--quiet", "-q", is_flag=True, help="Show warnings and errors only.")
@optional_settings(CorpusConfig, *CorpusConfig.declared, section="Text", **_METAVARS)
@optional_settings(ModelConfig, *_MODEL, section="Model")
@optional_settings(
    TrainingConfig,
    *_LEARNING,
    section="Learning",
    save_every={
        "type": DurationOrSteps(),
        "help": "Interval between saves: a time, such as 30s, or steps, such as 200.",
        "otherwise": f"{TrainingConfig.declared['save_every'].default_text}s",
    },
)
@optional_settings(TrainingConfig, *_MACHINE, section="Machine")
@optional_settings(
    WorkersConfig,
    *WorkersConfig.declared,
    section="Several machines",
    workers={"metavar": "HOST:PORT,..."},
)
@click.pass_context
def train(ctx: click.Context, /, **options: Any) -> None:
    """Train a model on a text and save it in a run folder.

    SOURCES are text files, tables, folders, - for standard input, or the name of a public text that `textgen corpora`
    lists, which is downloaded when first used (corpus:NAME where a file has its name). Model size, hyperparameters and
    training time follow from the text unless given, and are shown, with reasons, before training starts.

    Ctrl-C stops after the current step, saves, and shows the command to continue.
    """
    resuming = options["resume"] is not None
    _check_usage(ctx, options)
    named = resolve(options["sources"], given=options, offline=options.pop("offline"), quiet=options["quiet"])
    sources = options["sources"] = named.sources
    started = STARTED if named.since is None else named.since
    if not resuming:
        options.update(named.settings)
    if isinstance(options["save_every"], int):
        options["save_every_steps"] = options.pop("save_every")
    options["glob"] = options["glob"][0] if len(options["glob"] or ()) == 1 else options["glob"] or None
    chosen = {name: value for name, value in options.items() if value is not None}
    given = {**ModelConfig.among(chosen), **TrainingConfig.among(chosen)}
    corpus = CorpusConfig(**CorpusConfig.among(chosen))
    workers = WorkersConfig(**WorkersConfig.among(chosen))
    opened = _check_early(options, given, corpus, workers, started)
    # A stream has been read by now and is not there a second time.
    text: Any = opened if opened is not None and STANDARD_INPUT in opened.places else sources

    from textgen.cli.framework import load_training
    from textgen.cli.progress import Progress

    progress = Progress(quiet=options["quiet"])
    try:
        training = load_training(options["device"])
        common = {"checkpoints": options["checkpoints"], "workers": workers, "reporter": progress, "started": started}
        if options["tensorboard"] is not None:
            common["tensorboard"] = options["tensorboard"] or True
        if resuming:
            run = training.resume(options["resume"], sources=text, **given, **common)
        else:
            run = training.train(
                text,
                name=options["name"],
                size=options["size"],
                start_from=options["start_from"],
                corpus=corpus,
                **given,
                **common,
            )
    except KeyboardInterrupt:
        progress.close()
        _tell_how_to_go_on(progress, options)
        raise
    except WorkerLostError as error:
        if not workers.rejoin:
            raise
        progress.close()
        progress.say(visible(f"{error} Starting again, to wait for it ..."))
        start_again(command_again(ctx, progress.run, _WITH_RESUME))
    finally:
        progress.close()
    if progress.follows is not None:
        return
    if not options["quiet"]:
        _tell_what_next(run, progress, options)


def _check_usage(ctx: click.Context, options: Mapping[str, Any]) -> None:
    """Refuses incompatible options."""
    if options["tensorboard"] and Path(options["tensorboard"]).is_file():
        raise click.UsageError(
            f"--tensorboard takes a folder; {options['tensorboard']} is a file. Put the text before it: "
            f"textgen train {options['tensorboard']} --tensorboard",
            ctx,
        )
    if options["resume"] is None:
        if not options["sources"]:
            raise click.UsageError("Name the text to train on: files, folders, or - for standard input.", ctx)
        return
    refused = [
        max(param.opts, key=len)
        for param in ctx.command.params
        if param.name not in _WITH_RESUME
        and param.name is not None
        and ctx.get_parameter_source(param.name) is ParameterSource.COMMANDLINE
    ]
    if refused:
        raise click.UsageError(
            f"{', '.join(refused)} cannot be given with --resume: a run keeps its settings. "
            "Leave it out, or start a new run from its weights with --from.",
            ctx,
        )


def _check_early(
    options: Mapping[str, Any],
    given: Mapping[str, Any],
    corpus: CorpusConfig,
    workers: WorkersConfig,
    started: float,
) -> Corpus | None:
    """Checks the arguments before TensorFlow is loaded, which takes seconds; returns the text, if one is named.

    Streams are read here: the time that they take does not count towards a time budget.
    """
    from textgen.cli.reading import hint_at_waiting
    from textgen.corpus import open_corpus
    from textgen.corpus.form import note_on_list, notes_on_strip, refuse_table, settle
    from textgen.model.read import read_metadata
    from textgen.runs.create import create_run
    from textgen.runs.find import find_run, resolve_checkpoint
    from textgen.runs.naming import check_name
    from textgen.runs.run import check_folder
    from textgen.training.arguments import check_one_process
    from textgen.training.workers.cluster import find_cluster

    if workers.workers:
        check_one_process(corpus)
    if workers.addresses and workers.worker is None:
        raise ConfigError(commands_of_workers(workers, options))
    cluster = None if workers.workers == SLURM else find_cluster(workers)
    saves = workers.workers != SLURM and (cluster is None or cluster.index == 0)
    shape = ModelConfig.among(given)
    ModelConfig(vocab_size=1, source_vocab_size=min(shape.get("encoder_layers", 0), 1), **shape)
    TrainingConfig(**TrainingConfig.among(given))
    checkpoints, name = options["checkpoints"], options["name"]
    if options["tensorboard"]:
        check_folder(options["tensorboard"])
    if options["resume"] is not None:
        run = find_run(options["resume"], checkpoints=checkpoints)
        if options["sources"]:
            corpus = read_metadata(run.last).corpus.config
    if options["start_from"] is not None:
        resolve_checkpoint(options["start_from"], checkpoints=checkpoints)
    if name is not None:
        check_name(name)
        # Another worker may have kept the run there, when worker 0 was lost.
        if saves and (checkpoints / name).exists():
            with create_run(name, checkpoints=checkpoints):
                pass
    if not options["sources"]:
        return None
    opened = open_corpus(options["sources"], config=corpus)
    if options["resume"] is None:
        refuse_table(opened)
    with hint_at_waiting(options["sources"]):
        opened.ready(started)
    if options["resume"] is None:
        opened = settle(opened)
        _check_length(opened, given)
        notes = [*notes_on_strip(opened, unasked=corpus.strip is None), note_on_list(opened)]
        for note in filter(None, notes if not options["quiet"] else ()):
            click.echo(f"Note: {visible(note)}", err=True)
    return opened


def _check_length(opened: Corpus, given: Mapping[str, Any]) -> None:
    """Refuses a short text that is empty, no text, or has no batch, and a table without the fields that are named."""
    from textgen.corpus import encode_corpus
    from textgen.corpus.form import read_first
    from textgen.corpus.pairs import EncodedPairs
    from textgen.training.arguments import open_streams
    from textgen.training.pair_recipe import recommend_pairs
    from textgen.training.recipe import recommend

    if opened.bytes > _SHORT:
        if opened.config.by_record or opened.config.by_pair:
            read_first(opened)
        return
    encoded = encode_corpus(opened, seed=given.get("seed", 0))
    chosen = TrainingConfig.among(given)
    if isinstance(encoded, EncodedPairs):
        recipe = recommend_pairs(encoded, training=chosen)
    else:
        recipe = recommend(len(encoded.training), encoded.tokenizer.vocab_size, training=chosen)
    open_streams(encoded, recipe.training)


def _tell_how_to_go_on(progress: Progress, options: Mapping[str, Any]) -> None:
    """After an interruption: shows what is saved, and the command to continue."""
    from textgen.errors import TextgenError
    from textgen.model.read import read_metadata
    from textgen.runs.run import Run

    if progress.follows is not None:
        progress.say(
            f"Interrupted; worker 0 has saved the run {progress.follows!r}. To go on, start all workers again,"
        )
        progress.say("worker 0 with --resume and its name.")
        return
    step: int | None = None
    places: Sequence[str] = ()
    if progress.run is not None:
        with contextlib.suppress(TextgenError):
            metadata = read_metadata(Run(progress.run).last)
            step = metadata.metrics.step
            places = () if metadata.progress is None else metadata.progress.sources
    if progress.run is None or step is None:
        progress.say("Interrupted; nothing has been saved yet.")
        return
    text = " -" if STANDARD_INPUT in places else ""
    progress.say(f"Interrupted; everything up to step {step:,} is saved. Continue with:")
    progress.say(f"  textgen train{text} --resume {_named(Run(progress.run), options)}")


def _tell_what_next(run: Run, progress: Progress, options: Mapping[str, Any]) -> None:
    if options["resume"] is not None and progress.steps == 0:
        click.echo("The run has reached its end already. To train further, give a larger --time or --epochs.", err=True)
    summary = run.summary()
    if summary["val_loss"] is not None:
        loss, bits = summary["val_loss"], summary["bits_per_character"] or summary["val_loss"] / math.log(2.0)
        click.echo(f"Best model: validation loss {loss:.4f}, {bits:.3f} bits per character.", err=True)
    if options["tensorboard"] is not None:
        folder = shlex.quote(str(run.events_folder(options["tensorboard"] or True)))
        click.echo("View the events (pip install tensorboard):", err=True)
        click.echo(f"  tensorboard --logdir {visible(folder)}", err=True)
    if summary["pairs"]:
        click.echo("Rewrite with it:", err=True)
        click.echo(f"  textgen rewrite {_named(run, options)} FILE", err=True)
        return
    click.echo("Sample from it:", err=True)
    click.echo(f"  textgen sample --run {_named(run, options)}", err=True)


def _named(run: Run, options: Mapping[str, Any]) -> str:
    """A run for a command line."""
    from textgen.runs.find import run_argument

    return visible(run_argument(run, options["checkpoints"]))

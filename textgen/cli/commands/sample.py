"""`textgen sample`: writes new text with a run."""

from __future__ import annotations

import contextlib
import functools
import sys
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from textgen.cli.command import command, visible
from textgen.cli.options import (
    AnyPath,
    OutputPath,
    Text,
    adapt_option,
    checkpoints_option,
    errors_option,
    json_option,
    optional,
    run_option,
    setting,
)
from textgen.config import CorpusConfig, SamplingConfig
from textgen.system import is_terminal

if TYPE_CHECKING:
    from textgen.sampling.records import RecordDraws
    from textgen.sampling.sample import Sample
    from textgen.sampling.sampler import Streams
    from textgen.sampling.writer import Writer

SEPARATOR = "-----"

_choice = functools.partial(setting, config=SamplingConfig, section="Sampling controls, in order of application")
_constraint = functools.partial(setting, config=SamplingConfig, section="Constraints")
_end = functools.partial(setting, config=SamplingConfig, section="End of the text")


@command(
    "sample",
    examples=(
        "textgen sample",
        'textgen sample --run marrow_haven --temperature 0.5 --prompt "The sea " --length 1000 --seed 7',
        'textgen sample --prompt "CAPTAIN THRUPP: " --until line --length 1 --count 5',
        "textgen sample --temperature 0.3,0.6,1 --top-p 0.95 --stop . --include-stop --prompt 'Nan '",
        "textgen sample --length 300 --trim sentence",
        "textgen sample --match '[A-Z][a-z]{3,8}' --count 5",
        "textgen sample --starts-with 'The ' --contains sea --ends-with . --max-length 120",
        "echo 'Oda Penhale said' | textgen sample --until paragraph --no-echo",
        "textgen sample --prompt-file corpora/README.md --unknown skip --length 100",
        "textgen sample --json --count 2 --logprobs 3 --length 20",
        "textgen sample --length 2000 --temperature 0.4 --check",
        "textgen sample --adapt corpora/README.md --unknown skip --prompt 'The corpus '",
        "textgen sample --run marrow_haven:0.7 --run marrow_haven-2:0.3",
        "textgen sample --prompt 'The ' --ending ' the sea.' --length 80 --count 3",
        "textgen sample --run names --count 20 --unique --new",
        "textgen sample --run tunes --any-label --count 8 --html tunes.html",
    ),
)
@run_option
@checkpoints_option
@optional("--prompt", metavar="TEXT", type=Text(), help="The text to continue.")
@optional("--ending", metavar="TEXT", type=Text(), help="The text to end with, after at most --length characters.")
@optional("--prompt-file", metavar="FILE", type=AnyPath(), help="File with the text to continue; - is standard input.")
@adapt_option
@setting("--encoding", config=CorpusConfig, help="Encoding of files and of standard input.")
@errors_option
@click.option("--echo/--no-echo", default=True, show_default=True, help="Write the prompt before each sample.")
@click.option("--count", "-n", type=int, default=1, show_default=True, help="Number of samples.")
@optional("--seed", config=SamplingConfig)
@setting("--unknown", config=SamplingConfig)
@json_option("Write one JSON object per line for each sample.")
@setting("--label", metavar="NAME[:WEIGHT]", config=SamplingConfig, show_default=False)
@click.option("--csv", "as_csv", is_flag=True, help="Write CSV with a header; for a run on records.")
@click.option("--unique", is_flag=True, help="Write no record twice; for a run on records.")
@click.option("--new", is_flag=True, help="Write only records that are not in the run's text; for a run on records.")
@click.option(
    "--any-label",
    is_flag=True,
    help="Draw a label for each record, as often as training records have it; for a run on records with labels.",
)
@optional(
    "--html",
    type=OutputPath(),
    metavar="OUT",
    help="Also write a page that shows and plays the tunes; for a run on tunes.",
)
@click.option(
    "--logprobs",
    metavar="N",
    type=int,
    default=0,
    help="With --json: add log-probabilities, of each character and its N likeliest alternatives.",
)
@click.option(
    "--check",
    is_flag=True,
    help="Then show the longest spans copied from the training text; see textgen novelty.",
)
@optional(
    "--corpus",
    metavar="PATH",
    type=AnyPath(),
    multiple=True,
    otherwise="its recorded path",
    help="With --check or --adapt: path of the training text; can be given several times.",
)
@_choice("--ban", metavar="CHARACTERS", show_default=False)
@_choice("--allow", metavar="CHARACTERS", show_default=False)
@_choice("--logit-bias", metavar="C:NUMBER", show_default=False)
@_constraint("--match", metavar="REGEX", show_default=False)
@_constraint("--starts-with", metavar="TEXT", show_default=False)
@_constraint("--ends-with", metavar="TEXT", show_default=False)
@_constraint("--contains", metavar="TEXT")
@_constraint("--min-length")
@optional("--max-length", config=SamplingConfig, section="Constraints")
@_choice("--repetition-penalty")
@_choice("--repetition-window")
@_choice("--presence-penalty")
@_choice("--frequency-penalty")
@_choice("--temperature")
@_choice("--top-k")
@_choice("--top-p")
@_choice("--min-p")
@_choice("--typical-p")
@_end("--length", "max_new_tokens")
@_end("--until")
@_end("--stop", metavar="TEXT")
@_end("--include-stop")
@_end("--trim")
@click.pass_context
def sample(ctx: click.Context, /, runs: tuple[str, ...], checkpoints: Path, **options: Any) -> None:
    """Write new text with a trained model.

    Without --prompt and --prompt-file, the prompt is read from standard input if that is a pipe or a file. One newline
    at its end is dropped. The text goes to standard output, the seed to standard error.

    With --adapt the model is first adapted to a text in one pass (dynamic evaluation), so that it picks up its names
    and style; the text should resemble the training text. The run is not changed. Of a run of both sides each half is
    adapted, in twice the time. To learn a text thoroughly, or
    another language, fine-tune: textgen train FILE --from RUN.

    A run on records writes a record for each sample, one a line unless records hold line breaks; tunes have an empty
    line between them. Its prompt is the beginning of each. A record ends where the model ends it, or after --length
    characters.

    With --ending the text is written from the prompt to this ending: of many ways to write its last characters, one is
    drawn after which the ending follows well. At most --length characters come before it. Without a prompt a run of
    both sides (textgen train --sides both) writes backwards from the ending, with --until line to a line's beginning,
    whose line break is left out, and with --stop to what comes after a text; --starts-with, --contains, --min-length
    and --max-length are of what comes before the ending. Several runs that are mixed write forwards only. All controls
    of which characters are drawn go with --ending, and --label, --seed, --count, --json, --check and --adapt. What does
    not: after a prompt --until, --stop and all constraints, and always --match, --ends-with, --trim, --logprobs,
    --html, --csv, --unique, --new and --any-label.

    With --html the tunes of a run on tunes (textgen train FILE --records tunes) are also written to a page of one file
    that draws them as notation, plays them, and saves each as an ABC or a MIDI file; it needs no network. What is not
    notation is shown as text, with what is wrong with it.

    Several runs, such as two seeds of one text, are mixed: --run a:0.7 --run b:0.3 draws each character from the
    weighted mean of their probabilities. Their vocabularies must be the same. A run whose own name holds a colon and a
    number comes before a weight.
    """
    if options["prompt"] is not None and options["prompt_file"] is not None:
        raise click.UsageError("--prompt and --prompt-file cannot be given together.", ctx)
    if options["logprobs"] and not options["as_json"]:
        raise click.UsageError("--logprobs needs --json.", ctx)
    if options["as_csv"] and options["as_json"]:
        raise click.UsageError("--csv and --json cannot be given together.", ctx)
    if options["any_label"] and options["label"]:
        raise click.UsageError("--any-label and --label cannot be given together.", ctx)
    if options["include_stop"] and not options["stop"]:
        raise click.UsageError("--include-stop needs --stop.", ctx)
    if options["corpus"] and not options["check"] and options["adapt"] is None:
        raise click.UsageError("--corpus needs --check or --adapt.", ctx)
    if options["adapt"] == options["prompt_file"] == "-":
        raise click.UsageError("--adapt and --prompt-file cannot both be standard input.", ctx)

    from textgen.cli.copies import copies_of, name_copies, read_training
    from textgen.cli.hints import hint
    from textgen.cli.reading import adapt, check_characters, load_writer, mixed_runs, note_replaced
    from textgen.cli.records import ONLY, note_missing, refuse_records, show_json, show_records
    from textgen.cli.tune_page import check_tunes, write_tunes

    for name in ("logprobs", "html", *ONLY) if options["ending"] is not None else ():
        if options[name]:
            flag = ONLY.get(name, f"--{name}")
            raise click.UsageError(f"{flag} and --ending cannot be given together.", ctx)
    writer, name = load_writer(runs, checkpoints)
    refuse_records(writer, options)
    if options["html"] is not None:
        check_tunes(writer, options["html"])
    prompt = _prompt(writer, options)
    note_replaced(writer, prompt, options["unknown"])
    controls = SamplingConfig.among(options)
    hint(SamplingConfig(**controls), writer.tokenizer.characters)
    training = read_training(writer, options["corpus"] or ()) if options["check"] else None
    more: dict[str, Any] = {"run": name, **mixed_runs(writer)}
    if options["adapt"] is not None:
        # Report wrong arguments before spending the time.
        config = SamplingConfig(**controls)
        check_characters(writer, config)
        writer.tokenizer.encode(prompt, unknown=config.unknown)
        where = {name: options[name] for name in ("encoding", "errors")}
        writer = adapt(writer, options["adapt"], unknown=config.unknown, corpus=options["corpus"] or (), **where)
        more["adapt"] = options["adapt"]
        name = f"{name}, adapted"
    shown: Callable[[str], str] = visible if is_terminal(sys.stdout) else str
    whole = any(options[each] for each in ("as_json", *ONLY)) or options["html"] is not None
    if options["count"] == 1 and not whole and options["ending"] is None:
        written = _stream(writer, prompt, controls, shown=shown, echo=options["echo"], name=name)
        if training is not None:
            name_copies(training, [written])
        return
    draws: RecordDraws | Streams | None = None
    records, towards = None, []
    if options["ending"] is not None:
        note_replaced(writer, options["ending"], options["unknown"])
        towards = writer.generate_towards(options["ending"], prompt=prompt, count=options["count"], **controls)
    elif writer.tokenizer.has_end:
        from textgen.sampling.records import draw_records

        selection = {each: options[each] for each in ("unique", "new", "any_label", "logprobs")}
        draws = records = draw_records(writer, writer.sampling(controls), options["count"], prompt=prompt, **selection)
    else:
        draws = writer.stream_many(prompt, count=options["count"], logprobs=options["logprobs"], **controls)
    copies = None
    with _held_back() as interrupted:
        if draws is not None:
            draws.run()
        if training is not None and options["as_json"]:
            copies = copies_of(training, towards if draws is None else draws.samples)
    samples = towards if draws is None else draws.samples
    if options["as_json"]:
        show_json(samples, more, lambda n: {} if copies is None else {"copies": copies[n]})
    elif records is not None:
        show_records(records, writer, as_csv=options["as_csv"], echo=options["echo"], shown=shown, separator=SEPARATOR)
    else:
        _show(samples, prompt * options["echo"], shown)
    if options["html"] is not None:
        write_tunes(options["html"], samples, name)
    if records is not None and not interrupted:
        note_missing(records, options["count"])
    _report(samples[0].seed if records is None else records.seed, name)
    if interrupted:
        raise KeyboardInterrupt
    if training is not None and copies is None:
        name_copies(training, samples)


def _show(samples: Sequence[Sample], prompt: str, shown: Callable[[str], str]) -> None:
    """Writes texts, each after the prompt, with a line between them."""
    for n, each in enumerate(samples):
        text = prompt + each.text
        click.echo(f"{SEPARATOR}\n" * (n > 0) + shown(text), nl=not text.endswith("\n"))


def _stream(
    writer: Writer,
    prompt: str,
    controls: dict[str, Any],
    *,
    shown: Callable[[str], str],
    echo: bool,
    name: str,
) -> Sample:
    """Writes one text as it is generated; Ctrl-C and other signals end it."""
    stream = writer.stream(prompt, **controls)
    write, flush = sys.stdout.write, sys.stdout.flush
    last = prompt[-1:] if echo else ""
    if echo:
        write(shown(prompt))
        flush()
    try:
        for piece in stream:
            write(shown(piece))
            flush()
            last = piece[-1:]
    except KeyboardInterrupt:
        click.echo()
        _report(stream.sample.seed, name)
        raise
    if last != "\n":
        click.echo()
    _report(stream.sample.seed, name)
    return stream.sample


@contextlib.contextmanager
def _held_back() -> Iterator[list[KeyboardInterrupt]]:
    """Ends the body at an interruption and notes it, so that what has been written is shown first."""
    interrupted: list[KeyboardInterrupt] = []
    try:
        yield interrupted
    except KeyboardInterrupt as error:
        interrupted.append(error)


def _report(seed: int, name: str) -> None:
    """Shows the seed that reproduces the samples."""
    click.echo(f"({name}, --seed {seed})", err=True)


def _prompt(writer: Writer, options: dict[str, Any]) -> str:
    """Reads the prompt from its option, a file or standard input, normalised as in training."""
    from textgen.cli.reading import is_piped, read_text

    path = options["prompt_file"]
    if options["prompt"] is not None or (path is None and (options["adapt"] == "-" or not is_piped())):
        return writer.as_trained(options["prompt"] or "")
    text = read_text(writer, "-" if path is None else path, encoding=options["encoding"], errors=options["errors"])
    return text.removesuffix("\n").removesuffix("\r")

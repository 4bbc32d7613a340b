"""`textgen novelty`: measures how much of a run's samples is copied from the training text."""

from __future__ import annotations

import json
import sys
import textwrap
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
from click.core import ParameterSource

from textgen.cli.command import command, visible
from textgen.cli.options import AnyPath, checkpoints_option, errors_option, json_option, optional, run_names, setting
from textgen.config import CorpusConfig, NoveltyConfig, SamplingConfig
from textgen.config.corpus import DecodingErrors
from textgen.display.format import table
from textgen.system import colours

if TYPE_CHECKING:
    from textgen.analysis.memorisation import Figures, Novelty

_COLUMNS = 80
_WRITING = ("count", "max_new_tokens", "temperature", "top_k", "top_p", "seed")


@command(
    "novelty",
    examples=(
        "textgen novelty",
        "textgen novelty marrow_haven --temperature 0.4 --seed 7 --count 5",
        "textgen novelty marrow_haven --text corpora/README.md --spans 3",
        "textgen sample --length 3000 | textgen novelty --text - --json",
    ),
)
@click.argument("run", required=False, shell_complete=run_names)
@optional(
    "--text",
    metavar="FILE",
    type=AnyPath(allow_dash=True),
    help="Check this text instead of samples; - is standard input.",
)
@setting("--encoding", config=CorpusConfig, help="FILE's encoding.")
@errors_option
@setting("--count", "-n", config=NoveltyConfig)
@setting("--length", "max_new_tokens", config=NoveltyConfig)
@setting("--temperature", config=SamplingConfig, help="Softmax temperature; several, separated by commas, take turns.")
@setting("--top-k", config=SamplingConfig)
@setting("--top-p", config=SamplingConfig)
@optional("--seed", config=SamplingConfig)
@setting("--spans", metavar="N", config=NoveltyConfig)
@optional(
    "--corpus",
    metavar="PATH",
    type=AnyPath(allow_dash=True),
    multiple=True,
    otherwise="its recorded path",
    help="Path of the run's training text; can be given several times.",
)
@checkpoints_option
@json_option("Write everything as one JSON object.")
@click.pass_context
def novelty(
    ctx: click.Context,
    /,
    run: str | None,
    checkpoints: Path,
    text: str | None,
    encoding: str,
    errors: DecodingErrors | None,
    corpus: tuple[str, ...] | None,
    as_json: bool,
    **options: Any,
) -> None:
    """Measure how much of a run's samples is copied.

    RUN is a run's name or folder, or a .keras file; the default is the newest run. It writes samples, unless --text
    names a text to check in their place.

    Reports the share of 8-, 16- and 32-grams that do not occur in the training text, for the sample and, as the
    baseline, for the held-out text: some n-grams recur in any two texts of one style. Then shows the longest spans that
    occur verbatim in the training text, in context and with their source. Of a run on records it also says how many of
    the samples are records that it was trained on. Needs the extra textgen-chars[novelty].
    """
    if text is not None:
        _refuse_writing(ctx)
    if text == "-" and "-" in (corpus or ()):
        raise click.UsageError("--text and --corpus cannot both be standard input.", ctx)

    from textgen.analysis.memorisation import novelty as judge
    from textgen.cli.bars import bars
    from textgen.cli.copies import STAGES
    from textgen.cli.reading import load_writer, read_text

    writer, name = load_writer(run, checkpoints)
    given = None if text is None else read_text(writer, text, encoding=encoding, errors=errors)
    with bars(STAGES) as progress:
        found = judge(writer, given, corpus=corpus or (), progress=progress, **options)
    if as_json:
        click.echo(json.dumps(found.to_json(), ensure_ascii=False, allow_nan=False))
        return
    for line in _report(found, name, text):
        click.echo(line, color=True)


def _refuse_writing(ctx: click.Context) -> None:
    """Refuses sampling options together with --text."""
    refused = [
        max(param.opts, key=len)
        for param in ctx.command.params
        if param.name in _WRITING and ctx.get_parameter_source(param.name) is ParameterSource.COMMANDLINE
    ]
    if refused:
        raise click.UsageError(
            f"{', '.join(refused)} cannot be given with --text, which writes no samples. Leave it out.", ctx
        )


def _report(found: Novelty, name: str, text: str | None) -> list[str]:
    """The report's lines."""
    from textgen.analysis.memorisation.report import NGRAMS
    from textgen.cli.copies import in_place

    file = "standard input" if text == "-" else text
    controls = f", temperature {_temperatures(found)}, seed {found.seed}" if found.written else f" of {file}"
    head = [
        ("", *(f"new {n}-grams" for n in NGRAMS), "longest copy"),
        _row("sample" if found.written else "text", found.sample),
    ]
    baseline = "none: the run was trained on its whole text"
    if found.held_out is not None:
        head.append(_row("held-out text", found.held_out))
        baseline = f"all of it, {found.held_out.characters:,} characters" if found.whole else _extent(found.held_out)
    lines = [
        visible(f"run            {name}, trained on {found.training_characters:,} characters"),
        visible(f"{'sample' if found.written else 'text':<15}{_extent(found.sample)}{controls}"),
        f"held-out text  {baseline}",
        "",
        *table(head, right=range(1, 5)),
        "",
        *_known(found),
        *textwrap.wrap(found.verdict, _COLUMNS, break_long_words=False, break_on_hyphens=False),
    ]
    many = bool(colours(sys.stdout))
    for number, span in enumerate(found.spans):
        if not number:
            lines += ["", "The longest copies:"]
        where = f"sample {span.sample + 1}, " if found.sample.passages > 1 else ""
        first, *rest = in_place(span, colours=many)
        lines += ["", f"  {where}{first}", *rest]
    return lines


def _known(found: Novelty) -> list[str]:
    """How many records are known, on lines of their own; none for running text."""
    if found.known is None or not found.records:
        return []
    share = found.known / found.records
    return [f"known records  {found.known:,} of {found.records:,} ({share:.1%}) are records of the training text", ""]


def _extent(figures: Figures) -> str:
    """The size of the text that figures are about."""
    characters, passages = figures.characters, figures.passages
    if passages == 1:
        return f"{characters:,} characters"
    return f"{characters:,} characters in {passages:,} pieces"


def _row(title: str, figures: Figures) -> tuple[str, ...]:
    shares = ("-" if share is None else f"{share:.1%}" for share in figures.new.values())
    return title, *shares, f"{figures.longest:,}"


def _temperatures(found: Novelty) -> str:
    values = found.temperature if isinstance(found.temperature, tuple) else (found.temperature,)
    return ",".join(f"{value:g}" for value in values if value is not None)

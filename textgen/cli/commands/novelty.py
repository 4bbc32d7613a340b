"""`textgen novelty`: how much of what a run writes is copied."""

from __future__ import annotations

import json
import sys
import textwrap
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
from click.core import ParameterSource

from textgen.cli.command import command, visible
from textgen.cli.options import Place, checkpoints_option, errors_option, json_option, run_names, setting, wish
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
@wish("--text", metavar="FILE", type=Place(allow_dash=True), help="Judge this text; - is standard input.")
@setting("--encoding", config=CorpusConfig, help="FILE's encoding.")
@errors_option
@setting("--count", "-n", config=NoveltyConfig)
@setting("--length", "max_new_tokens", config=NoveltyConfig)
@setting("--temperature", config=SamplingConfig, help="The lower, the more is copied; several take turns.")
@setting("--top-k", config=SamplingConfig)
@setting("--top-p", config=SamplingConfig)
@wish("--seed", config=SamplingConfig)
@setting("--spans", metavar="N", config=NoveltyConfig)
@wish(
    "--corpus",
    metavar="PATH",
    type=Place(allow_dash=True),
    multiple=True,
    otherwise="where it was",
    help="Where the run's training text is now; can be given several times.",
)
@checkpoints_option
@json_option("One JSON object with everything.")
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
    """Measure how much of what a run writes is copied.

    RUN is a run's name or folder, or a .keras file; without it, the newest run is taken. It writes samples, unless
    --text names a text to judge in their place.

    Tells the share of 8-, 16- and 32-grams that do not stand in the training text, beside the same for the text that
    was held out from training: people who write in one manner say some things in the same words, and a model that
    does so no more often than they do copies nothing. Then come the longest stretches that stand in the training
    text word for word, where they are in the sample and where they come from. Needs the extra textgen-chars[novelty].
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
    """Refuses options for samples where none are written."""
    refused = [
        max(param.opts, key=len)
        for param in ctx.command.params
        if param.name in _WRITING and ctx.get_parameter_source(param.name) is ParameterSource.COMMANDLINE
    ]
    if refused:
        raise click.UsageError(f"{', '.join(refused)} cannot be given with --text, which is not written anew.", ctx)


def _report(found: Novelty, name: str, text: str | None) -> list[str]:
    """The lines for a person."""
    from textgen.analysis.memorisation.report import NGRAMS
    from textgen.cli.copies import in_place

    file = "standard input" if text == "-" else text
    controls = f", temperature {_temperatures(found)}, seed {found.seed}" if found.written else f" of {file}"
    head = [
        ("", *(f"new {n}-grams" for n in NGRAMS), "longest copy"),
        _row("sample" if found.written else "text", found.sample),
    ]
    yardstick = "none: the run was trained on its whole text"
    if found.held_out is not None:
        head.append(_row("held-out text", found.held_out))
        yardstick = f"all of it, {found.held_out.characters:,} characters" if found.whole else _extent(found.held_out)
    lines = [
        visible(f"run            {name}, trained on {found.training_characters:,} characters"),
        visible(f"{'sample' if found.written else 'text':<15}{_extent(found.sample)}{controls}"),
        f"held-out text  {yardstick}",
        "",
        *table(head, right=range(1, 5)),
        "",
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


def _extent(figures: Figures) -> str:
    """How much text some figures are of."""
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

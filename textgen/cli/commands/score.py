"""`textgen score`: how well a run foretells a text."""

from __future__ import annotations

import contextlib
import json
import math
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import click

from textgen.cli.command import command
from textgen.cli.options import Place, adapt_option, checkpoints_option, json_option, run_option, setting, wish
from textgen.config import CorpusConfig, EvaluationConfig, InsightConfig, Unknown
from textgen.system import is_terminal

if TYPE_CHECKING:
    from textgen.engine.scoring import Score
    from textgen.sampling.writer import Writer

_EXACT = 50_000
"""Characters that are always read in one part."""

_PART = 4096
"""Characters that each part of a longer text has at least."""

_MOST_PARTS = 64


@command(
    "score",
    examples=(
        "textgen score corpora/README.md --unknown skip",
        "head -c 600 corpora/marrow_haven.txt | textgen score - --show",
        "textgen score corpora/README.md --unknown skip --html surprise.html",
        "head -c 100 corpora/marrow_haven.txt | textgen score - --json --run marrow_haven",
    ),
)
@click.argument("file", type=Place(allow_dash=True))
@run_option
@checkpoints_option
@adapt_option
@setting("--encoding", config=CorpusConfig, help="The files' encoding.")
@setting("--unknown", config=InsightConfig)
@wish("--streams", config=EvaluationConfig)
@click.option(
    "--show", is_flag=True, help="Show the text coloured by surprise; with --json, add the log-probabilities."
)
@wish("--html", type=Place(path_type=Path), metavar="FILE", help="Also write the page of textgen surprise.")
@json_option("One JSON object.")
def score(
    file: str,
    run: str | None,
    checkpoints: Path,
    adapt: str | None,
    encoding: str,
    unknown: Unknown,
    streams: int | None,
    show: bool,
    html: Path | None,
    as_json: bool,
) -> None:
    """Measure how well a run predicts a given text.

    FILE is a text, or - for standard input. The fewer bits per character, the more it is like the training text.
    """
    if adapt == file == "-":
        raise click.UsageError("FILE and --adapt cannot both be standard input.")
    from textgen.cli import reading

    writer, name = reading.load_writer(run, checkpoints)
    text = reading.read_text(writer, file, encoding=encoding)
    if adapt is not None:
        writer = reading.adapt(writer, adapt, encoding=encoding, unknown=unknown)
    scored = _score(writer, text, streams=streams, unknown=unknown)
    bits = scored.nats / math.log(2.0)
    figures = {
        "file": file,
        "run": name,
        "characters": len(scored.text),
        "bits_per_character": scored.bits_per_character,
        "nats_per_character": scored.nats_per_character,
        "bits": bits,
        **({} if adapt is None else {"adapt": adapt}),
    }
    if html is not None:
        from textgen.analysis.surprisal import surprise
        from textgen.cli.watching import write_page

        write_page(html, surprise(writer, text, unknown=unknown), file=file)
    if as_json:
        shown = {"text": scored.text, "logprobs": scored.logprobs.tolist()} if show else {}
        click.echo(json.dumps({**figures, **shown}, ensure_ascii=False))
        return
    if show:
        from textgen.cli.shading import show as show_text

        show_text(scored)
    click.echo(f"characters          {len(scored.text):,}")
    click.echo(f"bits per character  {scored.bits_per_character:.4f}")
    click.echo(f"nats per character  {scored.nats_per_character:.4f}")
    click.echo(f"total               {bits:,.0f} bits = {bits / 8:,.0f} bytes")


def _score(writer: Writer, text: str, *, streams: int | None, unknown: Unknown) -> Score:
    """Scores a text, with a bar on a terminal if it takes a while."""
    from textgen.engine.scoring import score_text
    from textgen.errors import CorpusError

    if not text:
        raise CorpusError("There is nothing to score: the text is empty.")
    if streams is None:
        streams = 1 if len(text) <= _EXACT else min(_MOST_PARTS, len(text) // _PART)
    with _bar(len(text)) as progress:
        return score_text(writer.engine, writer.tokenizer, text, streams=streams, unknown=unknown, progress=progress)


@contextlib.contextmanager
def _bar(characters: int) -> Iterator[Callable[[int, int], None] | None]:
    """A bar for a long text, where standard error is a terminal."""
    if characters < 10_000 or not is_terminal(sys.stderr):
        yield None
        return
    from tqdm import tqdm

    with tqdm(total=characters, unit=" char", unit_scale=True, leave=False, delay=1.0, file=sys.stderr) as bar:

        def progress(done: int, _: int) -> None:
            bar.update(done - bar.n)

        yield progress

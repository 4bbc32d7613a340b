"""`textgen score`: measures how well a run predicts a text, in figures, colours or as a page."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from textgen.cli.command import Command, command, visible
from textgen.cli.options import (
    AnyPath,
    adapt_option,
    checkpoints_option,
    errors_option,
    json_option,
    optional,
    run_option,
    setting,
)
from textgen.config import CorpusConfig, EvaluationConfig, InsightConfig, Unknown, require
from textgen.config.corpus import DecodingErrors

if TYPE_CHECKING:
    from textgen.engine.scoring import Score
    from textgen.sampling.writer import Writer

_EXACT = 50_000
"""Length up to which a text is read in one part."""

_PART = 4096
"""Minimum length of a part of a longer text."""

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
@click.argument("file", type=AnyPath(allow_dash=True))
@run_option
@checkpoints_option
@adapt_option
@setting("--encoding", config=CorpusConfig, help="The files' encoding.")
@errors_option
@setting("--unknown", config=InsightConfig)
@optional("--streams", config=EvaluationConfig)
@optional(
    "--limit",
    metavar="N",
    type=int,
    otherwise="all; 20,000 for --html",
    help="Read only the first N characters of FILE.",
)
@click.option(
    "--show", is_flag=True, help="Show the text coloured by surprisal; with --json, add the log-probabilities."
)
@optional(
    "--html",
    type=AnyPath(path_type=Path),
    metavar="OUT",
    help="Write a page with each character's probability and its alternatives.",
)
@setting("--alternatives", metavar="N", config=InsightConfig)
@json_option("Write one JSON object.")
def score(
    file: str,
    runs: tuple[str, ...],
    checkpoints: Path,
    adapt: str | None,
    encoding: str,
    errors: DecodingErrors | None,
    unknown: Unknown,
    streams: int | None,
    limit: int | None,
    show: bool,
    html: Path | None,
    alternatives: int,
    as_json: bool,
) -> None:
    """Measure how well a run predicts a given text.

    FILE is a text, or - for standard input. Fewer bits per character mean a better prediction. The state is carried
    over the whole text. The page is a single file that needs no network.

    Several runs with one vocabulary are mixed, as in textgen sample.
    """
    if adapt == file == "-":
        raise click.UsageError("FILE and --adapt cannot both be standard input.")
    require(limit is None or limit >= 1, "limit", "at least 1", limit)
    if html is not None:
        from textgen.cli.watching import check_page

        page = InsightConfig(unknown=unknown, alternatives=alternatives, **({} if limit is None else {"limit": limit}))
        check_page(html)
    from textgen.cli.reading import adapt as adapt_to
    from textgen.cli.reading import load_writer, mixed_runs, note_replaced, read_text

    writer, name = load_writer(runs, checkpoints)
    text = writer.as_trained(read_text(writer, file, encoding=encoding, errors=errors))
    if adapt is not None:
        writer = adapt_to(writer, adapt, encoding=encoding, errors=errors, unknown=unknown)
    note_replaced(writer, text[:limit], unknown)
    ended = limit is None or limit >= len(text)
    scored = _score(writer, text[:limit], streams=streams, unknown=unknown, ended=ended)
    if as_json:
        shown = {"text": scored.text, "logprobs": scored.logprobs.tolist()} if show else {}
        figures = _figures(scored, text) | ({} if adapt is None else {"adapt": adapt})
        click.echo(
            json.dumps({"file": file, "run": name, **mixed_runs(writer), **figures, **shown}, ensure_ascii=False)
        )
    else:
        if show:
            from textgen.cli.shading import show as show_text

            show_text(scored)
        for line in _lines(scored, text, name):
            click.echo(visible(line))
    if html is not None:
        from textgen.analysis.surprisal import surprise
        from textgen.cli.watching import reading_bar, write_page

        with reading_bar() as progress:
            found = surprise(writer, text, **page.to_json(), progress=progress)
        write_page(html, found, file=file)


def _figures(scored: Score, text: str) -> dict[str, Any]:
    """The scores as plain JSON values."""
    import hashlib

    return {
        "characters": len(scored.text),
        "of": len(text),
        "sha256": hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest(),
        "bits_per_character": scored.bits_per_character,
        "nats_per_character": scored.nats_per_character,
        "perplexity": math.exp(scored.nats_per_character),
        "bits": scored.nats / math.log(2.0),
    }


def _lines(scored: Score, text: str, name: str) -> list[str]:
    """The scores as lines of text."""
    read, bits = len(scored.text), scored.nats / math.log(2.0)
    return [
        f"model               {name}",
        f"characters          {read:,}{'' if read == len(text) else f' of {len(text):,}'}",
        f"bits per character  {scored.bits_per_character:.4f}",
        f"nats per character  {scored.nats_per_character:.4f}",
        f"perplexity          {math.exp(scored.nats_per_character):.4f}",
        f"total               {bits:,.0f} bits = {bits / 8:,.0f} bytes",
    ]


def _score(writer: Writer, text: str, *, streams: int | None, unknown: Unknown, ended: bool) -> Score:
    """Scores a text, with a progress bar."""
    from textgen.cli.watching import reading_bar
    from textgen.engine.scoring import score_text
    from textgen.errors import CorpusError

    if not text:
        raise CorpusError("There is nothing to score: the text is empty.")
    if streams is None:
        streams = 1 if len(text) <= _EXACT else min(_MOST_PARTS, len(text) // _PART)
    with reading_bar() as progress:
        return score_text(
            writer.engine,
            writer.tokenizer,
            text,
            streams=streams,
            unknown=unknown,
            ended=ended,
            reading=writer.reading,
            progress=progress,
        )


def _surprise(limit: int | None, show: bool, html: Path | None, as_json: bool, **options: Any) -> None:
    """The former name of `textgen score --show`: the text in colours, or as a page."""
    limit = InsightConfig().limit if limit is None else limit
    score.callback(limit=limit, show=show or as_json or html is None, html=html, as_json=as_json, **options)  # type: ignore[misc]


surprise = Command(
    "surprise",
    params=[param for param in score.params if param.name != "debug"],
    callback=_surprise,
    help="The same as textgen score --show, or with --html as textgen score --html.",
    examples=("head -c 600 corpora/marrow_haven.txt | textgen surprise -",),
    hidden=True,
)

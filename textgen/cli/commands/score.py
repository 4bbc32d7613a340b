"""`textgen score`: measures how well a run predicts a text, in figures, colours or as a page."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from textgen.cli.command import Command, command, on_one_line, visible
from textgen.cli.options import (
    AnyPath,
    OutputPath,
    adapt_option,
    checkpoints_option,
    errors_option,
    json_option,
    optional,
    run_option,
    setting,
    text_field_option,
)
from textgen.config import CorpusConfig, EvaluationConfig, InsightConfig, SamplingConfig, Unknown, require
from textgen.config.corpus import DecodingErrors

if TYPE_CHECKING:
    from textgen.analysis.ranking import By, Ranking
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
        "textgen score corpora/README.md --unknown skip --by line --top 5",
        "textgen score corpora/short_texts.csv --run short_texts --by record --top 5",
        "textgen score corpora/short_texts.csv --run short_texts --label riddle --by record --top 5",
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
@optional(
    "--by",
    type=click.Choice(["record", "line", "paragraph"]),
    otherwise="the whole text",
    help="Rank these parts of FILE by their bits per character, the highest first.",
)
@optional("--top", metavar="N", type=click.IntRange(1), otherwise="all", help="With --by, show only so many parts.")
@text_field_option
@click.option(
    "--show", is_flag=True, help="Show the text coloured by surprisal; with --json, add the log-probabilities."
)
@setting(
    "--label",
    metavar="NAME[:WEIGHT]",
    config=SamplingConfig,
    show_default=False,
    help="Score each record as one with this label; can be given several times, with weights.",
)
@optional(
    "--html",
    type=OutputPath(),
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
    by: By | None,
    top: int | None,
    text_field: str | None,
    show: bool,
    label: tuple[str, ...],
    html: Path | None,
    alternatives: int,
    as_json: bool,
) -> None:
    """Measure how well a run predicts a given text.

    FILE is a text, or - for standard input. Fewer bits per character mean a better prediction. The state is carried
    over the whole text. The page is a single file that needs no network.

    A run on records reads each record by itself, its end included, without labels or with those of --label; a run on a
    table reads another .csv, .tsv or .jsonl table row by row, too.

    --by writes a line for each part of the text, the worst predicted first, which may be errors or outliers: its bits
    per character, its line (of a table, its record) and its text, with tabs between them. A run on records scores each
    part by itself as a record; a run on running text scores it where it stands, after all that comes before it.

    A run of both sides scores with its forward half; textgen eval says what each of its heads predicts. Several runs
    with one vocabulary are mixed, as in textgen sample.
    """
    if adapt == file == "-":
        raise click.UsageError("FILE and --adapt cannot both be standard input.")
    require(limit is None or limit >= 1, "limit", "at least 1", limit)
    if by is not None and (show or html is not None):
        raise click.UsageError("--by cannot be given with --show or --html.")
    if by is None and top is not None:
        raise click.UsageError("--top needs --by.")
    if html is not None:
        from textgen.cli.watching import check_page

        page = InsightConfig(unknown=unknown, alternatives=alternatives, **({} if limit is None else {"limit": limit}))
        check_page(html)
    from textgen.cli.reading import adapt as adapt_to
    from textgen.cli.reading import load_writer, mixed_runs, note_replaced
    from textgen.corpus.record_text import first_characters

    writer, name = load_writer(runs, checkpoints)
    text = _read(writer, file, encoding=encoding, errors=errors, text_field=text_field)
    whole = text if isinstance(text, str) else "".join(f"{record}\n" for record in text)
    if adapt is not None:
        writer = adapt_to(writer, adapt, encoding=encoding, errors=errors, unknown=unknown)
    note_replaced(writer, whole[:limit], unknown)
    begun: str | list[str]
    if isinstance(text, str):
        begun, ended = text[:limit], limit is None or limit >= len(text)
    else:
        begun, ended = first_characters(text, limit)
    if by is not None:
        ranking = _rank(writer, begun, by, streams=streams, unknown=unknown, label=label)
        scored = ranking.score
    else:
        scored = _score(writer, begun, streams=streams, unknown=unknown, ended=ended, label=label)
    if as_json:
        shown: dict[str, Any] = {"text": scored.text, "logprobs": scored.logprobs.tolist()} if show else {}
        if by is not None:
            shown = {"by": by, "ranking": ranking.to_json(top)}
        figures = _figures(scored, whole) | ({} if adapt is None else {"adapt": adapt})
        figures |= {"label": list(label)} if label else {}
        click.echo(
            json.dumps({"file": file, "run": name, **mixed_runs(writer), **figures, **shown}, ensure_ascii=False)
        )
    elif by is not None:
        for each in ranking.parts[:top]:
            click.echo(visible(f"{each.bits_per_character:.3f}\t{each.number}\t{on_one_line(each.text)}"))
    else:
        if show:
            from textgen.cli.shading import show as show_text

            show_text(scored)
        for line in _lines(scored, whole, name):
            click.echo(visible(line))
    if html is not None:
        from textgen.analysis.surprisal import surprise
        from textgen.cli.watching import reading_bar, write_page

        with reading_bar() as progress:
            found = surprise(writer, text, **page.to_json(), label=label, progress=progress)
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


def _read(
    writer: Writer, file: str, *, encoding: str, errors: DecodingErrors | None, text_field: str | None
) -> str | list[str]:
    """FILE's text, or the records of a table."""
    from textgen.cli.reading import read_text
    from textgen.cli.tables import open_table, read_all

    table = open_table(
        writer, file, encoding=encoding, errors=errors, text_field=text_field, label_field=None, remember=False
    )
    if table is not None:
        return read_all(table)[0]
    return writer.as_trained(read_text(writer, file, encoding=encoding, errors=errors))


def _rank(
    writer: Writer,
    text: str | list[str],
    by: By,
    *,
    streams: int | None,
    unknown: Unknown,
    label: tuple[str, ...],
) -> Ranking:
    """Ranks the parts of a text, with a progress bar."""
    from textgen.analysis.ranking import rank
    from textgen.cli.watching import reading_bar

    with reading_bar() as progress:
        parts = _streams(len(text), streams)
        return rank(writer, text, by=by, streams=parts, unknown=unknown, label=label, progress=progress)


def _streams(characters: int, streams: int | None) -> int:
    if streams is not None:
        return streams
    return 1 if characters <= _EXACT else min(_MOST_PARTS, characters // _PART)


def _score(
    writer: Writer,
    text: str | list[str],
    *,
    streams: int | None,
    unknown: Unknown,
    ended: bool,
    label: tuple[str, ...],
) -> Score:
    """Scores a text, with a progress bar."""
    from textgen.cli.watching import reading_bar
    from textgen.engine.scoring import score_text
    from textgen.errors import CorpusError
    from textgen.sampling.labels import labels_of

    if not text:
        raise CorpusError("There is nothing to score: the text is empty.")
    labels = labels_of(writer, label)
    streams = _streams(len("".join(text)), streams)
    with reading_bar() as progress:
        return score_text(
            writer.engine,
            writer.tokenizer,
            text,
            streams=streams,
            unknown=unknown,
            ended=ended,
            reading=writer.reading,
            labels=labels,
            progress=progress,
        )


def _surprise(limit: int | None, show: bool, html: Path | None, as_json: bool, **options: Any) -> None:
    """The former name of `textgen score --show`: the text in colours, or as a page."""
    limit = InsightConfig().limit if limit is None else limit
    shown = show or as_json or (html is None and options["by"] is None)
    score.callback(limit=limit, show=shown, html=html, as_json=as_json, **options)  # type: ignore[misc]


surprise = Command(
    "surprise",
    params=[param for param in score.params if param.name != "debug"],
    callback=_surprise,
    help="The same as textgen score --show, or with --html as textgen score --html.",
    examples=("head -c 600 corpora/marrow_haven.txt | textgen surprise -",),
    hidden=True,
)

"""`textgen surprise`: a text with each character's surprise, on the terminal or as a page."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING

import click

from textgen.cli.command import command, visible
from textgen.cli.options import Place, checkpoints_option, json_option, run_option, setting, wish
from textgen.config import CorpusConfig, InsightConfig, Unknown

if TYPE_CHECKING:
    from textgen.analysis.surprisal import Surprise


@command(
    "surprise",
    examples=(
        "head -c 600 corpora/marrow_haven.txt | textgen surprise -",
        "textgen surprise corpora/README.md --unknown skip --html surprise.html",
        "head -c 100 corpora/marrow_haven.txt | textgen surprise - --run marrow_haven --json",
    ),
)
@click.argument("file", type=Place(allow_dash=True))
@run_option
@checkpoints_option
@wish(
    "--html",
    type=Place(path_type=Path),
    metavar="OUT",
    help="Write a page where pointing at a character shows its probability and the alternatives.",
)
@setting("--limit", metavar="N", config=InsightConfig)
@setting("--alternatives", metavar="N", config=InsightConfig)
@setting("--encoding", config=CorpusConfig, help="The file's encoding.")
@setting("--unknown", config=InsightConfig)
@json_option("One JSON object, with the text and its log-probabilities.")
def surprise(
    file: str,
    run: str | None,
    checkpoints: Path,
    html: Path | None,
    limit: int,
    alternatives: int,
    encoding: str,
    unknown: Unknown,
    as_json: bool,
) -> None:
    """Show how much each character of a text surprises a run.

    FILE is a text, or - for standard input. It is read from its first character, with the state carried along. The page
    is one file that needs no network; on the terminal the text is coloured.
    """
    from textgen.analysis.surprisal import surprise as look
    from textgen.cli.reading import load_writer, read_text
    from textgen.cli.watching import reading_bar, write_page

    writer, _ = load_writer(run, checkpoints)
    text = read_text(writer, file, encoding=encoding)
    with reading_bar() as progress:
        found = look(writer, text, limit=limit, alternatives=alternatives, unknown=unknown, progress=progress)
    if html is not None:
        write_page(html, found, file=file)
    if as_json:
        click.echo(json.dumps({"file": file, **found.to_json()}, ensure_ascii=False))
        return
    if html is None:
        from textgen.cli.shading import show

        show(found.score)
    for line in _summary(found):
        click.echo(visible(line))


def _summary(found: Surprise) -> list[str]:
    passage = found.passage
    return [
        f"model               {passage.model}",
        f"text                {passage.extent}, sha256 {passage.sha256[:12]}",
        f"bits per character  {found.score.bits_per_character:.4f}",
        f"perplexity          {found.perplexity:.4f}",
    ]

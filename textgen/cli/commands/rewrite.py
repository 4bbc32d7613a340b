"""`textgen rewrite`: turns lines into other lines, by a run on pairs."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from itertools import chain
from pathlib import Path
from typing import Any

import click

from textgen.cli.command import command, on_one_line, visible
from textgen.cli.options import (
    AnyPath,
    checkpoints_option,
    errors_option,
    json_option,
    optional,
    run_names,
    setting,
)
from textgen.config import CorpusConfig, RewriteConfig
from textgen.system import is_terminal


@command(
    "rewrite",
    examples=(
        "echo 'a little ſwelle' | textgen rewrite old_spelling",
        "textgen rewrite old_spelling letters.txt > modern.txt",
        "textgen rewrite old_spelling letters.txt --count 3 --beam 10",
        "textgen rewrite old_spelling letters.txt --sample --temperature 0.7 --seed 7 --json",
    ),
)
@click.argument("run", shell_complete=run_names)
@click.argument("file", type=AnyPath(allow_dash=True), default="-")
@checkpoints_option
@click.option("--count", "-n", type=int, default=1, show_default=True, help="Number of alternatives for each line.")
@setting("--beam", config=RewriteConfig)
@setting("--length-penalty", config=RewriteConfig)
@optional("--longest", config=RewriteConfig)
@setting("--match", metavar="REGEX", config=RewriteConfig, show_default=False)
@setting("--sample", config=RewriteConfig)
@setting("--temperature", config=RewriteConfig)
@optional("--seed", config=RewriteConfig)
@setting("--copy-unknown", config=RewriteConfig)
@setting("--unknown", config=RewriteConfig)
@setting("--encoding", config=CorpusConfig, help="FILE's encoding.")
@errors_option
@json_option("Write one JSON object per line for each alternative.")
@click.pass_context
def rewrite(
    ctx: click.Context,
    /,
    run: str,
    file: str,
    checkpoints: Path,
    count: int,
    encoding: str,
    as_json: bool,
    **options: Any,
) -> None:
    """Turn each line of a text into another.

    RUN is a run on pairs (textgen train --pairs or --task). FILE is a text, or - for standard input, the default.

    Writes a line for each line, in their order: the best one that a beam search finds. With --count each
    alternative has a line: the source, the probability and the text, with tabs between them; the probability is that
    of the text given its source. With --sample the texts are drawn.

    A long line is cut at the ends of sentences; a run on sentences (--task) gets each sentence by itself. What is
    written for the pieces is joined again, with the white space between them; with --match the line matches as a whole.
    """
    for name in ("temperature", "seed"):
        if not options["sample"] and ctx.get_parameter_source(name) is click.core.ParameterSource.COMMANDLINE:
            raise click.UsageError(f"--{name} needs --sample.", ctx)
    for name in ("beam", "length_penalty"):
        if options["sample"] and ctx.get_parameter_source(name) is click.core.ParameterSource.COMMANDLINE:
            raise click.UsageError(f"--{name.replace('_', '-')} and --sample cannot be given together.", ctx)
    from textgen.cli.bars import bars
    from textgen.cli.rewriting import load_pairs, note_replaced

    errors = options.pop("errors")
    config = RewriteConfig(**options)
    rewriter, name = load_pairs(run, checkpoints)
    if config.sample and config.seed is None:
        import secrets

        config = config.replace(seed=secrets.randbits(32))
    own = rewriter.metadata.corpus.config
    reading = CorpusConfig(
        encoding=encoding,
        errors=own.errors if errors is None else errors,
        normalize=own.normalize,
        keep_newlines=own.keep_newlines,
    )
    shown = visible if is_terminal(sys.stdout) else str

    def lines() -> Iterator[str]:
        for block in _lines(file, reading):
            note_replaced(rewriter, "".join(block), "replace" if config.copy_unknown else config.unknown)
            yield from block

    with bars({"rewriting": ("rewriting", " line")}) as progress:
        report = None if progress is None else lambda done, total: progress("rewriting", done, total)
        for found in rewriter.run(lines(), config, count=count, progress=report):
            for each in found:
                if as_json:
                    click.echo(json.dumps({**each.to_json(), "run": name}, ensure_ascii=False))
                elif count == 1:
                    click.echo(shown(on_one_line(each.text)))
                else:
                    cells = (each.source, f"{each.probability:.4f}", each.text)
                    click.echo(shown("\t".join(map(on_one_line, cells))))
    if config.sample:
        click.echo(f"({name}, --seed {config.seed})", err=True)


def _lines(file: str, reading: CorpusConfig) -> Iterator[list[str]]:
    """The lines of a file, or of standard input for "-"."""
    from textgen.cli.reading import hint_at_waiting
    from textgen.corpus import open_corpus
    from textgen.corpus.lists import lines

    with hint_at_waiting([file]):
        pieces = open_corpus(file, config=reading).pieces()
        first = next(pieces, "")
    yield from lines(chain([first], pieces))

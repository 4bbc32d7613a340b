"""`textgen eval` on a run on pairs: reads the pairs, and shows the report."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import click

from textgen.cli.bars import bars
from textgen.cli.command import on_one_line, visible
from textgen.cli.watching import check_page, write_page
from textgen.config import CorpusConfig, RewriteConfig, Unknown
from textgen.config.corpus import DecodingErrors
from textgen.display.format import table

if TYPE_CHECKING:
    from textgen.analysis.evaluation.pairs import Pair, PairEvaluation, Rate, WrongText

_STAGES = {
    "reading": ("reading the pairs", "B"),
    "rewriting": ("rewriting", " source"),
    "scoring": ("scoring", " pair"),
}

_LONGEST = 70
"""Characters of a text that are shown; `--json` has all of them."""


def eval_pairs(
    path: Path,
    file: str | None,
    *,
    corpus: Sequence[str],
    encoding: str,
    errors: DecodingErrors | None,
    unknown: Unknown,
    seed: int,
    html: Path | None,
    as_json: bool,
) -> None:
    """Judges a run on pairs and writes the report to standard output.

    Args:
        path: its checkpoint.
        file: a file of pairs, read as the run's own were; None for the held-out ones.
        corpus: where the run's own pairs are now; empty takes the recorded places.
        encoding: the file's encoding.
        errors: what becomes of bytes that are not valid in it; None is as in training.
        unknown: how characters are treated that the model never saw.
        seed: of the bootstrap.
        html: where to write a page of the attention on the texts that are listed; None writes none.
        as_json: as one JSON object.

    Raises:
        TextgenError: see `evaluate_pairs`.
        OSError: the page cannot be written.
    """
    from textgen.analysis.evaluation.pairs import evaluate_pairs
    from textgen.sampling.rewriting.rewriter import load_rewriter

    if html is not None:
        check_page(html)
    rewriter = load_rewriter(path)
    pairs = None
    if file is not None:
        own = rewriter.metadata.corpus.config
        pairs = _read(file, own.replace(encoding=encoding, errors=own.errors if errors is None else errors))
    with bars(_STAGES) as progress:
        found = evaluate_pairs(
            rewriter,
            pairs,
            title="standard input" if file == "-" else file or "",
            corpus=corpus,
            config=RewriteConfig(unknown=unknown),
            seed=seed,
            progress=progress,
        )
    if html is not None:
        from textgen.analysis.evaluation.attention import AttentionPage

        write_page(html, AttentionPage(rewriter, found), file=file or found.run)
    if as_json:
        click.echo(json.dumps(found.to_json(), ensure_ascii=False, allow_nan=False))
    else:
        click.echo(visible("\n".join(_report(found))))


def _read(file: str, config: CorpusConfig) -> list[Pair]:
    from textgen.cli.reading import hint_at_waiting
    from textgen.corpus import open_corpus
    from textgen.corpus.pair_reading import read_pairs
    from textgen.errors import CorpusError

    with hint_at_waiting([file]):
        corpus = open_corpus(file, config=config)
        found = [pair for block in read_pairs(corpus) for pair in zip(*block, strict=True) if pair[1].strip()]
    if not found:
        raise CorpusError(f"There is nothing to judge: {corpus.title} has no pair with a target that is not empty.")
    return found


def _report(found: PairEvaluation) -> list[str]:
    """The report's lines."""
    drawn = f"{found.sources:,} of {found.of:,}" if found.sources < found.of else f"{found.of:,}"
    rows = [
        ("", "", "95 % interval"),
        _row("character errors", found.error_rate, share=True),
        _row("  of the sources as they are", found.unchanged_error_rate, share=True),
        _row("texts not exactly right", found.wrong, share=True),
        _row("nats per character", found.nats, share=False),
    ]
    lines = [
        f"run    {found.run}",
        f"pairs  {'held out, ' if found.split == 'held-out' else ''}{found.title}",
        f"       {drawn} different sources, beam {found.beam}",
        "",
        *table(rows, right=(1, 2)),
    ]
    for title, wrong in (("The worst:", found.worst), ("The most certain wrong ones:", found.certain)):
        if wrong:
            lines += ["", title, *_wrong(wrong)]
    return lines


def _wrong(found: Sequence[WrongText]) -> list[str]:
    rows = [("errors", "probability", "source", "written", "target")]
    for each in found:
        texts = (_shortened(on_one_line(text)) for text in (each.source, each.text, each.target))
        rows.append((f"{each.errors:,}", f"{each.probability:.4f}", *texts))  # type: ignore[arg-type]
    return table(rows, right=(0, 1))


def _shortened(text: str) -> str:
    """The start of a long text: with all of it the table would be too wide to read."""
    return text if len(text) <= _LONGEST else f"{text[:_LONGEST]} ..."


def _row(title: str, rate: Rate, *, share: bool) -> tuple[str, str, str]:
    def shown(value: float) -> str:
        return f"{100 * value:.2f} %" if share else f"{value:.4f}"

    interval = rate.interval
    return title, shown(rate.value), "" if interval is None else f"{shown(interval.low)} to {shown(interval.high)}"

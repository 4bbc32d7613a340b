"""Measures how well a model turns texts into others: against the targets of pairs that it was not trained on."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from textgen.analysis.evaluation.bootstrap import Interval, ratio_bootstrap
from textgen.analysis.evaluation.evaluation import Split
from textgen.analysis.proofreading.distance import edit_distance
from textgen.config import RewriteConfig, Unknown, require
from textgen.corpus import Corpus, EncodedCorpus, encode_corpus
from textgen.corpus.pairs import EncodedPairs
from textgen.errors import RunError
from textgen.runs.provenance import OwnTextError, find_run_text
from textgen.sampling.rewriting.rewriter import Rewriter
from textgen.sampling.rewriting.rewritten import Rewritten
from textgen.system import PathLike, path_list

Pair = tuple[str, str]

_SOURCES = 2_000
"""The most held-out sources that are rewritten."""

_SHOWN = 10
"""How many of the worst, and of the most certain wrong ones, are listed at most."""


@dataclass(frozen=True, kw_only=True)
class Rate:
    """A ratio over pairs.

    Args:
        value: the ratio.
        interval: its 95 % confidence interval, from sources drawn again; None for fewer than 20.
    """

    value: float
    interval: Interval | None

    def to_json(self) -> dict[str, Any]:
        """The ratio and its interval as plain JSON values."""
        interval = self.interval
        return {"value": self.value, "interval": None if interval is None else [interval.low, interval.high]}


@dataclass(frozen=True, kw_only=True)
class WrongText:
    """A text that is not what was wanted.

    Args:
        source: what was read.
        target: the target that is nearest to what was written.
        text: what was written.
        errors: how many characters must be inserted, deleted or replaced to turn it into the target.
        probability: that of the text, by the model.
    """

    source: str
    target: str
    text: str
    errors: int
    probability: float

    def to_json(self) -> dict[str, Any]:
        """Everything as plain JSON values."""
        return {name: getattr(self, name) for name in ("source", "target", "text", "errors", "probability")}


@dataclass(frozen=True, kw_only=True)
class PairEvaluation:
    """How well a model turns texts into others.

    Of a source with several targets the one counts that is nearest to what was written.

    Args:
        run: the run's name.
        split: "held-out" for the run's held-out pairs, "given" for the user's.
        title: what the pairs are, in words.
        sources: how many different sources were rewritten.
        of: how many there are.
        pairs: how many pairs they have.
        beam: the width of the beam search.
        error_rate: character errors (insertions, deletions, replacements) per character of the targets.
        unchanged_error_rate: that of the sources as they are, to compare with.
        wrong: the share of the sources that were not rewritten exactly.
        nats: negative log-likelihood of all targets in nats per character, their ends included.
        worst: those with the most errors.
        certain: the wrong ones of which the model was most certain.
    """

    run: str
    split: Split
    title: str
    sources: int
    of: int
    pairs: int
    beam: int
    error_rate: Rate
    unchanged_error_rate: Rate
    wrong: Rate
    nats: Rate
    worst: tuple[WrongText, ...]
    certain: tuple[WrongText, ...]

    def to_json(self) -> dict[str, Any]:
        """Everything as plain JSON values."""
        plain = {name: getattr(self, name) for name in ("run", "split", "title", "sources", "of", "pairs", "beam")}
        rates = {
            name: getattr(self, name).to_json() for name in ("error_rate", "unchanged_error_rate", "wrong", "nats")
        }
        lists = {name: [each.to_json() for each in getattr(self, name)] for name in ("worst", "certain")}
        return {**plain, **rates, **lists}


def evaluate_pairs(
    rewriter: Rewriter,
    pairs: Sequence[Pair] | None = None,
    *,
    title: str = "",
    corpus: PathLike | Sequence[PathLike] = (),
    config: RewriteConfig | None = None,
    seed: int = 0,
    progress: Callable[[str, int, int], None] | None = None,
) -> PairEvaluation:
    """Rewrites the sources of pairs and compares what is written with their targets.

    Args:
        rewriter: the model.
        pairs: sources and targets; None for the run's held-out ones, of which at most 2,000 sources, drawn by `seed`.
        title: what the pairs are, in words.
        corpus: where the run's own pairs are now; empty takes the recorded places.
        config: how texts are looked for; None takes the defaults.
        seed: of the sources that are drawn and of the bootstrap.
        progress: called with a stage ("reading", "rewriting" or "scoring"), the amount done and the total.

    Raises:
        RunError: the run's own pairs cannot be read, or none was held out.
        ConfigError: there are no pairs, or the texts are to be drawn at random.
        UnknownCharacterError: a text holds characters that the model never saw, and `config.unknown` refuses them.
    """
    config = RewriteConfig() if config is None else config
    require(not config.sample, "sample", "False", config.sample)
    report = progress or _silent
    split: Split = "given" if pairs is not None else "held-out"
    if pairs is None:
        pairs, title = _held_out(rewriter, corpus, lambda done, total: report("reading", done, total))
    require(len(pairs) > 0, "pairs", "at least one", 0)
    targets: dict[str, list[str]] = {}
    for source, target in pairs:
        targets.setdefault(rewriter.as_trained(source), []).append(rewriter.as_trained(target))
    of, sources = len(targets), list(targets)
    if split == "held-out" and of > _SOURCES:
        sources = [sources[n] for n in sorted(np.random.default_rng(seed).permutation(of)[:_SOURCES].tolist())]
    written = [each[0] for each in rewriter.run(sources, config, progress=lambda a, b: report("rewriting", a, b))]
    judged = [_judge(found, targets[source]) for source, found in zip(sources, written, strict=True)]
    unchanged = [_nearest(source, targets[source]) for source in sources]
    nats, characters = _losses(rewriter, [(s, targets[s]) for s in sources], config.unknown, report)
    errors = np.array([each.errors for each in judged], np.float64)
    lengths = np.array([len(each.target) for each in judged], np.float64)
    ones = np.ones(len(judged))
    wrong = [each for each in judged if each.errors]
    before = np.array(unchanged, np.float64)
    return PairEvaluation(
        run=rewriter.name,
        split=split,
        title=title,
        sources=len(sources),
        of=of,
        pairs=sum(len(targets[source]) for source in sources),
        beam=config.beam,
        error_rate=_rate(errors, lengths, seed),
        unchanged_error_rate=_rate(before[:, 0], before[:, 1], seed),
        wrong=_rate((errors > 0).astype(np.float64), ones, seed),
        nats=_rate(nats, characters, seed),
        worst=tuple(sorted(wrong, key=lambda each: -each.errors)[:_SHOWN]),
        certain=tuple(sorted(wrong, key=lambda each: -each.probability)[:_SHOWN]),
    )


def _silent(stage: str, done: int, total: int) -> None:
    del stage, done, total


def _held_out(
    rewriter: Rewriter, corpus: PathLike | Sequence[PathLike], progress: Callable[[int, int], None]
) -> tuple[list[Pair], str]:
    """The held-out pairs of a run, and what they are in words."""
    description = rewriter.metadata.corpus

    def read(found: Corpus) -> EncodedCorpus:
        return encode_corpus(found, progress=progress, seed=description.seed)

    try:
        encoded = find_run_text(description, rewriter.path, read, sources=path_list(corpus))
    except OwnTextError as error:
        raise RunError(f"{error} Name the place of its pairs with corpus, or give other pairs.") from error
    assert isinstance(encoded, EncodedPairs)
    first, count = encoded.pairs.training, len(encoded.pairs)
    if first == count:
        raise RunError(f"The run {rewriter.name!r} held no pairs out, since its validation is 0. Give other pairs.")
    return [encoded.pair(n) for n in range(first, count)], f"{count - first:,} of {count:,} pairs of {encoded.name}"


def _judge(found: Rewritten, targets: Sequence[str]) -> WrongText:
    distances = [edit_distance(found.text, target) for target in targets]
    best = int(np.argmin(distances))
    return WrongText(
        source=found.source,
        target=targets[best],
        text=found.text,
        errors=distances[best],
        probability=found.probability,
    )


def _nearest(source: str, targets: Sequence[str]) -> tuple[int, int]:
    """The fewest errors of a source as it is, and the length of that target."""
    return min((edit_distance(source, target), len(target)) for target in targets)


def _losses(
    rewriter: Rewriter,
    known: Sequence[tuple[str, Sequence[str]]],
    unknown: Unknown,
    report: Callable[[str, int, int], None],
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """The loss of each source's targets in nats, and their characters, ends included, both `(sources,)`."""
    nats, characters = np.zeros(len(known)), np.zeros(len(known))
    flat = [(n, source, target) for n, (source, targets) in enumerate(known) for target in targets]
    size = 2_000
    for start in range(0, len(flat), size):
        part = flat[start : start + size]
        read = rewriter.read([each[1] for each in part], [each[2] for each in part], unknown=unknown)
        for (n, _, _), each in zip(part, read, strict=True):
            nats[n] -= each.logprobs.sum()
            characters[n] += len(each.logprobs)
        report("scoring", start + len(part), len(flat))
    return nats, characters


def _rate(amounts: NDArray[np.float64], sizes: NDArray[np.float64], seed: int) -> Rate:
    value = float(amounts.sum() / sizes.sum()) if sizes.sum() else 0.0
    return Rate(value=value, interval=ratio_bootstrap(amounts, sizes, seed=seed))

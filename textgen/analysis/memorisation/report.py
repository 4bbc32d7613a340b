"""How much of what a model writes is its own: a report, with the held-out text as the yardstick.

People who write in one manner say some things in the same words. How many of their n-grams are new where a model was
not trained on them is what a model's own can honestly be held to. The module joins the parts: writer, training text,
matches, figures and spans.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from textgen.analysis.memorisation.matches import find_matches
from textgen.analysis.memorisation.spans import Passages, Span, show_spans
from textgen.analysis.memorisation.suffixes import check_installed
from textgen.analysis.memorisation.training_text import TrainingText, read_training_text
from textgen.config import NoveltyConfig, SamplingConfig
from textgen.errors import CorpusError
from textgen.runs.find import checkpoint_name, resolve_checkpoint
from textgen.runs.run import CHECKPOINTS
from textgen.sampling.sample import Sample
from textgen.sampling.writer import Writer, load
from textgen.system import PathLike

NGRAMS = (8, 16, 32)
"""Lengths of the n-grams that are counted: a phrase, half a line, a line."""

LEAST = 600
"""Characters that both texts need before they are compared."""

_BLOCK, _LEAST_BLOCKS = 200, 2
_ERRORS, _MARGIN = 2.0, 0.002
"""How far apart two shares must be to differ: in standard errors, and at least."""

_DEFAULT = NoveltyConfig()
_SAMPLING = SamplingConfig()

Excess = Literal[0, 8, 16, 32]
Progress = Callable[[str, int, int], None]


@dataclass(frozen=True, kw_only=True)
class Figures:
    """How new some text is.

    Args:
        characters: how many there are.
        passages: in how many pieces.
        new: for each length of n-grams, the share that does not stand in the training text; None where the pieces are
            all shorter.
        longest: characters of the longest stretch that stands in the training text.
    """

    characters: int
    passages: int
    new: Mapping[int, float | None]
    longest: int

    def to_json(self) -> dict[str, Any]:
        """The figures as plain JSON values."""
        return {
            "characters": self.characters,
            "passages": self.passages,
            "new": {str(n): share for n, share in self.new.items()},
            "longest": self.longest,
        }


@dataclass(frozen=True, kw_only=True)
class Novelty:
    """What of some text is new, and what is copied from the training text.

    Args:
        training_characters: how long the training text is, held-out text not counted.
        sample: the figures of the samples, or of a given text.
        held_out: those of the held-out text; None where there is none.
        whole: whether `held_out` is all of the held-out text, and not stretches of it as long as the sample's pieces.
        excess: the longest n-grams of which the text shares more with the training text than the held-out text does,
            by two standard errors; 0 for none, None where there is too little text to tell.
        spans: the longest stretches that stand in the training text.
        run: the run's name, or the checkpoint's path.
        seed: of the samples; None for a given text.
        temperature: of the samples; None for a given text.
    """

    training_characters: int
    sample: Figures
    held_out: Figures | None
    whole: bool
    excess: Excess | None
    spans: tuple[Span, ...]
    run: str = ""
    seed: int | None = None
    temperature: float | tuple[float, ...] | None = None

    @property
    def written(self) -> bool:
        """Whether the run wrote the text for this; otherwise it was given."""
        return self.seed is not None

    @property
    def verdict(self) -> str:
        """The figures in a sentence."""
        what = "sample" if self.written else "text"
        n = self.excess or NGRAMS[-1]
        mine, theirs = self.sample.new[n], None if self.held_out is None else self.held_out.new[n]
        if mine is None:
            return f"The {what} is too short to tell whether it copies."
        if theirs is None:
            return f"There is no held-out text to compare with; {mine:.1%} of the {what}'s {n}-grams are new."
        if self.excess is None:
            return (
                f"There is too little text to tell whether it copies: at least {LEAST:,} characters of both are needed."
            )
        if self.excess == 0:
            return (
                f"The {what} copies no more than people who write in this manner do: {mine:.1%} of its {n}-grams are "
                f"new, and {theirs:.1%} of the held-out text's."
            )
        does = {8: "keeps to well-worn phrases", 16: "copies in short pieces", 32: "copies"}[self.excess]
        return (
            f"The {what} {does}: {1.0 - mine:.1%} of its {n}-grams stand in the training text, and {1.0 - theirs:.1%} "
            "of the held-out text's."
        )

    def to_json(self) -> dict[str, Any]:
        """The report as plain JSON values; the n of the n-grams are texts."""
        held_out = None if self.held_out is None else {**self.held_out.to_json(), "whole": self.whole}
        return {
            "run": self.run,
            "written": self.written,
            "seed": self.seed,
            "temperature": self.temperature,
            "training_characters": self.training_characters,
            "sample": self.sample.to_json(),
            "held_out": held_out,
            "excess": self.excess,
            "verdict": self.verdict,
            "spans": [span.to_json() for span in self.spans],
        }


def novelty(
    run: PathLike | Writer | None = None,
    text: str | Sequence[str] | None = None,
    *,
    checkpoints: PathLike = CHECKPOINTS,
    corpus: PathLike | Sequence[PathLike] = (),
    count: int = _DEFAULT.count,
    max_new_tokens: int = _DEFAULT.max_new_tokens,
    temperature: float | Sequence[float] = _SAMPLING.temperature,
    top_k: int = _SAMPLING.top_k,
    top_p: float = _SAMPLING.top_p,
    seed: int | None = _SAMPLING.seed,
    spans: int = _DEFAULT.spans,
    progress: Progress | None = None,
) -> Novelty:
    """Tells how much of what a run writes, or of a given text, is copied from what the run was trained on.

    Args:
        run: a run's name, a run's folder, a `.keras` file, or a writer; None takes the newest run.
        text: one text or several to judge; None has the run write samples. Characters that the run's vocabulary lacks
            are new.
        checkpoints: the folder of the run folders.
        corpus: where the training text is now; empty takes the place where it was.
        count: how many samples to write, side by side.
        max_new_tokens: characters of each sample.
        temperature: of the samples, as in `Writer.generate`; the lower, the more is copied.
        top_k: of the samples, as in `Writer.generate`.
        top_p: of the samples, as in `Writer.generate`.
        seed: of the samples; None draws one, which the report names.
        spans: how many of the longest copied stretches to show.
        progress: called with what is being done ("reading" the training text, or "sorting" it), how much of it is
            done, and how much there is to do.

    Raises:
        RunError: there is no such run, or its training text is missing or has changed.
        CheckpointError: the checkpoint is missing, damaged or foreign.
        ConfigError: a value is out of its range.
        CorpusError: the given text is empty.
        TextgenError: pydivsufsort is not installed: the extra "novelty".

    Example:
        report = textgen.novelty("poems", temperature=0.5, seed=1)
        print(report.verdict, report.spans[0].text)
    """
    config = NoveltyConfig(count=count, max_new_tokens=max_new_tokens, spans=spans)
    writer = run if isinstance(run, Writer) else load(resolve_checkpoint(run, checkpoints=checkpoints))
    report = progress or (lambda *_: None)
    check_installed()
    training = read_training_text(
        writer.metadata.corpus,
        writer.path,
        writer.tokenizer,
        corpus=corpus,
        progress=lambda done, total: report("reading", done, total),
    )
    samples: Sequence[Sample] = ()
    if text is None:
        samples = writer.generate_many(
            count=config.count,
            max_new_tokens=config.max_new_tokens,
            temperature=temperature,
            top_k=top_k,
            top_p=top_p,
            seed=seed,
        )
        texts = [sample.text for sample in samples]
    else:
        texts = [writer.as_trained(each) for each in ([text] if isinstance(text, str) else text)]
    judged = judge(training, texts, spans=config.spans, progress=lambda done, total: report("sorting", done, total))
    name = "" if writer.path is None else checkpoint_name(writer.path)
    if not samples:
        return dataclasses.replace(judged, run=name)
    first = samples[0]
    return dataclasses.replace(judged, run=name, seed=first.seed, temperature=first.config.temperature)


def judge(
    training: TrainingText,
    texts: Sequence[str],
    *,
    spans: int = _DEFAULT.spans,
    progress: Callable[[int, int], None] | None = None,
) -> Novelty:
    """The report on some texts, whoever wrote them.

    Args:
        training: what they are compared with.
        texts: the texts, normalised as the training text is.
        spans: how many of the longest copied stretches to show.
        progress: called with the characters sorted and all, now and then.

    Raises:
        CorpusError: there is not a single character.
        TextgenError: pydivsufsort is not installed.
    """
    if not any(texts):
        raise CorpusError("There is nothing to judge: the text is empty.")
    mine = [training.encode(text) for text in texts]
    yardstick, whole = spread(training.held_out(), [len(ids) for ids in mine])
    passages = Passages([*mine, *yardstick], foreign=training.foreign)
    found = find_matches(training.encoded.training, passages.ids, progress=progress)
    ours = passages.lengths(found, range(len(mine)))
    theirs = passages.lengths(found, range(len(mine), len(mine) + len(yardstick)))
    return Novelty(
        training_characters=len(training.encoded.training),
        sample=_figures(ours),
        held_out=_figures(theirs) if theirs else None,
        whole=whole,
        excess=_excess(ours, theirs),
        spans=tuple(show_spans(training, texts, passages, found, count=spans)),
    )


def spread(held_out: NDArray[Any], lengths: Sequence[int]) -> tuple[list[NDArray[Any]], bool]:
    """Stretches of these lengths, evenly over the held-out text; all of it, in one, if it is not longer than they are.

    Returns:
        The stretches, and whether they are all of the text.

    >>> spread(np.arange(12), [3, 3])
    ([array([1, 2, 3]), array([7, 8, 9])], False)
    >>> spread(np.arange(4), [3, 3])
    ([array([0, 1, 2, 3])], True)
    """
    total = sum(lengths)
    if total >= len(held_out):
        return ([held_out] if len(held_out) else []), True
    gap = (len(held_out) - total) / len(lengths)
    stretches, taken = [], 0
    for number, length in enumerate(lengths):
        start = taken + int((number + 0.5) * gap)
        stretches.append(held_out[start : start + length])
        taken += length
    return stretches, False


def _figures(lengths: Sequence[NDArray[np.int64]]) -> Figures:
    new: dict[int, float | None] = {}
    for n in NGRAMS:
        copied = _copied(lengths, n)
        new[n] = 1.0 - float(copied.mean()) if len(copied) else None
    longest = max((int(each.max()) for each in lengths if len(each)), default=0)
    return Figures(characters=sum(map(len, lengths)), passages=len(lengths), new=new, longest=longest)


def _copied(lengths: Sequence[NDArray[np.int64]], n: int) -> NDArray[np.bool_]:
    """For each n-gram, whether it stands in the training text."""
    return np.concatenate([each[: max(0, len(each) - n + 1)] >= n for each in lengths])


def _excess(ours: Sequence[NDArray[np.int64]], theirs: Sequence[NDArray[np.int64]]) -> Excess | None:
    """See `Novelty.excess`; the standard errors are those of blocks, since copied n-grams come in rows."""
    if min(sum(map(len, ours)), sum(map(len, theirs))) < LEAST:
        return None
    sizes: tuple[Excess, ...] = (32, 16, 8)
    verdict: Excess | None = None
    for n in sizes:
        mine, others = (_block_means(_copied(lengths, n)) for lengths in (ours, theirs))
        if min(len(mine), len(others)) < _LEAST_BLOCKS:
            continue
        verdict = 0
        error = math.sqrt(sum(float(means.var(ddof=1)) / len(means) for means in (mine, others)))
        if mine.mean() - others.mean() > max(_ERRORS * error, _MARGIN):
            return n
    return verdict


def _block_means(values: NDArray[np.bool_]) -> NDArray[np.float64]:
    """The means of blocks of about the same length."""
    if not len(values):
        return np.zeros(0)
    return np.array([block.mean() for block in np.array_split(values, max(1, len(values) // _BLOCK))])

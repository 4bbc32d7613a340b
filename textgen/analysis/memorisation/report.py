"""The novelty report: how much of a model's output is copied from its training text. The held-out text is the baseline.

Texts of one kind share phrases, so some n-grams of the held-out text occur in the training text, too. A model copies if
more of its n-grams do.
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
from textgen.analysis.passage import open_writer
from textgen.config import NoveltyConfig, SamplingConfig
from textgen.corpus.known_records import hash_records, is_known
from textgen.corpus.record_text import cut_records
from textgen.errors import CorpusError
from textgen.runs.run import CHECKPOINTS
from textgen.sampling.mixing import common_source
from textgen.sampling.sample import Sample
from textgen.sampling.writer import Writer
from textgen.system import PathLike

NGRAMS = (8, 16, 32)
"""Lengths of the n-grams in characters: a phrase, half a line, a line."""

LEAST = 600
"""The minimum length in characters of both texts for a comparison."""

_BLOCK, _LEAST_BLOCKS = 200, 2
_ERRORS, _MARGIN = 2.0, 0.002
"""The difference of two shares that counts: in standard errors, and the absolute minimum."""

_DEFAULT = NoveltyConfig()
_SAMPLING = SamplingConfig()

Excess = Literal[0, 8, 16, 32]
Progress = Callable[[str, int, int], None]


@dataclass(frozen=True, kw_only=True)
class Figures:
    """The novelty of some text.

    Args:
        characters: the number of characters.
        passages: the number of passages.
        new: for each n-gram length, the share of n-grams that do not occur in the training text; None if all passages
            are shorter.
        longest: the length in characters of the longest match in the training text.
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
    """How much of some text is novel, and what is copied from the training text.

    Args:
        training_characters: the length of the training text, held-out text excluded.
        sample: the figures of the samples, or of a given text.
        held_out: the figures of the held-out text; None if there is none.
        whole: whether `held_out` covers the whole held-out text rather than segments as long as the samples.
        excess: the longest n-gram length at which the text shares more with the training text than the held-out text
            does, by two standard errors; 0 for none, None if there is too little text.
        spans: the longest copied passages.
        records: the number of records in the text; None for a run on running text.
        known: how many of them are records that the run was trained on; None for a run on running text.
        run: the run's name, or the checkpoint's path.
        seed: the samples' seed; None for a given text.
        temperature: the samples' temperature; None for a given text.
    """

    training_characters: int
    sample: Figures
    held_out: Figures | None
    whole: bool
    excess: Excess | None
    spans: tuple[Span, ...]
    records: int | None = None
    known: int | None = None
    run: str = ""
    seed: int | None = None
    temperature: float | tuple[float, ...] | None = None

    @property
    def written(self) -> bool:
        """Whether the text was sampled from the run rather than given."""
        return self.seed is not None

    @property
    def verdict(self) -> str:
        """A summary of the figures in a sentence."""
        what = "sample" if self.written else "text"
        n = self.excess or NGRAMS[-1]
        own, baseline = self.sample.new[n], None if self.held_out is None else self.held_out.new[n]
        if own is None:
            return f"The {what} is too short to tell whether it copies."
        if baseline is None:
            return f"There is no held-out text to compare with; {own:.1%} of the {what}'s {n}-grams are new."
        if self.excess is None:
            return (
                f"There is too little text to tell whether it copies: at least {LEAST:,} characters of both are needed."
            )
        if self.excess == 0:
            return (
                f"The {what} copies no more than the held-out text does: {own:.1%} of its {n}-grams are new, and "
                f"{baseline:.1%} of the held-out text's."
            )
        does = {8: "reuses common phrases", 16: "copies short passages", 32: "copies"}[self.excess]
        return (
            f"The {what} {does}: {1.0 - own:.1%} of its {n}-grams occur in the training text, and "
            f"{1.0 - baseline:.1%} of the held-out text's."
        )

    def to_json(self) -> dict[str, Any]:
        """The report as plain JSON values; the n-gram lengths are strings."""
        held_out = None if self.held_out is None else {**self.held_out.to_json(), "whole": self.whole}
        return {
            "run": self.run,
            "written": self.written,
            "seed": self.seed,
            "temperature": self.temperature,
            "training_characters": self.training_characters,
            "sample": self.sample.to_json(),
            "held_out": held_out,
            **({} if self.known is None else {"records": self.records, "known_records": self.known}),
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
    """Measures how much of a run's samples, or of a given text, is copied from the run's training text.

    Of a run on records it also counts which of the records are known ones.

    Args:
        run: a run's name, a run's folder, a `.keras` file, or a writer; None takes the newest run.
        text: one text or several; None samples from the run. Characters outside the run's vocabulary count as new.
        checkpoints: the folder of the run folders.
        corpus: where the training text is now; empty takes the recorded place.
        count: how many samples to generate.
        max_new_tokens: the length of each sample in characters.
        temperature: of the samples, as in `Writer.generate`; the lower, the more is copied.
        top_k: of the samples, as in `Writer.generate`.
        top_p: of the samples, as in `Writer.generate`.
        seed: of the samples; None draws one, which is reported.
        spans: how many of the longest copied passages to return.
        progress: called with the stage ("reading" or "sorting" the training text), the amount done and the total.

    Raises:
        RunError: there is no such run, or its training text is missing or has changed; or the writer mixes models of
            different texts.
        CheckpointError: the checkpoint is missing, damaged or not one of textgen's.
        ConfigError: a value is out of its range.
        CorpusError: the given text is empty.
        TextgenError: pydivsufsort is not installed: the extra "novelty".

    Example:
        report = textgen.novelty("poems", temperature=0.5, seed=1)
        print(report.verdict, report.spans[0].text)
    """
    config = NoveltyConfig(count=count, max_new_tokens=max_new_tokens, spans=spans)
    writer = open_writer(run, checkpoints)
    report = progress or (lambda *_: None)
    check_installed()
    source = common_source(writer.members)
    training = read_training_text(
        source.metadata.corpus,
        source.path,
        source.tokenizer,
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
    found = measure_novelty(
        training, texts, spans=config.spans, progress=lambda done, total: report("sorting", done, total)
    )
    name = "" if source.path is None else writer.name
    if not samples:
        return dataclasses.replace(found, run=name)
    first = samples[0]
    return dataclasses.replace(found, run=name, seed=first.seed, temperature=first.config.temperature)


def measure_novelty(
    training: TrainingText,
    texts: Sequence[str],
    *,
    spans: int = _DEFAULT.spans,
    progress: Callable[[int, int], None] | None = None,
) -> Novelty:
    """Measures the novelty of some texts.

    Args:
        training: the text to compare with.
        texts: the texts, normalised as the training text is.
        spans: how many of the longest copied passages to return.
        progress: called with the characters sorted and the total.

    Raises:
        CorpusError: the texts are all empty.
        TextgenError: pydivsufsort is not installed.
    """
    if not any(texts):
        raise CorpusError("There is nothing to judge: the text is empty.")
    own = [training.encode(text) for text in texts]
    baseline, whole = spread(training.held_out(), [len(ids) for ids in own])
    passages = Passages([*own, *baseline], sentinel=training.sentinel)
    found = find_matches(training.encoded.training, passages.ids, progress=progress)
    own_lengths = passages.lengths(found, range(len(own)))
    baseline_lengths = passages.lengths(found, range(len(own), len(own) + len(baseline)))
    records, known = _known(training, texts)
    return Novelty(
        training_characters=len(training.encoded.training),
        sample=_figures(own_lengths),
        held_out=_figures(baseline_lengths) if baseline_lengths else None,
        whole=whole,
        excess=_excess(own_lengths, baseline_lengths),
        spans=tuple(show_spans(training, texts, passages, found, count=spans)),
        records=records,
        known=known,
    )


def _known(training: TrainingText, texts: Sequence[str]) -> tuple[int | None, int | None]:
    """How many records there are in some texts, and how many of them train; None for running text."""
    if training.encoded.records is None:
        return None, None
    records = [record for text in texts for record in cut_records(text, training.corpus.config)]
    hashes = hash_records(training.encoded, training=True)
    return len(records), sum(is_known(record, hashes) for record in records)


def spread(held_out: NDArray[Any], lengths: Sequence[int]) -> tuple[list[NDArray[Any]], bool]:
    """Segments of these lengths, evenly spaced over the held-out text; the whole text if it is no longer than they are.

    Returns:
        The segments, and whether they are the whole text.

    >>> spread(np.arange(12), [3, 3])
    ([array([1, 2, 3]), array([7, 8, 9])], False)
    >>> spread(np.arange(4), [3, 3])
    ([array([0, 1, 2, 3])], True)
    """
    total = sum(lengths)
    if total >= len(held_out):
        return ([held_out] if len(held_out) else []), True
    gap = (len(held_out) - total) / len(lengths)
    segments, taken = [], 0
    for number, length in enumerate(lengths):
        start = taken + int((number + 0.5) * gap)
        segments.append(held_out[start : start + length])
        taken += length
    return segments, False


def _figures(lengths: Sequence[NDArray[np.int64]]) -> Figures:
    new: dict[int, float | None] = {}
    for n in NGRAMS:
        copied = _copied(lengths, n)
        new[n] = 1.0 - float(copied.mean()) if len(copied) else None
    longest = max((int(each.max()) for each in lengths if len(each)), default=0)
    return Figures(characters=sum(map(len, lengths)), passages=len(lengths), new=new, longest=longest)


def _copied(lengths: Sequence[NDArray[np.int64]], n: int) -> NDArray[np.bool_]:
    """For each n-gram, whether it occurs in the training text."""
    return np.concatenate([each[: max(0, len(each) - n + 1)] >= n for each in lengths])


def _excess(own: Sequence[NDArray[np.int64]], baseline: Sequence[NDArray[np.int64]]) -> Excess | None:
    """See `Novelty.excess`; the standard errors are those of block means, since copied n-grams are clustered."""
    if min(sum(map(len, own)), sum(map(len, baseline))) < LEAST:
        return None
    sizes: tuple[Excess, ...] = (32, 16, 8)
    verdict: Excess | None = None
    for n in sizes:
        first, second = (_block_means(_copied(lengths, n)) for lengths in (own, baseline))
        if min(len(first), len(second)) < _LEAST_BLOCKS:
            continue
        verdict = 0
        error = math.sqrt(sum(float(means.var(ddof=1)) / len(means) for means in (first, second)))
        if first.mean() - second.mean() > max(_ERRORS * error, _MARGIN):
            return n
    return verdict


def _block_means(values: NDArray[np.bool_]) -> NDArray[np.float64]:
    """The means of blocks of about the same length."""
    if not len(values):
        return np.zeros(0)
    return np.array([block.mean() for block in np.array_split(values, max(1, len(values) // _BLOCK))])

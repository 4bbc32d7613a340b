"""Describes a run in words, for its first lines."""

from __future__ import annotations

import datetime
from typing import Any

from textgen.config import cell_name
from textgen.corpus import EncodedCorpus
from textgen.corpus.pair_batches import HeldOutPairs
from textgen.corpus.pair_tasks import told
from textgen.corpus.pairs import LONGEST, EncodedPairs
from textgen.corpus.record_batches import HeldOutRecords
from textgen.runs.events import Summary
from textgen.training.data import Validation as Held
from textgen.training.recipe import Recipe

_SHOWN = 12
"""How many labels are named."""


def summarize(encoded: EncodedCorpus, held_out: Any, recipe: Recipe, *, device: str, run: str, left: float) -> Summary:
    """The first lines of a run.

    Args:
        encoded: the text.
        held_out: what each validation scores.
        recipe: model and budget, with their reasons.
        device: the device and how much of it is used, in words.
        run: the run's folder.
        left: seconds of the time budget that are left; 0 without one.
    """
    model = recipe.model
    shape = f"{model.layers} x {model.units} {cell_name(model.cell)}{', both sides' if model.both else ''}"
    if model.has_encoder:
        shape = f"{model.encoder_layers} bidirectional and {shape} with attention"
    end = datetime.datetime.now() + datetime.timedelta(seconds=left)
    return Summary(
        corpus=f"{_text(encoded)} (sha256 {encoded.sha256[:12]})",
        task=_task(encoded),
        labels=_labels(encoded),
        vocabulary=encoded.vocabulary,
        split=_split(encoded, held_out),
        model=f"{shape}, {model.weights:,} weights ({recipe.reason})",
        device=device,
        budget=recipe.budget + (f", until about {end:%H:%M:%S}" if left > 0.0 else ""),
        run=run,
    )


def _text(encoded: EncodedCorpus) -> str:
    """A text's name and size, in words."""
    records, files = encoded.records, len(encoded.sources)
    where = f"{files:,} file{'s' if files != 1 else ''}"
    if isinstance(encoded, EncodedPairs):
        return _pairs(encoded, where)
    if records is None:
        return f"{encoded.name}, {encoded.characters:,} characters in {where}"
    lengths, again = records.lengths, records.duplicates
    dropped = f"; {records.dropped:,} empty left out" if records.dropped else ""
    return (
        f"{encoded.name}, {len(records):,} record{'s' if len(records) != 1 else ''} of {lengths.mean():.1f} characters "
        f"on average and at most {lengths.max():,}, {again:,} of them duplicate{'s' if again != 1 else ''}, in {where}"
        f"{dropped}"
    )


def _pairs(encoded: EncodedPairs, where: str) -> str:
    """The size of a corpus of pairs, in words."""
    sources, targets, again = encoded.source_lengths, encoded.pairs.lengths, encoded.pairs.duplicates
    dropped = f"; {encoded.pairs.dropped:,} without a target left out" if encoded.pairs.dropped else ""
    long = f"; {encoded.too_long:,} longer than {LONGEST} characters left out" if encoded.too_long else ""
    return (
        f"{encoded.name}, {len(encoded.pairs):,} pair{'s' if len(encoded.pairs) != 1 else ''}, sources of "
        f"{sources.mean():.1f} characters on average and at most {sources.max():,}, targets of {targets.mean():.1f} "
        f"and {targets.max():,}, {again:,} of them duplicate{'s' if again != 1 else ''}, in {where}{dropped}{long}"
    )


def _task(encoded: EncodedCorpus) -> str:
    """The task that made pairs of a text, in words; "" without one."""
    config = encoded.config
    if config.task is None or not isinstance(encoded, EncodedPairs):
        return ""
    changed = 100 * (1 - encoded.alike / len(encoded.pairs))
    return f"{config.task}: {told(config.task, config.noise_rate)}; {changed:.0f} % of them differ from their targets"


def _labels(encoded: EncodedCorpus) -> str:
    """The labels of a text's records, the most frequent first, with their numbers, in words; "" without labels."""
    if encoded.records is None or not encoded.records.labels:
        return ""
    counts = sorted(encoded.records.label_counts().items(), key=lambda item: -item[1])
    shown = ", ".join(f"{label} {count:,}" for label, count in counts[:_SHOWN])
    more = f" and {len(counts) - _SHOWN:,} more" if len(counts) > _SHOWN else ""
    unlabelled = int((encoded.records.label_of == 0).sum())
    return f"{shown}{more}" + (f"; {unlabelled:,} record{'s' if unlabelled != 1 else ''} without" if unlabelled else "")


def _split(encoded: EncodedCorpus, each: Held | None) -> str:
    """What trains and what validates, in words; `each` as `open_held_out` returns it."""
    records, held = encoded.records, len(encoded.held_out)
    if records is not None:
        kind = "pairs" if isinstance(encoded, EncodedPairs) else "records"
        if not isinstance(each, (HeldOutRecords, HeldOutPairs)):
            return f"all {len(records):,} {kind} train, none validate"
        held = len(records) - records.training
        part = f", {each.records:,} of them at each validation" if each.records < held else ""
        return f"{records.training:,} {kind} train, {held:,} validate{part}"
    if each is None:
        return f"all {len(encoded.training):,} characters train, none validate"
    part = f", {each.targets + 1:,} of them at each validation" if each.targets + 1 < held else ""
    return f"the first {len(encoded.training):,} characters train, the last {held:,} validate{part}"

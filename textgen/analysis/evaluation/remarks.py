"""Notes and warnings of an evaluation: what its figures do not say of the texts behind them."""

from __future__ import annotations

import numpy as np

from textgen.analysis.evaluation.bootstrap import LEAST
from textgen.analysis.evaluation.record_text import RunRecords, trained_on
from textgen.analysis.evaluation.scored_text import ScoredText, utf8
from textgen.runs.provenance import RunText
from textgen.runs.run import BEST
from textgen.sampling.writer import Writer

_NO_COINCIDENCE = 200
"""Characters from which on a text does not occur in another by chance."""

_GZIP_WINDOW, _BZ2_BLOCK = 32 << 10, 900_000


def notes_on(writer: Writer, own: RunText | None, problem: str, scored: ScoredText) -> tuple[str, ...]:
    """What a reader of the figures should know.

    Args:
        writer: the model.
        own: the text of its run; None where it cannot be read.
        problem: why it cannot.
        scored: the text that was scored.
    """
    notes = []
    several = len(writer.members) > 1
    if scored.split == "held-out" and any(
        each.path is not None and each.path.name == BEST for each, _ in writer.members
    ):
        its = "runs did not train on this text, but selected their best checkpoints" if several else None
        notes.append(
            f"The {its or 'run did not train on this text, but selected its best checkpoint'} by the loss on it."
        )
    adapted = next((each.adaptation for each, _ in ((writer, 1.0), *writer.members) if each.adaptation), None)
    if adapted is not None:
        notes.append(f"The model was adapted to {adapted.characters:,} characters of another text first.")
    if len(scored.ids) < LEAST:
        notes.append(f"The text is too short for a confidence interval, which needs {LEAST} characters.")
    if scored.unknown:
        notes.append(
            f"{scored.unknown:,} of the characters are outside the model's vocabulary and were scored as their "
            "replacement, which is easier to predict; the compressors had to encode them."
        )
    if scored.dropped:
        notes.append(f"{scored.dropped:,} characters outside the model's vocabulary were dropped.")
    if own is None:
        notes.append(f"{problem} So the compressors ran without the training text, and there is no unigram baseline.")
    elif not own.training:
        notes.append("The run has no training text, so the compressors ran without it.")
    elif len(own.training) < own.training_bytes:
        notes.append(
            f"The compressors were given the last {len(own.training):,} of the training text's "
            f"{own.training_bytes:,} bytes."
        )
    if own is not None and own.training_bytes > _GZIP_WINDOW:
        blocks = ", bz2's block is 900 KB" if own.training_bytes > _BZ2_BLOCK else ""
        notes.append(f"gzip's window is 32 KB{blocks}; xz uses all that it was given.")
    return tuple(notes)


def warnings_on(writer: Writer, own: RunText | None, scored: ScoredText, records: RunRecords | None) -> tuple[str, ...]:
    """A warning if the model was trained on the text.

    Args:
        writer: the model.
        own: the text of its run; None where it cannot be read.
        scored: the text that was scored.
        records: the records of its run; None for running text, or where they cannot be read.
    """
    biased = "so the results are biased. Leave the file out to score the held-out text."
    if records is not None:
        known, count = trained_on(records, scored), int(np.count_nonzero(scored.ids == writer.tokenizer.end_id))
        return (f"The model was trained on {known:,} of these {count:,} records, {biased}",) if known else ()
    if any(scored.sha256 == each.metadata.corpus.sha256 for each, _ in writer.members):
        return (f"This is the text that the model was trained on, including the held-out part, {biased}",)
    if own is None or len(scored.text) < _NO_COINCIDENCE:
        return ()
    data = utf8(scored.text)
    if data in own.training:
        return (f"This text occurs verbatim in the text that the model was trained on, {biased}",)
    if own.training and len(own.training) == own.training_bytes and own.training in data:
        return (f"This text contains the whole text that the model was trained on, {biased}",)
    return ()

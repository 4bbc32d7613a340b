"""Judges the tunes that a model writes, beside those of a text."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from textgen.analysis.evaluation.judged_tunes import Tunes
from textgen.analysis.evaluation.record_text import RunRecords
from textgen.analysis.evaluation.scored_text import ScoredText
from textgen.analysis.memorisation.matches import find_matches
from textgen.analysis.memorisation.suffixes import check_installed
from textgen.analysis.tunes import measure_tunes, read_tune
from textgen.config import SamplingConfig
from textgen.errors import TextgenError
from textgen.sampling.records import draw_records
from textgen.sampling.writer import Writer

SAMPLES = 200
"""How many tunes a model writes to be judged by."""

_LONGEST = 500
"""Characters after which a tune that does not end is cut off, or twice the longest given one's, whichever is more."""


def judge_tunes(
    writer: Writer,
    own: RunRecords | None,
    scored: ScoredText,
    *,
    seed: int,
    progress: Callable[[int, int], None],
) -> Tunes:
    """Lets a model write 200 tunes, and judges them beside those of a text.

    Args:
        writer: the model, trained on tunes.
        own: what it was trained on, to look for copies in; None where that cannot be read.
        scored: the text.
        seed: of the samples.
        progress: called with the tunes written and judged, and the total.
    """
    total = SAMPLES + 1
    progress(0, total)
    given = _texts(writer, scored)
    config = SamplingConfig(seed=seed, max_new_tokens=max(_LONGEST, 2 * max(map(len, given))))
    draws = draw_records(writer, config, SAMPLES, any_label=bool(writer.labels))
    draws.run()
    progress(SAMPLES, total)
    written = [sample.text for sample in draws.samples]
    notes = []
    if writer.labels:
        notes.append("Each of the model's tunes has a label drawn as often as training tunes have it.")
    copies: list[int | None] = [None, None]
    if own is None:
        notes.append("Without the training tunes no copies were looked for.")
    else:
        try:
            check_installed()
            copies = [_longest_copy(own, writer, texts) for texts in (written, given)]
        except TextgenError as error:
            notes.append(f"No copies were looked for: {error}")
    progress(total, total)
    return Tunes(
        samples=measure_tunes(written, longest_copy=copies[0]),
        given=measure_tunes(given, longest_copy=copies[1]),
        seed=seed,
        temperature=config.temperature,
        notes=tuple(notes),
    )


def _texts(writer: Writer, scored: ScoredText) -> list[str]:
    """The records of a text."""
    ends = np.flatnonzero(scored.ids == writer.tokenizer.end_id)
    return [writer.tokenizer.decode(ids[ids != writer.tokenizer.end_id]) for ids in np.split(scored.ids, ends)[:-1]]


def _longest_copy(own: RunRecords, writer: Writer, texts: Sequence[str]) -> int:
    """The length in characters of the longest passage of some tunes' music that is in the training tunes."""
    tokenizer, training = writer.tokenizer, own.encoded.training
    # An id that is in no text parts the tunes, so that no copy reaches from one into another.
    kind = np.result_type(training.dtype, np.min_scalar_type(tokenizer.vocab_size))
    sentinel = np.array([tokenizer.vocab_size], kind)
    parts: list[NDArray[Any]] = []
    for text in texts:
        parts += [tokenizer.encode(read_tune(text).body, unknown="skip").astype(kind), sentinel]
    found = find_matches(training.astype(kind, copy=False), np.concatenate(parts))
    return int(found.lengths.max(initial=0))

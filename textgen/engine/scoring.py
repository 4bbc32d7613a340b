"""Computes the log-probability (natural logarithm) that a model gives to each character of a text.

The protocols differ in the context from which each character is predicted:

- `score_ids` with one stream: all characters before it. The state is carried through the whole text.
- `score_ids` with several streams: the text is split into parts of the same length, read in parallel, and each begins
  without context. Many times faster, and nearly the same result for parts of some thousand characters.
- `score_windows`: the characters before it in its window, as nanoGPT evaluates.
- `score_records`: those before it in its record. For records with labels see `textgen.engine.label_scoring`.

In each, every id (but the first where there are no records) is predicted exactly once, and results are deterministic.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from textgen.config import CorpusConfig, Unknown, plain, require
from textgen.corpus.context import context_ids
from textgen.corpus.record_batches import nearest_starts
from textgen.corpus.record_text import encode_given, encode_text
from textgen.corpus.tokenizer import CharTokenizer
from textgen.engine import Network

Ids = NDArray[np.integer]
Progress = Callable[[int, int], None]
Observe = Callable[[NDArray[np.float32], Ids], None]
"""A callback that gets logits, `(n, vocab)` with a maximum of 0 in each row, and the ids that followed, `(n,)`.

It sees each predicted id once; with one stream, in the order of the text. The arrays are copies.
"""

_LOGITS = 2**21
"""Logits computed at once."""


@dataclass(frozen=True, eq=False)
class Score:
    """The log-probabilities that a model gives to a text.

    Args:
        text: the characters that were scored.
        logprobs: `(characters,)` float64, the natural logarithm of each one's probability, given those before it.
    """

    text: str
    logprobs: NDArray[np.float64]

    @property
    def nats(self) -> float:
        """The whole text's negative log-probability; its bits are `nats / ln 2`."""
        # Not the negative, which would be -0.0 for a text that is certain.
        return 0.0 - float(self.logprobs.sum())

    @property
    def nats_per_character(self) -> float:
        """The mean negative log-probability: the loss that training reports."""
        return self.nats / len(self.logprobs)

    @property
    def bits_per_character(self) -> float:
        """The mean negative log-probability in bits: what coding the text with the model would cost."""
        return self.nats_per_character / math.log(2.0)


def score_text(
    engine: Network,
    tokenizer: CharTokenizer,
    text: str | Sequence[str],
    *,
    streams: int = 1,
    unknown: Unknown = "auto",
    ended: bool = True,
    reading: CorpusConfig | None = None,
    labels: NDArray[np.float32] | None = None,
    progress: Progress | None = None,
) -> Score:
    """Scores each character of a text; the first one is predicted from the context of `textgen.corpus.context`.

    Of a network that was trained on records, each record of the text is scored by itself, its end included, which
    stands in the score's text as a newline.

    Args:
        engine: the network.
        tokenizer: its vocabulary.
        text: at least one character; for a network that was trained on records it may be a list of records.
        streams: the number of parts to read it in; see the module.
        unknown: how characters outside the vocabulary are encoded: see `CharTokenizer.encode`. The probability of the
            unknown id is that of any such character.
        ended: whether the text's last record ends with it.
        reading: what a record is; None takes the whole text for one.
        labels: `(labels,)`, the weight of each label of all these records; None for none.
        progress: called now and then with the characters done and the total.

    Raises:
        UnknownCharacterError: the text holds characters outside the vocabulary, and `unknown` refuses them.
        ConfigError: nothing of the text is left to score, or `streams` is out of its range.
    """
    if isinstance(text, str):
        ids = encode_text(tokenizer, text, reading or CorpusConfig(), unknown=unknown, ended=ended)
    else:
        require(tokenizer.has_end, "text", "a string", text, "Lists are for runs on records.")
        ids = encode_given(tokenizer, text, unknown=unknown)
        ids = ids if ended else ids[:-1]
    require(len(ids) > 0, "text", "at least one character that the model knows", text)
    if tokenizer.end_id is not None or not isinstance(text, str):
        assert tokenizer.end_id is not None
        logprobs = score_records(
            engine, ids, end_id=tokenizer.end_id, labels=labels, streams=streams, progress=progress
        )
        return Score(tokenizer.decode(ids), logprobs)
    before = context_ids(tokenizer, ids[:0])
    logprobs = score_ids(engine, np.concatenate([before, ids]), streams=streams, progress=progress)
    return Score(text if len(ids) == len(text) else tokenizer.decode(ids), logprobs)


def score_ids(
    engine: Network,
    ids: Ids,
    *,
    labels: NDArray[np.float32] | None = None,
    streams: int = 1,
    progress: Progress | None = None,
    observe: Observe | None = None,
) -> NDArray[np.float64]:
    """The log-probability of each id but the first, with carried state.

    Args:
        engine: the network.
        ids: `(n,)`, at least two.
        labels: `(labels,)`, the weight of each label of the whole text; None for none.
        streams: the number of parts of the same length to read them in; each part begins from the initial state, with
            the last id before it.
        progress: called now and then with the ids done and the total.
        observe: called with the logits; see `Observe`.

    Returns:
        `(n - 1,)`: that of `ids[1:]`.

    Raises:
        ConfigError: `streams` is out of its range.
    """
    streams = _checked(streams)
    predicted = len(ids) - 1
    length = -(-predicted // min(streams, predicted))
    rows = -(-predicted // length)
    inputs = np.zeros(rows * length, ids.dtype)
    targets = np.zeros_like(inputs)
    inputs[:predicted], targets[:predicted] = ids[:-1], ids[1:]
    shape = (rows, length)
    real = np.arange(rows * length).reshape(shape) < predicted
    rows_of = inputs.reshape(shape), targets.reshape(shape)
    logprobs = score_rows(engine, *rows_of, progress, observe, real=real, labels=labels)
    return logprobs.reshape(-1)[:predicted]


def score_records(
    engine: Network,
    ids: Ids,
    *,
    end_id: int,
    labels: NDArray[np.float32] | None = None,
    streams: int = 1,
    progress: Progress | None = None,
    observe: Observe | None = None,
) -> NDArray[np.float64]:
    """The log-probability of each id of some records, each read by itself.

    Args:
        engine: the network, whose state becomes zero before `end_id`.
        ids: `(n,)`, at least one: the records, each with `end_id` after it; the last one may lack it.
        end_id: the id of a record's end, from which each first id is predicted.
        labels: `(labels,)`, the weight of each label of all these records; None for none.
        streams: the most parts to read them in, each of whole records; more is faster, and changes nothing else.
        progress: called now and then with the ids done and the total.
        observe: called with the logits; see `Observe`.

    Returns:
        `(n,)`.

    Raises:
        ConfigError: `streams` is out of its range.
    """
    streams = _checked(streams)
    count = len(ids)
    ends = np.flatnonzero(ids == end_id) + 1
    if not len(ends) or ends[-1] != count:
        ends = np.append(ends, count)
    borders = np.unique(nearest_starts(ends, np.arange(streams + 1) * count // streams))
    places = borders[:-1, None] + np.arange(np.diff(borders).max())
    real = places < borders[1:, None]
    inputs = np.concatenate([np.array([end_id], ids.dtype), ids[:-1]])
    places = np.minimum(places, count - 1)
    return score_rows(engine, inputs[places], ids[places], progress, observe, real=real, labels=labels)[real]


def _checked(streams: int) -> int:
    streams = plain(streams)
    whole = isinstance(streams, int) and streams >= 1
    require(whole, "streams", "a whole number of at least 1", streams, "Use 1 for the exact score of one text.")
    return streams


def score_windows(
    engine: Network, ids: Ids, *, length: int = 256, batch_size: int = 64, progress: Progress | None = None
) -> NDArray[np.float64]:
    """The log-probability of each id but the first, in adjacent windows that each begin from the initial state.

    Args:
        engine: the network.
        ids: `(n,)`, at least two.
        length: ids in a window; the last window may be shorter.
        batch_size: windows read at once.
        progress: called now and then with the ids done and the total.

    Returns:
        `(n - 1,)`: that of `ids[1:]`.

    Raises:
        ConfigError: `length` or `batch_size` is out of its range.
    """
    length, batch_size = plain(length), plain(batch_size)
    for name, value in (("length", length), ("batch_size", batch_size)):
        require(isinstance(value, int) and value >= 1, name, "a whole number of at least 1", value)
    predicted = len(ids) - 1
    result = np.empty(predicted)
    full = predicted // length
    for first in range(0, full, batch_size):
        part = slice(first * length, min(first + batch_size, full) * length)
        inputs, targets = ids[:-1][part].reshape(-1, length), ids[1:][part].reshape(-1, length)
        result[part] = score_rows(engine, inputs, targets, None).reshape(-1)
        if progress is not None:
            progress(part.stop, predicted)
    if predicted % length:
        rest = slice(full * length, predicted)
        result[rest] = score_rows(engine, ids[:-1][None, rest], ids[1:][None, rest], None)[0]
        if progress is not None:
            progress(predicted, predicted)
    return result


def score_rows(
    engine: Network,
    inputs: Ids,
    targets: Ids,
    progress: Progress | None,
    observe: Observe | None = None,
    *,
    real: NDArray[np.bool_] | None = None,
    labels: NDArray[np.float32] | None = None,
) -> NDArray[np.float64]:
    """The log-probabilities of `targets` after `inputs`, both `(streams, time)`, from the initial state.

    `observe` gets those where `real`, `(streams, time)`, is True: the rest is padding.
    """
    streams, time = inputs.shape
    state = engine.initial_state(streams) if labels is None else engine.initial_state(streams, labels=labels)
    result = np.empty((streams, time))
    chunk = max(1, min(1024, _LOGITS // (streams * engine.vocab_size)))
    for start in range(0, time, chunk):
        part = slice(start, start + chunk)
        logits, state = engine.read(inputs[:, part], state)
        logits -= logits.max(axis=-1, keepdims=True)
        followed = targets[:, part]
        chosen = np.take_along_axis(logits, followed[..., None].astype(np.intp), axis=-1)[..., 0]
        if observe is not None and real is not None:
            observe(logits[real[:, part]], followed[real[:, part]])
        result[:, part] = chosen - np.log(np.exp(logits, out=logits).sum(axis=-1, dtype=np.float64))
        if progress is not None:
            progress(min(start + chunk, time) * streams, time * streams)
    return result

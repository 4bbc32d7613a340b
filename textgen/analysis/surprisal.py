"""The surprisal of each character of a text under a model, and the most likely alternatives."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from textgen.analysis.passage import Passage, open_writer, read_passage
from textgen.config import InsightConfig, Unknown
from textgen.corpus.tokenizer import CharTokenizer
from textgen.display.pages import packed, page, smallest
from textgen.display.shades import THRESHOLDS, legend
from textgen.engine.scoring import Score, score_ids
from textgen.runs.run import CHECKPOINTS
from textgen.sampling.labels import Label, as_given, labels_of
from textgen.sampling.sample import CharacterLogprob
from textgen.sampling.writer import Writer
from textgen.system import PathLike

_DEFAULT = InsightConfig()

_STEPS = 1024
"""Steps per bit in which a page stores surprisal: probabilities to a relative precision of about 0.0003."""

_HIGH = 6.0
"""Surprisal in bits from which the page's keys stop at a character."""


@dataclass(frozen=True, eq=False, kw_only=True)
class Surprise:
    """A model's predictions for each character of a text.

    Args:
        passage: the text.
        tokenizer: the vocabulary.
        logprobs: `(characters,)` float64, the natural logarithm of each one's probability, given all before it.
        likeliest: `(characters, n)`, the ids of the most likely characters at each position, in descending order.
        likeliest_logprobs: `(characters, n)` float64, their log-probabilities.
    """

    passage: Passage
    tokenizer: CharTokenizer
    logprobs: NDArray[np.float64]
    likeliest: NDArray[Any]
    likeliest_logprobs: NDArray[np.float64]

    @property
    def score(self) -> Score:
        """The text's score, without the alternatives."""
        return Score(self.passage.text, self.logprobs)

    @property
    def bits(self) -> NDArray[np.float64]:
        """The surprisal of each character in bits, `-log2(p)`, `(characters,)`."""
        return -self.logprobs / math.log(2.0)

    @property
    def perplexity(self) -> float:
        """Perplexity per character: `2` to the mean surprisal in bits."""
        return math.exp(self.score.nats_per_character)

    def at(self, place: int) -> CharacterLogprob:
        """The character at a position, counted from 0, and the alternatives there."""
        top = zip(self.likeliest[place], self.likeliest_logprobs[place].tolist(), strict=True)
        return CharacterLogprob(
            self.passage.text[place],
            float(self.logprobs[place]),
            tuple((self.tokenizer.decode([each]), logprob) for each, logprob in top),
        )

    def to_json(self) -> dict[str, Any]:
        """The score and each character's log-probability as plain JSON values, without the alternatives."""
        return {
            "run": self.passage.model,
            "characters": len(self.passage.text),
            "of": self.passage.total,
            "sha256": self.passage.sha256,
            "bits_per_character": self.score.bits_per_character,
            "perplexity": self.perplexity,
            "text": self.passage.text,
            "logprobs": self.logprobs.tolist(),
        }

    def to_html(self, *, title: str = "A text") -> str:
        """A self-contained HTML page: each character coloured by its surprisal, the alternatives in a tooltip.

        The same values make the same page.

        Args:
            title: the page's title, such as the text's name.
        """
        passage, unknown = self.passage, self.tokenizer.unknown_id
        ends = "\ufffd" * (unknown is not None) + "\n" if self.tokenizer.has_end else ""
        facts = [
            ("model", passage.model),
            ("text", passage.extent),
            ("bits per character", f"{self.score.bits_per_character:.3f}"),
            ("perplexity", f"{self.perplexity:.2f}"),
            ("sha256", passage.sha256[:12]),
        ]
        data = {
            "text": passage.text,
            "vocabulary": self.tokenizer.characters + ends,
            "unknown": unknown,
            "bits": packed(_quantised(self.logprobs)),
            "alternatives": packed(smallest(self.likeliest)),
            "alternativeBits": packed(_quantised(self.likeliest_logprobs)),
            "steps": _STEPS,
            "thresholds": THRESHOLDS,
            "legend": legend(),
            "high": _HIGH,
        }
        return page("surprise", title=title, facts=facts, data=data)


def surprise(
    run: PathLike | Writer | None,
    text: str | Sequence[str],
    *,
    checkpoints: PathLike = CHECKPOINTS,
    limit: int = _DEFAULT.limit,
    alternatives: int = _DEFAULT.alternatives,
    unknown: Unknown = _DEFAULT.unknown,
    label: Label | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> Surprise:
    """Computes the surprisal of each character of a text under a model, and the most likely alternatives.

    Args:
        run: a run's name, a run's folder, a `.keras` file, or a writer; None takes the newest run.
        text: the text to read, from its first character, with carried state; for a run on records also a list of them.
        checkpoints: the folder of the run folders.
        limit: the maximum number of characters to read, in [1, 100,000].
        alternatives: how many of the most likely characters to record at each position, in [1, 20].
        unknown: how to treat characters outside the vocabulary: see `CharTokenizer.encode`.
        label: the labels of all records, as for `Writer.score`.
        progress: called with the characters done and the total.

    Raises:
        RunError: there is no such run.
        CheckpointError: the checkpoint is missing, damaged or not one of textgen's.
        CorpusError: the text is empty, or all its characters are outside the vocabulary.
        UnknownCharacterError: the text contains characters outside the vocabulary, and `unknown` refuses them.
        ConfigError: a setting is out of its range, or labels are given for a run without.

    Example:
        found = textgen.surprise("poems", "The sea, the sea!")
        print(found.at(4).top)
        Path("surprise.html").write_text(found.to_html(title="The sea"), encoding="utf-8")
    """
    config = InsightConfig(limit=limit, alternatives=alternatives, unknown=unknown)
    writer = open_writer(run, checkpoints)
    labels = labels_of(writer, as_given(label))
    passage = read_passage(writer, text, config)
    count = min(config.alternatives, writer.tokenizer.vocab_size)
    likeliest = np.empty((len(passage.ids), count), np.int64)
    logprobs = np.empty((len(passage.ids), count))
    done = 0

    def record(logits: NDArray[np.float32], targets: NDArray[np.integer]) -> None:
        nonlocal done
        part = slice(done, done + len(targets))
        likeliest[part] = _highest(logits, count)
        found = np.take_along_axis(logits, likeliest[part], axis=-1).astype(np.float64)
        logprobs[part] = found - np.log(np.exp(logits).sum(axis=-1, keepdims=True, dtype=np.float64))
        done = part.stop

    ids = np.concatenate([passage.before, passage.ids])
    own = score_ids(writer.engine, ids, labels=labels, progress=progress, observe=record)
    return Surprise(
        passage=passage, tokenizer=writer.tokenizer, logprobs=own, likeliest=likeliest, likeliest_logprobs=logprobs
    )


def _highest(logits: NDArray[np.float32], count: int) -> NDArray[np.int64]:
    """The ids of the `count` highest of each row, in descending order; ties in order of id."""
    ids = np.argpartition(-logits, count - 1, axis=-1)[:, :count]
    ids.sort(axis=-1)
    order = np.argsort(-np.take_along_axis(logits, ids, axis=-1), axis=-1, kind="stable")
    return np.take_along_axis(ids, order, axis=-1)


def _quantised(logprobs: NDArray[np.float64]) -> NDArray[np.uint16]:
    """Surprisal in bits, in steps of `1 / _STEPS`."""
    steps = np.rint(-logprobs * (_STEPS / math.log(2.0)))
    return np.clip(steps, 0, 65_535).astype(np.uint16)

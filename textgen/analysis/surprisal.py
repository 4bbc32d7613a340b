"""How probable each character of a text was to a model, and what it held for likelier."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from textgen.analysis.passage import Passage, open_writer, read_passage
from textgen.config import InsightConfig, Unknown
from textgen.corpus.tokenizer import CharTokenizer
from textgen.display.pages import packed, page, smallest
from textgen.display.shades import BORDERS, legend
from textgen.engine.scoring import Score, score_ids
from textgen.runs.run import CHECKPOINTS
from textgen.sampling.sample import CharacterLogprob
from textgen.sampling.writer import Writer
from textgen.system import PathLike

_DEFAULT = InsightConfig()

_STEPS = 1024
"""Steps of a bit in which a page holds surprise: to a thousandth of a probability."""

_NOTABLE = 6.0
"""Bits from which on a character is worth a stop."""


@dataclass(frozen=True, eq=False, kw_only=True)
class Surprise:
    """A text as a model foretold it.

    Args:
        passage: the characters, and where they are from.
        tokenizer: the vocabulary.
        logprobs: `(characters,)` float64, the natural logarithm of each one's probability, given all before it.
        likeliest: `(characters, n)`, the ids of the likeliest characters at each place, falling.
        likeliest_logprobs: `(characters, n)` float64, theirs.
    """

    passage: Passage
    tokenizer: CharTokenizer
    logprobs: NDArray[np.float64]
    likeliest: NDArray[Any]
    likeliest_logprobs: NDArray[np.float64]

    @property
    def score(self) -> Score:
        """The same without the alternatives."""
        return Score(self.passage.text, self.logprobs)

    @property
    def bits(self) -> NDArray[np.float64]:
        """`(characters,)`, how much each one surprised: the negative binary logarithm of its probability."""
        return -self.logprobs / math.log(2.0)

    @property
    def perplexity(self) -> float:
        """Among how many equally likely characters the model chose, on the (geometric) mean."""
        return math.exp(self.score.nats_per_character)

    def at(self, place: int) -> CharacterLogprob:
        """The character at a place, counted from 0, and the alternatives there."""
        top = zip(self.likeliest[place], self.likeliest_logprobs[place].tolist(), strict=True)
        return CharacterLogprob(
            self.passage.text[place],
            float(self.logprobs[place]),
            tuple((self.tokenizer.decode([each]), logprob) for each, logprob in top),
        )

    def to_json(self) -> dict[str, Any]:
        """The figures as plain JSON values, with the characters' own; not the alternatives: see `at`."""
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
        """A page of its own: each character shaded by its surprise; pointing at it shows the alternatives.

        It needs nothing from elsewhere. The same values make the same page.

        Args:
            title: the text's name.
        """
        passage, unknown = self.passage, self.tokenizer.unknown_id
        facts = [
            ("model", passage.model),
            ("text", passage.extent),
            ("bits per character", f"{self.score.bits_per_character:.3f}"),
            ("perplexity", f"{self.perplexity:.2f}"),
            ("sha256", passage.sha256[:12]),
        ]
        data = {
            "text": passage.text,
            "vocabulary": self.tokenizer.characters,
            "unknown": unknown,
            "bits": packed(_quantised(self.logprobs)),
            "alternatives": packed(smallest(self.likeliest)),
            "alternativeBits": packed(_quantised(self.likeliest_logprobs)),
            "steps": _STEPS,
            "borders": BORDERS,
            "legend": legend(),
            "notable": _NOTABLE,
        }
        return page("surprise", title=title, facts=facts, data=data)


def surprise(
    run: PathLike | Writer | None,
    text: str,
    *,
    checkpoints: PathLike = CHECKPOINTS,
    limit: int = _DEFAULT.limit,
    alternatives: int = _DEFAULT.alternatives,
    unknown: Unknown = _DEFAULT.unknown,
    progress: Callable[[int, int], None] | None = None,
) -> Surprise:
    """Notes at each character of a text how probable it was to a model, and what it held for likelier.

    Args:
        run: a run's name, a run's folder, a `.keras` file, or a writer; None takes the newest run.
        text: what to read, from its first character, with carried state.
        checkpoints: the folder of the run folders.
        limit: characters to read, in [1, 100,000].
        alternatives: how many of the likeliest characters to note at each place, in [1, 20].
        unknown: what becomes of characters that the model never saw: see `CharTokenizer.encode`.
        progress: called with the characters done and all, now and then.

    Raises:
        RunError: there is no such run.
        CheckpointError: the checkpoint is missing, damaged or foreign.
        CorpusError: the text is empty, or the model knows none of its characters.
        UnknownCharacterError: the text holds characters that the model never saw, and `unknown` is "error".
        ConfigError: a setting is out of its range.

    Example:
        found = textgen.surprise("poems", "The sea, the sea!")
        print(found.at(4).top)
        Path("surprise.html").write_text(found.to_html(title="The sea"), encoding="utf-8")
    """
    config = InsightConfig(limit=limit, alternatives=alternatives, unknown=unknown)
    writer = open_writer(run, checkpoints)
    passage = read_passage(writer, text, config)
    count = min(config.alternatives, writer.tokenizer.vocab_size)
    likeliest = np.empty((len(passage.ids), count), np.int64)
    logprobs = np.empty((len(passage.ids), count))
    done = 0

    def note(logits: NDArray[np.float32], came: NDArray[np.integer]) -> None:
        nonlocal done
        part = slice(done, done + len(came))
        likeliest[part] = _highest(logits, count)
        found = np.take_along_axis(logits, likeliest[part], axis=-1).astype(np.float64)
        logprobs[part] = found - np.log(np.exp(logits).sum(axis=-1, keepdims=True, dtype=np.float64))
        done = part.stop

    ids = np.concatenate([passage.before, passage.ids])
    own = score_ids(writer.engine, ids, progress=progress, observe=note)
    return Surprise(
        passage=passage, tokenizer=writer.tokenizer, logprobs=own, likeliest=likeliest, likeliest_logprobs=logprobs
    )


def _highest(logits: NDArray[np.float32], count: int) -> NDArray[np.int64]:
    """The ids of the `count` highest of each row, falling; of equal ones the lower id first."""
    ids = np.argpartition(-logits, count - 1, axis=-1)[:, :count]
    ids.sort(axis=-1)
    order = np.argsort(-np.take_along_axis(logits, ids, axis=-1), axis=-1, kind="stable")
    return np.take_along_axis(ids, order, axis=-1)


def _quantised(logprobs: NDArray[np.float64]) -> NDArray[np.uint16]:
    """Bits of surprise in steps of `1 / _STEPS`."""
    steps = np.rint(-logprobs * (_STEPS / math.log(2.0)))
    return np.clip(steps, 0, 65_535).astype(np.uint16)

"""Each worker's own part of the text: one vocabulary for all parts, and worker 0's held-out text for validation."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, fields
from typing import Any

import numpy as np
from numpy.typing import NDArray

from textgen.config import require
from textgen.corpus import EncodedCorpus
from textgen.corpus.rare import automatic_min_count
from textgen.corpus.tokenizer import CharTokenizer
from textgen.errors import ConfigError, TrainingError
from textgen.training.workers.team import Team

_COUNTED = 1 << 20
"""Ids counted at once."""

Part = dict[str, Any]
"""What is recorded of a worker's part: its sources, SHA-256 and length in characters."""


@dataclass(frozen=True, eq=False, kw_only=True)
class TextPart(EncodedCorpus):
    """The part of a worker other than 0, which trains on all of it.

    Attributes:
        validation_ids: the ids of worker 0's held-out text, which are not among `ids`.
    """

    validation_ids: NDArray[Any]

    @property
    def split(self) -> int:
        """The length of the part: nothing of it is held out."""
        return self.characters

    @property
    def held_out(self) -> NDArray[Any]:
        """The ids of worker 0's held-out text."""
        return self.validation_ids


def check_part(encoded: EncodedCorpus) -> None:
    """Checks that a text can be a part.

    Raises:
        ConfigError: it is made of records, whose labels and split would have to be agreed on, too.
    """
    require(encoded.records is None, "text_part", "left out where the text is made of records", True)


def check_as_before(before: Mapping[str, Any], *, parts: bool) -> None:
    """Checks that several workers who continue a run have parts of the text if those before them had.

    Args:
        before: what the run has recorded of its workers; empty if one machine trained it.
        parts: whether they have parts now.

    Raises:
        ConfigError: they do not.
    """
    if before and parts != ("parts" in before):
        how, what = ("left out", "one text") if parts else ("given", "a part of the text each")
        raise ConfigError(f"text_part must be {how}: the workers of this run had {what}.", field="text_part")


def share_vocabulary(
    team: Team,
    own: EncodedCorpus,
    encode: Callable[[CharTokenizer], EncodedCorpus],
    *,
    min_count: int | None,
    known: CharTokenizer | None = None,
    before: Sequence[Part] | None = None,
) -> tuple[EncodedCorpus, list[Part]]:
    """Encodes each worker's part with one vocabulary, and gives all of them worker 0's held-out text.

    Args:
        team: the workers.
        own: this worker's part, in a vocabulary of its own that has all its characters, or in the `known` one.
        encode: encodes this worker's part again, with another vocabulary.
        min_count: as of `CorpusConfig`, for the characters of all parts together.
        known: on worker 0, the vocabulary of a run that is continued; None builds one.
        before: on worker 0, the parts of a run that is continued by as many workers; others are refused.

    Returns:
        This worker's part, and on worker 0 what is recorded of all parts.

    Raises:
        TrainingError: a part is not the one that it was; all workers raise it.
        UnknownCharacterError: a part has characters that a continued run does not know.
    """
    parts: list[Part] = []

    def decide(said: list[dict[str, Any]]) -> dict[str, Any]:
        parts.extend(each["part"] for each in said)
        for index, (was, part) in enumerate(zip(before or parts, parts, strict=True)):
            if was["sha256"] != part["sha256"]:
                return {"problem": _other_part(team, index, was, part)}
        return {"vocabulary": (known or _vocabulary([each["counts"] for each in said], min_count)).to_json()}

    here: Part = {"sources": list(own.places or own.sources), "sha256": own.sha256, "characters": own.characters}
    decided = team.agree("vocabulary", {"part": here, "counts": {} if known else _counts(own)}, decide)
    if "problem" in decided:
        raise TrainingError(decided["problem"])
    vocabulary = CharTokenizer.from_json(decided["vocabulary"])
    encoded = own if own.tokenizer == vocabulary else encode(vocabulary)
    data = team.tell("held-out", None, encoded.held_out.tobytes() if team.leads else b"")[1]
    if team.leads:
        return encoded, parts
    values = {each.name: getattr(encoded, each.name) for each in fields(EncodedCorpus)}
    held_out = np.frombuffer(data, vocabulary.dtype) if data else np.empty(0, vocabulary.dtype)
    return TextPart(**values, validation_ids=held_out), []


def _counts(encoded: EncodedCorpus) -> dict[str, int]:
    """How often each character occurs."""
    counts = np.zeros(encoded.tokenizer.vocab_size, np.int64)
    for start in range(0, encoded.characters, _COUNTED):
        counts += np.bincount(encoded.ids[start : start + _COUNTED], minlength=len(counts))
    return dict(zip(encoded.tokenizer.characters, counts.tolist(), strict=True))


def _vocabulary(counts: Sequence[dict[str, int]], min_count: int | None) -> CharTokenizer:
    """The vocabulary of all parts.

    >>> _vocabulary([{"a": 1, "b": 2}, {"a": 1, "c": 1}], 2)
    CharTokenizer('ab', has_unknown=True)
    """
    total: dict[str, int] = {}
    for each in counts:
        for character, count in each.items():
            total[character] = total.get(character, 0) + count
    return CharTokenizer.from_counts(total, min_count=automatic_min_count(total) if min_count is None else min_count)


def _other_part(team: Team, index: int, was: Part, part: Part) -> str:
    return (
        f"{team.cluster.name(index)} has another part of the text (sha256 {part['sha256'][:12]}) than before "
        f"({was['sha256'][:12]}, {', '.join(was['sources'])}). Give each worker the part that it had."
    )

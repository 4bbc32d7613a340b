"""What models must have in common to be mixed, and what their mixture is called."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, TypeVar

from textgen.corpus.characters import name_characters
from textgen.errors import ConfigError, RunError

if TYPE_CHECKING:
    from textgen.config import CorpusConfig
    from textgen.corpus.tokenizer import CharTokenizer
    from textgen.model.description import CorpusDescription
    from textgen.sampling.trained_model import TrainedModel

M = TypeVar("M", bound="TrainedModel")

Members = Sequence[tuple["TrainedModel", float]]
"""The models of a mixture, each with its share."""


def check_alike(writers: Sequence[TrainedModel]) -> None:
    """Checks that models read and write the same characters.

    Raises:
        ConfigError: their vocabularies differ, or their training texts were normalised in different ways.
    """
    first = writers[0]
    for n, other in enumerate(writers[1:], 2):
        names = (repr(first.name), repr(other.name))
        if first.name == other.name:
            names = ("model 1", f"model {n}")
        problem = _vocabularies(first.tokenizer, other.tokenizer, *names) or _forms(
            first.reading, other.reading, *names
        )
        if not problem and first.labels != other.labels:
            problem = f"{names[0]} and {names[1]} have different labels. Mix models of one table's records."
        if problem:
            raise ConfigError(f"The models cannot be mixed: {problem}")


def mixture_name(members: Members) -> str:
    """What to call a mixture: the names of its models with their weights, such as "poems:0.7 + letters:0.3"."""
    return " + ".join(f"{writer.name}:{share:.4g}" for writer, share in members)


def common_source(members: Sequence[tuple[M, float]]) -> M:
    """A model that was trained on the text that all were trained on, with the same part of it held out.

    Raises:
        RunError: there is no such text. The message says so without a remedy, which depends on the purpose.
    """
    if not have_one_text(members):
        raise RunError("The mixed models were trained on different texts, or on different parts of one.")
    return members[0][0]


def have_one_text(members: Members) -> bool:
    """Whether all models were trained on one text, with the same part of it held out, as far as is recorded."""
    corpora = [writer.metadata.corpus for writer, _ in members]
    return len({(corpus.sha256, corpus.split) for corpus in corpora}) == 1


def common_reading(corpora: Sequence[CorpusDescription]) -> CorpusConfig:
    """How the training texts of models that `check_alike` were read; strict where they were not with one `errors`."""
    first, *others = (corpus.config for corpus in corpora)
    return first if all(each.errors == first.errors for each in others) else first.replace(errors="strict")


def _vocabularies(first: CharTokenizer, other: CharTokenizer, *names: str) -> str:
    """How two vocabularies differ, in sentences; "" if they do not."""
    for having, lacking, (rich, poor) in ((first, other, names), (other, first, names[::-1])):
        characters = lacking.outside(having.characters)
        if characters:
            some = f"{len(characters):,} characters" if len(characters) > 1 else "a character"
            return (
                f"{poor} lacks {some} of {rich}, {name_characters(characters, limit=3)}. "
                "Mix models of texts with the same characters, such as two seeds of one text."
            )
    if first.has_unknown != other.has_unknown:
        has, lacks = names if first.has_unknown else names[::-1]
        return (
            f"{has} has an id that rare characters share, and {lacks} has none. Mix models that were trained with the "
            "same min_count."
        )
    if first.has_end != other.has_end:
        records, running = names if first.has_end else names[::-1]
        return f"{records} was trained on records, and {running} on running text. Mix models of one kind."
    return ""


def _forms(first: CorpusConfig, other: CorpusConfig, *names: str) -> str:
    """How the normalisation of two texts differs, in sentences; "" if it does not."""
    for field in ("keep_newlines", "normalize"):
        values = getattr(first, field), getattr(other, field)
        if values[0] != values[1]:
            return (
                f"{names[0]} was trained with {field}={values[0]!r}, and {names[1]} with {field}={values[1]!r}. "
                "Mix models whose texts were normalised in one way."
            )
    return ""

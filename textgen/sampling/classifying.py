"""Tells the label of a text by Bayes' rule, from how probable a model of labelled records finds it given each label.

p(label | text) is in proportion to p(label) p(text | label): the prior of the label, by default its share of the labels
of the training records, and the probability of the text as a record that has this label and no other, its end included.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from textgen.config import Unknown, require
from textgen.engine.label_scoring import score_labels
from textgen.engine.scoring import Progress
from textgen.errors import ConfigError, RunError

if TYPE_CHECKING:
    from textgen.sampling.trained_model import TrainedModel

Array = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Classified:
    """A text with the probability of each label.

    Args:
        text: the text, normalised as the training text was.
        labels: the model's labels.
        probabilities: `(labels,)`, that of each label given the text; their sum is 1.
        logprobs: `(labels,)`, in nats: the natural logarithm of the text's probability given each label.

    >>> found = Classified("The sea", ("keats", "poe"), np.array([0.25, 0.75]), np.array([-20.1, -19.0]))
    >>> found.label, found.probability, found.top(2)
    ('poe', 0.75, [('poe', 0.75), ('keats', 0.25)])
    """

    text: str
    labels: tuple[str, ...]
    probabilities: Array
    logprobs: Array

    @property
    def label(self) -> str:
        """The most probable label."""
        return self.labels[int(np.argmax(self.probabilities))]

    @property
    def probability(self) -> float:
        """The probability of `label`."""
        return float(self.probabilities.max())

    def top(self, n: int) -> list[tuple[str, float]]:
        """The `n` most probable labels with their probabilities; all if there are fewer."""
        order = np.argsort(-self.probabilities, kind="stable")[:n].tolist()
        return [(self.labels[place], float(self.probabilities[place])) for place in order]


def classify(
    writer: TrainedModel,
    texts: Sequence[str],
    *,
    uniform: bool = False,
    unknown: Unknown = "auto",
    progress: Progress | None = None,
) -> list[Classified]:
    """What `Writer.classify` does, with the same arguments and errors.

    Args:
        writer: the model.
        texts: as there.
        uniform: as there.
        unknown: as there.
        progress: called now and then with the characters done and the total, over all labels.
    """
    expected = "a list of strings"
    require(not isinstance(texts, (str, bytes)), "texts", expected, texts, "Put a single text into a list: [text].")
    check_labels(writer, "classify")
    tokenizer, read = writer.tokenizer, [writer.as_trained(text) for text in texts]
    # Of all at once, so that an error names all characters that are not known.
    tokenizer.encode("".join(read), unknown=unknown)
    prior = label_prior(None if uniform else _counts(writer), len(writer.labels))
    assert tokenizer.end_id is not None
    logprobs = score_labels(
        writer.engine,
        [tokenizer.encode(text, unknown=unknown) for text in read],
        end_id=tokenizer.end_id,
        labels=len(writer.labels),
        progress=progress,
    )
    return [
        Classified(text, writer.labels, probabilities, each)
        for text, probabilities, each in zip(read, posterior(logprobs, prior), logprobs, strict=True)
    ]


def label_prior(counts: Sequence[int] | None, labels: int) -> Array:
    """The probability of each label before a text is read, `(labels,)`: its share of `counts`, or equal ones.

    >>> label_prior([3, 1], 2).tolist(), label_prior(None, 2).tolist()
    ([0.75, 0.25], [0.5, 0.5])
    """
    if counts is None or not sum(counts):
        return np.full(labels, 1.0 / labels)
    return np.asarray(counts, np.float64) / sum(counts)


def posterior(logprobs: Array, prior: Array) -> Array:
    """Bayes' rule: the probability of each label given each text, `(texts, labels)`.

    Args:
        logprobs: `(texts, labels)`, the natural logarithm of each text's probability given each label.
        prior: `(labels,)`; a label of prior 0 stays at 0.

    >>> posterior(np.log([[0.2, 0.1]]), np.array([0.25, 0.75])).round(2).tolist()
    [[0.4, 0.6]]
    """
    with np.errstate(divide="ignore"):
        joint = logprobs + np.log(prior)
    joint -= joint.max(axis=1, keepdims=True)
    weights = np.exp(joint)
    return weights / weights.sum(axis=1, keepdims=True)  # type: ignore[no-any-return]


def check_labels(writer: TrainedModel, name: str) -> None:
    """Refuses a model without labels.

    Raises:
        ConfigError: the model was not trained on records with labels; `name` is what needs them.
    """
    if not writer.labels or not writer.tokenizer.has_end:
        run = repr(writer.name)
        has = f"those of {run} have none" if writer.tokenizer.has_end else f"{run} was trained on running text"
        raise ConfigError(
            f"{name} needs a run whose records have labels, and {has}. Train one: textgen train TABLE --text-field "
            "NAME --label-field NAME"
        )


def _counts(writer: TrainedModel) -> Sequence[int]:
    """How many of the training records of a writer's models have each label."""
    found = [each.metadata.corpus.records for each, _ in writer.members]
    counts = [None if each is None else each.label_counts for each in found]
    known = [each for each in counts if each is not None]
    if len(known) < len(counts):
        raise RunError(
            f"The run {writer.name!r} does not say how many of its records have each label. Take all labels for "
            "equally likely with --uniform."
        )
    return [sum(each) for each in zip(*known, strict=True)]

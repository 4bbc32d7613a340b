"""The events of training, as methods of a `Reporter` that does nothing.

The library never prints; the command line passes a reporter that does.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from textgen.model.results import Validation


@dataclass(frozen=True, kw_only=True)
class Summary:
    """A summary of the run before its first step, one line for each field.

    Args:
        corpus: name, characters, files and SHA-256.
        workers: how many machines train together, and how they exchange; "" for one.
        task: what makes pairs of the text, and what it does to the sources; "" without a task.
        labels: the records' labels with their numbers; "" if there are none.
        vocabulary: the number of distinct characters.
        split: the sizes of the training and the validation text.
        model: architecture, number of weights, and why this size.
        device: the device, the type of the matrix products, the cores that are used, and why not all.
        budget: the length of the training.
        run: the run's folder.
        problems: warnings about things that the user may want to change.
    """

    corpus: str
    vocabulary: str
    split: str
    model: str
    device: str
    budget: str
    run: str
    task: str = ""
    labels: str = ""
    workers: str = ""
    problems: Sequence[str] = ()


class Reporter:
    """Receives the events of a run and ignores them; subclasses override the methods to show them."""

    def encoding(self, done: int, total: int) -> None:
        """The corpus is being read: the bytes done and the total."""

    def waiting(self, message: str) -> None:
        """One of several workers waits for others before the start, for those in the message."""

    def joined(self, *, worker: int, run: str) -> None:
        """All workers are there, and this one follows worker 0, which trains the run of this name with them."""

    def started(self, summary: Summary) -> None:
        """All settings are chosen, and the first step follows."""

    def stepped(self, *, step: int, steps: int | None, share: float, loss: float, characters: int) -> None:
        """A step is done.

        Args:
            step: steps done, over the whole run.
            steps: the run's last step; None if unknown.
            share: the share of the run that is done, from 0 to 1.
            loss: mean nats per character since the last validation.
            characters: characters in a step.
        """

    def validated(self, row: Validation, *, best: bool) -> None:
        """A validation is done.

        Args:
            row: its metrics and sample, as in the run's history.
            best: whether its loss is the lowest so far.
        """

    def warned(self, message: str) -> None:
        """Something went wrong, and training goes on."""

    def finished(self, message: str) -> None:
        """Training has ended, for the reason in the message."""

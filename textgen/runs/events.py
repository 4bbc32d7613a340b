"""What training tells whoever watches it: events, each a method that does nothing here.

The library never prints; the command line passes a reporter that does. The module knows no terminal and no framework.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from textgen.model.results import Validation


@dataclass(frozen=True, kw_only=True)
class Summary:
    """What is known before the first step, a line for each field.

    Args:
        corpus: name, characters, files and fingerprint.
        vocabulary: distinct characters.
        split: what trains and what validates.
        model: shape, number of weights, and why this size.
        device: where it runs, and the products' type.
        budget: how long it will take.
        run: the folder of the run.
        problems: things that the user may want to change.
    """

    corpus: str
    vocabulary: str
    split: str
    model: str
    device: str
    budget: str
    run: str
    problems: Sequence[str] = ()


class Reporter:
    """Hears of a run's events and ignores them; subclasses show them."""

    def encoding(self, done: int, total: int) -> None:
        """The corpus is being read: bytes done, of how many."""

    def started(self, summary: Summary) -> None:
        """Everything is decided and the first step follows."""

    def stepped(self, *, step: int, steps: int | None, share: float, loss: float, characters: int) -> None:
        """A step is done.

        Args:
            step: steps done over the whole run.
            steps: the run's last step, if that is known.
            share: how much of the run is done, from 0 to 1.
            loss: mean nats per character since the last validation.
            characters: characters in a step.
        """

    def validated(self, row: Validation, *, best: bool) -> None:
        """A validation is done.

        Args:
            row: its figures and the sample, as in the run's history.
            best: whether no validation before was better.
        """

    def warned(self, message: str) -> None:
        """Something went wrong and training goes on."""

    def finished(self, message: str) -> None:
        """The run is over, for the reason in the message."""

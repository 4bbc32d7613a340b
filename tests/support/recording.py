"""A reporter that keeps what it hears, and one that ends a run as a signal would."""

from collections.abc import Callable
from typing import Any

from textgen.model.results import Validation
from textgen.runs.events import Reporter


class Recorder(Reporter):
    """Remembers what it hears, and may act on a step."""

    def __init__(self, on_step: Callable[[int], None] = lambda step: None) -> None:
        self.rows: list[Validation] = []
        self.warnings: list[str] = []
        self.best: list[bool] = []
        self.summary: Any = None
        self.message = ""
        self.on_step = on_step

    def started(self, summary: Any) -> None:
        self.summary = summary

    def stepped(self, *, step: int, **_: Any) -> None:
        self.on_step(step)

    def validated(self, row: Validation, *, best: bool) -> None:
        self.rows.append(row)
        self.best.append(best)

    def warned(self, message: str) -> None:
        self.warnings.append(message)

    def finished(self, message: str) -> None:
        self.message = message


class Killed(BaseException):
    """Stands for a process that ends on the spot."""

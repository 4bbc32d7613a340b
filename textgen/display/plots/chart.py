"""What is drawn: the curves of some runs, in one unit, against one measure of progress. How is for others to say."""

from __future__ import annotations

import math
import unicodedata
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, NamedTuple

from textgen.display.plots.axis import Axis

Against = Literal["steps", "characters", "time"]
Unit = Literal["nats", "bits"]

_COLUMNS: Mapping[Against, str] = {"steps": "step", "characters": "characters", "time": "seconds"}
_NATS_PER_BIT = math.log(2.0)
_SCALES: Mapping[Against, Sequence[tuple[float, float, str]]] = {
    "steps": ((0.0, 1.0, "steps"),),
    "characters": (
        (2e6, 1e6, "characters, in millions"),
        (2e4, 1e3, "characters, in thousands"),
        (0.0, 1.0, "characters"),
    ),
    "time": (
        (7200.0, 3600.0, "hours of training"),
        (180.0, 60.0, "minutes of training"),
        (0.0, 1.0, "seconds of training"),
    ),
}
"""From which value on, in which unit, under which name."""


class Point(NamedTuple):
    """A point of a line, in the units of the chart's axes, and the step that it belongs to."""

    x: float
    y: float
    step: int


class Curve:
    """A run's history, as far as it is made of numbers.

    Args:
        name: the run's name; any text.
        history: a row for each validation: step, seconds, characters, loss and val_loss; what is missing, no number
            or not finite is left out.

    Example:
        >>> curve = Curve("sea", [{"step": 10, "loss": 2.0, "val_loss": 1.5}, {"step": 20, "loss": "?"}])
        >>> curve.points("val_loss", "steps")
        [(10, 10, 1.5)]
    """

    def __init__(self, name: str, history: Sequence[Mapping[str, Any]]) -> None:
        self.name = writable(name)
        self._rows = [row for row in history if isinstance(row, Mapping)]

    def points(self, column: str, against: Against) -> list[tuple[int, float, float]]:
        """The step, the progress and the value in nats of each row that has them all."""
        rows = [[_number(row.get(key)) for key in ("step", _COLUMNS[against], column)] for row in self._rows]
        return [
            (int(step), progress, value)
            for step, progress, value in rows
            if step is not None and progress is not None and value is not None
        ]


@dataclass(frozen=True, kw_only=True)
class Line:
    """A run in a chart.

    Args:
        name: the run's name.
        training: mean loss since the validation before.
        validation: loss on the text held out; empty where nothing validates.
        best: the lowest point of the validation, or of the training where nothing validates.
    """

    name: str
    training: Sequence[Point]
    validation: Sequence[Point]
    best: Point


@dataclass(frozen=True, kw_only=True)
class Chart:
    """Lines between axes.

    Args:
        lines: a line for each run that has a point at all, in the order given.
        x: progress.
        y: the loss in the unit asked for.
        other: the same stretch in the other unit.
    """

    lines: Sequence[Line]
    x: Axis
    y: Axis
    other: Axis

    @classmethod
    def of(cls, curves: Sequence[Curve], *, against: Against, unit: Unit, log: bool) -> Chart | None:
        """The chart of some runs.

        Args:
            curves: the runs.
            against: what progress is measured in.
            unit: nats or bits per character.
            log: progress on a logarithmic axis; points at 0 are left out.

        Returns:
            The chart; None where there is no point to draw.
        """
        trainings = [_drawable(curve, "loss", against, log=log) for curve in curves]
        validations = [_drawable(curve, "val_loss", against, log=log) for curve in curves]
        points = [point for found in (*trainings, *validations) for point in found]
        if not points:
            return None
        far = max(x for _, x, _ in points)
        _, divisor, label = next(scale for scale in _SCALES[against] if far >= scale[0])
        factor = 1.0 if unit == "nats" else 1.0 / _NATS_PER_BIT
        x = _along(label, [x / divisor for _, x, _ in points], log=log)
        low, high = _padded([y * factor for *_, y in points])
        ratio = 1.0 / _NATS_PER_BIT if unit == "nats" else _NATS_PER_BIT

        def scaled(found: list[tuple[int, float, float]]) -> list[Point]:
            return [Point(x / divisor, y * factor, step) for step, x, y in found]

        lines = [
            _line(curve.name, scaled(training), scaled(validation))
            for curve, training, validation in zip(curves, trainings, validations, strict=True)
        ]
        return cls(
            lines=[line for line in lines if line is not None],
            x=x,
            y=Axis(label=f"{unit} per character", low=low, high=high),
            other=Axis(label=f"{_other(unit)} per character", low=low * ratio, high=high * ratio),
        )

    def told(self, line: Line) -> str:
        """A line's best value in words, to stand behind its name."""
        unit = self.y.label.split()[0]
        kind = "best" if line.validation else "no validation, best training loss"
        return f"{kind} {line.best.y:.4f} {unit} at step {line.best.step:,}"


def writable(name: str) -> str:
    """A name without what neither a terminal nor XML may hold: controls, lone surrogates and non-characters.

    >>> writable("one" + chr(27) + "[31m") == "one" + chr(0xFFFD) + "[31m"
    True
    """
    return "".join(
        "\ufffd" if unicodedata.category(c) in ("Cc", "Cs") or ord(c) & 0xFFFE == 0xFFFE else c for c in name
    )


def _other(unit: Unit) -> Unit:
    return "bits" if unit == "nats" else "nats"


def _number(value: Any) -> float | None:
    """A number of at least 0 as it is, anything else as None: rows may come from a stranger's file."""
    known = isinstance(value, (int, float)) and not isinstance(value, bool) and 0 <= value < 1e15
    return value if known else None


def _drawable(curve: Curve, column: str, against: Against, *, log: bool) -> list[tuple[int, float, float]]:
    return [point for point in curve.points(column, against) if point[1] > 0 or not log]


def _line(name: str, training: list[Point], validation: list[Point]) -> Line | None:
    judged = validation or training
    if not judged:
        return None
    return Line(name=name, training=training, validation=validation, best=min(judged, key=lambda point: point.y))


def _along(label: str, values: Sequence[float], *, log: bool) -> Axis:
    """The axis of progress: from 0, or on a logarithmic one from the first value, to a little behind the last."""
    low, high = min(values), max(values)
    if not log:
        return Axis(label=label, low=0.0, high=high * 1.02 or 1.0)
    space = (high / low) ** 0.02 if high > low else 2.0
    return Axis(label=label, low=low / space, high=high * space, log=True)


def _padded(values: Sequence[float]) -> tuple[float, float]:
    """Borders a little outside of all values."""
    low, high = min(values), max(values)
    space = 0.06 * (high - low) or 0.05 * max(high, 1.0)
    return max(low - space, 0.0), high + space

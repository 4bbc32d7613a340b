"""The data of a plot: the learning curves of some runs in one unit, with axes; independent of how it is rendered."""

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
"""The smallest maximum to use a scale for, its divisor and its axis label."""


class Point(NamedTuple):
    """A point of a line, in the units of the chart's axes, and its training step."""

    x: float
    y: float
    step: int


class Curve:
    """A run's history.

    Args:
        name: the run's name; any text.
        history: a row for each validation: step, seconds, characters, loss and val_loss; values that are missing, not
            numbers or not finite are ignored.

    Example:
        >>> curve = Curve("sea", [{"step": 10, "loss": 2.0, "val_loss": 1.5}, {"step": 20, "loss": "?"}])
        >>> curve.points("val_loss", "steps")
        [(10, 10, 1.5)]
    """

    def __init__(self, name: str, history: Sequence[Mapping[str, Any]]) -> None:
        self.name = writable(name)
        self._rows = [row for row in history if isinstance(row, Mapping)]

    def points(self, column: str, against: Against) -> list[tuple[int, float, float]]:
        """The step, the x value and the loss in nats of each row that has all three."""
        rows = [[_number(row.get(key)) for key in ("step", _COLUMNS[against], column)] for row in self._rows]
        return [
            (int(step), progress, value)
            for step, progress, value in rows
            if step is not None and progress is not None and value is not None
        ]


@dataclass(frozen=True, kw_only=True)
class Line:
    """The curves of one run in a chart.

    Args:
        name: the run's name.
        training: mean training loss since the previous validation.
        validation: validation loss; empty for a run without validation.
        best: the lowest point of the validation loss, or of the training loss without validation.
    """

    name: str
    training: Sequence[Point]
    validation: Sequence[Point]
    best: Point


@dataclass(frozen=True, kw_only=True)
class Chart:
    """Lines and axes.

    Args:
        lines: a line for each run that has any point, in the order given.
        x: the progress of training.
        y: the loss in the selected unit.
        secondary: the same range in the other unit.
    """

    lines: Sequence[Line]
    x: Axis
    y: Axis
    secondary: Axis

    @classmethod
    def of(cls, curves: Sequence[Curve], *, against: Against, unit: Unit, log: bool) -> Chart | None:
        """Makes the chart of some runs.

        Args:
            curves: the runs.
            against: the quantity of the x axis.
            unit: nats or bits per character.
            log: whether the x axis is logarithmic; points at 0 are left out.

        Returns:
            The chart; None if there is no point to draw.
        """
        trainings = [_drawable(curve, "loss", against, log=log) for curve in curves]
        validations = [_drawable(curve, "val_loss", against, log=log) for curve in curves]
        points = [point for found in (*trainings, *validations) for point in found]
        if not points:
            return None
        far = max(x for _, x, _ in points)
        _, divisor, label = next(scale for scale in _SCALES[against] if far >= scale[0])
        factor = 1.0 if unit == "nats" else 1.0 / _NATS_PER_BIT
        x = _x_axis(label, [x / divisor for _, x, _ in points], log=log)
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
            secondary=Axis(label=f"{_other(unit)} per character", low=low * ratio, high=high * ratio),
        )

    def describe(self, line: Line) -> str:
        """A line's best value, for the legend."""
        unit = self.y.label.split()[0]
        kind = "best" if line.validation else "no validation, best training loss"
        return f"{kind} {line.best.y:.4f} {unit} at step {line.best.step:,}"


def writable(name: str) -> str:
    """A name with the characters replaced that a terminal or XML must not contain.

    These are control characters, lone surrogates and noncharacters.

    >>> writable("one" + chr(27) + "[31m") == "one" + chr(0xFFFD) + "[31m"
    True
    """
    return "".join(
        "\ufffd" if unicodedata.category(c) in ("Cc", "Cs") or ord(c) & 0xFFFE == 0xFFFE else c for c in name
    )


def _other(unit: Unit) -> Unit:
    return "bits" if unit == "nats" else "nats"


def _number(value: Any) -> float | None:
    """A non-negative number unchanged, anything else as None: rows may come from an untrusted file."""
    known = isinstance(value, (int, float)) and not isinstance(value, bool) and 0 <= value < 1e15
    return value if known else None


def _drawable(curve: Curve, column: str, against: Against, *, log: bool) -> list[tuple[int, float, float]]:
    return [point for point in curve.points(column, against) if point[1] > 0 or not log]


def _line(name: str, training: list[Point], validation: list[Point]) -> Line | None:
    main = validation or training
    if not main:
        return None
    return Line(name=name, training=training, validation=validation, best=min(main, key=lambda point: point.y))


def _x_axis(label: str, values: Sequence[float], *, log: bool) -> Axis:
    """The x axis: from 0, or from the first value if it is logarithmic, to a little beyond the last."""
    low, high = min(values), max(values)
    if not log:
        return Axis(label=label, low=0.0, high=high * 1.02 or 1.0)
    space = (high / low) ** 0.02 if high > low else 2.0
    return Axis(label=label, low=low / space, high=high * space, log=True)


def _padded(values: Sequence[float]) -> tuple[float, float]:
    """Limits a little beyond all values."""
    low, high = min(values), max(values)
    space = 0.06 * (high - low) or 0.05 * max(high, 1.0)
    return max(low - space, 0.0), high + space

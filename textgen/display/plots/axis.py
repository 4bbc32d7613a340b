"""An axis: its limits, ticks and tick labels."""

from __future__ import annotations

import math
from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True)
class Axis:
    """A labelled range of numbers.

    Args:
        label: the axis label, with the unit.
        low: the lower limit; positive if `log`.
        high: the upper limit, more than `low`.
        log: whether the axis is logarithmic.
    """

    label: str
    low: float
    high: float
    log: bool = False

    def place(self, value: float) -> float:
        """A number's position on the axis: 0 at the lower limit, 1 at the upper.

        >>> Axis(label="steps", low=0, high=200).place(50)
        0.25
        >>> Axis(label="steps", low=1, high=10_000, log=True).place(100)
        0.5
        """
        if self.log:
            return math.log(value / self.low) / math.log(self.high / self.low)
        return (value - self.low) / (self.high - self.low)

    def ticks(self, most: int) -> list[tuple[float, str]]:
        """Round numbers within the limits, with their labels.

        Args:
            most: the maximum number of ticks, at least 2.

        >>> Axis(label="nats", low=1.31, high=1.93).ticks(4)
        [(1.4, '1.4'), (1.6, '1.6'), (1.8, '1.8')]
        >>> Axis(label="steps", low=0, high=1756).ticks(5)
        [(0.0, '0'), (500.0, '500'), (1000.0, '1,000'), (1500.0, '1,500')]
        >>> [text for _, text in Axis(label="steps", low=3, high=1756, log=True).ticks(8)]
        ['5', '10', '20', '50', '100', '200', '500', '1,000']
        """
        values = self._round_ratios(most) if self.log else []
        if len(values) < 2:
            values = self._round_differences(most)
        return [(value, _label(value)) for value in values]

    def _round_differences(self, most: int) -> list[float]:
        step = 10.0 ** math.floor(math.log10((self.high - self.low) / most))
        for factor in (1, 2, 5, 10, 20):
            wide = step * factor
            first, last = math.ceil(self.low / wide - 1e-9), math.floor(self.high / wide + 1e-9)
            if last - first + 1 <= most:
                break
        return [round(n * wide, 12) for n in range(first, last + 1) if n > 0 or not self.log]

    def _round_ratios(self, most: int) -> list[float]:
        first, last = math.floor(math.log10(self.low)), math.ceil(math.log10(self.high))
        for factors in ((1, 2, 5), (1,)):
            values = [factor * 10.0**power for power in range(first, last + 1) for factor in factors]
            within = [value for value in values if self.low <= value * (1 + 1e-9) and value <= self.high * (1 + 1e-9)]
            if len(within) <= most:
                return within
        return within[:: math.ceil(len(within) / most)]


def _label(value: float) -> str:
    """A number without trailing zeros.

    >>> [_label(value) for value in (1500.0, 1.4, 0.05, 0.0)]
    ['1,500', '1.4', '0.05', '0']
    """
    text = f"{value:,.6f}".rstrip("0").rstrip(".")
    return text if float(text.replace(",", "")) == value else f"{value:g}"

"""Renders a chart as an inline SVG element, without a library, style sheet or element ids.

Text and axes use the page's own colour, so that they are visible in light and dark themes.
"""

from __future__ import annotations

from collections.abc import Sequence
from html import escape

from textgen.display.plots.axis import Axis
from textgen.display.plots.chart import Chart, Line, Point
from textgen.display.plots.palette import colour, dashes

_LEFT, _RIGHT, _TOP, _BOTTOM = 52, 52, 14, 40
_LEGEND_LINE = 18
_FAINT = 0.6
_LINE_STYLES = "bold: validation, faint: training, circle: best"
_DOTS = 40
"""The maximum number of points that are drawn as dots on the line."""


def inline_svg(chart: Chart, *, title: str, width: int = 560, height: int = 280) -> str:
    """The chart as one `<svg>` element.

    Args:
        chart: the chart.
        title: the accessible name; any text.
        width: in pixels; it shrinks with the page.
        height: in pixels, without the legend.
    """
    whole = height + _LEGEND_LINE * (len(chart.lines) + 1)
    area = _Area(chart, width=width - _LEFT - _RIGHT, height=height - _TOP - _BOTTOM)
    lines = "; ".join(f"{line.name}: {chart.describe(line)}" for line in chart.lines)
    described = f"Loss in {chart.y.label} against {chart.x.label}. {lines}."
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" role="img" aria-label="{escape(title)}" '
        f'viewBox="0 0 {width} {whole}" width="{width}" height="{whole}" '
        'style="max-width: 100%; height: auto" font-family="system-ui, sans-serif" font-size="11" fill="currentColor">',
        f"<title>{escape(title)}</title>",
        f"<desc>{escape(described)}</desc>",
        *_axes(chart, area),
        *(part for number, line in enumerate(chart.lines) for part in _drawn(line, number, area)),
        *(part for number, line in enumerate(chart.lines) for part in _legend(chart, line, number, height)),
        f'<text x="{_LEFT + 60}" y="{height + _LEGEND_LINE * len(chart.lines) + 6}" dy="0.35em">{_LINE_STYLES}</text>',
        "</svg>",
    ]
    return "\n".join(parts)


class _Area:
    """Maps a chart's values to coordinates in the drawing."""

    def __init__(self, chart: Chart, *, width: int, height: int) -> None:
        self._x, self._y, self.width, self.height = chart.x, chart.y, width, height

    def x(self, value: float) -> str:
        return _coordinate(_LEFT + self.width * self._x.place(value))

    def y(self, value: float, axis: Axis | None = None) -> str:
        return _coordinate(_TOP + self.height * (1.0 - (axis or self._y).place(value)))

    def points(self, points: Sequence[Point]) -> str:
        return " ".join(f"{self.x(point.x)},{self.y(point.y)}" for point in points)


def _axes(chart: Chart, area: _Area) -> list[str]:
    right, bottom = _LEFT + area.width, _TOP + area.height
    frame = f"M{_LEFT} {_TOP}V{bottom}H{right}V{_TOP}"
    parts = [f'<path d="{frame}" fill="none" stroke="currentColor" stroke-opacity="0.45"/>']
    for value, text in chart.y.ticks(6):
        y = area.y(value)
        parts.append(f'<path d="M{_LEFT} {y}H{right}" stroke="currentColor" stroke-opacity="0.12"/>')
        parts.append(f'<text x="{_LEFT - 6}" y="{y}" dy="0.35em" text-anchor="end">{text}</text>')
    for value, text in chart.secondary.ticks(6):
        y = area.y(value, chart.secondary)
        parts.append(f'<path d="M{right} {y}h4" stroke="currentColor" stroke-opacity="0.45"/>')
        parts.append(f'<text x="{right + 7}" y="{y}" dy="0.35em">{text}</text>')
    for value, text in chart.x.ticks(7):
        x = area.x(value)
        parts.append(f'<path d="M{x} {bottom}v4" stroke="currentColor" stroke-opacity="0.45"/>')
        parts.append(f'<text x="{x}" y="{bottom + 16}" text-anchor="middle">{text}</text>')
    middle = _TOP + area.height // 2
    parts.append(f'<text x="{_LEFT + area.width // 2}" y="{bottom + 32}" text-anchor="middle">{chart.x.label}</text>')
    for place, axis in ((12, chart.y), (right + 46, chart.secondary)):
        turned = f'transform="rotate(-90 {place} {middle})"'
        parts.append(f'<text x="{place}" y="{middle}" text-anchor="middle" {turned}>{axis.label}</text>')
    return parts


def _drawn(line: Line, number: int, area: _Area) -> list[str]:
    """A run's training loss, its validation loss above it, and its best point."""
    parts = []
    for points, width, strength in ((line.training, 1.3, _FAINT), (line.validation, 2.2, 1.0)):
        if not points:
            continue
        stroke = _stroke(number, width)
        parts.append(
            f'<polyline points="{area.points(points)}" fill="none" {stroke} stroke-opacity="{strength:g}" '
            'stroke-linejoin="round"/>'
        )
        if len(points) <= _DOTS:
            dots = "".join(f'<circle cx="{area.x(p.x)}" cy="{area.y(p.y)}" r="{width:g}"/>' for p in points)
            parts.append(f'<g fill="{colour(number)}" fill-opacity="{strength:g}">{dots}</g>')
    best = line.best
    x, y = area.x(best.x), area.y(best.y)
    parts.append(f'<circle cx="{x}" cy="{y}" r="5" fill="none" stroke="{colour(number)}" stroke-width="2"/>')
    return parts


def _legend(chart: Chart, line: Line, number: int, top: int) -> list[str]:
    y = top + _LEGEND_LINE * number + 6
    parts = []
    if line.validation:
        parts.append(f'<path d="M{_LEFT} {y}h24" {_stroke(number, 2.2)} fill="none"/>')
    if line.training:
        start = _LEFT + 28 * bool(line.validation)
        parts.append(f'<path d="M{start} {y}h24" {_stroke(number, 1.3)} stroke-opacity="{_FAINT}" fill="none"/>')
    text = f"{line.name}: {chart.describe(line)}"
    parts.append(f'<text x="{_LEFT + 60}" y="{y}" dy="0.35em">{escape(text)}</text>')
    return parts


def _stroke(number: int, width: float) -> str:
    pattern = ",".join(f"{length * width:g}" for length in dashes(number))
    dashed = f' stroke-dasharray="{pattern}"' if pattern else ""
    return f'stroke="{colour(number)}" stroke-width="{width:g}"{dashed}'


def _coordinate(value: float) -> str:
    return f"{value:.1f}"

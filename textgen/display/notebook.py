"""The HTML representation of a run in a notebook: a summary table and the learning curve.

It uses the page's own colours and fonts, so that it is readable in light and dark themes; all text is escaped.
"""

from __future__ import annotations

import datetime
from collections.abc import Mapping, Sequence
from html import escape
from typing import Any

from textgen.display.format import duration, size
from textgen.display.plots import Chart, Curve, inline_svg
from textgen.display.plots.chart import writable


def run_html(summary: Mapping[str, Any], history: Sequence[Mapping[str, Any]]) -> str:
    """A run as an HTML fragment.

    Args:
        summary: the value of `Run.summary`.
        history: a row for each validation; the curve is omitted if there is none.
    """
    rows = "\n".join(
        f'<tr><th scope="row" style="text-align: left; padding-right: 1em">{label}</th>'
        f'<td style="text-align: left">{escape(writable(value))}</td></tr>'
        for label, value in _rows(summary)
    )
    chart = Chart.of([Curve(summary["name"], history)], against="steps", unit="nats", log=False)
    curve = "" if chart is None else inline_svg(chart, title=f"Learning curve of the run {writable(summary['name'])}")
    return f"<div>\n<table>\n{rows}\n</table>\n{curve}\n</div>"


def _rows(summary: Mapping[str, Any]) -> list[tuple[str, str]]:
    """Labels and values; unknown values are left out."""
    if summary["problem"]:
        return [("run", summary["name"]), ("problem", summary["problem"])]
    characters, weights = summary["characters"], summary["weights"]
    shape = size(summary)
    pairs = [
        ("run", summary["name"] + (", training now" if summary["live"] else "")),
        ("model", shape + (f", {weights:,} weights" if weights is not None else "")),
        ("text", (summary["corpus"] or "") + (f", {characters:,} characters" if characters is not None else "")),
        ("steps", _figure(summary["steps"], ",.0f")),
        ("time", duration(summary["seconds"])),
        ("validation loss", _figure(summary["val_loss"], ".4f", " nats per character")),
        ("bits per character", _figure(summary["bits_per_character"], ".3f")),
        ("started", _when(summary["created"])),
    ]
    return [(label, value) for label, value in pairs if value]


def _figure(value: float | None, form: str, unit: str = "") -> str:
    return "" if value is None else f"{value:{form}}{unit}"


def _when(created: str | None) -> str:
    """When a run started, in local time; a value that is not a timestamp is returned unchanged.

    >>> _when("yesterday"), _when(None)
    ('yesterday', '')
    """
    try:
        return f"{datetime.datetime.fromisoformat(created or '').astimezone():%Y-%m-%d %H:%M}"
    except (ValueError, OverflowError, OSError):
        return created or ""

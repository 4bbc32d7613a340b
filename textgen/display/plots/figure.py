"""Saves a chart to a file through matplotlib, without pyplot; the same chart gives the same bytes."""

from __future__ import annotations

import warnings
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from textgen.display.plots.chart import Chart, Line
from textgen.display.plots.palette import colour, dashes
from textgen.errors import ConfigError, TextgenError
from textgen.system import PathLike, atomic_write

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

FORMATS: Mapping[str, Mapping[str, Any]] = {
    ".png": {"dpi": 160},
    ".svg": {"metadata": {"Date": None}},
    ".pdf": {"metadata": {"CreationDate": None}},
}
"""The supported file extensions, with matplotlib's `savefig` arguments for each."""

_INCHES = (8.0, 4.8)
_STYLE: Any = {
    "axes.edgecolor": "#777777",
    "axes.labelcolor": "#333333",
    "axes.linewidth": 0.8,
    "font.size": 10.0,
    "path.simplify": False,
    "svg.fonttype": "none",
    "svg.hashsalt": "textgen",
    "text.color": "#222222",
    "xtick.color": "#444444",
    "ytick.color": "#444444",
}
_FONTS = (
    "DejaVu Sans", "Noto Sans", "Noto Sans CJK SC", "Noto Sans CJK JP", "WenQuanYi Micro Hei", "Arial Unicode MS",
    "Microsoft YaHei", "Yu Gothic", "Malgun Gothic", "PingFang SC", "Hiragino Sans", "Segoe UI Emoji", "Noto Emoji",
)  # fmt: skip
"""Font families in order of preference, of which those installed are used."""
_DOTS = 40
_NEAR = 0.09
"""The minimum distance of two labels, as a share of the axes."""


def check_file(path: PathLike) -> Path:
    """Checks the path to save a chart to.

    Raises:
        ConfigError: its extension is not in `FORMATS`.
    """
    file = Path(path)
    if file.suffix.lower() not in FORMATS:
        raise ConfigError(f"out must be a file that ends in {', '.join(FORMATS)}; got {str(path)!r}.", field="out")
    return file


def save_figure(chart: Chart, path: PathLike) -> Path:
    """Writes the chart to a file atomically.

    Args:
        chart: the chart.
        path: the file; its extension selects the format: .png, .svg or .pdf. An existing file is replaced.

    Returns:
        The file.

    Raises:
        ConfigError: the extension is none of these.
        TextgenError: matplotlib is not installed.
        OSError: the file cannot be written.
    """
    file = check_file(path)
    kind = file.suffix.lower()
    with _matplotlib():
        figure = _figure(chart)
        with atomic_write(file, follow_link=True) as stream:
            figure.savefig(stream, format=kind[1:], **FORMATS[kind])
    return file


@contextmanager
def _matplotlib() -> Iterator[None]:
    """Applies matplotlib's defaults and our style, whatever the user has set, and restores the settings afterwards."""
    try:
        import matplotlib
        from matplotlib import font_manager
    except ModuleNotFoundError as error:
        if (error.name or "").split(".")[0] != "matplotlib":
            raise
        raise TextgenError(
            "Saving a plot needs matplotlib, which is not installed here: pip install 'textgen-chars[plot]'"
        ) from error
    installed = {font.name for font in font_manager.fontManager.ttflist}
    with matplotlib.rc_context(), warnings.catch_warnings():
        # Characters that no installed font has are drawn as boxes in a PNG, and stay text in an SVG.
        warnings.filterwarnings("ignore", message="Glyph .* missing from")
        matplotlib.rcdefaults()
        matplotlib.rcParams.update(_STYLE)
        matplotlib.rcParams["font.family"] = [family for family in _FONTS if family in installed]
        yield


def _figure(chart: Chart) -> Figure:
    from matplotlib.figure import Figure

    figure = Figure(figsize=_INCHES, layout="constrained")
    axes = figure.add_subplot()
    labelled: list[tuple[float, float]] = []
    for number, line in enumerate(chart.lines):
        _draw(axes, line, number)
    for number, line in enumerate(chart.lines):
        _label_best(axes, chart, line, number, labelled)
    axes.set_xscale("log" if chart.x.log else "linear")
    axes.set_xlim(chart.x.low, chart.x.high)
    axes.set_ylim(chart.y.low, chart.y.high)
    axes.margins(0)
    axes.set_xlabel(chart.x.label)
    axes.set_ylabel(chart.y.label)
    ratio = chart.secondary.high / chart.y.high

    def to_secondary(value: Any) -> Any:
        return value * ratio

    def from_secondary(value: Any) -> Any:
        return value / ratio

    secondary = axes.secondary_yaxis("right", functions=(to_secondary, from_secondary))
    secondary.set_ylabel(chart.secondary.label)
    _set_ticks(axes.xaxis, chart.x.ticks(9))
    _set_ticks(axes.yaxis, chart.y.ticks(8))
    _set_ticks(secondary.yaxis, chart.secondary.ticks(8))
    axes.grid(axis="y", color="#000000", alpha=0.1, linewidth=0.8)
    axes.spines["top"].set_visible(False)
    _legend(axes, chart)
    return figure


def _draw(axes: Axes, line: Line, number: int) -> None:
    """Draws a run's training loss, its validation loss above it, and its best point."""
    line_colour = colour(number)
    drawn = (("training", line.training, 1.2, 0.45), ("validation", line.validation, 2.0, 1.0))
    for kind, points, width, strength in drawn:
        if points:
            (artist,) = axes.plot(
                [point.x for point in points],
                [point.y for point in points],
                color=line_colour,
                linewidth=width,
                linestyle=_style(number),
                alpha=strength,
                marker="o" if len(points) <= _DOTS else "",
                markersize=1.8 * width,
                clip_on=False,
                zorder=2.0 + strength,
            )
            artist.set_gid(f"run-{number + 1}-{kind}")
    axes.plot(
        [line.best.x], [line.best.y], marker="o", markersize=9, markerfacecolor="none", markeredgecolor=line_colour,
        markeredgewidth=1.8, clip_on=False, zorder=4.0,
    )  # fmt: skip


def _label_best(axes: Axes, chart: Chart, line: Line, number: int, labelled: list[tuple[float, float]]) -> None:
    """Labels the best point with its value, unless another label is too near."""
    x, y = chart.x.place(line.best.x), chart.y.place(line.best.y)
    if any(abs(x - a) < _NEAR and abs(y - b) < _NEAR for a, b in labelled):
        return
    labelled.append((x, y))
    side = "right" if x > 0.92 else "left" if x < 0.08 else "center"
    shift = {"right": 5, "left": -5, "center": 0}[side]
    above = y < 0.12
    axes.annotate(
        f"{line.best.y:.3f}",
        (line.best.x, line.best.y),
        xytext=(shift, 9 if above else -9),
        textcoords="offset points",
        horizontalalignment=side,
        verticalalignment="bottom" if above else "top",
        color=colour(number),
        fontweight="bold",
    )


def _legend(axes: Axes, chart: Chart) -> None:
    """Adds the legend: the runs with their best values, and the line styles."""
    from matplotlib.lines import Line2D

    handles = [Line2D([], [], color=colour(n), linewidth=2.0, linestyle=_style(n)) for n in range(len(chart.lines))]
    names = [f"{line.name}: {chart.describe(line)}" for line in chart.lines]
    if any(line.validation for line in chart.lines):
        handles.append(Line2D([], [], color="#555555", linewidth=2.0))
        names.append("bold: validation")
    if any(line.training for line in chart.lines):
        handles.append(Line2D([], [], color="#555555", linewidth=1.2, alpha=0.45))
        names.append("faint: training")
    legend = axes.legend(handles, [f"{n}" for n in range(len(names))], loc="upper right", framealpha=0.85, fontsize=9)
    legend.get_frame().set_edgecolor("none")
    for text, name in zip(legend.get_texts(), names, strict=True):
        # Dollar signs in a name would be read as mathematics, and a leading underscore would hide it.
        text.set_parse_math(False)
        text.set_text(name)


def _style(number: int) -> Any:
    pattern = dashes(number)
    return (0, pattern) if pattern else "-"


def _set_ticks(axis: Any, ticks: Sequence[tuple[float, str]]) -> None:
    from matplotlib.ticker import NullLocator

    axis.set_minor_locator(NullLocator())
    axis.set_ticks([value for value, _ in ticks], labels=[text for _, text in ticks])

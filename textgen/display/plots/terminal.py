"""Renders a chart as text: braille dots and box-drawing axes, or ASCII."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Literal, NamedTuple

from textgen.display.plots.axis import Axis
from textgen.display.plots.chart import Chart, Line, Point
from textgen.display.plots.palette import TERMINAL_16, TERMINAL_256
from textgen.system import width

LEAST_COLUMNS = 40
_LETTERS = "abcdefghijklmnopqrstuvwxyz"
_SPACING = 5
"""The minimum distance of two letters on a line, in columns."""


class _Glyphs(NamedTuple):
    """The characters of a drawing: dots per cell, across and down, the cell with some of them set, and the axes."""

    across: int
    down: int
    cell: Callable[[int], str]
    vertical: str
    left: str
    right: str
    corners: str
    horizontal: str
    tick: str
    best: str


_BRAILLE_BITS = ((0x01, 0x08), (0x02, 0x10), (0x04, 0x20), (0x40, 0x80))
_BRAILLE = _Glyphs(2, 4, lambda dots: chr(0x2800 + dots), "│", "┤", "├", "└┘", "─", "┬", "●")
_ASCII = _Glyphs(1, 2, lambda dots: " '.:"[dots], "|", "+", "+", "++", "-", "+", "*")

GLYPHS = "⠁⣿│┤├└┘─┬●"
"""Characters that an output's encoding must support for the drawing with braille dots."""


def draw(
    chart: Chart, *, columns: int = 80, rows: int = 20, colours: Literal[0, 16, 256] = 0, plain: bool = False
) -> str:
    """The chart as text, without a trailing line break.

    The validation loss is drawn as a line, the training loss as dots. Several runs are labelled by letters, with a
    capital at the best point; a single run has a mark there.

    Args:
        chart: the chart.
        columns: the maximum width, at least `LEAST_COLUMNS`.
        rows: the height of the plot area, without axes and legend.
        colours: how many colours the terminal supports; 0 for none.
        plain: whether to use ASCII only.
    """
    columns = max(columns, LEAST_COLUMNS)
    glyphs = _ASCII if plain else _BRAILLE
    left, right = (_labels(axis, rows, glyphs.down) for axis in (chart.y, chart.secondary))
    before, behind = (max(map(len, labels.values()), default=0) for labels in (left, right))
    canvas = _Canvas(chart, glyphs, columns=columns - before - behind - 4, rows=rows, colours=colours)
    for number, line in enumerate(chart.lines):
        canvas.trace(line.training, number, sparse=True)
    for number, line in enumerate(chart.lines):
        canvas.trace(line.validation, number)
    for number, line in enumerate(chart.lines):
        canvas.mark(line, number, alone=len(chart.lines) == 1)
    lines = [f"{chart.y.label}{chart.secondary.label:>{columns - len(chart.y.label)}}"]
    for row, drawn in enumerate(canvas.lines()):
        start = f"{left.get(row, ''):>{before}} {glyphs.left if row in left else glyphs.vertical}"
        end = f"{glyphs.right if row in right else glyphs.vertical} {right.get(row, '')}".rstrip()
        lines.append(f"{start}{drawn}{end}")
    lines += [f"{'':{before + 1}}{line}".rstrip() for line in _x_axis(chart.x, glyphs, canvas.columns)]
    return "\n".join([*lines, *_legend(chart, columns, glyphs, colours)])


class _Canvas:
    """A grid of cells with dots, each of one run's colour, and letters over them."""

    def __init__(self, chart: Chart, glyphs: _Glyphs, *, columns: int, rows: int, colours: int) -> None:
        self.columns, self._rows, self._glyphs, self._colours = columns, rows, glyphs, colours
        self._x, self._y = chart.x, chart.y
        self._dots: dict[tuple[int, int], int] = {}
        self._owners: dict[tuple[int, int], tuple[int, bool]] = {}
        self._letters: dict[tuple[int, int], str] = {}

    def trace(self, points: Sequence[Point], number: int, *, sparse: bool = False) -> None:
        """Draws a line through points; if `sparse`, every third dot of it."""
        places = [self._dot(point) for point in points]
        passed = 0
        for (x, y), (far_x, far_y) in zip(places, places[1:] or places, strict=False):
            length = max(abs(far_x - x), abs(far_y - y), 1)
            for n in range(length + 1):
                if not sparse or passed % 3 == 0:
                    self._set(x + round(n * (far_x - x) / length), y + round(n * (far_y - y) / length), number, sparse)
                passed += n < length

    def mark(self, line: Line, number: int, *, alone: bool) -> None:
        """Marks a run's best point; with several runs, also labels its line with its letter."""
        if alone:
            self._letter(self._cell(line.best), self._glyphs.best, number)
            return
        letter = _letter(number)
        self._letter(self._cell(line.best), letter.upper(), number)
        last = self._cell(line.best)[0]
        taken = [last]
        for point in reversed(line.validation or line.training):
            cell = self._cell(point)
            if cell not in self._letters and all(abs(cell[0] - other) >= _SPACING for other in taken):
                self._letter(cell, letter, number)
                taken.append(cell[0])

    def lines(self) -> list[str]:
        """The rows, from top to bottom."""
        return ["".join(self._shown(column, row) for column in range(self.columns)) for row in range(self._rows)]

    def _shown(self, column: int, row: int) -> str:
        cell = (column, row)
        sign = self._letters.get(cell) or self._glyphs.cell(self._dots.get(cell, 0))
        if cell not in self._owners:
            return " "
        number, faint = self._owners[cell]
        return painted(sign, number, self._colours, faint=faint)

    def _dot(self, point: Point) -> tuple[int, int]:
        x = _dot(self._x.place(point.x), self.columns, self._glyphs.across)
        return x, _dot(1.0 - self._y.place(point.y), self._rows, self._glyphs.down)

    def _cell(self, point: Point) -> tuple[int, int]:
        x, y = self._dot(point)
        return x // self._glyphs.across, y // self._glyphs.down

    def _set(self, x: int, y: int, number: int, faint: bool) -> None:
        across, down = self._glyphs.across, self._glyphs.down
        cell, place = (x // across, y // down), (x % across, y % down)
        bit = _BRAILLE_BITS[place[1]][place[0]] if across == 2 else 1 << place[1]
        self._dots[cell] = self._dots.get(cell, 0) | bit
        self._owners[cell] = number, faint

    def _letter(self, cell: tuple[int, int], sign: str, number: int) -> None:
        self._letters[cell] = sign
        self._owners[cell] = number, False


def _dot(share: float, cells: int, dots: int) -> int:
    """The index of the dot at a position in [0, 1] along a row of cells."""
    return round(share * (cells * dots - 1))


def painted(text: str, number: int, colours: int, *, faint: bool = False) -> str:
    """A text in the colour of a run, if the terminal supports colours."""
    if not colours or text == " ":
        return text
    codes = TERMINAL_256 if colours == 256 else TERMINAL_16
    code = codes[number % len(codes)]
    return f"\x1b[{'2;' if faint else ''}{code}m{text}\x1b[0m"


def _labels(axis: Axis, rows: int, down: int) -> dict[int, str]:
    """The tick labels by row."""
    ticks = axis.ticks(max(rows // 3, 2))
    return {_dot(1.0 - axis.place(value), rows, down) // down: text for value, text in ticks}


def _x_axis(axis: Axis, glyphs: _Glyphs, columns: int) -> list[str]:
    """The lines of the x axis: the axis itself, its tick labels and its label."""
    ticks = axis.ticks(max(columns // 12, 2))
    places = [(1 + _dot(axis.place(value), columns, glyphs.across) // glyphs.across, text) for value, text in ticks]
    line = [glyphs.corners[0], *glyphs.horizontal * columns, glyphs.corners[1]]
    labels = [" "] * (columns + 2)
    end = 0
    for place, text in places:
        start = min(max(place - len(text) // 2, 0), len(labels) - len(text))
        if start >= end:
            line[place] = glyphs.tick
            labels[start : start + len(text)] = text
            end = start + len(text) + 1
    return ["".join(line), "".join(labels), f"{axis.label:^{columns + 2}}"]


def _legend(chart: Chart, columns: int, glyphs: _Glyphs, colours: int) -> list[str]:
    """The legend: a line for each run, and the line styles."""
    lines = []
    for number, line in enumerate(chart.lines):
        sign = glyphs.best if len(chart.lines) == 1 else _letter(number)
        best = chart.describe(line)
        name = _cut(line.name, max(columns - len(best) - 4, 8))
        lines.append(f"{painted(sign, number, colours)} {_cut(f'{name}: {best}', columns - 2)}")
    styles = ["line: validation"] if any(line.validation for line in chart.lines) else []
    styles += ["dots: training"] if any(line.training for line in chart.lines) else []
    return [*lines, "  " + ", ".join(styles)]


def _letter(number: int) -> str:
    return _LETTERS[number % len(_LETTERS)]


def _cut(text: str, columns: int) -> str:
    """A text cut to fit, with two dots at the cut."""
    if width(text) <= columns:
        return text
    while text and width(text) + 2 > columns:
        text = text[:-1]
    return f"{text}.."

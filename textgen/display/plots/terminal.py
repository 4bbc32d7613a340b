"""A chart as lines of text: braille dots between axes of box lines, or plain ASCII where a terminal has neither."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Literal, NamedTuple

from textgen.display.plots.axis import Axis
from textgen.display.plots.chart import Chart, Line, Point
from textgen.display.plots.palette import TERMINAL_16, TERMINAL_256
from textgen.system import width

LEAST_COLUMNS = 40
_LETTERS = "abcdefghijklmnopqrstuvwxyz"
_APART = 5
"""Columns between two letters on a line, at least."""


class _Signs(NamedTuple):
    """What a drawing is made of: dots in a cell, across and down, and how a cell with some of them looks."""

    across: int
    down: int
    cell: Callable[[int], str]
    wall: str
    left: str
    right: str
    corners: str
    floor: str
    below: str
    best: str


_BRAILLE_BITS = ((0x01, 0x08), (0x02, 0x10), (0x04, 0x20), (0x40, 0x80))
_BRAILLE = _Signs(2, 4, lambda dots: chr(0x2800 + dots), "│", "┤", "├", "└┘", "─", "┬", "●")
_ASCII = _Signs(1, 2, lambda dots: " '.:"[dots], "|", "+", "+", "++", "-", "+", "*")

SIGNS = "⠁⣿│┤├└┘─┬●"
"""What the encoding of an output must hold for the drawing with dots."""


def draw(
    chart: Chart, *, columns: int = 80, rows: int = 20, colours: Literal[0, 16, 256] = 0, plain: bool = False
) -> str:
    """The chart as text, without a line break at its end.

    Validation losses are lines, training losses dots. Several runs have letters on their lines, capital at the best
    point; a single run has a mark there.

    Args:
        chart: what to draw.
        columns: how wide the text may be; below `LEAST_COLUMNS` it is that wide.
        rows: lines of the drawing itself, without the axes and the key.
        colours: how many colours the terminal shows.
        plain: ASCII alone.
    """
    columns = max(columns, LEAST_COLUMNS)
    signs = _ASCII if plain else _BRAILLE
    left, right = (_labels(axis, rows, signs.down) for axis in (chart.y, chart.other))
    before, behind = (max(map(len, labels.values()), default=0) for labels in (left, right))
    canvas = _Canvas(chart, signs, columns=columns - before - behind - 4, rows=rows, colours=colours)
    for number, line in enumerate(chart.lines):
        canvas.trace(line.training, number, sparse=True)
    for number, line in enumerate(chart.lines):
        canvas.trace(line.validation, number)
    for number, line in enumerate(chart.lines):
        canvas.mark(line, number, alone=len(chart.lines) == 1)
    lines = [f"{chart.y.label}{chart.other.label:>{columns - len(chart.y.label)}}"]
    for row, drawn in enumerate(canvas.lines()):
        start = f"{left.get(row, ''):>{before}} {signs.left if row in left else signs.wall}"
        end = f"{signs.right if row in right else signs.wall} {right.get(row, '')}".rstrip()
        lines.append(f"{start}{drawn}{end}")
    lines += [f"{'':{before + 1}}{line}".rstrip() for line in _floor(chart.x, signs, canvas.columns)]
    return "\n".join([*lines, *_key(chart, columns, signs, colours)])


class _Canvas:
    """Cells of dots, each of one run, and letters over them."""

    def __init__(self, chart: Chart, signs: _Signs, *, columns: int, rows: int, colours: int) -> None:
        self.columns, self._rows, self._signs, self._colours = columns, rows, signs, colours
        self._x, self._y = chart.x, chart.y
        self._dots: dict[tuple[int, int], int] = {}
        self._owners: dict[tuple[int, int], tuple[int, bool]] = {}
        self._letters: dict[tuple[int, int], str] = {}

    def trace(self, points: Sequence[Point], number: int, *, sparse: bool = False) -> None:
        """Draws a line through points, or every third dot of it."""
        places = [self._dot(point) for point in points]
        passed = 0
        for (x, y), (far_x, far_y) in zip(places, places[1:] or places, strict=False):
            length = max(abs(far_x - x), abs(far_y - y), 1)
            for n in range(length + 1):
                if not sparse or passed % 3 == 0:
                    self._set(x + round(n * (far_x - x) / length), y + round(n * (far_y - y) / length), number, sparse)
                passed += n < length

    def mark(self, line: Line, number: int, *, alone: bool) -> None:
        """Marks a line's best point; where there are several lines, puts the run's letter on it, too."""
        if alone:
            self._letter(self._cell(line.best), self._signs.best, number)
            return
        letter = _letter(number)
        self._letter(self._cell(line.best), letter.upper(), number)
        last = self._cell(line.best)[0]
        taken = [last]
        for point in reversed(line.validation or line.training):
            cell = self._cell(point)
            if cell not in self._letters and all(abs(cell[0] - other) >= _APART for other in taken):
                self._letter(cell, letter, number)
                taken.append(cell[0])

    def lines(self) -> list[str]:
        """The rows from the top."""
        return ["".join(self._shown(column, row) for column in range(self.columns)) for row in range(self._rows)]

    def _shown(self, column: int, row: int) -> str:
        cell = (column, row)
        sign = self._letters.get(cell) or self._signs.cell(self._dots.get(cell, 0))
        if cell not in self._owners:
            return " "
        number, faint = self._owners[cell]
        return painted(sign, number, self._colours, faint=faint)

    def _dot(self, point: Point) -> tuple[int, int]:
        x = _dot(self._x.place(point.x), self.columns, self._signs.across)
        return x, _dot(1.0 - self._y.place(point.y), self._rows, self._signs.down)

    def _cell(self, point: Point) -> tuple[int, int]:
        x, y = self._dot(point)
        return x // self._signs.across, y // self._signs.down

    def _set(self, x: int, y: int, number: int, faint: bool) -> None:
        across, down = self._signs.across, self._signs.down
        cell, place = (x // across, y // down), (x % across, y % down)
        bit = _BRAILLE_BITS[place[1]][place[0]] if across == 2 else 1 << place[1]
        self._dots[cell] = self._dots.get(cell, 0) | bit
        self._owners[cell] = number, faint

    def _letter(self, cell: tuple[int, int], sign: str, number: int) -> None:
        self._letters[cell] = sign
        self._owners[cell] = number, False


def _dot(share: float, cells: int, dots: int) -> int:
    """The dot at a share of a row of cells, from 0."""
    return round(share * (cells * dots - 1))


def painted(text: str, number: int, colours: int, *, faint: bool = False) -> str:
    """A text in the colour of a run, if there are colours."""
    if not colours or text == " ":
        return text
    codes = TERMINAL_256 if colours == 256 else TERMINAL_16
    code = codes[number % len(codes)]
    return f"\x1b[{'2;' if faint else ''}{code}m{text}\x1b[0m"


def _labels(axis: Axis, rows: int, down: int) -> dict[int, str]:
    """What stands beside which row."""
    ticks = axis.ticks(max(rows // 3, 2))
    return {_dot(1.0 - axis.place(value), rows, down) // down: text for value, text in ticks}


def _floor(axis: Axis, signs: _Signs, columns: int) -> list[str]:
    """The lower axis: its line, its labels and its name, each from the wall on."""
    ticks = axis.ticks(max(columns // 12, 2))
    places = [(1 + _dot(axis.place(value), columns, signs.across) // signs.across, text) for value, text in ticks]
    line = [signs.corners[0], *signs.floor * columns, signs.corners[1]]
    labels = [" "] * (columns + 2)
    end = 0
    for place, text in places:
        start = min(max(place - len(text) // 2, 0), len(labels) - len(text))
        if start >= end:
            line[place] = signs.below
            labels[start : start + len(text)] = text
            end = start + len(text) + 1
    return ["".join(line), "".join(labels), f"{axis.label:^{columns + 2}}"]


def _key(chart: Chart, columns: int, signs: _Signs, colours: int) -> list[str]:
    """A line for each run, and what lines and dots are."""
    lines = []
    for number, line in enumerate(chart.lines):
        sign = signs.best if len(chart.lines) == 1 else _letter(number)
        told = chart.told(line)
        name = _cut(line.name, max(columns - len(told) - 4, 8))
        lines.append(f"{painted(sign, number, colours)} {_cut(f'{name}: {told}', columns - 2)}")
    meaning = ["line: validation"] if any(line.validation for line in chart.lines) else []
    meaning += ["dots: training"] if any(line.training for line in chart.lines) else []
    return [*lines, "  " + ", ".join(meaning)]


def _letter(number: int) -> str:
    return _LETTERS[number % len(_LETTERS)]


def _cut(text: str, columns: int) -> str:
    """A text that fits, with two dots where it was cut."""
    if width(text) <= columns:
        return text
    while text and width(text) + 2 > columns:
        text = text[:-1]
    return f"{text}.."

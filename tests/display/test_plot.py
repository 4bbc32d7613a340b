"""Learning curves in files, on terminals and in notebooks, and their errors."""

import math
import os
import struct
import subprocess
import sys
import xml.etree.ElementTree as ElementTree
from dataclasses import replace
from pathlib import Path
from typing import Any

import front_door
import pytest
from front_door import judge, nothing_left_in
from hypothesis import given
from hypothesis import strategies as st
from placed import put_checkpoint
from terminal import Terminal

import textgen
from textgen.display.plots.axis import Axis
from textgen.display.plots.chart import Chart, Curve, writable
from textgen.display.plots.inline import inline_svg
from textgen.display.plots.terminal import GLYPHS, LEAST_COLUMNS, draw
from textgen.errors import ConfigError, RunError, TextgenError
from textgen.model.results import Validation
from textgen.runs.history import rows, table
from textgen.runs.run import Run
from textgen.system import can_show, width

ROOT = Path(textgen.__file__).parent.parent
SVG = "{http://www.w3.org/2000/svg}"
STRANGE = "<b>&\"'$x_1$ 海 воля"
Rows = list[dict[str, Any]]


def history(*losses: float, every: int = 10, validated: bool = True) -> Rows:
    """Rows of a run whose validation loss takes these values, and whose training loss is a tenth above them."""
    return [
        {
            "step": n * every,
            "epoch": n / 2,
            "seconds": 1.5 * n * every,
            "characters": 64 * n * every,
            "loss": loss + 0.1,
            "val_loss": loss if validated else None,
            "learning_rate": 0.01,
            "sample": "The sea",
        }
        for n, loss in enumerate(losses, 1)
    ]


def validations(*losses: float) -> list[Validation]:
    return [Validation(**row) for row in history(*losses)]


@pytest.fixture
def checkpoints(tmp_path: Path) -> Path:
    """Runs: sea, of five validations; hill, of two; blind, without held-out text; one, of one validation."""
    folder = tmp_path / "checkpoints"
    runs = {
        "sea": history(3.0, 2.5, 2.25, 2.125, 2.2),
        "hill": history(2.75, 2.0),
        "blind": history(3.0, 2.0, validated=False),
        "one": history(2.0),
    }
    for age, (name, its) in enumerate(runs.items()):
        put_checkpoint(folder / name / "best.keras", history=its, age=age)
    return folder


def chart(*histories: Rows, **settings: Any) -> Chart:
    curves = [Curve(f"run {n}", each) for n, each in enumerate(histories)]
    made = Chart.of(curves, **{"against": "steps", "unit": "nats", "log": False, **settings})
    assert made is not None
    return made


class TestChart:
    def test_lines_have_the_histories_points_and_the_lowest_is_best(self) -> None:
        (line,) = chart(history(3.0, 2.0, 2.5)).lines
        assert [(p.x, p.y) for p in line.validation] == [(10, 3.0), (20, 2.0), (30, 2.5)]
        assert [p.y for p in line.training] == pytest.approx([3.1, 2.1, 2.6])
        assert (line.best.step, line.best.y) == (20, 2.0)

    def test_bits_are_nats_over_the_logarithm_of_two_and_nats_are_on_the_secondary_axis(self) -> None:
        made = chart(history(3.0, 2.0), unit="bits")
        assert made.lines[0].best.y == pytest.approx(2.0 / math.log(2.0))
        assert (made.y.label, made.secondary.label) == ("bits per character", "nats per character")
        assert made.secondary.high == pytest.approx(made.y.high * math.log(2.0))

    @pytest.mark.parametrize(
        ("seconds", "label", "last"),
        [
            (100, "seconds of training", 100), (600, "minutes of training", 10), (36_000, "hours of training", 10),
        ],
    )  # fmt: skip
    def test_times_are_in_the_unit_that_suits_the_longest(self, seconds: float, label: str, last: float) -> None:
        row = {"step": 5, "seconds": seconds, "loss": 1.0}
        made = chart([row], [{**row, "seconds": 1.0}], against="time")
        assert made.x.label == label
        assert made.lines[0].training[0].x == pytest.approx(last)

    def test_without_validation_the_best_training_loss_is_marked_and_labelled(self) -> None:
        made = chart(history(3.0, 2.0, validated=False))
        (line,) = made.lines
        assert (line.validation, line.best.y) == ([], pytest.approx(2.1))
        assert made.describe(line) == "no validation, best training loss 2.1000 nats at step 20"

    def test_values_that_are_not_numbers_are_ignored(self) -> None:
        odd: Rows = [
            {"step": 1, "loss": math.nan, "val_loss": "x"}, {"loss": 2.0}, {"step": 3, "loss": True, "val_loss": 1e300},
            {"step": 4, "loss": 2.0, "val_loss": None},
        ]  # fmt: skip
        (line,) = chart(odd).lines
        assert [(p.x, p.y) for p in line.training] == [(4, 2.0)]
        assert Chart.of([Curve("none", odd[:3])], against="steps", unit="nats", log=False) is None

    def test_a_logarithmic_axis_has_no_point_at_zero(self) -> None:
        made = chart([{"step": 0, "loss": 9.0}, *history(3.0, 2.0)], log=True)
        assert len(made.lines[0].training) == 2
        assert 0.0 < made.x.place(10) < made.x.place(20) < 1.0

    @given(
        low=st.floats(0.0, 1e9),
        span=st.floats(1e-3, 1e9),
        log=st.booleans(),
        most=st.integers(2, 12),
    )
    def test_ticks_are_few_distinct_and_within_the_limits(self, low: float, span: float, log: bool, most: int) -> None:
        low = max(low, 1e-3) if log else low
        if span < 1e-5 * low:
            return
        axis = Axis(label="x", low=low, high=low + span, log=log)
        ticks = axis.ticks(most)
        assert 1 <= len(ticks) <= most
        assert len({text for _, text in ticks}) == len(ticks)
        assert all(-1e-6 <= axis.place(value) <= 1 + 1e-6 for value, _ in ticks)
        assert all(float(text.replace(",", "")) == pytest.approx(value, rel=1e-5) for value, text in ticks)


class TestPlot:
    def test_runs_are_drawn_in_the_order_given_and_once(self, checkpoints: Path) -> None:
        curves = textgen.plot(["hill", "sea", checkpoints / "hill"], checkpoints=checkpoints)
        assert repr(curves) == "Curves(hill, sea)"
        assert [len(line.validation) for line in curves.chart.lines] == [2, 5]

    def test_no_name_takes_the_newest_and_a_file_or_a_run_will_do(self, checkpoints: Path) -> None:
        assert repr(textgen.plot(checkpoints=checkpoints)) == "Curves(sea)"
        assert repr(textgen.plot(Run(checkpoints / "one"), checkpoints=checkpoints)) == "Curves(one)"
        assert repr(textgen.plot(checkpoints / "one" / "best.keras")) == "Curves(one)"

    def test_runs_of_the_same_name_are_labelled_by_their_paths(self, checkpoints: Path, tmp_path: Path) -> None:
        put_checkpoint(tmp_path / "elsewhere" / "sea" / "best.keras", history=history(2.0))
        names = [line.name for line in textgen.plot([checkpoints / "sea", tmp_path / "elsewhere" / "sea"]).chart.lines]
        assert names == [str(checkpoints / "sea"), str(tmp_path / "elsewhere" / "sea")]

    def test_a_run_whose_log_ends_in_a_half_written_line_is_drawn_from_the_whole_ones(self, tmp_path: Path) -> None:
        run = Run(tmp_path / "killed")
        run.path.mkdir()
        run.metrics.write_text(table(validations(3.0, 2.0, 1.5))[:-9])
        assert [row.step for row in run.history] == [10, 20]
        assert textgen.plot(run.path).chart.lines[0].best.y == 2.0

    def test_a_damaged_checkpoint_leaves_the_table(self, checkpoints: Path) -> None:
        run = Run(checkpoints / "sea")
        run.write_history(validations(3.0, 2.0))
        run.best.write_bytes(b"PK\x03\x04")
        assert len(textgen.plot("sea", checkpoints=checkpoints).chart.lines[0].validation) == 2
        run.metrics.unlink()
        with pytest.raises(TextgenError, match="it is damaged"):
            textgen.plot("sea", checkpoints=checkpoints)

    def test_a_table_of_anything_gives_rows_of_numbers_or_none(self) -> None:
        good = validations(3.0, 2.0)
        assert rows(table(good)) == [replace(row, sample="") for row in good]
        for text in ("", "\n", "step,loss\n1,2\n", "\0\n\0\n", table(good).replace("2.0", "nan"), "a,b,c,d,e,f,g\n1\n"):
            assert all(row.step in (10, 20) for row in rows(text))
        assert rows(table(good).replace("20,", "2x,")) == rows(table(good[:1]))

    @pytest.mark.parametrize(
        ("arguments", "said"),
        [
            ({"runs": "see"}, "Did you mean 'sea'"),
            ({"runs": []}, "no run was named"),
            ({"against": "miles"}, "against must be one of steps, characters, time; got 'miles'"),
            ({"unit": "dits"}, "unit must be one of nats, bits"),
        ],
    )
    def test_user_errors_are_one_sentence(self, checkpoints: Path, arguments: dict[str, Any], said: str) -> None:
        with pytest.raises((ConfigError, RunError), match=said):
            textgen.plot(**{"runs": "sea", "checkpoints": checkpoints, **arguments})

    def test_a_run_without_a_validation_is_named(self, checkpoints: Path) -> None:
        put_checkpoint(checkpoints / "young" / "best.keras", history=[])
        with pytest.raises(RunError, match="'young' has nothing to plot against time: no validation is recorded"):
            textgen.plot(["sea", "young"], against="time", checkpoints=checkpoints)


class TestTerminal:
    def test_a_small_history_is_drawn_like_this(self) -> None:
        drawn = draw(chart(history(3.0, 2.0, 1.75, 1.7)), columns=46, rows=8)
        assert drawn == GOLDEN

    def test_without_braille_it_is_drawn_like_this(self) -> None:
        drawn = draw(chart(history(3.0, 2.0, 1.75, 1.7), history(2.5, 2.4)), columns=46, rows=8, plain=True)
        assert drawn == PLAIN
        assert drawn.isascii()

    @given(
        columns=st.integers(1, 160),
        rows=st.integers(2, 40),
        plain=st.booleans(),
        log=st.booleans(),
        losses=st.lists(st.lists(st.floats(0.0, 1e6), min_size=1, max_size=30), min_size=1, max_size=30),
        name=st.text(st.characters(codec="utf-8"), max_size=60),
    )
    def test_it_always_fits(
        self, columns: int, rows: int, plain: bool, log: bool, losses: list[list[float]], name: str
    ) -> None:
        curves = [Curve(name, history(*each)) for each in losses]
        made = Chart.of(curves, against="characters", unit="bits", log=log)
        assert made is not None
        lines = draw(made, columns=columns, rows=rows, plain=plain).split("\n")
        room = max(columns, LEAST_COLUMNS)
        assert all(width(line) <= room for line in lines)
        assert len(lines) == 1 + rows + 3 + len(losses) + 1

    def test_colours_come_only_when_asked_for(self) -> None:
        made = chart(history(3.0, 2.0), history(2.5, 2.4))
        assert "\x1b" not in draw(made)
        screen = Terminal()
        screen.write(draw(made, colours=256))
        assert "\x1b[38;5;" in screen.getvalue()
        assert screen.lines == [line.rstrip() for line in draw(made).split("\n")]

    def test_braille_is_used_only_where_it_can_probably_be_shown(self) -> None:
        class Ascii(Terminal):
            encoding = "ascii"

        for stream, encoding, terminal, seen in (
            (Terminal(), "utf-8", "xterm", True),
            (Terminal(), "utf-8", "linux", False),
            (Terminal(), "iso8859-1", "xterm", False),
            (Ascii(), "utf-8", "xterm", False),
            (None, "utf-8", "xterm", False),
        ):
            assert can_show(GLYPHS, stream, locale_encoding=encoding, environment={"TERM": terminal}) is seen
        assert can_show("+-|", Terminal(), locale_encoding="ascii", environment={"TERM": "linux"})


GOLDEN = """\
nats per character          bits per character
  │         ⠠                              │
3 ┤         ⠈⠢⡂                            │
  │           ⠈⠪⡀⡀                         ├ 4
  │             ⠈⠢⢔                        │
  │                ⠑⢅⢀                     │
2 ┤                  ⠑⢄⡂⠠ ⡀                ├ 3
  │                    ⠈⠉⠑⠒⠪⠤⢅⣐⡀⠄⠠ ⠄⠠ ⡀⢀ ⡀ │
  │                            ⠈⠉⠉⠉⠉⠉⠒⠒⠒⠒● │
  └┬──────────────────┬──────────────────┬─┘
   0                 20                 40
                    steps
● run 0: best 1.7000 nats at step 40
  line: validation, dots: training"""

PLAIN = """\
nats per character          bits per character
  |          .                             |
3 +          a.                            |
  |            ':                          + 4
  |          b..::..  .                    |
  |               '':'B                    |
2 +                  'a. .                 + 3
  |                     '''.:...  .  .  .  |
  |                            'a''''''''A |
  ++------------------+------------------+-+
   0                 20                 40
                    steps
a run 0: best 1.7000 nats at step 40
b run 1: best 2.4000 nats at step 20
  line: validation, dots: training"""


class TestFiles:
    @pytest.fixture(autouse=True)
    def _matplotlib(self) -> None:
        pytest.importorskip("matplotlib")

    @pytest.mark.parametrize("ending", ["png", "svg", "pdf"])
    def test_a_file_is_the_same_bytes_each_time_and_nothing_else_is_left(
        self, checkpoints: Path, tmp_path: Path, ending: str
    ) -> None:
        curves = textgen.plot(["sea", "hill", "blind", "one"], checkpoints=checkpoints)
        (tmp_path / "out").mkdir()
        one, two = (curves.save(tmp_path / "out" / f"{name}.{ending}") for name in "ab")
        assert one.read_bytes() == two.read_bytes()
        assert sorted(path.name for path in (tmp_path / "out").iterdir()) == [f"a.{ending}", f"b.{ending}"]

    def test_a_png_opens_at_its_size(self, checkpoints: Path, tmp_path: Path) -> None:
        path = textgen.plot("sea", checkpoints=checkpoints).save(tmp_path / "sea.PNG")
        data = path.read_bytes()
        assert data[:8] == b"\x89PNG\r\n\x1a\n"
        assert struct.unpack(">II", data[16:24]) == (1280, 768)

    @pytest.mark.parametrize("log", [False, True])
    def test_an_svg_has_each_point_of_each_line(self, checkpoints: Path, tmp_path: Path, log: bool) -> None:
        curves = textgen.plot(["sea", "hill", "blind", "one"], checkpoints=checkpoints, log=log)
        root = ElementTree.parse(curves.save(tmp_path / "curves.svg")).getroot()
        points = {}
        for group in root.iter(f"{SVG}g"):
            if group.get("id", "").startswith("run-"):
                path = group.find(f"{SVG}path")
                points[group.get("id")] = 0 if path is None else path.get("d", "").count("L") + 1
        assert points == {
            "run-1-training": 5, "run-1-validation": 5, "run-2-training": 2, "run-2-validation": 2,
            "run-3-training": 2, "run-4-training": 1, "run-4-validation": 1,
        }  # fmt: skip

    @pytest.mark.parametrize("name", [STRANGE, "_hidden", "100% \\frac{1}{2} $", "a\nb\x1b[31m\udc80\uffff", ""])
    def test_any_name_is_unchanged_in_the_legend(self, tmp_path: Path, name: str) -> None:
        from textgen.display.plots.figure import save_figure

        made = Chart.of([Curve(name, history(3.0, 2.0))], against="time", unit="nats", log=False)
        assert made is not None
        text = "".join(ElementTree.parse(save_figure(made, tmp_path / "a.svg")).getroot().itertext())
        save_figure(made, tmp_path / "a.png")
        assert "".join(writable(name).split()) in "".join(text.split())

    def test_the_user_s_own_settings_of_matplotlib_neither_matter_nor_change(
        self, checkpoints: Path, tmp_path: Path
    ) -> None:
        import matplotlib

        curves = textgen.plot("sea", checkpoints=checkpoints)
        before = curves.save(tmp_path / "a.svg").read_bytes()
        with matplotlib.rc_context({"font.size": 30, "svg.hashsalt": None, "axes.facecolor": "red"}):
            assert curves.save(tmp_path / "b.svg").read_bytes() == before
            assert matplotlib.rcParams["font.size"] == 30
            assert matplotlib.rcParams["axes.facecolor"] == "red"

    def test_a_file_that_cannot_be_written_leaves_the_old_one(self, checkpoints: Path, tmp_path: Path) -> None:
        curves = textgen.plot("sea", checkpoints=checkpoints)
        with pytest.raises(ConfigError, match=r"ends in \.png, \.svg, \.pdf; got 'curves\.gif'"):
            curves.save("curves.gif")
        with nothing_left_in(tmp_path), pytest.raises(OSError):
            curves.save(tmp_path / "missing" / "curves.png")


def svg_of(page: str) -> ElementTree.Element:
    return ElementTree.fromstring(page[page.index("<svg") : page.index("</svg>") + 6])


class TestNotebook:
    def test_a_run_is_a_table_and_a_curve(self, checkpoints: Path) -> None:
        page = Run(checkpoints / "sea")._repr_html_()
        table = ElementTree.fromstring(page[page.index("<table") : page.index("</table>") + 8])
        cells = {row[0].text: row[1].text for row in table}
        assert cells["run"] == "sea"
        assert cells["text"] == "sea, 5,000 characters"
        assert cells["validation loss"] == "1.5000 nats per character"
        assert cells["bits per character"] == "2.164"
        assert cells["started"].startswith("2026-01-31 ")
        svg = svg_of(page)
        assert svg.get("role") == "img"
        assert svg.get("aria-label") == svg.findtext(f"{SVG}title") == "Learning curve of the run sea"
        assert "best 2.1250 nats at step 40" in svg.findtext(f"{SVG}desc", "")
        lines = [line.get("points", "").split() for line in svg.iter(f"{SVG}polyline")]
        assert [len(points) for points in lines] == [5, 5]

    def test_it_uses_the_page_s_colours_and_has_no_ids(self, checkpoints: Path) -> None:
        page = Run(checkpoints / "sea")._repr_html_()
        svg = svg_of(page)
        assert svg.get("fill") == "currentColor"
        assert all("fill" not in text.attrib for text in svg.iter(f"{SVG}text"))
        assert not any("id" in element.attrib or "class" in element.attrib for element in svg.iter())
        assert "<style" not in page
        assert "<script" not in page

    def test_any_name_is_text(self, tmp_path: Path) -> None:
        path = tmp_path / "<i>&x"
        put_checkpoint(path / "best.keras", history=history(2.0), corpus={"name": STRANGE, "characters": 5})
        page = Run(path)._repr_html_()
        assert "<i>" not in page
        assert "<b>" not in page
        assert "<i>&x: best 2.0000" in "".join(svg_of(page).itertext())
        root = ElementTree.fromstring(page)
        assert f"{STRANGE}, 5 characters" in list(root.itertext())

    def test_a_run_without_history_has_no_curve_and_a_damaged_one_says_why(self, tmp_path: Path) -> None:
        put_checkpoint(tmp_path / "new" / "best.keras", history=[], metrics={}, created="yesterday")
        page = Run(tmp_path / "new")._repr_html_()
        assert "<svg" not in page
        assert "yesterday" in page
        put_checkpoint(tmp_path / "torn" / "best.keras").write_bytes(b"PK\x03\x04")
        assert "it is damaged" in Run(tmp_path / "torn")._repr_html_()
        assert "holds no checkpoint" in Run(tmp_path / "none")._repr_html_()

    def test_curves_of_many_runs_differ_by_colour_or_dashes(self) -> None:
        made = chart(*[history(3.0, 2.0) for _ in range(9)])
        root = ElementTree.fromstring(inline_svg(made, title="nine"))
        looks = [(line.get("stroke"), line.get("stroke-dasharray")) for line in root.iter(f"{SVG}polyline")][1::2]
        assert len(set(looks)) == 9


class TestCommand:
    def run(self, *arguments: str, **kwargs: Any) -> front_door.Outcome:
        return judge(front_door.run("plot", *arguments, **kwargs))

    def test_a_pipe_gets_the_drawing_without_colours_in_eighty_columns(
        self, checkpoints: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.delenv("COLUMNS", raising=False)
        monkeypatch.delenv("LINES", raising=False)
        monkeypatch.setattr("locale.getencoding", lambda: "utf-8")
        outcome = self.run("sea", "hill", "--checkpoints", str(checkpoints))
        assert (outcome.code, outcome.err) == (0, "")
        assert outcome.out == str(textgen.plot(["sea", "hill"], checkpoints=checkpoints)) + "\n"
        assert max(map(width, outcome.out.splitlines())) == 80
        assert "a sea: best 2.1250 nats at step 40" in outcome.out

    def test_a_locale_without_dots_gets_ascii(self, checkpoints: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr("locale.getencoding", lambda: "ANSI_X3.4-1968")
        outcome = self.run("sea", "--checkpoints", str(checkpoints))
        assert outcome.out.isascii()
        assert "* sea: best" in outcome.out

    def test_options_reach_the_drawing(self, checkpoints: Path, tmp_path: Path) -> None:
        pytest.importorskip("matplotlib")
        path = tmp_path / "a.svg"
        options = ["--against", "time", "--unit", "bits", "--log", "--checkpoints", str(checkpoints)]
        outcome = self.run("sea", "--out", str(path), *options)
        assert (outcome.code, outcome.out, outcome.err) == (0, "", f"The curves are in {path}.\n")
        wanted = textgen.plot("sea", against="time", unit="bits", log=True, checkpoints=checkpoints)
        assert path.read_bytes() == wanted.save(tmp_path / "b.svg").read_bytes()

    def test_user_errors_are_reported(self, checkpoints: Path, tmp_path: Path) -> None:
        place = ("--checkpoints", str(checkpoints))
        with nothing_left_in(tmp_path):
            assert "'curves.gif'" in self.run("sea", "--out", "curves.gif", *place).err
            assert "There is no run 'lake'" in self.run("lake", *place).err
            assert self.run("sea", "--unit", "dits", *place).code == 2
            outcome = self.run("sea", "--out", str(tmp_path / "missing" / "a.png"), *place)
            assert (outcome.code, "there is no such file or folder" in outcome.err) == (1, True)

    def test_without_matplotlib_saving_names_the_remedy_and_the_terminal_works(
        self, checkpoints: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setitem(sys.modules, "matplotlib", None)
        place = ("--checkpoints", str(checkpoints))
        outcome = self.run("sea", "--out", str(tmp_path / "a.png"), *place)
        assert outcome.code == 1
        assert "pip install 'textgen-chars[plot]'" in outcome.err
        assert not (tmp_path / "a.png").exists()
        assert self.run("sea", *place).code == 0
        assert "<svg" in Run(checkpoints / "sea")._repr_html_()

    def test_no_heavy_module_is_imported(self, checkpoints: Path, tmp_path: Path) -> None:
        program = (
            "import sys, textgen, textgen.runs.run; from textgen.cli import cli\n"
            "cli(sys.argv[1:], standalone_mode=False); textgen.runs.run.Run(sys.argv[2])._repr_html_()\n"
            "print(sorted({'tensorflow', 'keras', 'h5py', 'matplotlib'} & set(sys.modules)), file=sys.stderr)"
        )
        arguments = ["plot", str(checkpoints / "sea")]
        environment = {**os.environ, "PYTHONPATH": str(ROOT)}
        done = subprocess.run(
            [sys.executable, "-c", program, *arguments], capture_output=True, text=True, check=True, env=environment
        )
        assert done.stderr.strip() == "[]"

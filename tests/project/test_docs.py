"""The docs say what is there: generated parts are up to date, links lead somewhere, named settings exist."""

import importlib.util
import re
from pathlib import Path
from xml.etree import ElementTree

import pytest
from cogapp import Cog

from textgen.config import CELLS, Cell, ModelConfig
from textgen.model.weights import ModelWeights

ROOT = Path(__file__).parents[2]
README = (ROOT / "README.md").read_text(encoding="utf-8")
PAGES = sorted([*ROOT.glob("*.md"), ROOT / "benchmarks/README.md", *(ROOT / "docs").glob("*.md")])


@pytest.mark.parametrize("page", ["docs/commands.md", "docs/settings.md"])
def test_generated_parts_are_up_to_date(page: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert Cog().main(["cog", "--check", str(ROOT / page)]) == 0, f"{page} is out of date: run `make docs`"
    assert len((ROOT / page).read_text(encoding="utf-8")) > 10_000


def test_outdated_help_would_be_noticed(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    page = (ROOT / "docs/commands.md").read_text(encoding="utf-8")
    copy = tmp_path / "commands.md"
    copy.write_text(page.replace("--prompt", "--promt", 1), encoding="utf-8")
    assert Cog().main(["cog", "--check", str(copy)]) != 0


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_links_lead_somewhere(page: Path) -> None:
    text = re.sub(r"```.*?```", "", page.read_text(encoding="utf-8"), flags=re.DOTALL)
    for target in re.findall(r"\]\(([^)\s]+)\)", text):
        if target.startswith(("http://", "https://")):
            continue
        name, _, anchor = target.partition("#")
        goal = (page.parent / name) if name else page
        assert goal.exists(), target
        if anchor:
            heads = re.findall(r"^#+ (.*)$", goal.read_text(encoding="utf-8"), re.MULTILINE)
            anchors = {re.sub(r"[^\w\- ]", "", head).strip().lower().replace(" ", "-") for head in heads}
            assert anchor in anchors, target


def test_the_readme_shows_two_small_pictures_and_says_what_is_in_them() -> None:
    shown = re.findall(r"^!\[(.+)\]\((docs/pictures/\S+)\)$", README.partition("\n## ")[0], re.MULTILINE)
    assert len(shown) == 2
    for told, name in shown:
        assert len(told) > 40
        assert (ROOT / name).stat().st_size < 300_000


def test_a_terminal_is_drawn_dot_by_dot_and_in_its_colours() -> None:
    spec = importlib.util.spec_from_file_location("pictures", ROOT / "docs" / "pictures.py")
    assert spec is not None and spec.loader is not None
    pictures = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(pictures)
    drawn = pictures.terminal("a<\x1b[38;5;32m\u28ff\x1b[0m\n \x1b[2;38;5;166m\u2880\x1b[0mb", columns=3)
    shapes = ElementTree.fromstring(drawn)[1:]
    assert [shape.tag.partition("}")[2] for shape in shapes] == ["text", "text", "path", "path", "text"]
    full, corner = (shape for shape in shapes if shape.get("d"))
    assert (full.get("d").count("M"), full.get("stroke"), full.get("opacity")) == (8, "#1b7fc4", None)
    assert (corner.get("d").count("M"), corner.get("stroke"), corner.get("opacity")) == (1, "#d55e00", "0.6")
    x, y = map(float, corner.get("d")[1:].removesuffix("h0").split())
    left, top = pictures.EDGE + pictures.WIDE, pictures.EDGE + pictures.HIGH
    assert left + pictures.WIDE / 2 < x < left + pictures.WIDE
    assert top + pictures.HIGH * 3 / 4 < y < top + pictures.HIGH
    assert [shape.text for shape in shapes if shape.text] == ["a", "<", "b"]


@pytest.mark.parametrize("cell", CELLS)
def test_the_file_format_names_every_array(cell: Cell) -> None:
    page = (ROOT / "docs/file-format.md").read_text(encoding="utf-8")
    named = set(re.findall(r"`(\w+/\w+)`", page))
    config = ModelConfig(vocab_size=3, cell=cell, layers=2, units=4)
    arrays = {re.sub(r"recurrent_\d", "recurrent_n", name) for name in ModelWeights.shapes(config)}
    assert arrays <= named

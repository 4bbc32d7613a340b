"""The docs say what is there: generated parts are up to date, links lead somewhere, named settings exist."""

import re
from pathlib import Path

import pytest
from cogapp import Cog

from textgen.config import CELLS, Cell, ModelConfig
from textgen.model.weights import ModelWeights

ROOT = Path(__file__).parents[2]
PAGES = sorted([ROOT / "README.md", ROOT / "benchmarks/README.md", *(ROOT / "docs").glob("*.md")])


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


@pytest.mark.parametrize("cell", CELLS)
def test_the_file_format_names_every_array(cell: Cell) -> None:
    page = (ROOT / "docs/file-format.md").read_text(encoding="utf-8")
    named = set(re.findall(r"`(\w+/\w+)`", page))
    config = ModelConfig(vocab_size=3, cell=cell, layers=2, units=4)
    arrays = {re.sub(r"recurrent_\d", "recurrent_n", name) for name in ModelWeights.shapes(config)}
    assert arrays <= named

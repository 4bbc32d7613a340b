"""What docs/serving.md shows is run, with the clients that it names."""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from served import listening_server

from textgen.corpus.tokenizer import CharTokenizer

PAGE = (Path(__file__).parents[2] / "docs" / "serving.md").read_text(encoding="utf-8")
ADDRESS = "http://127.0.0.1:8000"


@pytest.fixture(scope="module")
def poems() -> str:
    """A server with the runs that the page has."""
    from small_models import random_writer
    from small_pairs import random_rewriter

    poems = random_writer(CharTokenizer("\n ETabcdehinorstu"), seed=1)
    spelling = random_rewriter(CharTokenizer(" aeiltw\u017f", has_end=True))
    with listening_server({"poems": poems, "old_spelling": spelling}) as (address, _):
        yield address  # type: ignore[misc]


def test_the_program_with_openais_client(poems: str, capsys: pytest.CaptureFixture[str]) -> None:
    pytest.importorskip("openai", reason="the tests with OpenAI's client need openai (group dev)")
    (program,) = re.findall(r"```python\n(.*?)```", PAGE, re.DOTALL)
    names: dict[str, Any] = {}
    exec(compile(program.replace(ADDRESS, poems), "docs/serving.md", "exec"), names)
    names["client"].close()
    assert len(capsys.readouterr().out) > 450


@pytest.mark.skipif(shutil.which("curl") is None, reason="the tests with curl need curl")
@pytest.mark.parametrize("line", re.findall(r"^    (curl .*)$", PAGE, re.MULTILINE))
def test_the_lines_with_curl(poems: str, line: str) -> None:
    done = subprocess.run(["sh", "-c", line.replace(ADDRESS, poems)], capture_output=True, text=True, timeout=60)
    assert done.returncode == 0 and '"object":"text_completion"' in done.stdout and '"error"' not in done.stdout


@pytest.mark.slow
def test_llm_against_the_server(poems: str, tmp_path: Path) -> None:
    pytest.importorskip("llm", reason="the tests with llm need llm (extra llm)")
    (models,) = re.findall(r"```yaml\n(.*?)```", PAGE, re.DOTALL)
    (tmp_path / "extra-openai-models.yaml").write_text(models.replace(ADDRESS, poems))
    (line,) = re.findall(r"^    (llm -m .*)$", PAGE, re.MULTILINE)
    known = {**os.environ, "LLM_USER_PATH": str(tmp_path), "LLM_LOAD_PLUGINS": "", "OPENAI_API_KEY": "unused"}
    for more in ("", " --no-stream"):
        command = line.replace("llm ", f"{sys.executable} -m llm ", 1) + more
        done = subprocess.run(
            ["sh", "-c", command], cwd=tmp_path, env=known, capture_output=True, text=True, timeout=120
        )
        assert (done.returncode, done.stderr) == (0, "")
        assert len(done.stdout) >= 90

"""The plugin of `llm`, in the real `llm`: models, options, usage and errors, from Python and on the command line."""

import asyncio
import json
import os
import re
import shlex
import shutil
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import llm
import pydantic
import pytest
from click.testing import CliRunner, Result
from llm import plugins
from llm.cli import cli

import textgen
from textgen import llm_plugin
from textgen.config import SamplingConfig
from textgen.runs.find import list_runs
from textgen.runs.run import Run

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture
def user(home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A user's folder with the run `tiny`, where `llm` knows the plugin and keeps its own files."""
    shutil.copytree(home / "checkpoints", tmp_path / "checkpoints")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("LLM_USER_PATH", str(tmp_path / "llm"))
    plugins.load_plugins()
    known = plugins.pm.is_registered(llm_plugin)
    if not known:
        plugins.pm.register(llm_plugin, "textgen")
    yield tmp_path
    if not known:
        plugins.pm.unregister(llm_plugin)


def written(prompt: str, **controls: Any) -> str:
    return textgen.load("tiny").generate(prompt, **controls).text


def test_a_prompt_is_continued_as_by_generate_with_the_lengths_as_usage(user: Path) -> None:
    response = llm.get_model("textgen/tiny").prompt("The sea", temperature=0.5, max_new_tokens=40, seed=7)
    assert response.text() == written("The sea", temperature=0.5, max_new_tokens=40, seed=7)
    usage = response.usage()
    assert (usage.input, usage.output) == (7, 40)
    assert response.response_json == {"seed": 7, "finish_reason": "length"}


def test_a_text_streams_in_the_pieces_of_stream(user: Path) -> None:
    pieces = list(llm.get_model("textgen/tiny").prompt("The sea", seed=3, max_new_tokens=12))
    assert pieces == list(textgen.load("tiny").stream("The sea", seed=3, max_new_tokens=12))
    assert len(pieces) == 12


def test_without_a_seed_the_log_holds_the_one_that_repeats_the_text(user: Path) -> None:
    response = llm.get_model("textgen/tiny").prompt("The sea", max_new_tokens=30)
    text = response.text()
    assert written("The sea", max_new_tokens=30, seed=response.response_json["seed"]) == text


def test_the_model_for_await_writes_the_same_while_the_loop_goes_on(user: Path) -> None:
    async def both() -> tuple[str, int, llm.models.Usage]:
        turns = 0
        response = llm.get_async_model("textgen/tiny").prompt("The sea", seed=5, max_new_tokens=50)
        reading = asyncio.create_task(_text(response))
        while not reading.done():
            turns += 1
            await asyncio.sleep(0)
        return await reading, turns, await response.usage()

    text, turns, usage = asyncio.run(both())
    assert text == written("The sea", seed=5, max_new_tokens=50)
    assert turns > 50
    assert (usage.input, usage.output) == (7, 50)


async def _text(response: llm.AsyncResponse) -> str:
    return str(await response.text())


def test_a_conversation_goes_on_where_the_text_had_ended(user: Path) -> None:
    conversation = llm.get_model("textgen/tiny").conversation()
    first = conversation.prompt("The sea", seed=1, max_new_tokens=20).text()
    second = conversation.prompt(" and", seed=2, max_new_tokens=20)
    assert second.text() == written(f"The sea{first} and", seed=2, max_new_tokens=20)
    assert second.usage().input == 31


def test_every_listed_run_is_a_model_of_both_kinds(user: Path) -> None:
    shutil.copytree("checkpoints/tiny", "checkpoints/a second")
    Path("checkpoints/broken").mkdir()
    Path("checkpoints/broken/best.keras").write_bytes(b"PK")
    Path("checkpoints/no run").mkdir()
    wanted = {f"textgen/{run.name}" for run in list_runs()}
    assert wanted == {"textgen/tiny", "textgen/a second", "textgen/broken"}
    for models in (llm.get_models(), llm.get_async_models()):
        ours = [each for each in models if each.model_id.startswith("textgen/")]
        assert {each.model_id for each in ours} == wanted
        assert all(each.can_stream for each in ours)


@pytest.mark.parametrize("gone", [True, False])
def test_where_no_runs_can_be_listed_llm_goes_on_without(user: Path, gone: bool) -> None:
    shutil.rmtree("checkpoints")
    if not gone:
        Path("checkpoints").write_text("a file")
    ids = [each.model_id for each in llm.get_models()]
    assert ids
    assert not [each for each in ids if each.startswith("textgen/")]


class TestOptions:
    def test_they_are_the_settings_of_sampling_with_their_ranges_and_help(self) -> None:
        fields = llm_plugin.Options.model_fields
        assert list(fields) == list(SamplingConfig.declared)
        schema = llm_plugin.Options.model_json_schema()["properties"]
        assert schema["top_p"]["anyOf"][0] == {"type": "number", "exclusiveMinimum": 0, "maximum": 1}
        assert schema["seed"]["anyOf"][0]["maximum"] == 2**63 - 1
        assert schema["until"]["anyOf"][0]["enum"] == ["length", "line", "paragraph"]
        for name, declared in SamplingConfig.declared.items():
            assert fields[name].description.startswith(declared.help.partition(";")[0].removesuffix("."))
            assert fields[name].default is None

    def test_texts_of_a_command_line_become_numbers(self) -> None:
        options = llm_plugin.Options(temperature="0.5", top_k="3", include_stop="true", stop="x")
        given = options.model_dump(exclude_none=True)
        assert given == {"temperature": 0.5, "top_k": 3, "include_stop": True, "stop": "x"}

    def test_in_python_a_list_gives_several(self, user: Path) -> None:
        controls: dict[str, Any] = {"temperature": [0.2, 1.0], "stop": ["e", "th"], "seed": 4, "include_stop": True}
        assert llm.get_model("textgen/tiny").prompt("The sea", **controls).text() == written("The sea", **controls)

    @pytest.mark.parametrize(
        "wrong", [{"top_p": 0}, {"temperature": -1}, {"seed": -1}, {"until": "word"}, {"stop": 3}, {"no": 1}]
    )
    def test_wrong_ones_are_refused(self, wrong: dict[str, Any]) -> None:
        with pytest.raises(pydantic.ValidationError, match=next(iter(wrong))):
            llm_plugin.Options(**wrong)


class TestErrors:
    def test_what_the_run_refuses_is_llm_s_error_with_the_remedy_of_its_command_line(self, user: Path) -> None:
        model = llm.get_model("textgen/tiny")
        for prompt, options, words in [
            ("日本", {}, ["never saw", "-o unknown skip to drop them or"]),
            ("日", {}, ["never saw", "Remove it, or pass -o unknown skip to drop it or -o unknown replace to"]),
            ("The", {"min_length": 9, "max_length": 3}, ["min_length must be at most max_length, 3; got 9."]),
            ("The", {"match": "("}, ["match"]),
            ("The", {"label": "poe"}, ["label needs a run whose records have labels"]),
            ("The", {"system": "Be brief."}, ["takes no system prompt"]),
        ]:
            with pytest.raises(llm.ModelError) as caught:
                model.prompt(prompt, **options).text()
            assert all(each in str(caught.value) for each in words)
            assert "\n" not in str(caught.value)

    def test_a_run_that_is_damaged_or_gone_says_so(self, user: Path) -> None:
        model = llm.get_model("textgen/tiny")
        waiting = llm.get_async_model("textgen/tiny")
        run = Run("checkpoints/tiny")
        run.best.write_bytes(run.best.read_bytes()[:-1])
        with pytest.raises(llm.ModelError, match="cannot be read: it is damaged"):
            model.prompt("The").text()
        shutil.rmtree(run.path)
        with pytest.raises(llm.ModelError, match="holds no checkpoint"):
            asyncio.run(_text(waiting.prompt("The")))


class TestCommandLine:
    def test_it_lists_writes_logs_and_refuses(self, user: Path) -> None:
        def call(*arguments: str) -> Result:
            return CliRunner().invoke(cli, arguments)

        listed = call("models", "--options", "-m", "textgen/tiny").stdout
        assert "TextgenModel: textgen/tiny" in listed
        assert "    temperature: float" in listed
        assert "can be given several times" not in listed
        done = call("-m", "textgen/tiny", "The sea", "-o", "max_new_tokens", "30", "-o", "seed", "7", "--usage")
        assert done.stdout == written("The sea", max_new_tokens=30, seed=7) + "\n"
        assert "7 input, 30 output" in done.stderr
        (logged,) = json.loads(call("logs", "--json").stdout)
        assert logged["options_json"] == {"max_new_tokens": 30, "seed": 7}
        assert logged["response_json"] == {"seed": 7, "finish_reason": "length"}
        refused = call("-m", "textgen/tiny", "日本")
        assert (refused.exit_code, refused.stdout) == (1, "")
        assert refused.stderr.startswith("Error: The text contains 2 characters that the model never saw: ")
        wrong = call("-m", "textgen/tiny", "The sea", "-o", "top_p", "2")
        assert (wrong.exit_code, wrong.stdout) == (1, "")
        assert "top_p\n  Input should be less than or equal to 1" in wrong.stderr

    def test_a_process_of_its_own_finds_the_plugin_by_the_declared_entry_point(self, user: Path) -> None:
        declared = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["entry-points"]["llm"]
        installed = user / "installed" / "textgen_plugin-0.dist-info"
        installed.mkdir(parents=True)
        (installed / "METADATA").write_text("Metadata-Version: 2.1\nName: textgen-plugin\nVersion: 0\n")
        lines = "".join(f"{name} = {module}\n" for name, module in declared.items())
        (installed / "entry_points.txt").write_text(f"[llm]\n{lines}")
        paths = os.pathsep.join([str(installed.parent), str(ROOT)])
        line = [sys.executable, "-P", "-m", "llm", "-m", "textgen/tiny", "The sea", "-o", "temperature", "0"]
        environment = {**os.environ, "PYTHONPATH": paths}
        done = subprocess.run(line, env=environment, capture_output=True, text=True, stdin=subprocess.DEVNULL)
        assert (done.stdout, done.stderr) == (written("The sea", temperature=0) + "\n", "")


class TestDocs:
    PAGE = (ROOT / "docs" / "llm.md").read_text(encoding="utf-8")
    LINES = re.findall(r"^    (?:echo \"(.*)\" \| )?llm (.*)$", PAGE, re.MULTILINE)

    @pytest.fixture
    def poems(self, user: Path) -> None:
        shutil.copytree("checkpoints/tiny", "checkpoints/poems")

    def test_the_command_lines_work(self, poems: None) -> None:
        for piped, line in self.LINES:
            done = CliRunner().invoke(cli, shlex.split(line), input=piped)
            assert (done.exit_code, done.stderr) == (0, ""), line
            assert done.stdout, line

    def test_the_program_works(self, poems: None, capsys: pytest.CaptureFixture[str]) -> None:
        (program,) = re.findall(r"```python\n(.*?)```", self.PAGE, re.DOTALL)
        exec(compile(program, "llm.md", "exec"), {})
        assert re.search(r"[1-9]\d* \d+\n$", capsys.readouterr().out)

    def test_there_are_command_lines_to_check(self) -> None:
        assert len(self.LINES) == 5


def test_runs_on_pairs_are_not_listed_and_damaged_ones_are(user: Path, pairs_run: Run) -> None:
    shutil.copytree(pairs_run.path, user / "checkpoints" / "spelling")
    shutil.copytree(user / "checkpoints" / "tiny", user / "checkpoints" / "cut")
    cut = user / "checkpoints" / "cut" / "best.keras"
    cut.write_bytes(cut.read_bytes()[:500])
    found = list[str]()
    llm_plugin.register_models(lambda *models: found.extend(each.model_id for each in models))
    assert {run.name for run in list_runs()} == {"tiny", "cut", "spelling"}
    assert sorted(found) == ["textgen/cut"] * 2 + ["textgen/tiny"] * 2


def test_it_lists_models_without_numpy_and_tensorflow(user: Path) -> None:
    # A package that `llm` needs imports NumPy where it is there.
    code = (
        "import sys; sys.modules['numpy'] = None; sys.modules['tensorflow'] = None; sys.modules['keras'] = None\n"
        "import textgen.llm_plugin as plugin; found = []\n"
        "plugin.register_models(lambda *models: found.extend(each.model_id for each in models))\n"
        "print(found)"
    )
    line = [sys.executable, "-P", "-c", code]
    done = subprocess.run(line, env={**os.environ, "PYTHONPATH": str(ROOT)}, capture_output=True, text=True)
    assert (done.stdout, done.stderr) == ("['textgen/tiny', 'textgen/tiny']\n", "")

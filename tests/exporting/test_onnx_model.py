"""Models as ONNX: three runtimes compute what the engine does, and what is in the file besides."""

import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime
import pytest
from exported_models import Arrays, as_onnx, calls, random_checkpoint
from front_door import judge, nothing_left_in, run
from onnx_runtimes import Runtime, in_javascript, onnxruntime_of, reference_of

import textgen
from textgen.config import CELLS, ModelConfig
from textgen.config.cells import FACTS
from textgen.corpus.tokenizer import CharTokenizer
from textgen.errors import ConfigError, TextgenError
from textgen.exporting import export
from textgen.exporting.onnx_graph import Operator
from textgen.model.read import Checkpoint
from textgen.system.versions import VERSION

ROOT = Path(__file__).resolve().parents[2]
SEGMENTS = [7, 1, 4]

SHAPES: Mapping[str, dict[str, Any]] = {
    **{cell: {"cell": cell} for cell in CELLS},
    "one layer": {"layers": 1},
    "without skip connections": {"skip": False, "layers": 3},
    "labels": {"labels": 4, "has_end": True, "cell": "gru"},
    "records": {"has_end": True},
}


def agree(got: Arrays, expected: Arrays) -> None:
    assert set(got) == set(expected)
    for name, array in expected.items():
        assert got[name].dtype == np.float32
        np.testing.assert_allclose(got[name], array, atol=1e-5, rtol=0, err_msg=name)


@pytest.fixture(scope="module")
def models() -> dict[str, tuple[Checkpoint, bytes]]:
    checkpoints = {name: random_checkpoint(**shape) for name, shape in SHAPES.items()}
    return {name: (checkpoint, as_onnx(checkpoint)) for name, checkpoint in checkpoints.items()}


@pytest.mark.parametrize("runtime", [onnxruntime_of, reference_of])
@pytest.mark.parametrize("name", SHAPES)
def test_segments_and_steps_give_the_engine_s_logits_and_states(
    models: dict[str, tuple[Checkpoint, bytes]], name: str, runtime: Runtime
) -> None:
    checkpoint, data = models[name]
    call = runtime(data)
    outputs: Arrays = {}
    for each in calls(checkpoint, SEGMENTS):
        outputs = call({**each.inputs, **{name: outputs[output] for name, output in each.carried.items()}})
        agree(outputs, each.outputs)


def test_onnxruntime_in_javascript_gives_the_engine_s_logits_and_states(
    models: dict[str, tuple[Checkpoint, bytes]], tmp_path: Path
) -> None:
    expected = [calls(checkpoint, SEGMENTS) for checkpoint, _ in models.values()]
    told = [[(each.inputs, each.carried) for each in wanted] for wanted in expected]
    found = in_javascript([data for _, data in models.values()], told, tmp_path)
    for results, wanted in zip(found, expected, strict=True):
        for got, each in zip(results, wanted, strict=True):
            agree(got, each.outputs)


def test_a_model_of_both_sides_has_the_file_of_its_forward_stack() -> None:
    both = random_checkpoint(sides="both")
    metadata = replace(both.metadata, model=both.model.forwards)
    assert as_onnx(both) == as_onnx(Checkpoint(both.path, both.weights.forwards, metadata))


@pytest.mark.parametrize("name", SHAPES)
def test_the_file_is_sound_and_plain(models: dict[str, tuple[Checkpoint, bytes]], name: str) -> None:
    checkpoint, data = models[name]
    model = onnx.load_from_string(data)
    onnx.checker.check_model(model, full_check=True)
    assert (model.ir_version, [each.version for each in model.opset_import]) == (8, [17])
    assert (model.producer_name, model.producer_version) == ("textgen", VERSION)
    kinds = {each.op_type for each in model.graph.node}
    recurrent = {"gru": "GRU", "rnn": "RNN"}.get(checkpoint.model.cell, "LSTM")
    assert kinds & {"LSTM", "GRU", "RNN"} == {recurrent}
    assert not any(each.name == "input_forget" for node in model.graph.node for each in node.attribute)
    used = {name for node in model.graph.node for name in node.input}
    assert {each.name for each in model.graph.initializer} <= used
    inferred = onnx.shape_inference.infer_shapes(model, strict_mode=True)
    shapes = {each.name: each.type.tensor_type.shape.dim for each in inferred.graph.value_info}
    over_time = [each.dim_param or each.dim_value for each in shapes["output_1"]]
    assert over_time == ["time", "batch", 24]


def test_the_metadata_is_json_and_says_what_sampling_needs() -> None:
    tokenizer = CharTokenizer('\n "\\a\ud800\U0001f30a', has_unknown=True, has_end=True)
    checkpoint = random_checkpoint(has_end=True, labels=3)
    model = ModelConfig(vocab_size=tokenizer.vocab_size, layers=1, units=4, embedding=2, cell="gru", labels=3)
    metadata = replace(checkpoint.metadata, tokenizer=tokenizer, model=model)
    weights = random_checkpoint(vocab_size=9, layers=1, units=4, embedding=2, cell="gru", labels=3).weights
    data = as_onnx(replace(checkpoint, metadata=metadata, weights=weights), 'the "sea"\n\ud800')
    session = onnxruntime.InferenceSession(data, providers=["CPUExecutionProvider"])
    told = {key: json.loads(value) for key, value in session.get_modelmeta().custom_metadata_map.items()}
    assert told == {
        "format": 1,
        "textgen": VERSION,
        "run": 'the "sea"\n\ud800',
        "characters": ["\n", " ", '"', "\\", "a", "\ud800", "\U0001f30a"],
        "unknown_id": 7,
        "end_id": 8,
        "start_id": 8,
        "normalize": "none",
        "keep_newlines": False,
        "labels": ["label 0", "label 1", "label 2"],
        "most_labels": 2,
        "cell": "gru",
        "layers": 1,
        "units": 4,
        "states": ["h"],
        "val_loss": None,
    }


class TestDocs:
    PAGE = (ROOT / "docs" / "export.md").read_text(encoding="utf-8")

    @pytest.fixture(autouse=True)
    def poems(self, home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.chdir(tmp_path)
        export(home / "checkpoints" / "tiny", to="onnx", output="poems.onnx")

    def test_the_program_samples_with_onnxruntime_alone(self, home: Path, capsys: pytest.CaptureFixture[str]) -> None:
        (program,) = (each for each in re.findall(r"```python\n(.*?)```", self.PAGE, re.DOTALL) if "poems.onnx" in each)
        greedy = program.replace("/ 0.8", "/ 1e-6")
        assert greedy != program
        exec(compile(greedy, "export.md", "exec"), {})
        expected = textgen.load(home / "checkpoints" / "tiny").generate("The sea ", temperature=0, max_new_tokens=300)
        assert capsys.readouterr().out == "The sea " + expected.text + "\n"
        exec(compile(program, "export.md", "exec"), {})
        assert len(capsys.readouterr().out) == len("The sea ") + 300 + 1

    def test_the_command_line_shows_the_metadata(self, home: Path, capsys: pytest.CaptureFixture[str]) -> None:
        (program,) = re.findall(r'python -c "(.*)" > poems.json', self.PAGE)
        exec(compile(program, "export.md", "exec"), {})
        told = json.loads(capsys.readouterr().out)
        assert "".join(told["characters"]) == textgen.load(home / "checkpoints" / "tiny").tokenizer.characters

    def test_the_keys_in_the_table_are_those_of_the_file(self) -> None:
        table = self.PAGE.partition("Each value of the metadata is JSON")[2].partition("\n\nIn JavaScript")[0]
        named = re.findall(r"`(\w+)`", " ".join(re.findall(r"^\| ([^|]*) \|", table, re.MULTILINE)))
        assert named == [each.key for each in onnx.load("poems.onnx").metadata_props]


@pytest.mark.parametrize("cell", ["lstm", "gru"])
def test_a_cell_that_onnx_lacks_is_refused(cell: str) -> None:
    facts = FACTS[cell]
    # A cell of other gates; and a GRU whose reset gate comes before the product.
    other = replace(facts, gates=facts.gates[:2]) if cell == "lstm" else replace(facts, apart=())
    with pytest.raises(ConfigError, match=f"ONNX has no operator for the {facts.label}. Export this run as keras"):
        Operator.of(other)


def test_weights_that_no_file_holds_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("textgen.exporting.onnx_graph._LARGEST", 1000)
    with pytest.raises(ConfigError, match=r"One \.onnx file holds at most 2 GB, and this model has 0.0 GB"):
        as_onnx(random_checkpoint())


def test_without_onnx_the_sentence_says_how_to_get_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "onnx", None)
    with pytest.raises(TextgenError, match=r"not installed here: pip install 'textgen-chars\[onnx\]'"):
        as_onnx(random_checkpoint())


class TestCommand:
    @pytest.fixture(autouse=True)
    def here(self, home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        (tmp_path / "checkpoints").mkdir()
        shutil.copytree(home / "checkpoints" / "tiny", tmp_path / "checkpoints" / "tiny")
        monkeypatch.chdir(tmp_path)

    def test_the_file_has_the_run_s_name_and_standard_output_stays_empty(self) -> None:
        done = judge(run("export", "tiny", "--to", "onnx"), 0)
        assert done.out == ""
        size = Path("tiny.onnx").stat().st_size / 1e6
        assert done.err == f"The ONNX model is in tiny.onnx ({size:,.1f} MB); run it with onnxruntime.\n"
        onnxruntime.InferenceSession("tiny.onnx", providers=["CPUExecutionProvider"])

    def test_it_needs_neither_tensorflow_nor_keras(self) -> None:
        code = (
            "import sys; sys.modules['tensorflow'] = sys.modules['keras'] = None\n"
            "from textgen.exporting import export\n"
            "print(export('tiny', to='onnx'), export('tiny', to='keras'))"
        )
        environment = {**os.environ, "PYTHONPATH": str(ROOT)}
        done = subprocess.run([sys.executable, "-P", "-c", code], env=environment, capture_output=True, text=True)
        assert (done.stdout, done.stderr) == ("tiny.onnx tiny.keras\n", "")

    @pytest.mark.parametrize("to", ["onnx", "keras"])
    def test_a_broken_or_foreign_checkpoint_is_the_reader_s_error_and_leaves_what_was_there(self, to: str) -> None:
        best = Path("checkpoints/tiny/best.keras")
        whole = best.read_bytes()
        there = Path(f"tiny.{to}")
        there.write_text("mine")
        with nothing_left_in(Path()):
            for data, words in [
                (whole[:-1], "it is damaged"),
                (whole.replace(b"PK", b"KP"), "it is not a .keras file"),
                (b"", "it is empty"),
                (whole[:5000] + bytes(200) + whole[5200:], "it is damaged"),
            ]:
                best.write_bytes(data)
                done = judge(run("export", "tiny", "--to", to), 1)
                assert words in done.err
                assert there.read_text() == "mine"

    def test_a_file_that_is_there_is_replaced_only_by_a_whole_one(self, monkeypatch: pytest.MonkeyPatch) -> None:
        import errno

        from faults import Disk

        there = Path("tiny.onnx")
        there.write_text("mine")
        with nothing_left_in(Path()):
            with monkeypatch.context() as patch:
                Disk(patch, fail_at=1, error=lambda: OSError(errno.ENOSPC, os.strerror(errno.ENOSPC)))
                done = judge(run("export", "tiny", "--to", "onnx"), 1)
            assert "the disk is full" in done.err.lower()
            assert there.read_text() == "mine"
        judge(run("export", "tiny", "--to", "onnx"), 0)
        assert there.stat().st_size > 1000

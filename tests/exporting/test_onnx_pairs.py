"""Models that turn one text into another as ONNX: two runtimes compute what the engine does, in one graph."""

import json
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import onnx
import onnxruntime
import pytest
from front_door import judge, run
from onnx_runtimes import Runtime, in_javascript, onnxruntime_of, reference_of
from small_pairs import SHAPE, random_pair_weights

import textgen
from textgen.config import ModelConfig
from textgen.corpus.tokenizer import CharTokenizer
from textgen.engine.pairs import PairEngine
from textgen.errors import ConfigError
from textgen.exporting.formats import Export, export
from textgen.exporting.onnx_model import onnx_bytes
from textgen.model.metadata import Metadata
from textgen.model.read import PairCheckpoint
from textgen.runs.run import Run
from textgen.system.versions import VERSION

ROOT = Path(__file__).resolve().parents[2]
Arrays = dict[str, Any]

SHAPES: Mapping[str, dict[str, Any]] = {
    **{cell: {"cell": cell, "encoder_layers": 2, "layers": 2} for cell in ("coupled", "lstm", "gru", "rnn")},
    "a deep decoder": {"encoder_layers": 2, "layers": 3, "cell": "gru"},
    "a deep encoder": {"encoder_layers": 3, "layers": 1, "cell": "lstm"},
    "without skip connections": {"encoder_layers": 2, "layers": 2, "skip": False},
}


def checkpoint_of(**shape: Any) -> PairCheckpoint:
    config = ModelConfig(**{**SHAPE, **shape})
    tokenizer, source = CharTokenizer("uvwxyz", has_end=True), CharTokenizer("abcd", has_end=True, has_unknown=True)
    metadata = Metadata(model=config, tokenizer=tokenizer, source_tokenizer=source)
    return PairCheckpoint(Path("random.keras"), random_pair_weights(config, seed=3, scale=2.0), metadata, source)


class Call(NamedTuple):
    """A call of a model: its inputs, those that are outputs of the call before, and what the engine gives."""

    inputs: Arrays
    carried: Mapping[str, str]
    outputs: Arrays


def calls(checkpoint: PairCheckpoint, lengths: Sequence[int]) -> list[Call]:
    """Calls that read sources of some lengths, their ends included, and then write three, one and two characters."""
    config, states = checkpoint.model, ["h", "c"][: checkpoint.model.facts.states]
    rng = np.random.default_rng(0)
    sources = [np.append(rng.integers(0, 5, length - 1), 5) for length in lengths]
    padded = np.zeros((len(lengths), max(lengths)), np.int64)
    for row, source in zip(padded, sources, strict=True):
        row[: len(source)] = source + 1
    engine = PairEngine(config, checkpoint.weights)
    read = engine.encode(sources)
    decoder = engine.decoder(read)
    zero = np.zeros((config.layers, len(lengths), config.units), np.float32)
    first: Arrays = {"encoded": np.zeros((len(lengths), 1, config.units), np.float32), **dict.fromkeys(states, zero)}
    made = []
    for n, segment in enumerate((3, 1, 2)):
        ids = rng.integers(0, 6, (len(lengths), segment))
        if n == 0:
            ids[:, 0] = 6
        steps = [decoder.step(each) for each in ids.T]
        # The decoder's own state is not shown: that it is right shows in what follows.
        outputs = {
            "logits": np.concatenate([each[0] for each in steps], axis=1),
            "attention": np.concatenate([each[1] for each in steps], axis=1),
            "next_encoded": read.outputs,
        }
        inputs = {"source": padded, "ids": ids, "begin": np.array(n == 0), **({} if n else first)}
        made.append(Call(inputs, {key: f"next_{key}" for key in first} if n else {}, outputs))
    return made


def agree(found: Arrays, expected: Arrays, config: ModelConfig) -> None:
    assert set(found) == {*expected, *["next_h", "next_c"][: config.facts.states]}
    for key, array in expected.items():
        assert found[key].dtype == np.float32
        np.testing.assert_allclose(found[key], array, atol=1e-5, rtol=0, err_msg=key)


def as_onnx(checkpoint: PairCheckpoint) -> bytes:
    return onnx_bytes(checkpoint, Export(name="random", weights="float32"))


@pytest.fixture(scope="module")
def models() -> dict[str, tuple[PairCheckpoint, bytes]]:
    checkpoints = {name: checkpoint_of(**shape) for name, shape in SHAPES.items()}
    return {name: (checkpoint, as_onnx(checkpoint)) for name, checkpoint in checkpoints.items()}


# The reference evaluator reads no lengths of sequences: all of a batch must be of one.
@pytest.mark.parametrize(("runtime", "lengths"), [(onnxruntime_of, (4, 1, 6)), (reference_of, (5, 5, 5))])
@pytest.mark.parametrize("name", SHAPES)
def test_targets_and_steps_give_the_engine_s_logits_attention_and_states(
    models: dict[str, tuple[PairCheckpoint, bytes]], name: str, runtime: Runtime, lengths: tuple[int, ...]
) -> None:
    checkpoint, data = models[name]
    call = runtime(data)
    found: Arrays = {}
    for each in calls(checkpoint, lengths):
        found = call({**each.inputs, **{key: found[output] for key, output in each.carried.items()}})
        agree(found, each.outputs, checkpoint.model)


@pytest.mark.slow
def test_onnxruntime_in_javascript_gives_them_too(
    models: dict[str, tuple[PairCheckpoint, bytes]], tmp_path: Path
) -> None:
    expected = [calls(checkpoint, (4, 1, 6)) for checkpoint, _ in models.values()]
    told = [[(each.inputs, each.carried) for each in wanted] for wanted in expected]
    found = in_javascript([data for _, data in models.values()], told, tmp_path)
    for results, wanted, (checkpoint, _) in zip(found, expected, models.values(), strict=True):
        for got, each in zip(results, wanted, strict=True):
            agree(got, each.outputs, checkpoint.model)


@pytest.mark.parametrize("name", ["coupled", "gru"])
def test_the_file_is_sound_and_its_encoder_runs_only_when_it_begins(
    models: dict[str, tuple[PairCheckpoint, bytes]], name: str
) -> None:
    _, data = models[name]
    model = onnx.load_from_string(data)
    onnx.checker.check_model(model, full_check=True)
    assert (model.ir_version, [each.version for each in model.opset_import]) == (8, [17])
    (branch,) = (node for node in model.graph.node if node.op_type == "If")
    kinds = {each.name: {node.op_type for node in each.g.node} for each in branch.attribute}
    recurrent = "GRU" if name == "gru" else "LSTM"
    assert recurrent in kinds["then_branch"] and kinds["else_branch"] == {"Identity"}
    assert sum(node.op_type == recurrent for node in model.graph.node) == 2
    assert not any(each.g.initializer for each in branch.attribute)


def test_the_metadata_has_both_vocabularies(models: dict[str, tuple[PairCheckpoint, bytes]]) -> None:
    session = onnxruntime.InferenceSession(models["gru"][1], providers=["CPUExecutionProvider"])
    told = {key: json.loads(value) for key, value in session.get_modelmeta().custom_metadata_map.items()}
    assert told == {
        "format": 1,
        "textgen": VERSION,
        "run": "random",
        "source_characters": list("abcd"),
        "source_unknown_id": 4,
        "source_end_id": 5,
        "characters": list("uvwxyz"),
        "unknown_id": None,
        "end_id": 6,
        "normalize": "none",
        "keep_newlines": False,
        "task": None,
        "cell": "gru",
        "encoder_layers": 2,
        "layers": 2,
        "units": 8,
        "states": ["h"],
        "val_loss": None,
    }


def test_the_program_in_the_docs_writes_what_rewrite_writes(
    pairs_run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    page = (ROOT / "docs" / "export.md").read_text(encoding="utf-8")
    (program,) = (each for each in re.findall(r"```python\n(.*?)```", page, re.DOTALL) if '"begin"' in each)
    export(pairs_run.path, to="onnx", output=tmp_path / "old_spelling.onnx")
    monkeypatch.chdir(tmp_path)
    exec(compile(program, "export.md", "exec"), {})
    text = re.search(r'text = "(.*)"', program)
    assert text is not None
    rewriter = textgen.load_rewriter(pairs_run.path)
    assert capsys.readouterr().out.rstrip("\n") == rewriter.rewrite(text[1], beam=1, longest=60)[0].text


def test_a_run_on_pairs_is_exported_as_keras_and_refused_as_a_page(pairs_run: Run, tmp_path: Path) -> None:
    import zipfile

    path = export(pairs_run.path, to="keras", output=tmp_path / "plain.keras")
    with zipfile.ZipFile(pairs_run.best) as ours, zipfile.ZipFile(path) as plain:
        assert plain.namelist() == ["metadata.json", "config.json", "model.weights.h5"]
        assert all(plain.read(name) == ours.read(name) for name in plain.namelist())
    with pytest.raises(ConfigError, match="old_spelling turns one text into another: export it as onnx or keras"):
        export(pairs_run.path, to="html", output=tmp_path / "page.html")
    done = judge(run("export", str(pairs_run.path), "--to", "html", "-o", str(tmp_path / "page.html")), 1)
    assert "turns one text into another" in done.err and not (tmp_path / "page.html").exists()

"""Models as plain Keras archives: Keras's members as they were, and nothing else."""

import json
import os
import subprocess
import sys
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from front_door import judge, run
from small_checkpoints import CONFIG, forge, metadata, refusal

from textgen.config import CELLS
from textgen.engine import Engine
from textgen.exporting import export
from textgen.model.read import read_checkpoint
from textgen.model.write import write_checkpoint

ROOT = Path(__file__).resolve().parents[2]
MEMBERS = ["metadata.json", "config.json", "model.weights.h5"]


@pytest.mark.parametrize("state", ["best", "last"])
def test_keras_s_members_are_copied_byte_for_byte(home: Path, tmp_path: Path, state: str) -> None:
    source = home / "checkpoints" / "tiny" / f"{state}.keras"
    path = export(source, to="keras", output=tmp_path / "plain.keras")
    with zipfile.ZipFile(source) as ours, zipfile.ZipFile(path) as plain:
        assert plain.namelist() == MEMBERS
        assert all(plain.read(name) == ours.read(name) for name in MEMBERS)
        assert all(each.compress_type == zipfile.ZIP_STORED for each in plain.infolist())
    assert export(source, to="keras", output=tmp_path / "again.keras").read_bytes() == path.read_bytes()


def test_keras_opens_it_with_the_weights(home: Path, tmp_path: Path) -> None:
    import keras

    path = export(home / "checkpoints" / "tiny", to="keras", output=tmp_path / "plain.keras")
    checkpoint = read_checkpoint(home / "checkpoints" / "tiny" / "best.keras")
    for got, expected in zip(keras.models.load_model(path).get_weights(), checkpoint.weights.arrays(), strict=True):
        np.testing.assert_array_equal(got, expected)


@pytest.mark.slow
def test_keras_opens_every_cell_where_textgen_is_not(tmp_path: Path) -> None:
    from textgen.training.keras_model import build_model

    ids = np.arange(10).reshape(2, 5) % CONFIG.vocab_size
    expected: dict[str, Any] = {}
    for cell in CELLS:
        config = CONFIG.replace(cell=cell)
        path = tmp_path / f"{cell}.keras"
        write_checkpoint(path, build_model(config, seed=1), metadata=metadata(config))
        engine = Engine(config, read_checkpoint(path).weights)
        odds = np.exp(engine.read(ids, engine.initial_state(2))[0])
        expected[cell] = odds / odds.sum(-1, keepdims=True)
        export(path, to="keras", output=tmp_path / f"plain_{cell}.keras")
    code = (
        "import sys, json; sys.modules['textgen'] = None; import keras, numpy as np; opened = {}\n"
        "def read(cell):\n"
        "    model = keras.models.load_model(f'plain_{cell}.keras')\n"
        "    opened[cell] = model(np.array(json.loads(sys.argv[1]))).numpy().tolist()\n"
        "for cell in sys.argv[2:]: read(cell)\n"
        "del sys.modules['textgen']; import textgen.peephole; read('peephole')\n"
        "print(json.dumps(opened))"
    )
    stock = [cell for cell in CELLS if cell != "peephole"]
    command = [sys.executable, "-P", "-c", code, json.dumps(ids.tolist()), *stock]
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    done = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, timeout=300)
    assert done.returncode == 0, done.stderr[-2000:]
    opened = json.loads(done.stdout)
    assert set(opened) == set(CELLS)
    for cell, odds in expected.items():
        np.testing.assert_allclose(opened[cell], odds, atol=1e-6)


def test_textgen_itself_no_longer_takes_it_for_a_checkpoint(home: Path, tmp_path: Path) -> None:
    path = export(home / "checkpoints" / "tiny", to="keras", output=tmp_path / "plain.keras")
    done = judge(run("sample", "--run", str(path)), 1)
    assert "textgen did not write it, it holds no textgen.json" in done.err


def test_a_member_that_is_missing_is_named(home: Path, tmp_path: Path) -> None:
    source = home / "checkpoints" / "tiny" / "best.keras"
    forged = forge(source, tmp_path / "forged.keras", members={"metadata.json": None})
    assert "it holds no metadata.json" in refusal(lambda: export(forged, to="keras", output=tmp_path / "plain.keras"))
    assert not (tmp_path / "plain.keras").exists()


def test_the_command_says_what_to_do_with_the_file(home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    folder = str(home / "checkpoints")
    done = judge(run("export", "tiny", "--to", "keras", "--checkpoints", folder, "-o", "plain.keras"), 0)
    assert done.out == ""
    size = Path("plain.keras").stat().st_size / 1e6
    assert done.err == f"The Keras model is in plain.keras ({size:,.1f} MB); open it with keras.saving.load_model.\n"
    taken = judge(run("export", "plain.keras", "--to", "keras", "-o", "plain.keras"), 1)
    assert "--output must be another file than the checkpoint" in taken.err

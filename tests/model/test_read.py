"""Reading a checkpoint that is damaged, foreign or hostile."""

import io
import json
import os
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from faults import EFFORT
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from small_checkpoints import CONFIG, STATE, forge, refusal, same, setting

from textgen.errors import CheckpointError
from textgen.model.keras_file import KERAS_CONFIG, WEIGHTS
from textgen.model.read import TRAINING_STATE, Checkpoint, read_checkpoint, read_metadata, read_training_state
from textgen.model.values import METADATA
from textgen.model.weights import ModelWeights

PEEPHOLE = {"module": "textgen.peephole", "class_name": "PeepholeLSTM", "registered_name": "textgen>PeepholeLSTM"}


class TestDamage:
    def test_damage_and_another_version_are_told_apart(self, good: Path, tmp_path: Path) -> None:
        newer = forge(good, tmp_path / "newer.keras", change=lambda values: values.update(format=2, textgen="9.0"))
        text = refusal(lambda: read_checkpoint(newer))
        assert text.startswith(f"{newer} has checkpoint format 2 (textgen 9.0); textgen ")
        assert text.endswith("reads format 1. Use the textgen that wrote it, or a newer one.")
        assert refusal(lambda: read_metadata(newer)) == text
        flipped = bytearray(good.read_bytes())
        flipped[flipped.index(b'"format": 1') + 10] = ord("2")
        (tmp_path / "flipped.keras").write_bytes(flipped)
        text = refusal(lambda: read_checkpoint(tmp_path / "flipped.keras"))
        assert "it is damaged, textgen.json in it is not what was written" in text

    @pytest.mark.parametrize("name", ["config.json", "metadata.json", WEIGHTS, TRAINING_STATE])
    def test_a_member_that_is_not_what_was_written(self, good: Path, tmp_path: Path, name: str) -> None:
        with zipfile.ZipFile(good) as file:
            data = bytearray(file.read(name))
        data[len(data) // 2] ^= 1
        path = forge(good, tmp_path / "a.keras", members={name: bytes(data)}, checksums=False)
        read = read_training_state if name == TRAINING_STATE else read_checkpoint
        assert f"it is damaged, {name} in it is not what was written" in refusal(lambda: read(path))

    def test_missing_and_added_members(self, good: Path, tmp_path: Path) -> None:
        for members in ({WEIGHTS: None}, {"more.bin": b"x"}, {TRAINING_STATE: None}):
            path = forge(good, tmp_path / "a.keras", members=members, checksums=False)
            assert "members are missing or were added" in refusal(lambda path=path: read_checkpoint(path))
        for name in (WEIGHTS, KERAS_CONFIG):
            path = forge(good, tmp_path / "a.keras", members={name: None})
            refusal(lambda path=path: read_checkpoint(path))

    def test_every_truncation_is_refused(self, good: Path, tmp_path: Path) -> None:
        data, path = good.read_bytes(), tmp_path / "a.keras"
        for length in [*range(0, len(data), 97), *range(len(data) - 30, len(data))]:
            path.write_bytes(data[:length])
            refusal(lambda: read_checkpoint(path))

    @settings(max_examples=200 * EFFORT, suppress_health_check=[HealthCheck.function_scoped_fixture])
    @given(data=st.data())
    def test_a_flipped_bit_is_refused_or_changes_nothing(self, good: Path, tmp_path: Path, data: st.DataObject) -> None:
        content = bytearray(good.read_bytes())
        bit = data.draw(st.integers(0, 8 * len(content) - 1))
        content[bit // 8] ^= 1 << bit % 8
        path = tmp_path / "a.keras"
        path.write_bytes(content)
        for read, expected in ((read_checkpoint, read_checkpoint(good)), (read_training_state, None)):
            try:
                found = read(path)
            except CheckpointError:
                continue
            if isinstance(found, Checkpoint):
                assert expected is not None
                assert same(found, expected)
            else:
                assert all(np.array_equal(found[name], array) for name, array in STATE.items())


class TestMalice:
    def test_a_keras_file_of_others(self, keras_model: Any, tmp_path: Path) -> None:
        keras_model.save(tmp_path / "a.keras")
        text = refusal(lambda: read_checkpoint(tmp_path / "a.keras"))
        assert "textgen did not write it, it holds no textgen.json" in text

    def test_a_json_document_that_is_no_object(self, good: Path, tmp_path: Path) -> None:
        with zipfile.ZipFile(tmp_path / "a.keras", "w") as file:
            file.writestr(METADATA, "[1]")
        assert "names no format" in refusal(lambda: read_checkpoint(tmp_path / "a.keras"))

    @pytest.mark.parametrize(
        "layer",
        [
            {"module": "keras.layers", "class_name": "Lambda", "config": {}},
            {"class_name": "__lambda__", "config": {"value": "code"}},
            {"module": "builtins", "class_name": "function", "config": "print"},
            {"module": "keras.layers", "class_name": "TFSMLayer", "config": {"filepath": "/"}},
            {"module": "os", "class_name": "system", "config": {}},
            {"module": None, "class_name": "Custom", "registered_name": "pack>Custom"},
            {"module": "kerastic", "class_name": "Dense"},
            {"module": "textgen.peephole", "class_name": "PeepholeLSTM"},
            {**PEEPHOLE, "module": "textgen"},
            {**PEEPHOLE, "module": "textgen.peephole.deeper"},
            {**PEEPHOLE, "class_name": "Other"},
            {**PEEPHOLE, "registered_name": "other>PeepholeLSTM"},
            {**PEEPHOLE, "class_name": ["PeepholeLSTM"]},
            {**PEEPHOLE, "config": {"kernel_initializer": {"module": "os", "class_name": "system"}}},
        ],
        ids=str,
    )
    def test_layers_that_can_run_code_are_refused(self, good: Path, tmp_path: Path, layer: dict[str, Any]) -> None:
        with zipfile.ZipFile(good) as file:
            config = json.loads(file.read(KERAS_CONFIG))
        config["config"]["layers"].append({"deep": [[layer]]})
        path = forge(good, tmp_path / "a.keras", members={KERAS_CONFIG: json.dumps(config).encode()})
        assert "can run code" in refusal(lambda: read_checkpoint(path))

    def test_a_real_lambda_layer_is_refused_and_not_run(self, good: Path, tmp_path: Path) -> None:
        import keras

        trace = str(tmp_path / "ran")
        evil = keras.Sequential([keras.Input((1,)), keras.layers.Lambda(lambda x: [Path(trace).touch(), x][1])])
        Path(trace).unlink()
        evil.save(tmp_path / "evil.keras")
        with zipfile.ZipFile(tmp_path / "evil.keras") as file:
            config = file.read(KERAS_CONFIG)
        path = forge(good, tmp_path / "a.keras", members={KERAS_CONFIG: config})
        assert "can run code" in refusal(lambda: read_checkpoint(path))
        assert not (tmp_path / "ran").exists()

    def test_pickled_training_state_is_refused_and_not_run(self, good: Path, tmp_path: Path) -> None:
        class Malicious:
            def __reduce__(self) -> Any:
                return (Path.touch, (tmp_path / "ran",))

        buffer = io.BytesIO()
        np.savez(buffer, a=np.array([Malicious()], dtype=object))
        path = forge(good, tmp_path / "a.keras", members={TRAINING_STATE: buffer.getvalue()})
        refusal(lambda: read_training_state(path))
        assert not (tmp_path / "ran").exists()

    @pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="named pipes")
    def test_links_and_virtual_and_packed_datasets_lead_nowhere(self, good: Path, tmp_path: Path) -> None:
        import h5py

        # Whoever opens the pipe waits for ever.
        os.mkfifo(tmp_path / "elsewhere.h5")
        buffer = io.BytesIO()
        with h5py.File(buffer, "w") as file:
            file["layers/embedding/vars/0"] = h5py.ExternalLink(str(tmp_path / "elsewhere.h5"), "/x")
            layout = h5py.VirtualLayout(shape=(10**9,), dtype="f4")
            layout[:] = h5py.VirtualSource(str(tmp_path / "elsewhere.h5"), "x", shape=(10**9,))
            file.create_virtual_dataset("virtual", layout)
            file.create_dataset("packed", (10**6,), "f4", chunks=True, compression="gzip", fillvalue=1.0)
            file.create_dataset("outside", (9,), "f4", external=[(str(tmp_path / "elsewhere.h5"), 0, 36)])
        hostile = buffer.getvalue() + bytes(4 * CONFIG.weights)
        zeros = {name: len(buffer.getvalue()) // 4 * 4 for name in ModelWeights.shapes(CONFIG)}
        path = forge(good, tmp_path / "a.keras", members={WEIGHTS: hostile}, change=setting("weights", value=zeros))
        assert all(not array.any() for array in read_checkpoint(path).weights.arrays())

    def test_numbers_that_are_none_are_refused(self, good: Path, tmp_path: Path) -> None:
        with zipfile.ZipFile(good) as file:
            data = bytearray(file.read(WEIGHTS))
        place = read_metadata(good).weights["recurrent_2/bias"]
        for value in (np.nan, np.inf, -np.inf):
            data[place : place + 4] = np.float32(value).tobytes()
            path = forge(good, tmp_path / "a.keras", members={WEIGHTS: bytes(data)})
            assert "recurrent_2/bias must hold finite numbers" in refusal(lambda path=path: read_checkpoint(path))

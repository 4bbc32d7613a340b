import copy
import errno
import io
import json
import os
import subprocess
import sys
import threading
import tracemalloc
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from faults import EFFORT, Disk, Killed
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from small_models import random_weights

from textgen import system
from textgen.config import CELLS, ModelConfig
from textgen.corpus.tokenizer import CharTokenizer
from textgen.engine import Engine
from textgen.errors import CheckpointError
from textgen.model.archive import npz, read_archive
from textgen.model.checkpoint import (
    METADATA,
    TRAINING_STATE,
    Checkpoint,
    describe,
    read_checkpoint,
    read_metadata,
    read_training_state,
    write_checkpoint,
)
from textgen.model.keras_file import KERAS_CONFIG, WEIGHTS
from textgen.model.weights import ModelWeights

ROOT = Path(__file__).resolve().parents[2]
TOKENIZER = CharTokenizer.from_text(["the sea, the ship é中🌊"])
CONFIG = ModelConfig(vocab_size=TOKENIZER.vocab_size, layers=2, cell="lstm", units=6, embedding=4)
STATE = {"slots/0": np.arange(12.0).reshape(3, 4), "step": np.array(7), "flags": np.array([True, False])}


PEEPHOLE = {"module": "textgen.peephole", "class_name": "PeepholeLSTM", "registered_name": "textgen>PeepholeLSTM"}


def metadata(config: ModelConfig = CONFIG, **more: Any) -> dict[str, Any]:
    return {"model": config.to_json(), "tokenizer": TOKENIZER.to_json(), **more}


@pytest.fixture(scope="module")
def keras_models() -> dict[str, Any]:
    """One small Keras model for each kind of cell."""
    from textgen.training.keras_model import build_model

    return {cell: build_model(CONFIG.replace(cell=cell), seed=n) for n, cell in enumerate(CELLS)}


@pytest.fixture(scope="module")
def keras_model(keras_models: dict[str, Any]) -> Any:
    return keras_models["lstm"]


@pytest.fixture(scope="module")
def good(keras_model: Any, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A whole checkpoint with a training state; tests read it and leave it as it is."""
    path = tmp_path_factory.mktemp("good") / "last.keras"
    write_checkpoint(path, keras_model, metadata=metadata(), training_state=STATE)
    return path


def refusal(action: Callable[[], Any]) -> str:
    """The one sentence, or two, with which an action is refused."""
    with pytest.raises(CheckpointError) as caught:
        action()
    text = str(caught.value)
    assert "\n" not in text
    assert len(text) < 1000
    return text


def same(first: Checkpoint, second: Checkpoint) -> bool:
    arrays = zip(first.weights.arrays(), second.weights.arrays(), strict=True)
    return first.metadata == second.metadata and all(np.array_equal(a, b) for a, b in arrays)


def forge(
    source: Path,
    target: Path,
    *,
    members: dict[str, bytes | None] | None = None,
    change: Callable[[dict[str, Any]], None] = lambda values: None,
    checksums: bool = True,
) -> Path:
    """A copy of a checkpoint with other members and metadata, and checksums that are right again unless told."""
    import hashlib

    with zipfile.ZipFile(source) as file:
        contents: dict[str, bytes | None] = {name: file.read(name) for name in file.namelist()}
    contents.update(members or {})
    values = json.loads(contents.pop(METADATA) or b"")
    kept = {name: data for name, data in contents.items() if data is not None}
    if checksums:
        values["members"] = {name: hashlib.sha256(data).hexdigest() for name, data in kept.items()}
    change(values)
    with zipfile.ZipFile(target, "w") as file:
        for name, data in {**kept, METADATA: json.dumps(values).encode()}.items():
            file.writestr(zipfile.ZipInfo(name), data)
    return target


class TestRoundTrip:
    @pytest.mark.parametrize("cell", CELLS)
    def test_the_weights_are_keras_s_own(self, keras_models: dict[str, Any], tmp_path: Path, cell: Any) -> None:
        path, config = tmp_path / "best.keras", CONFIG.replace(cell=cell)
        write_checkpoint(path, keras_models[cell], metadata=metadata(config))
        read = read_checkpoint(path)
        assert (read.path, read.model, read.tokenizer) == (path, config, TOKENIZER)
        expected = keras_models[cell].get_weights()
        assert len(expected) == (11 if cell == "peephole" else 9)
        for array, oracle in zip(read.weights.arrays(), expected, strict=True):
            np.testing.assert_array_equal(array, oracle)
        assert [path.name for path in tmp_path.iterdir()] == ["best.keras"]

    @pytest.mark.parametrize("config", [CONFIG.replace(layers=1), CONFIG.replace(layers=11, skip=False, dropout=0.0)])
    def test_any_number_of_layers_keeps_its_order(self, tmp_path: Path, config: ModelConfig) -> None:
        from textgen.training.keras_model import build_model

        model = build_model(config, seed=5)
        write_checkpoint(tmp_path / "best.keras", model, metadata=metadata(config))
        weights = read_checkpoint(tmp_path / "best.keras").weights
        for array, oracle in zip(weights.arrays(), model.get_weights(), strict=True):
            np.testing.assert_array_equal(array, oracle)

    def test_metadata_comes_back_with_what_is_added(self, keras_model: Any, tmp_path: Path) -> None:
        given_metadata = metadata(
            training={"seed": 1, "clip_norm": float("inf")},
            corpus={"name": "sea"},
            metrics={"step": np.int64(3), "loss": np.float32(1.5), "val_loss": None},
            history=[{"step": 1, "loss": 2.0}],
            progress={"best": 1.25},
            created="2026-01-31T12:00:00+00:00",
        )
        write_checkpoint(tmp_path / "a.keras", keras_model, metadata=given_metadata)
        values = read_metadata(tmp_path / "a.keras")
        assert {name: values[name] for name in given_metadata} == given_metadata
        assert values["format"] == 1
        assert values["versions"]["keras"]
        assert set(values["members"]) == {"config.json", "metadata.json", "model.weights.h5"}

    def test_without_a_date_the_file_is_dated_now(self, good: Path) -> None:
        import datetime

        age = datetime.datetime.now(datetime.UTC) - datetime.datetime.fromisoformat(read_metadata(good)["created"])
        assert datetime.timedelta(seconds=-2) < age < datetime.timedelta(hours=1)

    def test_the_training_state_comes_back(self, good: Path) -> None:
        read = read_training_state(good)
        assert set(read) == set(STATE)
        for name, array in STATE.items():
            assert read[name].dtype == array.dtype
            np.testing.assert_array_equal(read[name], array)

    def test_a_model_alone_cannot_be_continued(self, keras_model: Any, tmp_path: Path) -> None:
        write_checkpoint(tmp_path / "best.keras", keras_model, metadata=metadata())
        assert "Continue from the run's last.keras" in refusal(lambda: read_training_state(tmp_path / "best.keras"))

    def test_describe_tells_shape_and_vocabulary(self, good: Path) -> None:
        told = describe(good)
        assert told["weights"] == CONFIG.weights
        assert told["model"] == CONFIG.to_json()
        assert told["vocabulary"] == {
            "size": TOKENIZER.vocab_size,
            "characters": TOKENIZER.characters,
            "has_unknown": False,
        }
        json.dumps(told)

    def test_keras_opens_it_where_textgen_is_not(self, keras_models: dict[str, Any], tmp_path: Path) -> None:
        for cell, model in keras_models.items():
            write_checkpoint(tmp_path / f"{cell}.keras", model, metadata=metadata(CONFIG.replace(cell=cell)))
        ids = np.arange(10).reshape(2, 5) % CONFIG.vocab_size
        code = (
            "import sys, json; sys.modules['textgen'] = None; import keras, numpy as np; opened = {}\n"
            "def read(cell):\n"
            "    model = keras.saving.load_model(f'{cell}.keras')\n"
            "    opened[cell] = model(np.array(json.loads(sys.argv[1]))).numpy().tolist()\n"
            "for cell in sys.argv[2:]: read(cell)\n"
            "try: read('peephole')\n"
            "except TypeError as error: assert 'PeepholeLSTM' in str(error)\n"
            "else: raise AssertionError('Keras has a peephole layer of its own')\n"
            "del sys.modules['textgen']; import textgen.peephole; read('peephole')\n"
            "print(json.dumps(opened))"
        )
        stock = [cell for cell in CELLS if cell != "peephole"]
        command = [sys.executable, "-c", code, json.dumps(ids.tolist()), *stock]
        environment = {**os.environ, "PYTHONPATH": str(ROOT)}
        done = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, timeout=120)
        assert done.returncode == 0, done.stderr[-2000:]
        opened = json.loads(done.stdout)
        assert set(opened) == set(CELLS)
        for cell, model in keras_models.items():
            np.testing.assert_allclose(opened[cell], model(ids).numpy(), atol=1e-6)
            engine = Engine(CONFIG.replace(cell=cell), read_checkpoint(tmp_path / f"{cell}.keras").weights)
            odds = np.exp(engine.read(ids, engine.initial_state(2))[0])
            np.testing.assert_allclose(opened[cell], odds / odds.sum(-1, keepdims=True), atol=1e-6)

    def test_reading_needs_no_keras_and_no_hdf5(self, good: Path) -> None:
        code = (
            "import sys; from textgen.model.checkpoint import read_checkpoint, read_training_state;"
            "read_checkpoint(sys.argv[1]); read_training_state(sys.argv[1]);"
            "print(sorted({'keras', 'tensorflow', 'h5py', 'zipfile'} & set(sys.modules)))"
        )
        done = subprocess.run([sys.executable, "-c", code, good], cwd=ROOT, capture_output=True, timeout=60)
        assert done.stdout.decode().strip() == "[]", done.stderr

    def test_reading_holds_the_weights_once(self, tmp_path: Path) -> None:
        from textgen.training.keras_model import build_model

        config = CONFIG.replace(units=300, embedding=64)
        path = tmp_path / "best.keras"
        write_checkpoint(path, build_model(config), metadata=metadata(config))
        read_checkpoint(path)
        tracemalloc.start()
        try:
            read = read_checkpoint(path)
            peak = tracemalloc.get_traced_memory()[1]
        finally:
            tracemalloc.stop()
        assert 4 * read.model.weights > 4_000_000
        assert peak < 1.3 * path.stat().st_size


class TestWriting:
    def test_weights_that_are_no_numbers_are_not_written(self, tmp_path: Path) -> None:
        from textgen.training.keras_model import build_model

        model = build_model(CONFIG)
        path = tmp_path / "last.keras"
        write_checkpoint(path, model, metadata=metadata())
        before = path.read_bytes()
        model.get_layer("head").bias.assign(np.full(CONFIG.vocab_size, np.nan, np.float32))
        assert refusal(lambda: write_checkpoint(path, model, metadata=metadata())) == (
            f"{path} was not written: head/bias must hold finite numbers; got NaN or infinity. "
            "The checkpoint that was there is unharmed."
        )
        assert path.read_bytes() == before

    def test_a_model_of_another_shape_is_not_written(self, keras_model: Any, tmp_path: Path) -> None:
        other = metadata(CONFIG.replace(units=7))
        text = refusal(lambda: write_checkpoint(tmp_path / "a.keras", keras_model, metadata=other))
        assert "recurrent_1/kernel must be float32 of shape (4, 28)" in text
        assert list(tmp_path.iterdir()) == []

    def test_a_vocabulary_of_another_size_is_not_written(self, keras_model: Any, tmp_path: Path) -> None:
        other = {**metadata(), "tokenizer": CharTokenizer.from_text(["abc"]).to_json()}
        text = refusal(lambda: write_checkpoint(tmp_path / "a.keras", keras_model, metadata=other))
        assert f"its vocabulary has 3 ids where its model has {CONFIG.vocab_size}" in text
        assert list(tmp_path.iterdir()) == []

    def test_another_suffix_is_refused(self, keras_model: Any, tmp_path: Path) -> None:
        text = refusal(lambda: write_checkpoint(tmp_path / "a.h5", keras_model, metadata=metadata()))
        assert "must end in .keras" in text

    def test_a_missing_folder_and_a_folder_in_the_way(self, keras_model: Any, tmp_path: Path) -> None:
        missing = tmp_path / "missing" / "a.keras"
        assert "there is no such file or folder" in refusal(
            lambda: write_checkpoint(missing, keras_model, metadata=metadata())
        )
        taken = tmp_path / "taken.keras"
        taken.mkdir()
        assert "it is a folder, not a file" in refusal(
            lambda: write_checkpoint(taken, keras_model, metadata=metadata())
        )
        assert list(tmp_path.iterdir()) == [taken]

    def test_too_little_memory_is_one_sentence(self, keras_model: Any, tmp_path: Path, monkeypatch: Any) -> None:
        import keras

        def refuse(*_: Any) -> None:
            raise MemoryError

        monkeypatch.setattr(keras.saving, "save_model", refuse)
        text = refusal(lambda: write_checkpoint(tmp_path / "a.keras", keras_model, metadata=metadata()))
        assert text.endswith("there is not enough memory. Close other programs.")

    @pytest.mark.parametrize("lasting", [True, False], ids=["lasting", "once"])
    @pytest.mark.parametrize("fault", [errno.ENOSPC, errno.EACCES, errno.EIO, Killed], ids=str)
    def test_the_last_good_checkpoint_survives_every_fault(
        self, keras_models: dict[str, Any], good: Path, tmp_path: Path, fault: Any, lasting: bool
    ) -> None:
        path = tmp_path / "last.keras"
        old, old_bytes = read_checkpoint(good), good.read_bytes()
        changed = metadata(history=[{"step": 2}])

        def attempt(fail_at: int | None) -> tuple[Disk, BaseException | None]:
            path.write_bytes(old_bytes)
            with pytest.MonkeyPatch.context() as patch:
                make = Killed if fault is Killed else lambda: OSError(fault, "injected")
                disk = Disk(patch, fail_at=fail_at, error=make, lasting=lasting)
                try:
                    write_checkpoint(path, keras_models["lstm"], metadata=changed, training_state=STATE)
                except (CheckpointError, Killed) as error:
                    return disk, error
            return disk, None

        disk, error = attempt(None)
        assert error is None
        assert {"open", "write", "fsync", "replace", "open folder"} == set(disk.operations)
        moved = disk.operations.index("replace") + 1
        assert moved > 10
        for n in range(len(disk.operations)):
            _, error = attempt(n)
            found = read_checkpoint(path)
            # A fault that passes may be made good by Python's own second attempt when it closes a file.
            made_good = error is None and not lasting
            assert same(found, old) == (n < moved and not made_good)
            assert found.metadata["history"] == ([{"step": 2}] if n >= moved or made_good else [])
            if isinstance(error, CheckpointError):
                remedy = {errno.ENOSPC: "Free some space", errno.EIO: "Check it", errno.EACCES: "permission"}[fault]
                assert remedy in str(error) or ("Check the disk" in str(error) and not lasting)
                assert str(error).endswith("The checkpoint that was there is unharmed.")
            else:
                assert error is not None or made_good or (fault == errno.EACCES and n >= moved)
            if fault is not Killed:
                assert list(tmp_path.iterdir()) == [path]
            system.remove_leftovers(tmp_path)
            assert list(tmp_path.iterdir()) == [path]

    @pytest.mark.skipif(sys.platform == "win32", reason="resource limits")
    def test_a_real_limit_on_file_size_leaves_the_old_one(self, keras_model: Any, good: Path, tmp_path: Path) -> None:
        import resource
        import signal

        path = tmp_path / "last.keras"
        path.write_bytes(good.read_bytes())
        limits = resource.getrlimit(resource.RLIMIT_FSIZE)
        handler = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        try:
            for size in (0, 100, 8_000, 20_000, path.stat().st_size - 1):
                resource.setrlimit(resource.RLIMIT_FSIZE, (size, limits[1]))
                with pytest.raises(CheckpointError, match="larger than allowed here"):
                    write_checkpoint(path, keras_model, metadata=metadata(), training_state=STATE)
        finally:
            resource.setrlimit(resource.RLIMIT_FSIZE, limits)
            signal.signal(signal.SIGXFSZ, handler)
        assert same(read_checkpoint(path), read_checkpoint(good))
        assert list(tmp_path.iterdir()) == [path]

    def test_a_reader_always_sees_a_whole_checkpoint(self, good: Path, tmp_path: Path) -> None:
        other = forge(good, tmp_path / "other.keras", change=lambda values: values["history"].append({"step": 1}))
        path = tmp_path / "last.keras"
        versions = [good.read_bytes(), other.read_bytes()]
        path.write_bytes(versions[0])
        done = threading.Event()

        def keep_writing() -> None:
            for n in range(100):
                with system.atomic_write(path) as file:
                    for start in range(0, len(versions[n % 2]), 5000):
                        file.write(versions[n % 2][start : start + 5000])
            done.set()

        writer = threading.Thread(target=keep_writing)
        writer.start()
        seen = set()
        while not done.is_set():
            seen.add(len(read_checkpoint(path).metadata["history"]))
            assert set(read_training_state(path)) == set(STATE)
        writer.join()
        assert seen <= {0, 1}
        assert seen


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


def _set(*path: Any, value: Any) -> Callable[[dict[str, Any]], None]:
    def change(values: dict[str, Any]) -> None:
        for key in path[:-1]:
            values = values[key]
        values[path[-1]] = value

    return change


class TestMalice:
    @pytest.mark.parametrize(
        ("change", "sentence"),
        [
            (_set("model", "units", value=8192), "its model needs"),
            (_set("model", "layers", value=16), "does not say where recurrent_3/kernel lies"),
            (_set("model", "vocab_size", value=10**9), "vocab_size must be a whole number in [1, 1114113]"),
            (_set("model", "units", value=10**400), "units must be a whole number in [1, 8192]"),
            (_set("model", "units", value=-1), "units must be a whole number"),
            (_set("model", "units", value="6"), "units must be a whole number"),
            (_set("model", "cell", value=["lstm"]), "cell must be one of"),
            (_set("model", "cell", value={"a": []}), "cell must be one of"),
            (_set("model", "code", value="import os"), "made of known fields only"),
            (_set("model", "units", value="x" * 10_000_000), "units must be a whole number"),
            (_set("model", value=[]), "is not as textgen writes it at 'model'"),
            (_set("model", value={}), "ModelConfig must hold all of its fields"),
            (_set("model", "vocab_size", value=CONFIG.vocab_size + 1), "ids where its model has"),
            (_set("tokenizer", value={}), "its vocabulary is not one that textgen writes"),
            (_set("tokenizer", value={"characters": 5, "has_unknown": {}}), "its vocabulary is not one"),
            (_set("tokenizer", value=None), "is not as textgen writes it at 'tokenizer'"),
            (_set("tokenizer", value=CharTokenizer.from_text(["abc"]).to_json()), "its vocabulary has 3 ids"),
            (_set("weights", value={}), "does not say where embedding/embeddings lies"),
            (_set("weights", "head/bias", value=10**9), "does not say where head/bias lies"),
            (_set("weights", "head/bias", value=-4), "does not say where head/bias lies"),
            (_set("weights", "head/bias", value=1), "does not say where head/bias lies"),
            (_set("weights", "head/bias", value=4.0), "does not say where head/bias lies"),
            (_set("weights", "head/bias", value=True), "does not say where head/bias lies"),
            (_set("weights", "head/bias", value=None), "does not say where head/bias lies"),
            (_set("format", value=2), "has checkpoint format 2"),
            (_set("format", value=0), "has checkpoint format 0"),
            (_set("format", value=10**4000), "has checkpoint format unknown"),
            (_set("format", value="1"), "names no format"),
            (_set("format", value=True), "names no format"),
            (_set("history", value=[1]), "is not as textgen writes it at 'history'"),
            (_set("history", value={}), "is not as textgen writes it at 'history'"),
            (_set("members", value=[]), "is not as textgen writes it at 'members'"),
            (_set("members", WEIGHTS, value=None), "is not what was written"),
            (_set("metrics", value="x"), "is not as textgen writes it at 'metrics'"),
            (_set("created", value=5), "is not as textgen writes it at 'created'"),
        ],
        ids=lambda value: value if isinstance(value, str) else "",
    )
    def test_metadata_that_lies(self, good: Path, tmp_path: Path, change: Any, sentence: str) -> None:
        path = forge(good, tmp_path / "a.keras", change=change)
        tracemalloc.start()
        try:
            assert sentence in refusal(lambda: read_checkpoint(path))
            assert tracemalloc.get_traced_memory()[1] < 200_000 + 10 * path.stat().st_size
        finally:
            tracemalloc.stop()

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
        path = forge(good, tmp_path / "a.keras", members={WEIGHTS: hostile}, change=_set("weights", value=zeros))
        assert all(not array.any() for array in read_checkpoint(path).weights.arrays())

    def test_numbers_that_are_none_are_refused(self, good: Path, tmp_path: Path) -> None:
        with zipfile.ZipFile(good) as file:
            data = bytearray(file.read(WEIGHTS))
        place = read_metadata(good)["weights"]["recurrent_2/bias"]
        for value in (np.nan, np.inf, -np.inf):
            data[place : place + 4] = np.float32(value).tobytes()
            path = forge(good, tmp_path / "a.keras", members={WEIGHTS: bytes(data)})
            assert "recurrent_2/bias must hold finite numbers" in refusal(lambda path=path: read_checkpoint(path))

    @settings(max_examples=200 * EFFORT, suppress_health_check=[HealthCheck.function_scoped_fixture])
    @given(data=st.data())
    def test_any_metadata_is_read_or_refused(self, good: Path, tmp_path: Path, data: st.DataObject) -> None:
        scalars = st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5)
        values = st.recursive(scalars, lambda v: st.lists(v, max_size=3) | st.dictionaries(st.text(max_size=3), v))

        def change(document: dict[str, Any]) -> None:
            for _ in range(data.draw(st.integers(1, 3))):
                place: Any = document
                keys = data.draw(st.permutations(sorted(place)))[:1]
                while isinstance(place[keys[-1]], dict) and place[keys[-1]] and data.draw(st.booleans()):
                    place = place[keys[-1]]
                    keys = [data.draw(st.sampled_from(sorted(place)))]
                place[keys[-1]] = data.draw(values)

        path = forge(good, tmp_path / "a.keras", change=change)
        for read in (read_checkpoint, read_metadata, read_training_state, describe):
            try:
                found = read(path)
            except CheckpointError as error:
                assert "\n" not in str(error)
            else:
                if isinstance(found, Checkpoint):
                    found.weights.validate(found.model)


class TestWeights:
    def test_arrays_and_back(self, good: Path) -> None:
        weights = read_checkpoint(good).weights
        again = ModelWeights.from_arrays(weights.arrays())
        assert all(a is b for a, b in zip(weights.arrays(), again.arrays(), strict=True))
        assert [array.shape for array in weights.arrays()] == list(ModelWeights.shapes(CONFIG).values())
        assert sum(array.size for array in weights.arrays()) == CONFIG.weights

    @pytest.mark.parametrize("count", [0, 5, 7, 8])
    def test_another_number_of_arrays_is_an_error(self, count: int) -> None:
        with pytest.raises(ValueError, match=f"3 arrays and 3 for each layer; got {count}"):
            ModelWeights.from_arrays([np.zeros(1, np.float32)] * count)

    @pytest.mark.parametrize("cell", CELLS)
    @pytest.mark.parametrize("layers", [1, 2, 3, 4])
    @pytest.mark.parametrize("units", [1, 3, 4, 12])
    def test_every_cell_s_arrays_are_told_apart(self, cell: Any, layers: int, units: int) -> None:
        config = CONFIG.replace(cell=cell, layers=layers, units=units)
        weights = random_weights(config)
        assert len(weights.layers) == layers
        weights.validate(config)
        assert sum(array.size for array in weights.arrays()) == config.stored

    def test_a_coupled_cell_with_a_forget_gate_of_its_own_is_refused(
        self, keras_models: dict[str, Any], tmp_path: Path
    ) -> None:
        path = tmp_path / "best.keras"
        write_checkpoint(path, keras_models["lstm"], metadata=metadata(CONFIG))
        change = _set("model", "cell", value="coupled")
        said = refusal(lambda: read_checkpoint(forge(path, tmp_path / "forged.keras", change=change)))
        assert "recurrent_1/kernel of a coupled cell must hold a forget gate that is minus its input gate" in said

    def test_peepholes_belong_to_their_cell(self) -> None:
        lstm, peephole = (CONFIG.replace(cell=cell) for cell in ("lstm", "peephole"))
        with pytest.raises(ValueError, match="must hold peepholes for cell peephole"):
            random_weights(lstm).validate(peephole)
        with pytest.raises(ValueError, match="must hold no peepholes for cell lstm"):
            random_weights(peephole).validate(lstm)

    def test_validate_names_what_does_not_fit(self, good: Path) -> None:
        arrays = [array.copy() for array in read_checkpoint(good).weights.arrays()]
        ModelWeights.from_arrays(arrays).validate(CONFIG)
        with pytest.raises(ValueError, match="must have 3 recurrent layers; got 2"):
            ModelWeights.from_arrays(arrays).validate(CONFIG.replace(layers=3))
        for n, name in enumerate(ModelWeights.shapes(CONFIG)):
            for wrong in (arrays[n].astype(np.float64), arrays[n][:-1], np.full_like(arrays[n], np.inf)):
                changed = [*copy.copy(arrays)[:n], wrong, *arrays[n + 1 :]]
                with pytest.raises(ValueError, match=f"{name} must"):
                    ModelWeights.from_arrays(changed).validate(CONFIG)


def test_the_index_is_right_for_a_training_state_of_any_size(keras_model: Any, tmp_path: Path) -> None:
    path = tmp_path / "last.keras"
    state = {f"slot/{n}": np.full(n, n, np.float32) for n in range(300)}
    write_checkpoint(path, keras_model, metadata=metadata(), training_state=state)
    read = read_training_state(path)
    assert all(np.array_equal(read[name], array) for name, array in state.items())
    with read_archive(path) as archive:
        assert archive.read(TRAINING_STATE) == npz(state)

"""Writing a checkpoint: what comes back is what was written, and a fault leaves the old file."""

import errno
import json
import os
import subprocess
import sys
import threading
import tracemalloc
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from faults import Disk, Killed
from small_checkpoints import CONFIG, STATE, TOKENIZER, forge, metadata, refusal, same

from textgen import system
from textgen.config import CELLS, ModelConfig
from textgen.corpus.tokenizer import CharTokenizer
from textgen.engine import Engine
from textgen.errors import CheckpointError
from textgen.model.archive import npz, read_archive
from textgen.model.description import CorpusDescription
from textgen.model.read import TRAINING_STATE, describe, read_checkpoint, read_metadata, read_training_state
from textgen.model.results import Metrics, Validation
from textgen.model.weights import ModelWeights
from textgen.model.write import write_checkpoint
from textgen.system.versions import VERSION, loaded_versions

ROOT = Path(__file__).resolve().parents[2]


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

    def test_metadata_comes_back_with_what_is_filled_in(self, keras_model: Any, tmp_path: Path) -> None:
        written = metadata(
            training={"seed": 1, "clip_norm": float("inf")},
            corpus=CorpusDescription(name="sea"),
            metrics=Metrics(step=3, loss=1.5),
            history=(Validation(step=1, loss=2.0),),
            created="2026-01-31T12:00:00+00:00",
        )
        write_checkpoint(tmp_path / "a.keras", keras_model, metadata=written)
        read = read_metadata(tmp_path / "a.keras")
        filled = {name: getattr(read, name) for name in ("versions", "textgen", "members", "weights")}
        assert read == replace(written, **filled)
        assert read.textgen == VERSION
        assert read.versions == loaded_versions()
        assert read.versions["keras"]
        assert set(read.members) == {"config.json", "metadata.json", "model.weights.h5"}
        assert set(read.weights) == set(ModelWeights.shapes(CONFIG))

    def test_without_a_date_the_file_is_dated_now(self, good: Path) -> None:
        import datetime

        age = datetime.datetime.now(datetime.UTC) - datetime.datetime.fromisoformat(read_metadata(good).created)
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
            "has_end": False,
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
            exponentials = np.exp(engine.read(ids, engine.initial_state(2))[0])
            np.testing.assert_allclose(opened[cell], exponentials / exponentials.sum(-1, keepdims=True), atol=1e-6)

    def test_reading_needs_no_keras_and_no_hdf5(self, good: Path) -> None:
        code = (
            "import sys; from textgen.model.read import read_checkpoint, read_training_state;"
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
        other = replace(metadata(), tokenizer=CharTokenizer.from_text(["abc"]))
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
        changed = metadata(history=(Validation(step=2),))

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
            assert found.metadata.history == (changed.history if n >= moved or made_good else ())
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
            seen.add(len(read_checkpoint(path).metadata.history))
            assert set(read_training_state(path)) == set(STATE)
        writer.join()
        assert seen <= {0, 1}
        assert seen


def test_the_index_is_right_for_a_training_state_of_any_size(keras_model: Any, tmp_path: Path) -> None:
    path = tmp_path / "last.keras"
    state = {f"slot/{n}": np.full(n, n, np.float32) for n in range(300)}
    write_checkpoint(path, keras_model, metadata=metadata(), training_state=state)
    read = read_training_state(path)
    assert all(np.array_equal(read[name], array) for name, array in state.items())
    with read_archive(path) as archive:
        assert archive.read(TRAINING_STATE) == npz(state)

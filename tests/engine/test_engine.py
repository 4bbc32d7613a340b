"""The network in NumPy against a slow oracle and against Keras's own layers."""

import itertools
import os
import pickle
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from small_models import random_weights, slow_logits

from textgen.config import CELLS, ModelConfig
from textgen.engine import Engine, layer
from textgen.engine.matrix import COLUMNS, Matrix
from textgen.errors import ConfigError

SHAPE: dict[str, Any] = {"vocab_size": 17, "units": 20, "embedding": 6}


def assert_close(actual: np.ndarray, expected: np.ndarray) -> None:
    np.testing.assert_allclose(actual, expected, rtol=0, atol=1e-5)


def texts(batch: int, time: int, vocab: int = 17) -> np.ndarray:
    return np.random.default_rng(1).integers(0, vocab, (batch, time))


def stepped(engine: Engine, ids: np.ndarray) -> np.ndarray:
    state, logits = engine.initial_state(len(ids)), []
    for column in ids.T:
        each, state = engine.step(column, state)
        logits.append(each)
    return np.stack(logits, axis=1)


@pytest.fixture(params=["table", "no table", "no small kernels"])
def either(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Runs with the first layer's look-up table, without it as for a large vocabulary, and as with another BLAS."""
    small = request.param != "no small kernels"
    monkeypatch.setattr("textgen.engine.matrix.has_small_kernels", lambda: small)
    monkeypatch.setattr("textgen.engine.engine.has_small_kernels", lambda: small)
    if request.param == "no table":
        monkeypatch.setattr(layer, "_TABLE", 0)


@pytest.mark.usefixtures("either")
@pytest.mark.parametrize("skip", [False, True])
@pytest.mark.parametrize("layers", [1, 2, 3, 4])
@pytest.mark.parametrize("cell", CELLS)
def test_logits_are_those_of_the_slow_obvious_network(cell: Any, layers: int, skip: bool) -> None:
    config = ModelConfig(**SHAPE, cell=cell, layers=layers, skip=skip)
    weights = random_weights(config)
    engine = Engine(config, weights)
    ids = texts(batch=6, time=30)
    expected = np.stack([slow_logits(config, weights, row) for row in ids])
    for batch in (1, 3, 6):
        assert_close(stepped(engine, ids[:batch]), expected[:batch])
        assert_close(engine.read(ids[:batch], engine.initial_state(batch))[0], expected[:batch])


@pytest.mark.usefixtures("either")
@pytest.mark.parametrize("cell", CELLS)
def test_the_state_starts_anew_before_a_records_end_is_read(cell: Any) -> None:
    config = ModelConfig(**SHAPE, cell=cell, layers=2)
    weights = random_weights(config)
    engine = Engine(config, weights, end_id=16)
    ids = np.where(np.random.default_rng(2).random((6, 30)) < 0.2, 16, texts(batch=6, time=30, vocab=16))
    ids[:2, 0], ids[2, 3:6] = 16, 16

    def in_records(row: np.ndarray) -> np.ndarray:
        cuts = [0, *(np.flatnonzero(row[1:] == 16) + 1), len(row)]
        return np.concatenate([slow_logits(config, weights, row[a:b]) for a, b in itertools.pairwise(cuts)])

    expected = np.stack([in_records(row) for row in ids])
    for batch in (1, 3, 6):
        assert_close(stepped(engine, ids[:batch]), expected[:batch])
        logits, state = engine.read(ids[:batch, :17], engine.initial_state(batch))
        assert_close(logits, expected[:batch, :17])
        assert_close(engine.read(ids[:batch, 17:], state)[0], expected[:batch, 17:])
    alone = in_records(ids[0])
    traces, state = engine.observe(ids[:1], engine.initial_state(1))
    summed = np.sum([trace.output[0] for trace in traces], axis=0)
    assert_close(summed @ weights.head_kernel + weights.head_bias, alone)
    again = pickle.loads(pickle.dumps(engine))
    assert_close(again.read(ids, again.initial_state(6))[0], expected)


@pytest.mark.usefixtures("either")
@pytest.mark.parametrize("folded", [True, False])
@pytest.mark.parametrize("cell", CELLS)
def test_labels_are_added_to_every_character(cell: Any, folded: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    if not folded:
        monkeypatch.setattr("textgen.engine.lane._FOLDED", 0)
    config = ModelConfig(**SHAPE, cell=cell, layers=2, labels=3)
    weights = random_weights(config)
    engine = Engine(config, weights, end_id=16)
    ids = texts(batch=6, time=12, vocab=16)
    ids[:, 0] = 16
    labels = np.array([[1, 0, 0], [0, 1, 0], [0.3, 0, 0.7], [0, 0, 0], [1, 0, 0], [0, 1, 1]], np.float32)
    expected = np.stack([slow_logits(config, weights, *each) for each in zip(ids, labels, strict=True)])
    for batch in (1, 3, 6):
        state = engine.initial_state(batch, labels=labels[:batch])
        assert_close(engine.read(ids[:batch], state)[0], expected[:batch])
        state = engine.initial_state(batch, labels=labels[:batch])
        for time in range(ids.shape[1]):
            logits, state = engine.step(ids[:batch, time], state.copy())
            assert_close(logits, expected[:batch, time])
    _, state = engine.read(ids[:, :7], engine.initial_state(6, labels=labels))
    rows = [5, 1, 1, 3]
    assert_close(engine.read(ids[rows, 7:], state.take(rows))[0], expected[rows, 7:])
    again = pickle.loads(pickle.dumps(state))
    assert_close(engine.read(ids[:, 7:], again)[0], expected[:, 7:])
    alike = engine.read(ids[:2], engine.initial_state(2, labels=labels[0]))[0]
    assert_close(alike, np.stack([slow_logits(config, weights, row, labels[0]) for row in ids[:2]]))
    unlabelled = engine.read(ids[:1], engine.initial_state(1))[0]
    assert_close(unlabelled[0], slow_logits(config, weights, ids[0]))


def test_labels_of_a_network_without_any_are_refused() -> None:
    config = ModelConfig(**SHAPE)
    with pytest.raises(ValueError, match="without labels"):
        Engine(config, random_weights(config)).initial_state(1, labels=np.ones(3, np.float32))


@pytest.fixture(scope="module")
def keras() -> Iterator[Any]:
    keras = pytest.importorskip("keras")
    yield keras
    keras.backend.clear_session()


@pytest.mark.parametrize("layers", [1, 2, 3, 4])
@pytest.mark.parametrize("cell", CELLS)
def test_logits_are_those_of_keras_over_a_whole_text(keras: Any, cell: Any, layers: int) -> None:
    config = ModelConfig(**SHAPE, cell=cell, layers=layers)
    weights = random_weights(config)
    from textgen.training.keras_model import layer_class

    inputs = keras.Input((None,), dtype="int32")
    flow = keras.layers.Embedding(config.vocab_size, config.embedding)(inputs)
    outputs = []
    for _ in range(layers):
        flow = layer_class(cell)(config.units, return_sequences=True)(flow)
        outputs.append(flow)
    head = keras.layers.Dense(config.vocab_size)
    summed = keras.layers.Add()(outputs) if layers > 1 else flow
    model = keras.Model(inputs, [head(flow), head(summed)])
    model.set_weights(weights.arrays())
    ids = texts(batch=2, time=30)

    for skip, expected in zip((False, True), model(ids), strict=True):
        engine = Engine(config.replace(skip=skip), weights)
        assert_close(engine.read(ids, engine.initial_state(2))[0], np.asarray(expected))


def test_many_rows_are_shared_out_over_threads_and_stay_right(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("textgen.engine.matrix.has_small_kernels", lambda: True)
    monkeypatch.setattr("textgen.engine.engine.has_small_kernels", lambda: True)
    monkeypatch.setattr("textgen.engine.engine._STEP", 1)
    monkeypatch.setattr("textgen.engine.engine._READ", 1)
    config = ModelConfig(**SHAPE)
    weights = random_weights(config)
    ids = texts(batch=37, time=5)
    expected = np.stack([slow_logits(config, weights, row) for row in ids])
    for threads in (1, 2, 5):
        engine = Engine(config, weights, threads=threads)
        assert_close(stepped(engine, ids), expected)
        assert_close(engine.read(ids, engine.initial_state(37))[0], expected)


@pytest.mark.parametrize("kind", ["table", "no table", "labels"])
@pytest.mark.parametrize("cell", CELLS)
def test_a_batch_is_stepped_by_threads_that_divide_the_units(
    cell: Any, kind: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("textgen.engine.matrix.has_small_kernels", lambda: False)
    monkeypatch.setattr("textgen.engine.engine.has_small_kernels", lambda: False)
    monkeypatch.setattr("textgen.engine.engine.can_choose_threads", lambda: True)
    monkeypatch.setattr("textgen.engine.engine._STEP", 1)
    monkeypatch.setattr("textgen.engine.engine._UNITS", 6)
    if kind == "no table":
        monkeypatch.setattr(layer, "_TABLE", 0)
    config = ModelConfig(**SHAPE, cell=cell, layers=3, skip=kind == "table", labels=3 * (kind == "labels"))
    weights = random_weights(config)
    ids = texts(batch=17, time=8)
    labels = np.random.default_rng(3).random((17, 3)).astype(np.float32) if kind == "labels" else None
    each = labels if labels is not None else [None] * 17
    expected = np.stack([slow_logits(config, weights, *pair) for pair in zip(ids, each, strict=True)])
    for threads in (2, 3):
        engine = Engine(config, weights, threads=threads)
        state, logits = engine.initial_state(17, labels=labels), []
        for column in ids.T:
            found, state = engine.step(column, state)
            logits.append(found)
        assert [plan.units is not None for plan in state.plans.values()] == [True]
        assert_close(np.stack(logits, axis=1), expected)
        # The state goes on in a batch of another size.
        rest, _ = engine.read(ids[:3], state.take([0, 1, 2]))
        further = [
            slow_logits(config, weights, np.tile(row, 2), *([] if own is None else [own]))[8:]
            for row, own in zip(ids[:3], each, strict=False)
        ]
        assert_close(rest, np.stack(further))


def test_reading_in_segments_is_reading_at_once() -> None:
    config = ModelConfig(**SHAPE, cell="gru")
    engine = Engine(config, random_weights(config))
    ids = texts(batch=1, time=2500)
    whole, end = engine.read(ids, engine.initial_state(1))
    state, parts = engine.initial_state(1), []
    for start, stop in ((0, 1), (1, 1400), (1400, 2500)):
        part, state = engine.read(ids[:, start:stop], state)
        parts.append(part)
    assert_close(np.concatenate(parts, axis=1), whole)
    assert_close(state.hidden, end.hidden)


def test_reading_can_return_the_last_logits_alone() -> None:
    config = ModelConfig(**SHAPE)
    engine = Engine(config, random_weights(config))
    for time in (1, 7, 1100):
        ids = texts(batch=2, time=time)
        logits, state = engine.read(ids, engine.initial_state(2))
        last, last_state = engine.read(ids, engine.initial_state(2), last=True)
        assert_close(last, logits[:, -1])
        np.testing.assert_array_equal(last_state.cell_state, state.cell_state)


def test_a_copy_of_a_state_stays_while_the_state_moves_on() -> None:
    config = ModelConfig(**SHAPE)
    engine = Engine(config, random_weights(config))
    _, state = engine.step([1, 2], engine.initial_state(2))
    kept = state.copy()
    before = kept.hidden.copy()
    first, state = engine.step([3, 4], state)
    np.testing.assert_array_equal(kept.hidden, before)
    again, _ = engine.step([3, 4], kept)
    np.testing.assert_array_equal(again, first)
    assert not np.array_equal(state.hidden, before)


def test_rows_of_a_state_can_be_taken_repeated_and_replaced() -> None:
    config = ModelConfig(**SHAPE)
    engine = Engine(config, random_weights(config))
    ids = texts(batch=3, time=9)
    _, state = engine.read(ids, engine.initial_state(3))
    expected = engine.step([1, 1, 1], state.copy())[0]

    taken = state.take([2, 0, 2])
    assert taken.batch == 3
    assert_close(engine.step([1, 1, 1], taken)[0], expected[[2, 0, 2]])

    _, alone = engine.read(ids[:1], engine.initial_state(1))
    state.put(1, alone)
    assert_close(engine.step([1, 1, 1], state)[0], expected[[0, 0, 2]])


def test_returned_logits_are_not_overwritten_by_the_next_step() -> None:
    config = ModelConfig(**SHAPE)
    engine = Engine(config, random_weights(config))
    for batch in (1, 3):
        first, state = engine.step([1] * batch, engine.initial_state(batch))
        kept = first.copy()
        engine.step([2] * batch, state)
        np.testing.assert_array_equal(first, kept)


def test_an_engine_needs_nothing_of_the_arrays_it_was_made_from() -> None:
    config = ModelConfig(**SHAPE)
    weights = random_weights(config)
    engine = Engine(config, weights)
    expected, _ = engine.step([1], engine.initial_state(1))
    for array in weights.arrays():
        array.fill(np.nan)
    np.testing.assert_array_equal(engine.step([1], engine.initial_state(1))[0], expected)


def test_wrong_shapes_are_errors() -> None:
    config = ModelConfig(**SHAPE)
    engine = Engine(config, random_weights(config))
    with pytest.raises(ValueError, match="3 texts like the state; got 2"):
        engine.step([1, 2], engine.initial_state(3))
    for ids in (np.zeros((2, 4), int), np.zeros((3, 0), int), np.zeros(3, int)):
        with pytest.raises(ValueError, match="3 texts like the state"):
            engine.read(ids, engine.initial_state(3))
    with pytest.raises(ConfigError, match="recurrent layers"):
        Engine(config.replace(layers=3), random_weights(config))


@settings(deadline=None, max_examples=40)
@given(st.integers(1, 40), st.integers(1, 200), st.sampled_from([1, 2, 63, 500, 1030, 3000]), st.integers(0, 2**32 - 1))
def test_small_products_add_up_to_the_whole_one(rows: int, columns: int, inputs: int, seed: int) -> None:
    rng = np.random.default_rng(seed)
    matrix = Matrix.zeros(inputs, columns)
    matrix.values[:, :columns] = rng.standard_normal((inputs, columns))
    x = rng.standard_normal((rows, inputs + 3)).astype(np.float32)[:, 1:-2]
    out = np.full((rows, matrix.columns), np.nan, np.float32)
    matrix.times(x, out)
    expected = x.astype(np.float64) @ matrix.values.astype(np.float64)
    assert matrix.columns % COLUMNS == 0
    np.testing.assert_allclose(out, expected, atol=1e-3)

    bound = np.full_like(out, np.nan)
    matrix.bind(x, bound)()
    np.testing.assert_allclose(bound, expected, atol=1e-3)
    one, quiet = np.full((2, matrix.columns), np.nan, np.float32)
    matrix.bind(x[0], one)()
    matrix.bind(x[0], quiet, quietly=True)()
    np.testing.assert_allclose(one, expected[0], atol=1e-3)
    np.testing.assert_array_equal(quiet, one)


@pytest.mark.parametrize("cell", CELLS)
def test_one_text_has_the_same_logits_bit_for_bit_with_any_number_of_threads(cell: str, tmp_path: Path) -> None:
    program = f"""
import hashlib
import numpy as np
from small_models import random_weights
from textgen.config import ModelConfig
from textgen.engine import Engine
config = ModelConfig(vocab_size=101, layers=2, units=200, embedding=64, cell={cell!r})
engine = Engine(config, random_weights(config), threads=int(__import__("sys").argv[1]))
ids = np.random.default_rng(2).integers(0, 101, 300)
logits, state = engine.read(ids[None, :200], engine.initial_state(1))
digest = hashlib.sha256(logits.tobytes())
quiet, alone = engine.read(ids[None, :200], engine.initial_state(1, quiet=True))
assert np.array_equal(quiet, logits)
for each in ids[200:]:
    logits, state = engine.step([each], state)
    digest.update(logits.tobytes())
    quiet, alone = engine.step([each], alone)
    assert np.array_equal(quiet, logits)
print(digest.hexdigest())
"""
    seen = set()
    for threads in ("1", "2", "3", "4"):
        names = ("OPENBLAS_NUM_THREADS", "OMP_NUM_THREADS", "MKL_NUM_THREADS", "VECLIB_MAXIMUM_THREADS")
        path = os.pathsep.join([str(Path(__file__).parents[1] / "support"), str(Path(__file__).parents[2])])
        environment = os.environ | dict.fromkeys(names, threads) | {"PYTHONPATH": path}
        run = subprocess.run(
            [sys.executable, "-c", program, threads], env=environment, cwd=tmp_path, capture_output=True, text=True
        )
        assert run.returncode == 0, run.stderr
        seen.add(run.stdout)
    assert len(seen) == 1

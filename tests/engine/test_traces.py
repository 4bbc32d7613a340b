"""Traces of the layers, against the slow cells and against an engine that is not observed."""

from typing import Any

import numpy as np
import pytest
from slow_cells import STATES
from slow_traces import slow_traces
from small_models import random_weights

from textgen.config import CELLS, ModelConfig
from textgen.engine import Engine, layer
from textgen.model.weights import ModelWeights


def made(cell: Any, **shape: Any) -> tuple[ModelConfig, ModelWeights, Engine]:
    config = ModelConfig(**{"vocab_size": 17, "units": 20, "embedding": 6, "layers": 2, "cell": cell, **shape})
    weights = random_weights(config, scale=2.0)
    return config, weights, Engine(config, weights)


@pytest.mark.parametrize("table", [True, False])
@pytest.mark.parametrize("batch", [1, 3])
@pytest.mark.parametrize("cell", CELLS)
def test_states_and_gates_are_those_of_the_papers(
    cell: Any, batch: int, table: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    if not table:
        monkeypatch.setattr(layer, "_TABLE", 0)
    config, weights, engine = made(cell)
    ids = np.random.default_rng(1).integers(0, 17, (batch, 30))
    traces, _ = engine.observe(ids, engine.initial_state(batch))
    for row in range(batch):
        for trace, expected in zip(traces, slow_traces(config, weights, ids[row]), strict=True):
            remembers = STATES[cell] == 2
            found = {
                "output": trace.output,
                **({"cell_state": trace.cell_state} if remembers else {}),
                **trace.gates,
            }
            assert set(found) == set(expected[0]) - (set() if remembers else {"cell_state"})
            for name, values in found.items():
                np.testing.assert_allclose(values[row], [step[name] for step in expected], atol=1e-5)


@pytest.mark.parametrize("cell", CELLS)
def test_the_state_is_the_bounded_cell_state_or_else_the_output(cell: Any) -> None:
    _, _, engine = made(cell)
    traces, _ = engine.observe(np.array([[1, 2, 3, 4]]), engine.initial_state(1))
    for trace in traces:
        expected = np.tanh(trace.cell_state) if STATES[cell] == 2 else trace.output
        np.testing.assert_array_equal(trace.state, expected)
        assert trace.state.shape == (1, 4, 20)


@pytest.mark.parametrize("cell", CELLS)
def test_being_observed_changes_nothing(cell: Any) -> None:
    _, _, engine = made(cell, skip=True, layers=3)
    ids = np.random.default_rng(2).integers(0, 17, (2, 9))
    watched, unwatched = engine.initial_state(2), engine.initial_state(2)
    traces, watched = engine.observe(ids, watched)
    engine.read(ids, unwatched)
    np.testing.assert_array_equal(watched.hidden, unwatched.hidden)
    np.testing.assert_array_equal(watched.cell_state, unwatched.cell_state)
    np.testing.assert_array_equal(traces[-1].output[:, -1], watched.hidden[:, -20:])
    np.testing.assert_array_equal(engine.read(ids, watched)[0], engine.read(ids, unwatched)[0])


def test_a_text_may_be_observed_in_parts() -> None:
    _, _, engine = made("lstm")
    ids = np.random.default_rng(3).integers(0, 17, (1, 40))
    whole, _ = engine.observe(ids, engine.initial_state(1))
    state, parts = engine.initial_state(1), []
    for start in range(0, 40, 7):
        traces, state = engine.observe(ids[:, start : start + 7], state)
        parts.append(traces[1].gates["forget"])
    np.testing.assert_allclose(np.concatenate(parts, axis=1), whole[1].gates["forget"], atol=1e-6)


def test_a_trace_is_not_overwritten_by_the_next() -> None:
    _, _, engine = made("gru")
    traces, state = engine.observe(np.array([[1, 2]]), engine.initial_state(1))
    kept = [trace.output.copy() for trace in traces], traces[0].gates["reset"].copy()
    engine.observe(np.array([[3, 4]]), state)
    np.testing.assert_array_equal(traces[1].output, kept[0][1])
    np.testing.assert_array_equal(traces[0].gates["reset"], kept[1])


@pytest.mark.parametrize("ids", [np.zeros((1, 0), int), np.zeros((2, 3), int), np.zeros(3, int)])
def test_ids_of_another_shape_are_refused(ids: np.ndarray) -> None:
    _, _, engine = made("lstm")
    with pytest.raises(ValueError, match="ids must be"):
        engine.observe(ids, engine.initial_state(1))

"""The two engines and the joint head of a model of both sides, against a slow oracle."""

import copy
import pickle

import numpy as np
import pytest
from small_models import random_weights, slow_logits

from textgen.config import CELLS, ModelConfig
from textgen.engine import Engine, sides
from textgen.engine.sides import JointHead, read_sides, score_sides
from textgen.errors import ConfigError
from textgen.model.weights import ModelWeights

VOCAB = 9


def model(cell: str = "coupled", **changes: object) -> tuple[ModelConfig, ModelWeights]:
    shape = {"vocab_size": VOCAB, "cell": cell, "layers": 2, "units": 6, "embedding": 4, "sides": "both"}
    config = ModelConfig(**{**shape, **changes})
    return config, random_weights(config, seed=3, scale=2.0)


def parts(config: ModelConfig, weights: ModelWeights, end_id: int | None = None) -> tuple[Engine, Engine, JointHead]:
    assert weights.backward is not None
    assert weights.joint is not None
    half = config.forwards
    return (
        Engine(half, weights.forwards, end_id=end_id),
        Engine(half, weights.backward, end_id=end_id),
        JointHead(weights.joint),
    )


def softmax(logits: np.ndarray) -> np.ndarray:
    return logits - np.log(np.exp(logits).sum(-1, keepdims=True))


def slow_outputs(config: ModelConfig, weights: ModelWeights, ids: np.ndarray) -> np.ndarray:
    """The head's input after each id: the logits of a head that passes its input on."""
    units = config.units
    passing = ModelWeights(weights.embedding, weights.layers, np.eye(units, dtype=np.float32), np.zeros(units))
    return slow_logits(config, passing, ids)


def slow_sides(config: ModelConfig, weights: ModelWeights, text: np.ndarray) -> list[np.ndarray]:
    """The three predictions of every id but the first and the last, one prefix and one suffix at a time."""
    half, found = config.forwards, []
    for place in range(1, len(text) - 1):
        left = slow_outputs(half, weights, text[:place])[-1]
        right = slow_outputs(half, weights.backward, text[place + 1 :][::-1])[-1]
        joint = weights.joint
        before = np.tanh(left @ joint.before_kernel.astype(float) + joint.before_bias)
        after = np.tanh(right @ joint.after_kernel.astype(float) + joint.after_bias)
        read = np.concatenate([left, right, before * after])
        hidden = np.maximum(read @ joint.hidden_kernel.astype(float) + joint.hidden_bias, 0.0)
        both = np.concatenate([read, hidden]) @ joint.kernel.astype(float) + joint.bias
        forwards = left @ weights.head_kernel.astype(float) + weights.head_bias
        backwards = right @ weights.backward.head_kernel.astype(float) + weights.backward.head_bias
        found.append([softmax(forwards), softmax(backwards), softmax(both)])
    return list(np.array(found).swapaxes(0, 1))


def some_ids(count: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, VOCAB, count)


@pytest.mark.parametrize("cell", CELLS)
def test_each_character_is_predicted_from_its_left_its_right_and_both(cell: str) -> None:
    config, weights = model(cell)
    text = some_ids(12)
    found = read_sides(*parts(config, weights), text[1:-1], before=text[:1], after=text[-1:])
    for got, expected in zip(
        (found.forwards, found.backwards, found.joint), slow_sides(config, weights, text), strict=True
    ):
        assert got.dtype == np.float32
        np.testing.assert_allclose(got, expected, atol=1e-5)


def test_what_comes_before_and_after_counts() -> None:
    config, weights = model()
    text = some_ids(14)
    found = read_sides(*parts(config, weights), text[3:-4], before=text[:3], after=text[-4:])
    for got, expected in zip(
        (found.forwards, found.backwards, found.joint), slow_sides(config, weights, text), strict=True
    ):
        np.testing.assert_allclose(got, expected[2:-3], atol=1e-5)


@pytest.mark.parametrize("count", [1, 2, 37])
@pytest.mark.parametrize("context", [1, 3])
def test_scores_in_blocks_are_those_of_the_whole_text(
    count: int, context: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sides, "_BLOCK", 5)
    three = parts(*model("lstm"))
    ids, before, after = some_ids(count), some_ids(context, 1), some_ids(context, 2)
    whole = read_sides(*three, ids, before=before, after=after)
    told: list[tuple[int, int]] = []
    found = score_sides(*three, ids, before=before, after=after, progress=lambda *done: told.append(done))
    for got, every in zip(found, (whole.forwards, whole.backwards, whole.joint), strict=True):
        np.testing.assert_allclose(got, every[np.arange(count), ids], atol=1e-5)
    assert told[-1] == (count, count)


@pytest.mark.parametrize("streams", [2, 3, 50])
def test_each_stream_has_one_id_of_context_on_either_side(streams: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sides, "_BLOCK", 12)
    three = parts(*model("gru"))
    text = some_ids(22)
    ids = text[1:-1]
    found = score_sides(*three, ids, before=text[:1], after=text[-1:], streams=streams)
    length = -(-20 // min(streams, 20))
    firsts = [min(first, 20 - length) for first in range(0, 20, length)]
    for place in range(20):
        first = max(each for each in firsts if each <= place)
        part = read_sides(
            *three, ids[first : first + length], before=text[first : first + 1], after=text[first + length + 1 :][:1]
        )
        for got, every in zip(found, (part.forwards, part.backwards, part.joint), strict=True):
            assert got[place] == pytest.approx(every[place - first, ids[place]], abs=1e-5)


def test_records_are_read_each_by_itself_from_both_sides() -> None:
    end = VOCAB - 1
    three = parts(*model(), end_id=end)
    first, second, around = np.array([1, 2, 3]), np.array([4, 5]), np.array([end])
    together = np.concatenate([first, around, second, around])
    joint = score_sides(*three, together, before=around, after=around)[2]
    alone = [score_sides(*three, each, before=around, after=around)[2] for each in (first, second)]
    np.testing.assert_allclose(joint[together != end], np.concatenate(alone), atol=1e-5)


def test_outputs_are_read_out_to_the_logits_of_read() -> None:
    config, weights = model("peephole")
    engine = parts(config, weights)[0]
    ids = some_ids(2 * 1500).reshape(2, -1)
    outputs, state = engine.outputs(ids, engine.initial_state(2))
    logits, same = engine.read(ids, engine.initial_state(2))
    assert outputs.shape == (2, 1500, config.units)
    np.testing.assert_allclose(engine.read_out(outputs), logits, atol=1e-5)
    np.testing.assert_allclose(engine.read_out(outputs[0, 7]), logits[0, 7], atol=1e-5)
    np.testing.assert_array_equal(state.hidden, same.hidden)


def test_the_joint_heads_leading_axes_are_broadcast() -> None:
    config, weights = model()
    joint = parts(config, weights)[2]
    rng = np.random.default_rng(1)
    left, right = (rng.standard_normal((n, config.units)).astype(np.float32) for n in (3, 4))
    every = joint(left[:, None], right[None])
    assert every.shape == (3, 4, VOCAB)
    np.testing.assert_allclose(every[2, 1], joint(left[2], right[1]), atol=1e-6)
    np.testing.assert_allclose(np.exp(every).sum(-1), 1.0, atol=1e-5)


def test_labels_count_in_both_directions() -> None:
    config, weights = model(labels=2)
    three = parts(config, weights)
    ids, around = some_ids(5), np.array([0])
    plain, labelled = (
        score_sides(*three, ids, before=around, after=around, labels=labels)
        for labels in (None, np.array([1.0, 0.0], np.float32))
    )
    for one, other in zip(plain, labelled, strict=True):
        assert np.abs(one - other).max() > 1e-3


def test_nothing_to_read_is_refused() -> None:
    three = parts(*model())
    for name in ("ids", "before", "after"):
        given = {"ids": np.array([1]), "before": np.array([1]), "after": np.array([1]), name: np.array([], int)}
        ids = given.pop("ids")
        for function in (read_sides, score_sides):
            with pytest.raises(ConfigError, match=f"{name} must be at least one id"):
                function(*three, ids, **given)
    with pytest.raises(ConfigError, match="streams must be at least 1"):
        score_sides(*three, np.array([1]), before=np.array([1]), after=np.array([1]), streams=0)


def test_a_writer_has_both_directions_and_keeps_them_in_a_copy() -> None:
    from small_models import random_writer

    writer, one = random_writer(sides="both", units=8), random_writer(units=8)
    assert (one.backward, one.joint) == (None, None)
    assert writer.engine.config.sides == "forwards"
    ids = np.array([3, 4, 5])
    around = np.array([0])
    found = read_sides(writer.engine, writer.backward, writer.joint, ids, before=around, after=around)
    again = pickle.loads(pickle.dumps(copy.deepcopy(writer)))
    other = read_sides(again.engine, again.backward, again.joint, ids, before=around, after=around)
    np.testing.assert_array_equal(found.joint, other.joint)
    mixed = type(writer).mix([writer, writer])
    assert (mixed.backward, mixed.joint) == (None, None)
    assert writer.generate("a", seed=1, max_new_tokens=9).text == mixed.generate("a", seed=1, max_new_tokens=9).text

"""Filling gaps with a model of both sides, against an exhaustive search by what its three heads say."""

import itertools
import math
from typing import Any

import numpy as np
import pytest
from small_models import random_writer, slow_logits

from textgen.config import FillConfig
from textgen.corpus.tokenizer import CharTokenizer
from textgen.engine import Engine
from textgen.engine.sides import read_sides
from textgen.sampling.gaps.filling import fill
from textgen.sampling.gaps.sides import JOINT, NEAR, NEIGHBOURS, Sides
from textgen.sampling.writer import Writer

SMALL = CharTokenizer("\nabcde")
BEFORE, AFTER = np.array([0, 1, 2, 3], np.uint8), np.array([4, 2, 5, 0], np.uint8)


@pytest.fixture(scope="module")
def writer() -> Writer:
    return random_writer(SMALL, units=12, seed=3, sides="both")


def sides(writer: Writer, reach: int = 99) -> Sides:
    assert writer.backward is not None and writer.joint is not None
    return Sides(writer.engine, writer.backward, writer.joint, before=BEFORE, after=AFTER, reach=reach)  # type: ignore[arg-type]


def slow_logprob(writer: Writer, ids: list[int], *, backwards: bool = False) -> float:
    weights = writer.weights.backward if backwards else writer.weights
    assert weights is not None
    logits = slow_logits(writer.config.forwards, weights, np.array(ids[:-1]))
    logprobs = logits - np.log(np.exp(logits).sum(-1, keepdims=True))
    return float(logprobs[np.arange(len(ids) - 1), ids[1:]].sum())


def slow_joint(writer: Writer, middle: tuple[int, ...], near: int = NEAR) -> float:
    """What the joint head says of each id of `middle` and, by half, of some on each side, but for the outermost."""
    assert writer.backward is not None and writer.joint is not None
    text = np.array([*BEFORE, *middle, *AFTER])
    first, last = max(len(BEFORE) - near, 1), len(text) - max(len(AFTER) - near, 1)
    found = read_sides(
        writer.engine,
        writer.backward,
        writer.joint,
        text[first:last],
        before=text[:first],
        after=text[last:],  # type: ignore[arg-type]
    )
    weights = np.full(last - first, NEIGHBOURS)
    weights[len(BEFORE) - first :][: len(middle)] = 1.0
    return float(found.joint[np.arange(last - first), text[first:last]] @ weights)


def mean(forwards: float, backwards: float, joint: float, missing: int) -> float:
    """What a filling is ranked by where so many characters are missing."""
    weight = JOINT / math.sqrt(missing)
    return (1 - weight) / 2 * forwards + (1 - weight) / 2 * backwards + weight * joint


@pytest.mark.parametrize("middle", [(), (2,), (3, 4), (1, 1, 5)])
def test_the_three_heads_say_what_they_say_of_the_whole_text(writer: Writer, middle: tuple[int, ...]) -> None:
    judged = sides(writer).judge([np.array(middle)], missing=4)
    whole = [*BEFORE.tolist(), *middle, *AFTER.tolist()]
    left = slow_logprob(writer, whole) - slow_logprob(writer, BEFORE.tolist())
    right = slow_logprob(writer, whole[::-1], backwards=True)
    right -= slow_logprob(writer, AFTER[::-1].tolist(), backwards=True)
    assert judged.forwards[0] == pytest.approx(left, abs=2e-4)
    assert judged.backwards[0] == pytest.approx(right, abs=2e-4)
    assert judged.joint[0] == pytest.approx(slow_joint(writer, middle), abs=2e-4)
    np.testing.assert_allclose(judged.scores, mean(left, right, slow_joint(writer, middle), 4), atol=2e-4)


@pytest.mark.parametrize("reach", [0, 1, 2])
def test_only_what_is_in_reach_counts(writer: Writer, reach: int) -> None:
    texts = [np.array([2, 3, 4]), np.array([5, 3])]
    judged = sides(writer, reach=reach).judge(texts, missing=2)
    for n, text in enumerate(texts):
        whole = [*BEFORE.tolist(), *text.tolist(), *AFTER[:reach].tolist()]
        left = slow_logprob(writer, whole) - slow_logprob(writer, BEFORE.tolist())
        assert judged.forwards[n] == pytest.approx(left, abs=2e-4)
        assert judged.joint[n] == pytest.approx(slow_joint(writer, tuple(text.tolist()), near=reach), abs=2e-4)


def test_the_joint_head_is_not_asked_about_the_end_of_a_record() -> None:
    writer = random_writer(CharTokenizer("abcde", has_end=True), units=8, sides="both")
    assert writer.backward is not None and writer.joint is not None
    end = writer.tokenizer.end_id
    judged = [
        Sides(
            writer.engine, writer.backward, writer.joint, before=np.array(before), after=np.array(after), reach=9
        ).judge(  # type: ignore[arg-type]
            [np.array([2, 1])], missing=2
        )
        for before, after in (([end, 3], [4, end, 1, 2]), ([1, end, 3], [4, end, 3, 3]))
    ]
    assert judged[0].joint[0] == pytest.approx(judged[1].joint[0], abs=1e-5)


@pytest.mark.parametrize("size", [1, 2])
def test_the_best_fillings_are_those_of_an_exhaustive_search(writer: Writer, size: int) -> None:
    middles = list(itertools.product(range(6), repeat=size))
    scores = []
    for middle in middles:
        whole = [*BEFORE.tolist(), *middle, *AFTER.tolist()]
        both = slow_logprob(writer, whole), slow_logprob(writer, whole[::-1], backwards=True)
        scores.append(mean(*both, slow_joint(writer, middle), size))
    logs = np.array(scores) - np.logaddexp.reduce(scores)
    order = np.argsort(-logs)[:3].tolist()
    # The text after the line break with which a text begins, and before the one with which it ends.
    text = f"{SMALL.decode(BEFORE)}[{size}]{SMALL.decode(AFTER)}"
    found = writer.fill(text, count=3, candidates=100)
    assert [each.gaps[0] for each in found] == [SMALL.decode(np.array(middles[n])) for n in order]
    assert [each.probability for each in found] == pytest.approx([math.exp(logs[n]) for n in order], rel=5e-3)


def test_from_the_right_a_gap_is_filled_as_the_turned_text_from_the_left(writer: Writer) -> None:
    turned = Writer(config=writer.config.forwards, weights=writer.weights.backward, tokenizer=SMALL)
    from textgen.sampling.gaps.markers import Gap

    found = sides(writer).fill_backwards(Gap(1, 2), np.array([3, 3]), allowed=np.ones(6, np.bool_), width=9)
    text = [*BEFORE.tolist(), 3, 3][::-1]
    expected = turned.fill(f"{SMALL.decode(AFTER[::-1])}[1-2]{SMALL.decode(np.array(text))}", count=9, candidates=9)
    assert [SMALL.decode(np.array(each)) for each in found] == [each.gaps[0][::-1] for each in expected]


def test_several_gaps_and_records_and_draws_are_filled(writer: Writer) -> None:
    found = writer.fill("ab[1]cd[1-2]e", count=4)
    assert found[0].probability >= found[-1].probability
    assert sum(each.probability for each in writer.fill("ab[1]cd[1]e", count=1000)) == pytest.approx(1.0)
    records = random_writer(CharTokenizer("abcde", has_end=True), units=8, sides="both")
    assert {len(each.gaps[0]) for each in records.fill("ab[1]c", count=5)} == {1}
    draws = writer.fill("ab[2]cd", count=3, sample=True, seed=4)
    assert draws == writer.fill("ab[2]cd", count=3, sample=True, seed=4)


def test_draws_have_the_probabilities_of_what_all_networks_say(writer: Writer) -> None:
    expected = {each.gaps: each.probability for each in writer.fill("ab[1]cd", count=6)}
    draws = writer.fill("ab[1]cd", count=800, sample=True, seed=3)
    for gaps, probability in expected.items():
        assert sum(each.gaps == gaps for each in draws) / 800 == pytest.approx(probability, abs=0.06)


@pytest.mark.parametrize("settings", [{}, {"sample": True, "seed": 1}])
def test_a_watch_is_called_before_each_step_and_ends_the_search(
    writer: Writer, monkeypatch: pytest.MonkeyPatch, settings: dict[str, Any]
) -> None:
    calls, most = list[str](), 10**6

    def watch() -> None:
        calls.append("watch")
        if calls.count("watch") > most:
            raise KeyError("enough")

    def noted(name: str) -> Any:
        made = getattr(Engine, name)
        return lambda *given, **more: calls.append(name) or made(*given, **more)

    for name in ("step", "read", "outputs"):
        monkeypatch.setattr(Engine, name, noted(name))
    text, config = "abcdeabc" * 30 + "[1-6]" + "dcba", FillConfig(candidates=4, **settings)
    found = fill(writer, text, config, count=2)
    calls.clear()
    assert fill(writer, text, config, count=2, watch=watch) == found
    steps = "".join("." if each == "watch" else each[0] for each in calls).strip(".").split(".")
    # What both sides say of fillings of one length is read by one network and then by the other, and so are the few
    # characters next to the gap.
    assert set(steps) - {""} == {"s", "r", "oo", "roo"}
    for most in (0, 3, len(steps) // 2):
        calls.clear()
        with pytest.raises(KeyError):
            fill(writer, text, config, count=2, watch=watch)
        assert calls.count("watch") == most + 1 and calls[-1] == "watch"

"""Rounds whose changes are summed while the next one is under way, beside the same written out."""

import threading
from typing import Any

import numpy as np
import pytest
import tensorflow as tf

from textgen.config import ModelConfig
from textgen.training.workers.exchange import OWN, VELOCITY, Rounds

CONFIG = ModelConfig(vocab_size=5, cell="rnn", layers=1, units=3, embedding=2)
RATE, MOMENTUM = 0.75, 0.3


class Model:
    """Stands for a Keras model."""

    def __init__(self, seed: int) -> None:
        draws = np.random.default_rng(seed)
        self.weights = [tf.Variable(draws.standard_normal(shape).astype(np.float32)) for shape in ((4, 3), 3)]

    def learn(self, *seeds: int) -> None:
        for seed in seeds:
            draws = np.random.default_rng(seed)
            for each in self.weights:
                each.assign_add(draws.standard_normal(each.shape).astype(np.float32))

    @property
    def flat(self) -> Any:
        return np.concatenate([each.numpy().ravel() for each in self.weights])


class Sums:
    """Stands for the collectives of two workers in one process."""

    workers = 2

    def __init__(self) -> None:
        self.vectors: list[Any] = []
        self.all_there = threading.Barrier(2, timeout=10.0)

    def total(self, vector: Any) -> Any:
        self.vectors.append(vector)
        self.all_there.wait()
        found = self.vectors[0] + self.vectors[1]
        if self.all_there.wait() == 0:
            self.vectors.clear()
        return found


@pytest.fixture
def pair() -> tuple[list[Model], list[Rounds]]:
    models, sums = [Model(0), Model(0)], Sums()
    rounds: Any = [Rounds(model, CONFIG, sums, rate=RATE, momentum=MOMENTUM) for model in models]  # type: ignore[arg-type]
    return models, rounds


def in_both(rounds: list[Rounds], what: str) -> None:
    threads = [threading.Thread(target=getattr(each, what)) for each in rounds]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(10.0)


def test_what_was_learned_while_changes_were_sent_is_kept_on_top_of_the_outer_step(
    pair: tuple[list[Model], list[Rounds]],
) -> None:
    models, rounds = pair
    start, velocity = models[0].flat, np.zeros(15)
    for number in range(3):
        ends = []
        for index, model in enumerate(models):
            model.learn(10 * number + index)
            ends.append(model.flat)
        for each in rounds:
            each.launch()
        for index, model in enumerate(models):
            model.learn(100 * number + index)
        learned = [model.flat - end for model, end in zip(models, ends, strict=True)]
        in_both(rounds, "settle")
        change = np.mean([end - start for end in ends], 0)
        velocity = MOMENTUM * velocity + change
        start = start + RATE * (change + MOMENTUM * velocity)
        for model, more in zip(models, learned, strict=True):
            np.testing.assert_allclose(model.flat, start + more, atol=1e-5)
    np.testing.assert_array_equal(rounds[0].start, rounds[1].start)


def test_a_round_cut_while_changes_are_sent_goes_on_to_the_last_bit(pair: tuple[list[Model], list[Rounds]]) -> None:
    models, rounds = pair
    for index, model in enumerate(models):
        model.learn(index)
        rounds[index].launch()
    in_both(rounds, "complete")
    again = Model(0)
    with rounds[1].common():
        for variable, common in zip(again.weights, models[1].weights, strict=True):
            variable.assign(common)
    other = Rounds(again, CONFIG, Sums(), rate=RATE, momentum=MOMENTUM)  # type: ignore[arg-type]
    other.restore({**rounds[1].capture(), **rounds[1].own()})
    assert other.pending
    np.testing.assert_array_equal(again.flat, models[1].flat)
    for model, each in ((models[1], rounds[1]), (again, other)):
        model.learn(7)
        each.settle()
    np.testing.assert_array_equal(again.flat, models[1].flat)
    np.testing.assert_array_equal(other.velocity, rounds[1].velocity)
    assert set(other.capture()) == {VELOCITY} and OWN not in other.own()


def test_going_back_takes_the_outer_step_where_the_sum_has_come(pair: tuple[list[Model], list[Rounds]]) -> None:
    models, rounds = pair
    before = models[0].flat
    for index, model in enumerate(models):
        model.learn(index)
    rounds[0].launch()
    models[0].learn(9)
    assert not rounds[0].go_back(), "the other worker has not sent its changes"
    np.testing.assert_array_equal(models[0].flat, before)
    rounds[1].launch()
    rounds[1].complete()
    assert rounds[1].go_back()
    np.testing.assert_array_equal(models[1].flat, rounds[1].start)
    assert not np.array_equal(models[1].flat, before)

"""How the engine's work is shared out over threads: the process's own and OpenBLAS's."""

import threading

import numpy as np
import pytest
from small_models import random_weights

from textgen.config import AdaptationConfig, ModelConfig
from textgen.engine import Engine, blas
from textgen.engine.adaptation import score_dynamic
from textgen.engine.blas import ALONE, Pace, Threads
from textgen.engine.threads import in_chunks, side_by_side

needs_openblas = pytest.mark.skipif(not blas.can_choose_threads(), reason="OpenBLAS")


class FakeLibrary:
    """Four threads, unless told otherwise; notes what it is told."""

    def __init__(self) -> None:
        self.threads = 4
        self.told: list[int] = []

    def get(self) -> int:
        return self.threads

    def set(self, threads: int) -> None:
        self.threads = threads
        self.told.append(threads)


@pytest.fixture
def library(monkeypatch: pytest.MonkeyPatch) -> FakeLibrary:
    fake = FakeLibrary()
    monkeypatch.setattr(blas, "_library", lambda: fake)
    return fake


def test_results_come_in_order_also_where_no_thread_is_free() -> None:
    assert side_by_side([lambda n=n: n for n in range(50)]) == list(range(50))
    assert side_by_side([]) == []


def test_an_error_in_any_part_is_raised() -> None:
    for place in range(3):
        calls = [lambda: 1.0] * 3
        calls[place] = lambda: 1 / 0
        with pytest.raises(ZeroDivisionError):
            side_by_side(calls)


@pytest.mark.parametrize("length", [0, 1, 7, 8, 100])
def test_chunks_cover_everything_once(length: int) -> None:
    seen = np.zeros(length)
    in_chunks(length, lambda part: np.add(seen[part], 1, seen[part]), chunk=2)
    assert (seen == 1).all()


def test_the_number_of_threads_comes_back_after_nested_blocks_and_errors(library: FakeLibrary) -> None:
    with Threads():
        assert library.threads == 1
        with Threads(many=True):
            assert library.threads == 1
        assert library.threads == 1
    assert library.threads == 4
    with pytest.raises(ZeroDivisionError), Threads(many=True):
        raise ZeroDivisionError
    assert library.threads == 4


def test_products_are_shared_out_over_numbers_of_threads_that_keep_the_bits(library: FakeLibrary) -> None:
    for threads, expected in ((1, 1), (2, 2), (5, 4), (7, 6), (64, 24)):
        library.threads = threads
        with Threads(many=True):
            assert library.threads == expected
        assert library.threads == threads


def test_a_held_block_follows_the_pace_until_another_thread_begins_one(library: FakeLibrary) -> None:
    pace, seen = Pace(), []
    with Threads(hold=True):
        for pace.many in (False, True, True, False, True):
            seen.append(pace.run(0, library.get))
        assert library.told == [1, 4, 1, 4]

        def work() -> None:
            with Threads(many=True):
                seen.append(library.threads)

        other = threading.Thread(target=work)
        other.start()
        other.join()
        pace.many = True
        seen.append(pace.run(0, library.get))
    assert seen == [1, 4, 4, 1, 4, 1, 1]
    assert library.threads == 4
    pace.many = True
    assert pace.run(0, library.get) == 4


def test_a_process_forked_within_a_block_counts_from_the_beginning(library: FakeLibrary) -> None:
    with Threads(hold=True):
        blas._forget()
    with Threads(many=True):
        assert library.threads == 4
    with Threads():
        assert library.threads == 1
    assert library.threads == 4


def test_two_threads_at_work_share_nothing_out(library: FakeLibrary) -> None:
    inside, leave = threading.Event(), threading.Event()

    def work() -> None:
        with Threads(many=True):
            inside.set()
            leave.wait(30)

    other = threading.Thread(target=work)
    other.start()
    inside.wait(30)
    assert library.threads == 4
    with Threads(many=True):
        assert library.threads == 1
    leave.set()
    other.join()
    assert library.threads == 4


@needs_openblas
def test_the_engine_and_adaptation_leave_openblas_as_it_was() -> None:
    library = blas._library()
    assert library is not None
    before = library.get()
    config = ModelConfig(vocab_size=30, layers=2, units=256, embedding=16, cell="lstm")
    weights = random_weights(config)
    engine, ids = Engine(config, weights), np.arange(60) % 30
    try:
        for threads in (1, 2):
            library.set(threads)
            with ALONE:
                assert library.get() == 1
            engine.read(np.tile(ids, (3, 1)), engine.initial_state(3))
            engine.step([1], engine.initial_state(1))
            score_dynamic(config, weights, ids, AdaptationConfig(segment=5, learning_rate=0.0))
            assert library.get() == threads
    finally:
        library.set(before)


@needs_openblas
def test_adaptation_is_the_same_bit_for_bit_with_any_number_of_threads() -> None:
    library = blas._library()
    assert library is not None
    before, found = library.get(), []
    config = ModelConfig(vocab_size=30, layers=2, units=192, embedding=16, cell="lstm")
    ids = np.random.default_rng(1).integers(0, 30, 900)
    try:
        for threads in (1, 2, 4):
            library.set(threads)
            found.append(score_dynamic(config, random_weights(config), ids))
    finally:
        library.set(before)
    assert (found[0] == found[1]).all()
    assert (found[0] == found[2]).all()


def steps(pace: Pace, seconds: dict[bool, float], count: int) -> tuple[int, float]:
    """How many of so many steps several threads made, and the time of all."""
    many, total = 0, 0.0
    for _ in range(count):
        many += pace.many
        total += seconds[pace.many]
        pace.add(1, seconds[pace.many])
    return many, total


def test_several_threads_make_nearly_all_steps_where_they_are_quicker() -> None:
    many, total = steps(Pace(), {False: 2e-4, True: 1e-4}, 2000)
    assert many > 1900
    assert total < 1.05 * 2000 * 1e-4


def test_one_thread_makes_nearly_all_steps_where_several_wait_for_one_another() -> None:
    _, total = steps(Pace(), {False: 2e-4, True: 6e-3}, 10_000)
    assert total < 1.1 * 10_000 * 2e-4


def test_one_thread_makes_nearly_all_steps_where_several_gain_next_to_nothing() -> None:
    many, _ = steps(Pace(), {False: 1e-4, True: 0.97e-4}, 20_000)
    assert many < 2000


def test_a_machine_that_becomes_busy_and_free_again_is_noticed() -> None:
    pace = Pace()
    steps(pace, {False: 2e-4, True: 1e-4}, 1000)
    assert pace.many
    _, total = steps(pace, {False: 3e-4, True: 6e-3}, 5000)
    assert total < 1.15 * 5000 * 3e-4
    many, _ = steps(pace, {False: 2e-4, True: 1e-4}, 60_000)
    assert many > 30_000

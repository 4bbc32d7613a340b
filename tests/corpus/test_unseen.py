"""Characters that the training text has at most once change places, so that those it lacks are learned as rare ones."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from textgen.corpus.batches import Ahead, Streams
from textgen.corpus.record_batches import RecordStreams
from textgen.corpus.unseen import RarePermuted, rare_ids

COMMON, ONCE, LACKING = 4, (4, 5, 6), (7, 8)
"""The ids below `COMMON` occur often, and the others once or never."""

TEXT = np.concatenate([np.tile(np.arange(COMMON), 50), ONCE, np.tile(np.arange(COMMON), 50)])
RARE = np.array([*ONCE, *LACKING])


def permuted(streams: object, seed: int = 3) -> RarePermuted:
    return RarePermuted(streams, RARE, vocab_size=9, seed=seed)


@given(st.lists(st.integers(0, 3), min_size=1, max_size=20))
def test_rare_are_all_that_occur_at_most_once_if_some_occur_once_and_some_never(counts: list[int]) -> None:
    found = rare_ids(np.array(counts)).tolist()
    expected = [number for number, count in enumerate(counts) if count <= 1]
    assert found == (expected if {0, 1} <= set(counts) else [])


def test_the_end_of_the_only_record_stays() -> None:
    assert rare_ids(np.array([9, 1, 0, 1]), spared=1).tolist() == [2, 3]
    assert rare_ids(np.array([9, 1, 0]), spared=1).tolist() == []


@pytest.mark.parametrize("step", [0, 1, 7, 100])
def test_a_batch_is_the_text_with_rare_ids_exchanged_one_for_one(step: int) -> None:
    streams = Streams(TEXT, batch_size=3, sequence_length=128, seed=1)
    plain, changed = streams.batch(step), permuted(streams).batch(step)
    assert permuted(streams).batches_per_epoch == streams.batches_per_epoch
    assert changed.reset == plain.reset
    assert changed.inputs.dtype == changed.targets.dtype == np.int32
    before = np.concatenate([plain.inputs.ravel(), plain.targets.ravel()])
    after = np.concatenate([changed.inputs.ravel(), changed.targets.ravel()])
    pairs = set(zip(before.tolist(), after.tolist(), strict=True))
    assert all(a == b for a, b in pairs if a < COMMON)
    assert len({a for a, _ in pairs}) == len({b for _, b in pairs}) == len(pairs)
    assert {a for a, _ in pairs} >= set(ONCE)
    assert {b for a, b in pairs if a >= COMMON} <= set(RARE.tolist())


def test_each_rare_id_stands_for_each_other_about_equally_often() -> None:
    streams = permuted(Streams(TEXT, batch_size=3, sequence_length=128, seed=1))
    seen = np.zeros(9, np.int64)
    for step in range(2000):
        seen += np.bincount(streams.batch(step).targets.ravel(), minlength=9)
    # 6,000 places for five ids: the standard deviation of each count is about 30.
    assert seen[RARE].sum() == 6000
    assert np.all(np.abs(seen[RARE] - 1200) < 150)


def test_a_batch_depends_on_seed_and_step_alone() -> None:
    streams = Streams(TEXT, batch_size=3, sequence_length=128, seed=1)
    one, other = permuted(streams), permuted(streams)
    steps = (5, 2, 5, 0)
    assert [one.batch(n).targets.tolist() for n in steps] == [other.batch(n).targets.tolist() for n in steps]
    assert any(one.batch(n).targets.tolist() != permuted(streams, 4).batch(n).targets.tolist() for n in range(5))


def test_what_follows_in_batches_of_both_sides_is_exchanged_alike() -> None:
    streams = Streams(TEXT, batch_size=3, sequence_length=128, seed=1, ahead=Ahead(context=4, end=0))
    batch = permuted(streams).batch(9)
    assert batch.following is not None
    np.testing.assert_array_equal(batch.following[:, :127], batch.targets[:, 1:])
    assert set(RARE.tolist()) & set(batch.following.ravel().tolist())


def test_labels_of_records_stay() -> None:
    ids, starts = np.array([0, 4, 3, 1, 5, 3, 0, 1, 3]), np.array([0, 3, 6, 9])
    streams = RecordStreams(
        ids, starts, batch_size=1, sequence_length=9, seed=0, label_of=np.array([1, 2, 0], np.int32)
    )
    np.testing.assert_array_equal(permuted(streams).batch(3).labels, streams.batch(3).labels)

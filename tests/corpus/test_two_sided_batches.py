"""Batches of both sides: what follows each target, and that nothing else differs from batches of one side."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from textgen.corpus.batches import Ahead, HeldOut, Streams
from textgen.corpus.record_batches import HeldOutRecords, RecordStreams

END = 99


def records(lengths: list[int]) -> tuple[np.ndarray, np.ndarray]:
    """Records of different ids, each with END."""
    parts = [[10 * n + k for k in range(length)] + [END] for n, length in enumerate(lengths)]
    return np.concatenate(parts), np.cumsum([0, *map(len, parts)])


@given(characters=st.integers(9, 60), time=st.integers(1, 4), context=st.integers(0, 5), seed=st.integers(0, 9))
def test_what_follows_a_target_is_the_next_id_of_the_text(characters: int, time: int, context: int, seed: int) -> None:
    ids = np.arange(characters)
    size = {"batch_size": 2, "sequence_length": time, "seed": seed}
    one, both = Streams(ids, **size), Streams(ids, **size, ahead=Ahead(context=context, end=-1))
    for step in range(2 * one.batches_per_epoch):
        batch, wider = one.batch(step), both.batch(step)
        for name in ("inputs", "targets", "reset"):
            np.testing.assert_array_equal(getattr(batch, name), getattr(wider, name))
        places = batch.targets[:, :1] + 1 + np.arange(time + context)
        np.testing.assert_array_equal(wider.following, np.where(places < characters, places, -1))


@given(characters=st.integers(2, 60), streams=st.integers(1, 4), context=st.integers(0, 5))
def test_what_follows_a_held_out_target_is_the_next_id_or_the_end(characters: int, streams: int, context: int) -> None:
    ids = np.arange(characters)
    size = {"streams": streams, "sequence_length": 5}
    one, both = HeldOut(ids, **size), HeldOut(ids, **size, ahead=Ahead(context=context, end=-1))
    for batch, wider in zip(one, both, strict=True):
        for name in ("inputs", "targets", "weights"):
            np.testing.assert_array_equal(getattr(batch, name), getattr(wider, name))
        there = batch.weights > 0
        following = wider.following[:, : batch.targets.shape[1]]
        places = batch.targets + 1
        np.testing.assert_array_equal(following[there], np.where(places < characters, places, -1)[there])
        assert wider.following.shape[1] == batch.targets.shape[1] + context


@pytest.mark.parametrize("labelled", [False, True])
def test_what_follows_in_packed_records_is_the_circle_of_the_pass_with_its_labels(labelled: bool) -> None:
    ids, starts = records([3, 1, 4, 2])
    more = {"label_of": np.array([1, 2, 3, 4], np.int32), "label_drop": 0.5} if labelled else {}
    size = {"batch_size": 2, "sequence_length": 4, "seed": 3, **more}
    one, both = RecordStreams(ids, starts, **size), RecordStreams(ids, starts, **size, context=2)
    flat = RecordStreams(ids, starts, **{**size, "batch_size": 1, "sequence_length": len(ids)})
    for step in range(3 * one.batches_per_epoch):
        batch, wider = one.batch(step), both.batch(step)
        np.testing.assert_array_equal(batch.inputs, wider.inputs)
        np.testing.assert_array_equal(batch.targets, wider.targets)
        circle = flat.batch(step // one.batches_per_epoch)
        for row in range(2):
            np.testing.assert_array_equal(wider.following[row, :3], wider.targets[row, 1:])
            first = wider.following[row, 0]
            known = circle.targets[0].tolist()
            if first != END:
                place = known.index(first)
                expected = (known + known)[place : place + 6]
                assert wider.following[row].tolist() == expected
        if labelled:
            np.testing.assert_array_equal(batch.labels, wider.labels)
            np.testing.assert_array_equal(wider.following_labels[:, :3], wider.labels[:, 1:])
            assert wider.following_labels.shape == wider.following.shape


@pytest.mark.parametrize("most", [None, 8])
def test_what_follows_a_held_out_record_is_the_next_one_in_their_order(most: int | None) -> None:
    ids, starts = records([3, 1, 4, 2, 5])
    labels = np.array([0, 1, 2, 3, 4], np.int32)
    size = {"streams": 2, "sequence_length": 4, "label_of": labels, "most": most}
    held_out = HeldOutRecords(ids, starts, **size)
    order, which = [], []
    for batch in HeldOutRecords(ids, starts, **{**size, "streams": 1, "sequence_length": 99}):
        order, which = batch.targets[0].tolist(), batch.labels[0].tolist()
    seen = 0
    for batch, wider in zip(held_out, HeldOutRecords(ids, starts, **size, context=3), strict=True):
        np.testing.assert_array_equal(batch.targets, wider.targets)
        for row, column in zip(*np.nonzero(batch.weights), strict=True):
            target = batch.targets[row, column]
            if target == END:
                continue
            place = order.index(target)
            expected = [(order * 2)[place + 1 + k] for k in range(4 - column + 3)]
            assert wider.following[row, column:].tolist() == expected
            assert wider.following_labels[row, column] == (which * 2)[place + 1]
            seen += 1
    assert seen == held_out.targets - held_out.records

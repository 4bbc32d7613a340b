"""Batches of records: what a pass holds, where streams begin, and that a batch follows from its step alone."""

import itertools
from collections import Counter

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from textgen.corpus.record_batches import HeldOutRecords, RecordStreams
from textgen.errors import CorpusError

END = 99


def packed(lengths: list[int]) -> tuple[np.ndarray, np.ndarray]:
    """Records whose characters are all different: 100, 101, ... ; each ends with END."""
    ids, next_id = [], 100
    for length in lengths:
        ids += [*range(next_id, next_id + length), END]
        next_id += length
    return np.array(ids), np.concatenate([[0], np.cumsum(np.array(lengths) + 1)]).astype(np.int64)


def as_texts(ids: np.ndarray) -> list[tuple[int, ...]]:
    """A stream of targets cut after each END."""
    texts, text = [], []
    for each in ids.tolist():
        if each == END:
            texts.append(tuple(text))
            text = []
        else:
            text.append(each)
    return [*texts, tuple(text)]


def streamed(streams: RecordStreams, number: int) -> tuple[np.ndarray, np.ndarray]:
    """The inputs and targets of a pass, `(batch, length)`."""
    per = streams.batches_per_epoch
    batches = [streams.batch(step) for step in range(number * per, (number + 1) * per)]
    assert [batch.reset for batch in batches] == [True] + [False] * (per - 1)
    return np.concatenate([b.inputs for b in batches], 1), np.concatenate([b.targets for b in batches], 1)


@settings(max_examples=60)
@given(
    lengths=st.lists(st.integers(0, 9), min_size=1, max_size=40),
    batch=st.integers(1, 5),
    length=st.integers(1, 8),
    seed=st.integers(0, 9),
)
def test_inputs_are_the_ids_before_the_targets_and_each_record_stands_whole(
    lengths: list[int], batch: int, length: int, seed: int
) -> None:
    ids, starts = packed(lengths)
    streams = RecordStreams(ids, starts, batch_size=batch, sequence_length=length, seed=seed)
    inputs, targets = streamed(streams, 1)
    assert inputs.dtype == targets.dtype == np.int32
    np.testing.assert_array_equal(inputs[:, 1:], targets[:, :-1])
    records = {tuple(ids[a : b - 1].tolist()) for a, b in itertools.pairwise(starts)}
    for row, first in zip(targets, inputs[:, 0], strict=True):
        *whole, cut = as_texts(row)
        # A stream may start inside a record that is long for it.
        begun = whole[int(first != END) :]
        assert set(begun) <= records
        assert whole == begun or any(record[-len(whole[0]) :] == whole[0] for record in records) or not whole[0]
        if whole:
            assert any(record[: len(cut)] == cut for record in records)


def test_every_record_of_short_ones_is_read_whole_in_each_pass_and_streams_start_with_one() -> None:
    ids, starts = packed([3, 5, 2, 7, 4, 1, 6, 3] * 30)
    streams = RecordStreams(ids, starts, batch_size=4, sequence_length=16, seed=3)
    for number in (0, 1, 5):
        inputs, targets = streamed(streams, number)
        assert (inputs[:, 0] == END).all()
        read = Counter(text for row in targets for text in as_texts(row)[:-1])
        missing = [r for r in (tuple(ids[a : b - 1]) for a, b in itertools.pairwise(starts)) if r not in read]
        # Streams differ by less than a record at each of their borders.
        assert len(missing) <= 4
        assert max(read.values()) <= 2


def test_the_order_is_another_one_in_each_pass_and_for_each_seed() -> None:
    ids, starts = packed([3] * 50)
    passes = [
        streamed(RecordStreams(ids, starts, batch_size=1, sequence_length=10, seed=seed), number)[1].tolist()
        for seed, number in ((0, 0), (0, 1), (1, 0))
    ]
    assert len({str(each) for each in passes}) == 3
    (row,) = passes[0]
    firsts = [text[0] for text in as_texts(np.array(row))[:-1]]
    assert firsts != sorted(firsts)


def test_a_batch_follows_from_its_step_alone() -> None:
    ids, starts = packed([2, 9, 4] * 20)
    order = [7, 0, 31, 3, 7, 12, 30]
    fresh = [RecordStreams(ids, starts, batch_size=3, sequence_length=7, seed=1).batch(step) for step in order]
    used = RecordStreams(ids, starts, batch_size=3, sequence_length=7, seed=1)
    for one, step in zip(fresh, order, strict=True):
        other = used.batch(step)
        np.testing.assert_array_equal(one.inputs, other.inputs)
        np.testing.assert_array_equal(one.targets, other.targets)


def test_a_long_record_goes_on_over_batches_and_is_shared_out_among_streams() -> None:
    ids, starts = packed([1000, 3, 4])
    streams = RecordStreams(ids, starts, batch_size=8, sequence_length=10, seed=0)
    _, targets = streamed(streams, 0)
    assert len(set(targets.reshape(-1).tolist())) >= 1000
    for row in targets:
        steps = np.diff(row)
        assert (steps == 1).mean() > 0.9


def test_labels_are_those_of_the_targets_record_and_dropped_as_often_as_asked() -> None:
    ids, starts = packed([3, 1, 5, 2] * 100)
    label_of = (np.arange(400) % 3 + 1).astype(np.int32)
    streams = RecordStreams(ids, starts, batch_size=2, sequence_length=20, seed=4, label_of=label_of, label_drop=0.25)
    owner = {int(each): int(label_of[n]) for n in range(400) for each in ids[starts[n] : starts[n + 1] - 1]}
    labels, targets = [], []
    for step in range(streams.batches_per_epoch):
        batch = streams.batch(step)
        assert batch.following is batch.following_labels is None
        targets.append(batch.targets)
        labels.append(batch.labels)
    seen, expected = np.concatenate(labels, 1), np.concatenate(targets, 1)
    assert seen.dtype == np.int32
    kept = []
    for found, row in zip(seen, expected, strict=True):
        ends = np.flatnonzero(row == END)
        for a, b in itertools.pairwise(ends):
            own = set(found[a + 1 : b + 1].tolist())
            assert len(own) == 1
            assert own <= {0, owner[int(row[a + 1])]}
            kept.append(own != {0})
    assert 0.65 < np.mean(kept) < 0.85
    again = streams.batch(0)
    np.testing.assert_array_equal(again.labels, labels[0])


@settings(max_examples=60)
@given(
    lengths=st.lists(st.integers(0, 30), min_size=1, max_size=30),
    streams=st.sampled_from([1, 2, 4, 8]),
    length=st.integers(1, 9),
)
def test_every_held_out_id_is_a_target_once(lengths: list[int], streams: int, length: int) -> None:
    ids, starts = packed(lengths)
    held_out = HeldOutRecords(ids, starts, streams=streams, sequence_length=length)
    batches = list(held_out)
    assert len(batches) == len(held_out)
    inputs, targets, weights = (
        np.concatenate([getattr(batch, name) for batch in batches], 1) for name in ("inputs", "targets", "weights")
    )
    assert [bool(batch.reset) for batch in batches] == [True] + [False] * (len(batches) - 1)
    assert targets.shape[0] == held_out.streams <= streams
    assert (inputs[:, 0] == END).all()
    assert weights.sum() == held_out.targets == len(ids)
    seen = [row[: int(w.sum())] for row, w in zip(targets, weights, strict=True)]
    np.testing.assert_array_equal(np.concatenate(seen), ids)
    for row, before, w in zip(targets, inputs, weights, strict=True):
        count = int(w.sum())
        np.testing.assert_array_equal(before[1:count], row[: max(count - 1, 0)])
    assert weights.size <= 2 * len(ids) + held_out.streams * length or held_out.streams == 1


def test_a_part_of_the_held_out_records_is_spread_over_them() -> None:
    ids, starts = packed([4] * 100)
    part = HeldOutRecords(
        ids, starts, streams=1, sequence_length=1000, most=50, label_of=np.arange(100, dtype=np.int32)
    )
    (batch,) = part
    targets, labels = batch.targets, batch.labels
    assert part.targets == batch.weights.sum() == 50
    assert part.records == 10
    assert sorted(set(labels[0].tolist())) == list(range(0, 100, 10))
    assert targets[0, :5].tolist() == [100, 101, 102, 103, END]
    assert targets[0, 5:10].tolist() == [140, 141, 142, 143, END]


def test_no_record_at_all_is_refused() -> None:
    for make in (
        lambda: RecordStreams(np.array([]), np.array([0]), batch_size=1, sequence_length=1, seed=0),
        lambda: HeldOutRecords(np.array([]), np.array([0])),
    ):
        with pytest.raises(CorpusError, match="no record"):
            make()

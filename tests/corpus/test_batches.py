import math
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from textgen.corpus import batches as streams_module
from textgen.corpus.batches import HeldOut, Streams, windows
from textgen.errors import ConfigError, CorpusError
from textgen.system.mapping import map_array, release_pages

shapes = {"batch_size": st.integers(1, 5), "sequence_length": st.integers(1, 7), "seed": st.integers(0, 2**63 - 1)}


def epoch(streams: Streams, number: int) -> list[Any]:
    first = number * streams.batches_per_epoch
    return [streams.batch(first + n) for n in range(streams.batches_per_epoch)]


class TestStreams:
    @given(extra=st.integers(1, 60), number=st.integers(0, 50), **shapes)
    def test_each_stream_is_contiguous_and_no_target_comes_twice(
        self, extra: int, number: int, batch_size: int, sequence_length: int, seed: int
    ) -> None:
        ids = np.arange(batch_size * sequence_length + extra)
        streams = Streams(ids, batch_size=batch_size, sequence_length=sequence_length, seed=seed)
        batches = epoch(streams, number)
        inputs = np.concatenate([batch.inputs for batch in batches], axis=1)
        targets = np.concatenate([batch.targets for batch in batches], axis=1)
        assert (np.diff(inputs, axis=1) == 1).all()
        assert (targets == inputs + 1).all()
        assert len(np.unique(targets)) == targets.size
        assert targets.max() < len(ids)
        assert [batch.reset for batch in batches] == [True] + [False] * (len(batches) - 1)
        assert {batch.inputs.shape for batch in batches} == {(batch_size, sequence_length)}
        assert {(batch.inputs.dtype, batch.targets.dtype) for batch in batches} == {(np.dtype(np.int32),) * 2}

    @given(extra=st.integers(1, 60), steps=st.lists(st.integers(0, 10**12), max_size=5), **shapes)
    def test_a_batch_depends_on_its_step_alone(
        self, extra: int, steps: list[int], batch_size: int, sequence_length: int, seed: int
    ) -> None:
        ids = np.arange(batch_size * sequence_length + extra).astype(np.uint16)
        one, other = (Streams(ids, batch_size=batch_size, sequence_length=sequence_length, seed=seed) for _ in range(2))
        forward = [one.batch(step) for step in steps]
        backward = [other.batch(step) for step in reversed(steps)][::-1]
        for a, b in zip(forward, backward, strict=True):
            assert np.array_equal(a.inputs, b.inputs)
            assert np.array_equal(a.targets, b.targets)
            assert a.reset == b.reset

    def test_every_position_but_the_first_becomes_a_target(self) -> None:
        ids = np.arange(100)
        streams = Streams(ids, batch_size=3, sequence_length=5, seed=1)
        seen = Counter(t for n in range(60) for batch in epoch(streams, n) for t in batch.targets.ravel().tolist())
        assert set(seen) == set(range(1, 100))

    def test_offsets_move_sequence_boundaries_to_every_position(self) -> None:
        streams = Streams(np.arange(1000), batch_size=4, sequence_length=8, seed=3)
        assert {streams.offset(n) % 8 for n in range(200)} == set(range(8))

    def test_offsets_differ_by_epoch_and_seed_and_are_the_same_on_every_machine(self) -> None:
        def offsets(seed: int) -> list[int]:
            streams = Streams(np.zeros(1_003_854, np.uint8), batch_size=32, sequence_length=64, seed=seed)
            return [streams.offset(n) for n in range(4)]

        assert offsets(0) == [218, 48, 247, 137]
        assert offsets(1) != offsets(0)

    def test_an_epoch_leaves_out_less_than_a_batch_and_a_sequence(self) -> None:
        for characters in range(13, 200):
            streams = Streams(np.arange(characters), batch_size=3, sequence_length=4, seed=0)
            left_out = characters - 1 - 12 * streams.batches_per_epoch
            assert 0 <= left_out < 12 + 4

    @pytest.mark.parametrize("characters", [0, 1, 5, 2048])
    def test_a_text_shorter_than_a_batch_is_refused_with_what_would_fit(self, characters: int) -> None:
        with pytest.raises(CorpusError, match="needs 2,049") as caught:
            Streams(np.zeros(characters, np.uint8), batch_size=32, sequence_length=64, seed=0)
        words = str(caught.value).replace(".", "").split()
        if characters >= 2:
            batch_size = int(words[words.index("--batch-size") + 1])
            length = int(words[words.index("--sequence-length") + 1]) if "--sequence-length" in words else 64
            fitting = Streams(np.zeros(characters, np.uint8), batch_size=batch_size, sequence_length=length, seed=0)
            assert fitting.batches_per_epoch >= 1

    def test_a_text_of_exactly_one_batch_is_accepted(self) -> None:
        streams = Streams(np.arange(2049), batch_size=32, sequence_length=64, seed=0)
        assert streams.batches_per_epoch == 1
        assert np.array_equal(streams.batch(7).inputs.ravel(), np.arange(2048))

    @pytest.mark.parametrize(
        "change", [{"batch_size": 0}, {"sequence_length": 0}, {"seed": -1}], ids=lambda change: next(iter(change))
    )
    def test_refuses_numbers_out_of_range(self, change: dict[str, int]) -> None:
        with pytest.raises(ConfigError, match=next(iter(change))):
            Streams(np.arange(100), **{"batch_size": 2, "sequence_length": 3, "seed": 0, **change})

    def test_refuses_a_negative_step(self) -> None:
        with pytest.raises(ConfigError, match="step"):
            Streams(np.arange(100), batch_size=2, sequence_length=3, seed=0).batch(-1)


class TestHeldOut:
    @given(st.integers(2, 200), st.integers(1, 9), st.integers(1, 20))
    def test_every_position_but_the_first_is_a_target_exactly_once(
        self, characters: int, streams: int, sequence_length: int
    ) -> None:
        held_out = HeldOut(np.arange(characters), streams=streams, sequence_length=sequence_length)
        batches = list(held_out)
        weights = np.concatenate([batch.weights for batch in batches], axis=1)
        inputs = np.concatenate([batch.inputs for batch in batches], axis=1)
        targets = np.concatenate([batch.targets for batch in batches], axis=1)
        assert sorted(targets[weights == 1].tolist()) == list(range(1, characters))
        assert (targets == inputs + 1)[weights == 1].all()
        assert set(np.unique(weights)) <= {0.0, 1.0}
        assert weights.sum() == held_out.targets == characters - 1
        for row, counts in zip(inputs, weights, strict=True):
            text = row[counts == 1]
            assert (np.diff(text) == 1).all()
            assert (np.diff(counts) <= 0).all()

    @given(st.integers(2, 200), st.integers(1, 9), st.integers(1, 20))
    def test_all_batches_have_the_shape_it_says(self, characters: int, streams: int, sequence_length: int) -> None:
        held_out = HeldOut(np.zeros(characters, np.uint8), streams=streams, sequence_length=sequence_length)
        batches = list(held_out)
        assert len(batches) == len(held_out)
        for batch in batches:
            arrays = batch.inputs, batch.targets, batch.weights
            assert {array.shape for array in arrays} == {(held_out.streams, held_out.sequence_length)}
            assert [array.dtype for array in arrays] == [np.int32, np.int32, np.float32]

    @given(st.integers(2, 300), st.integers(1, 9), st.integers(1, 20), st.integers(1, 320))
    def test_a_part_is_spread_over_the_text(
        self, characters: int, streams: int, sequence_length: int, most: int
    ) -> None:
        held_out = HeldOut(np.arange(characters), streams=streams, sequence_length=sequence_length, most=most)
        batches = list(held_out)
        weights = np.concatenate([batch.weights for batch in batches], axis=1)
        targets = np.concatenate([batch.targets for batch in batches], axis=1)
        scored = targets[weights == 1].tolist()
        assert len(set(scored)) == len(scored) == held_out.targets == min(most, characters - 1)
        assert set(scored) <= set(range(1, characters))
        starts = targets[weights[:, 0] == 1, 0]
        if most >= streams:
            # A stream's share of the text lies between two starts; the last may be longer by what does not divide.
            assert (np.diff(starts) == max((characters - 1) // streams, -(-held_out.targets // streams))).all()

    def test_a_part_as_long_as_the_text_is_the_text(self) -> None:
        ids = np.arange(1001)
        for one, other in zip(HeldOut(ids, most=1000), HeldOut(ids), strict=True):
            assert all(map(np.array_equal, one, other))

    def test_iterating_again_gives_the_same(self) -> None:
        held_out = HeldOut(np.arange(1000), streams=4, sequence_length=100)
        assert [bool(batch.reset) for batch in held_out] == [True] + [False] * (len(held_out) - 1)
        for one, other in zip(held_out, held_out, strict=True):
            assert all(map(np.array_equal, one, other))

    @pytest.mark.parametrize("characters", [0, 1])
    def test_a_text_without_a_target_is_refused(self, characters: int) -> None:
        with pytest.raises(CorpusError, match="--validation 0"):
            HeldOut(np.arange(characters))


class TestWindows:
    @given(st.integers(2, 200), st.integers(1, 20), st.integers(1, 7))
    def test_windows_cover_the_text_once(self, characters: int, length: int, batch_size: int) -> None:
        batches = list(windows(np.arange(characters), length=length, batch_size=batch_size))
        assert np.concatenate([inputs.ravel() for inputs, _ in batches]).tolist() == list(range(characters - 1))
        assert np.concatenate([targets.ravel() for _, targets in batches]).tolist() == list(range(1, characters))
        full = [inputs for inputs, _ in batches if inputs.shape[1] == length]
        assert len(batches) - len(full) == ((characters - 1) % length > 0)
        assert len(full) == math.ceil((characters - 1) // length / batch_size)
        assert all(inputs.dtype == targets.dtype == np.int32 for inputs, targets in batches)

    def test_a_text_without_a_target_is_refused(self) -> None:
        with pytest.raises(CorpusError, match="at least 2"):
            next(windows(np.arange(1)))


class TestMapping:
    @pytest.fixture
    def mapped(self, tmp_path: Path) -> np.ndarray:
        path = tmp_path / "ids"
        path.write_bytes(b"head" + np.arange(5000, dtype="<u2").tobytes())
        with path.open("rb") as file:
            return map_array(file, np.dtype("<u2"), offset=4, count=5000)

    def test_values_stay_when_pages_are_released(self, mapped: np.ndarray) -> None:
        release_pages(mapped[100:200])
        assert mapped.tolist() == list(range(5000))
        assert not mapped.flags.writeable

    def test_streams_over_a_mapped_text_are_those_over_memory(
        self, mapped: np.ndarray, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(streams_module, "_RELEASE_EVERY", 1)
        options = {"batch_size": 3, "sequence_length": 11, "seed": 5}
        here, there = Streams(mapped, **options), Streams(np.arange(5000), **options)
        for step in range(0, 400, 7):
            assert np.array_equal(here.batch(step).inputs, there.batch(step).inputs)
        for one, other in zip(HeldOut(mapped), HeldOut(np.arange(5000)), strict=True):
            assert all(map(np.array_equal, one, other))

    def test_a_file_that_is_too_short_is_an_error(self, tmp_path: Path) -> None:
        (tmp_path / "ids").write_bytes(b"12")
        with (tmp_path / "ids").open("rb") as file, pytest.raises(ValueError, match="buffer"):
            map_array(file, np.dtype("<u2"), offset=0, count=3)

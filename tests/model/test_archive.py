import errno
import io
import os
import struct
import sys
import tracemalloc
import warnings
import zipfile
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from faults import EFFORT
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from textgen.errors import CheckpointError
from textgen.model.archive import MAX_JSON, MAX_MEMBERS, Archive, npz, read_archive

MEMBERS = {"words.json": b'{"sea": [1, 2.5, null, "\xc3\xa9"]}', "empty": b"", "numbers.bin": bytes(range(256)) * 20}


def zipped(members: Mapping[str, bytes], compression: int = zipfile.ZIP_STORED) -> bytes:
    buffer = io.BytesIO()
    with warnings.catch_warnings(), zipfile.ZipFile(buffer, "w", compression) as file:
        warnings.simplefilter("ignore")
        for name, data in members.items():
            file.writestr(zipfile.ZipInfo(name), data, compress_type=compression)
    return buffer.getvalue()


def opened(data: bytes) -> Archive:
    return Archive(io.BytesIO(data), path=Path("poems.keras"), start=0, size=len(data))


def contents(data: bytes) -> dict[str, bytes]:
    with opened(data) as archive:
        return {name: archive.read(name) for name in archive.members}


def refusal(action: Callable[[], Any]) -> str:
    """The one sentence, or two, with which an action is refused."""
    with pytest.raises(CheckpointError) as caught:
        action()
    text = str(caught.value)
    assert "\n" not in text
    assert len(text) < 1000
    return text


class TestReading:
    @given(st.dictionaries(st.text("abc/._-", min_size=1, max_size=8), st.binary(max_size=300), min_size=1, max_size=8))
    def test_reads_what_zipfile_wrote(self, members: dict[str, bytes]) -> None:
        assert contents(zipped(members)) == members

    def test_json_digests_and_names(self, tmp_path: Path) -> None:
        path = tmp_path / "poems.keras"
        path.write_bytes(zipped(MEMBERS))
        with read_archive(path) as archive:
            assert list(archive.members) == list(MEMBERS)
            assert archive.json("words.json") == {"sea": [1, 2.5, None, "é"]}
            # sha256sum of nothing
            assert archive.digest("empty") == "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"
            assert archive.read("numbers.bin", sha256=archive.digest("numbers.bin")) == MEMBERS["numbers.bin"]
            assert "numbers.bin in it is not what was written" in refusal(
                lambda: archive.read("numbers.bin", sha256="")
            )
            assert "holds no poem.txt" in refusal(lambda: archive.read("poem.txt"))

    def test_a_file_can_be_replaced_while_it_is_open(self, tmp_path: Path) -> None:
        if sys.platform == "win32":
            pytest.skip("an open file stays in place there; writers wait")
        path = tmp_path / "poems.keras"
        path.write_bytes(zipped(MEMBERS))
        with read_archive(path) as archive:
            (tmp_path / "new").write_bytes(zipped({"numbers.bin": b"other"}))
            (tmp_path / "new").replace(path)
            assert archive.read("numbers.bin") == MEMBERS["numbers.bin"]


class TestPlaces:
    def test_a_missing_file(self, tmp_path: Path) -> None:
        path = tmp_path / "poems.keras"
        assert refusal(lambda: read_archive(path)) == (
            f"There is no checkpoint at {path}. `textgen runs` lists those there are."
        )

    def test_a_folder(self, tmp_path: Path) -> None:
        assert "is a folder, not a checkpoint. Give a .keras file." in refusal(lambda: read_archive(tmp_path))

    @pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="named pipes")
    def test_a_named_pipe_does_not_hang(self, tmp_path: Path) -> None:
        os.mkfifo(tmp_path / "pipe.keras")
        assert "is not a regular file" in refusal(lambda: read_archive(tmp_path / "pipe.keras"))

    @pytest.mark.parametrize("name", ["a\0b", "n" * 5000], ids=["NUL", "long"])
    def test_an_impossible_name(self, tmp_path: Path, name: str) -> None:
        with pytest.raises(CheckpointError, match=r"cannot be opened: .*\."):
            read_archive(tmp_path / name)

    def test_a_file_that_may_not_be_read(self, tmp_path: Path, monkeypatch: Any) -> None:
        def refuse(*_: Any) -> Any:
            raise PermissionError(errno.EACCES, "Permission denied")

        path = tmp_path / "poems.keras"
        path.write_bytes(zipped(MEMBERS))
        monkeypatch.setattr(io, "open", refuse)
        assert "permission is denied. Choose another place or change the permissions." in refusal(
            lambda: read_archive(path)
        )

    def test_an_error_of_the_disk(self) -> None:
        class Failing(io.BytesIO):
            def read(self, *_: Any) -> bytes:
                raise OSError(errno.EIO, "Input/output error")

        assert "the disk reports an error" in refusal(
            lambda: Archive(Failing(), path=Path("a.keras"), start=0, size=99)
        )

    def test_a_file_that_shrinks_while_it_is_read(self, tmp_path: Path) -> None:
        path = tmp_path / "poems.keras"
        path.write_bytes(zipped(MEMBERS))
        with read_archive(path) as archive:
            os.truncate(path, 200)
            assert "it ends too early" in refusal(lambda: archive.read("numbers.bin"))


class TestDamage:
    @pytest.mark.parametrize(
        ("data", "sentence"),
        [
            (b"", "it is empty"),
            (b"PK", "it is not a .keras file"),
            (b"\x89HDF\r\n\x1a\n" + bytes(100), "it is not a .keras file"),
            (b"The sea, the sea!" * 10, "it is not a .keras file"),
            (b"PK\x03\x04", "its end is missing or changed"),
            (zipped({}), "it is not a .keras file"),
            (zipped(MEMBERS) + b"\0", "its end is missing or changed"),
            (b"junk" + zipped(MEMBERS), "it is not a .keras file"),
            (zipped(MEMBERS, zipfile.ZIP_DEFLATED), "is compressed, which textgen never does"),
            (zipped({f"{n}": b"" for n in range(MAX_MEMBERS + 1)}), "it holds 1,025 members, at most 1,024 are read"),
        ],
        ids=str,
    )
    def test_each_has_its_sentence(self, data: bytes, sentence: str) -> None:
        assert sentence in refusal(lambda: contents(data))

    def test_every_truncation_is_refused(self) -> None:
        data = zipped(MEMBERS)
        for length in range(len(data)):
            refusal(lambda cut=data[:length]: contents(cut))

    def test_every_flipped_bit_is_refused_or_changes_nothing(self) -> None:
        data = zipped({"words.json": MEMBERS["words.json"], "empty": b"", "numbers.bin": bytes(range(40))})
        expected = contents(data)
        harmless = 0
        for bit in range(8 * len(data)):
            flipped = bytearray(data)
            flipped[bit // 8] ^= 1 << bit % 8
            try:
                assert contents(bytes(flipped)) == expected
                harmless += 1
            except CheckpointError:
                pass
        # What the directory's three entries say about the writer's system, its disks and the file's attributes.
        assert harmless == 3 * 8 * (2 + 2 + 2 + 4)

    @settings(max_examples=300 * EFFORT)
    @given(
        st.binary(max_size=400) | st.binary(max_size=400).map(lambda tail: b"PK\x03\x04" + tail),
        st.sampled_from([b"", b"PK\x05\x06" + bytes(18), zipped(MEMBERS)[-22:]]),
    )
    def test_any_bytes_are_read_or_refused(self, data: bytes, end: bytes) -> None:
        try:
            read = contents(data + end)
        except CheckpointError:
            return
        assert sum(map(len, read.values())) <= len(data)

    @settings(max_examples=300 * EFFORT)
    @given(st.data())
    def test_any_change_of_several_bytes_is_read_or_refused(self, data: st.DataObject) -> None:
        changed = bytearray(zipped(MEMBERS))
        # Most of the file is the body of its last member, the least interesting part.
        directory = changed.index(b"PK\x01\x02")
        anywhere = st.integers(0, 150) | st.integers(directory, len(changed) - 1)
        value = st.sampled_from([0, 1, 0x7F, 0x80, 0xFF]) | st.integers(0, 255)
        for place, byte in data.draw(st.lists(st.tuples(anywhere, value), min_size=1, max_size=12)):
            changed[place] = byte
        try:
            read = contents(bytes(changed))
        except CheckpointError:
            return
        assert sum(map(len, read.values())) <= len(changed)


class TestMalice:
    def test_a_bomb_of_overlapping_members_is_refused(self) -> None:
        data = bytearray(zipped({"bomb": bytes(10_000)}))
        entry = bytes(data[data.index(b"PK\x01\x02") : -22])
        bomb = data[:-22] + entry * 400
        count, start = 401, len(data) - 22 - len(entry)
        bomb += struct.pack("<4s4H2LH", b"PK\x05\x06", 0, 0, count, count, len(bomb) - start, start, 0)
        assert "members overlap or leave gaps" in refusal(lambda: contents(bytes(bomb)))

    def test_a_compressed_bomb_is_refused_without_unpacking_it(self) -> None:
        data = zipped({"bomb": bytes(50_000_000)}, zipfile.ZIP_DEFLATED)
        assert "is compressed" in self._refused_within(lambda: contents(data), 200_000)

    def test_a_huge_directory_is_refused_before_it_is_read(self) -> None:
        entry = struct.pack("<4s6H3L5H2L", b"PK\x01\x02", *[0] * 16)
        body = b"PK\x03\x04" + entry * 300_000
        data = body + struct.pack("<4s4H2LH", b"PK\x05\x06", 0, 0, 37_000, 37_000, len(body) - 4, 4, 0)
        assert "at most 1,024 are read" in self._refused_within(lambda: opened(data), 200_000 + len(data))

    @pytest.mark.parametrize("data", [b"[" * 1_000_000, b'{"a":' * 100_000, b"1" * 10_000, b"\xff\xfe", b"{", b""])
    def test_json_that_is_none_is_refused(self, data: bytes) -> None:
        archive = opened(zipped({"words.json": data}))
        assert "is not the JSON that textgen writes" in refusal(lambda: archive.json("words.json"))

    def test_json_larger_than_any_of_ours_is_refused_before_it_is_read(self) -> None:
        data = zipped({"words.json": b" " * (MAX_JSON + 1)})
        assert "bytes, at most 16,777,216 are read" in self._refused_within(
            lambda: opened(data).json("words.json"), 100_000 + len(data)
        )

    @staticmethod
    def _refused_within(action: Callable[[], Any], allowance: int) -> str:
        tracemalloc.start()
        try:
            text = refusal(action)
            assert tracemalloc.get_traced_memory()[1] < allowance
        finally:
            tracemalloc.stop()
        return text


plain_arrays = hnp.arrays(
    st.one_of(
        hnp.boolean_dtypes(),
        hnp.integer_dtypes(endianness="<") | hnp.unsigned_integer_dtypes(endianness="<"),
        hnp.floating_dtypes(endianness="<", sizes=(16, 32, 64)),
    ),
    hnp.array_shapes(min_dims=0, max_dims=4, min_side=0, max_side=4),
)


class TestArrays:
    @given(st.dictionaries(st.text("abc/_0", min_size=1, max_size=6), plain_arrays, max_size=4))
    def test_round_trip_and_numpy_reads_the_same(self, arrays: dict[str, Any]) -> None:
        if not arrays:
            return
        data = npz(arrays)
        read = opened(zipped({"state.npz": data})).arrays("state.npz")
        oracle = np.load(io.BytesIO(data), allow_pickle=False)
        assert set(read) == set(oracle.files) == set(arrays)
        for name, array in arrays.items():
            for copy in (read[name], oracle[name]):
                assert (copy.dtype, copy.shape) == (array.dtype, array.shape)
                np.testing.assert_array_equal(copy, array)

    def test_strides_and_byte_orders_do_not_matter(self) -> None:
        array = np.arange(24).reshape(4, 6)
        given_arrays = {
            "turned": array.T,
            "sliced": array[::2, ::-3],
            "big": array.astype(">i4"),
            "zero": np.array(3.0),
        }
        read = opened(zipped({"state.npz": npz(given_arrays)})).arrays("state.npz")
        for name, expected in given_arrays.items():
            np.testing.assert_array_equal(read[name], expected)
        assert read["big"].dtype == np.dtype("<i4")

    @pytest.mark.parametrize(
        "array", [np.array([{}]), np.array(["a"]), np.array([1j]), np.zeros(2, [("a", "i4")]), np.zeros(1, "M8[s]")]
    )
    def test_what_is_no_number_is_not_written(self, array: Any) -> None:
        with pytest.raises(ValueError, match="must be a named array of numbers"):
            npz({"a": array})

    def test_odd_names_are_not_written(self) -> None:
        for name in ("naïve", "a\nb"):
            with pytest.raises(ValueError, match="must be a named array"):
                npz({name: np.zeros(1)})

    @pytest.mark.parametrize(
        "header",
        [
            b"{'descr': '|O', 'fortran_order': False, 'shape': (1,), }\n",
            b"{'descr': '<f4', 'fortran_order': True, 'shape': (1,), }\n",
            b"{'descr': '<f4', 'fortran_order': False, 'shape': (1000000000000,), }\n",
            b"{'descr': '<f4', 'fortran_order': False, 'shape': (9223372036854775807, 9223372036854775807), }\n",
            b"{'descr': '<f4', 'fortran_order': False, 'shape': (0, 999999999999999999, 999999999999999999), }\n",
            b"{'descr': '<f4', 'fortran_order': False, 'shape': (-1,), }\n",
            b"{'descr': '<f4', 'fortran_order': False, 'shape': (1, 1, 1, 1, 1, 1, 1, 1, 1), }\n",
            b"{'descr': '<f1', 'fortran_order': False, 'shape': (4,), }\n",
            b"{'descr': '<b8', 'fortran_order': False, 'shape': (4,), }\n",
            b"{'descr': [('a', '<f4')], 'fortran_order': False, 'shape': (1,), }\n",
            b"{'descr': '<f4', 'fortran_order': False, 'shape': (1,), 'more': 1}\n",
            b"__import__('os').abort()\n",
            b"(" * 9000 + b"\n",
        ],
    )
    def test_hostile_headers_are_refused(self, header: bytes) -> None:
        array = b"\x93NUMPY\x01\x00" + struct.pack("<H", len(header)) + header + bytes(4)
        archive = opened(zipped({"state.npz": zipped({"a.npy": array})}))
        assert "'a.npy' in it is no" in refusal(lambda: archive.arrays("state.npz"))

    def test_a_pickle_is_refused_and_not_run(self, tmp_path: Path) -> None:
        class Malicious:
            def __reduce__(self) -> Any:
                return (Path.touch, (tmp_path / "ran",))

        buffer = io.BytesIO()
        np.savez(buffer, a=np.array([Malicious()], dtype=object))
        archive = opened(zipped({"state.npz": buffer.getvalue()}))
        refusal(lambda: archive.arrays("state.npz"))
        assert not (tmp_path / "ran").exists()

    @settings(max_examples=200 * EFFORT, suppress_health_check=[HealthCheck.too_slow])
    @given(st.lists(st.tuples(st.integers(0, 400), st.integers(0, 255)), min_size=1, max_size=6))
    @example([(0, 0)])
    def test_any_change_with_right_checksums_outside_is_read_or_refused(self, changes: list[tuple[int, int]]) -> None:
        data = bytearray(npz({"a": np.arange(6.0).reshape(2, 3), "b": np.array(True)}))
        for place, byte in changes:
            data[place % len(data)] = byte
        archive = opened(zipped({"state.npz": bytes(data)}))
        try:
            read = archive.arrays("state.npz")
        except CheckpointError:
            return
        assert sum(array.nbytes for array in read.values()) <= len(data)
